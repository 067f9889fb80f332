//! What Binance promises, and what its consumers may hold against it.

use crate::rules::{Cadence, Numbering, Rules};

pub(crate) const RULES: Rules = Rules {
    depths: &[0],
    default_depth: 0,
    // Percentages have three places.
    share_step: 1_000,
    cadence: Cadence { book_ns: 100_000_000, trades_ns: 0, quotes_ns: 0, tickers_ns: 1_000_000_000 },
    numbering: Numbering::Changes,
    quotes_repeat: false,
    subscribers_cut: false,
    checksum: None,
};
