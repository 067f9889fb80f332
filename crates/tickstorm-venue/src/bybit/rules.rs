//! What Bybit promises, and what its consumers may hold against it.

use crate::rules::{Cadence, Numbering, Rules};

pub(crate) const RULES: Rules = Rules {
    depths: &[QUOTE_DEPTH, 50, 200, 1000],
    default_depth: 50,
    // `price24hPcnt` is a fraction with four places.
    share_step: 10_000,
    // Books of 50 levels; those of 200 and 1000 come every 100 and 200 ms.
    cadence: Cadence { book_ns: 20_000_000, trades_ns: 0, quotes_ns: 10_000_000, tickers_ns: 50_000_000 },
    numbering: Numbering::Messages,
    quotes_repeat: true,
    subscribers_cut: true,
    checksum: None,
};

/// A book of this depth is told whole with each change: it is the venue's best prices.
pub(crate) const QUOTE_DEPTH: u32 = 1;
