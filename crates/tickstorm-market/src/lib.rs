//! What a simulated exchange has to say: order books, trades, quotes, 24 h statistics, and the orders and
//! balances of accounts that trade there, all consistent with each other to the last unit.
//!
//! The market is a queue-reactive order book with persistent trade signs, a reference price whose volatility comes
//! and goes, and own orders that rest among the others. Its statistics were fitted to those of real venues. It
//! says *what* happens and in which order; *when* is the caller's to decide, who hands in the due time of each
//! message. It knows no venue's wording, no clock and no randomness but its seed: the same [`MarketSpec`] gives
//! the same messages on every machine.
//!
//! Start from a [`MarketSpec`] and take messages from a [`ShardMarket`]. Symbols are cut into shards that share
//! nothing, so that any number of workers can run them side by side; [`MarketSpec::shard_weights`] says how often
//! each shard's turn comes.
//!
//! ```
//! use tickstorm_market::{Body, Checker, Listing, MarketSpec, ShardMarket};
//! use tickstorm_random::Seed;
//!
//! let seed = Seed::new(1);
//! let spec = MarketSpec::new(seed, Listing::synthetic(100, seed));
//! let mut market = ShardMarket::new(&spec, 0)?;
//! let mut checker = Checker::new(&spec.listing, &market.snapshots(), &market.balances());
//!
//! let mut traded = 0;
//! for number in 0..10_000 {
//!     let message = market.next(number * 1_000_000);
//!     checker.observe(message)?;
//!     if let Body::Trade(trade) = message.body {
//!         let instrument = spec.listing.instrument(message.symbol);
//!         traded += instrument.notional(trade.price, trade.quantity);
//!     }
//! }
//! assert!(traded > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Money is exact. Prices are whole ticks, sizes whole lots, amounts whole 1e-8 units of their asset; floating
//! point only decides what happens, never what a message says. The [`Checker`] replays a stream and names the
//! first message that breaks a rule: a crossed book, a trade off the touch, a balance that does not add up.
//!
//! A [`Regime`] is the market's mood. [`MarketSpec::regime_path`] changes it at set times of the run, each symbol
//! following over its next 50 to 200 events, and may take prices along: a [`FlashCrash`] is such a path. Whether a
//! stream looks like a market's, [`realism`] measures.

mod ablation;
mod account;
mod book;
pub mod event;
mod flow;
pub mod instrument;
pub mod invariants;
mod market;
mod outbox;
mod path;
pub mod portrait;
mod prefetch;
pub mod realism;
mod reference;
mod regime;
mod scenario;
mod selection;
mod spec;
mod tables;
mod ticker;

pub use account::{fees_account, market_account};
pub use event::*;
pub use instrument::*;
pub use invariants::{Checker, Rule, Violation};
pub use market::ShardMarket;
pub use path::{RegimeChange, Trading};
pub use regime::{Regime, TickProfile};
pub use scenario::{FlashCrash, ScenarioError};
pub use spec::{MAX_ACCOUNTS, MAX_SHARDS, MarketSpec, SpecError};
