//! What Kraken promises, and what its consumers may hold against it.

use super::checksum;
use crate::rules::{Cadence, Numbering, Rules};

pub(crate) const RULES: Rules = Rules {
    depths: &[10, 25, 100, 500, 1000],
    default_depth: 10,
    // Percentages have two places.
    share_step: 10_000,
    cadence: Cadence { book_ns: 0, trades_ns: 0, quotes_ns: 0, tickers_ns: 0 },
    numbering: Numbering::None,
    quotes_repeat: false,
    subscribers_cut: true,
    checksum: Some(checksum::of_book),
};
