//! Changes of a book folded into the last quantity of each level.

use tickstorm_market::event::Side;

use crate::decoded::Level;

/// The levels of one message, in the venue's order: from the best to the worst. A level that came and went keeps
/// its zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Fold {
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Fold {
    /// Forgets everything but its room.
    pub(super) fn restart(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Takes in a level's new quantity.
    pub(super) fn set(&mut self, side: Side, level: Level) {
        let (levels, found) = match side {
            Side::Buy => {
                let found = self.bids.binary_search_by(|other| level.price.cmp(&other.price));
                (&mut self.bids, found)
            }
            Side::Sell => {
                let found = self.asks.binary_search_by(|other| other.price.cmp(&level.price));
                (&mut self.asks, found)
            }
        };
        match found {
            Ok(index) => levels[index] = level,
            Err(index) => levels.insert(index, level),
        }
    }

    pub(super) fn bids(&self) -> &[Level] {
        &self.bids
    }

    pub(super) fn asks(&self) -> &[Level] {
        &self.asks
    }
}
