//! Mechanisms that tests take out one at a time, to see the metric that hangs on each miss its band.

/// What a market can be made to lack. Outside of this crate's tests it never lacks anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ablation {
    /// Volatility stays at its mean.
    Volatility,
    /// Every trade has a parent of its own.
    Parents,
    /// Every market order wants two lots.
    Sizes,
    /// Levels gain and lose orders with even odds, whatever they hold.
    QueueReaction,
    /// The order flow does not see the reference price.
    Pull,
    /// Trades do not move the reference price.
    Surprise,
}
