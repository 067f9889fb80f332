//! What OKX promises, and what its consumers may hold against it.

use super::checksum::checksum;
use crate::rules::{Cadence, Numbering, Rules};

pub(crate) const RULES: Rules = Rules {
    depths: &[1, 5, 50, 400],
    default_depth: 400,
    // No message tells a share.
    share_step: 1,
    cadence: Cadence { book_ns: 100_000_000, trades_ns: 0, quotes_ns: 10_000_000, tickers_ns: 100_000_000 },
    numbering: Numbering::Changes,
    quotes_repeat: false,
    subscribers_cut: false,
    // Messages without one, which are all since it was retired, are not held against it.
    checksum: Some(|bids, asks, instrument| checksum(bids.levels(), asks.levels(), instrument)),
};
