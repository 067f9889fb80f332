//! What Coinbase promises, and what its consumers may hold against it.

use crate::rules::{Cadence, Numbering, Rules};

pub(crate) const RULES: Rules = Rules {
    depths: &[0],
    default_depth: 0,
    // Percentages have five places.
    share_step: 10,
    cadence: Cadence { book_ns: 50_000_000, trades_ns: 250_000_000, quotes_ns: 0, tickers_ns: 0 },
    numbering: Numbering::None,
    quotes_repeat: false,
    subscribers_cut: false,
    checksum: None,
};
