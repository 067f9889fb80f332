//! What differs between venues beside the wording.

use tickstorm_market::instrument::Instrument;

use crate::ladder::Ladder;

/// What a venue promises about its messages, and what a consumer may hold against them. Each venue's own are a
/// constant in its folder.
#[derive(Debug)]
pub struct Rules {
    /// How many levels a side a book subscription can ask for, least first; zero stands for all of them.
    pub depths: &'static [u32],
    /// What a subscription that does not say gets.
    pub default_depth: u32,
    /// The step to which shares of change are rounded, 1e-8.
    pub share_step: i64,
    /// How often the venue sends what, when it does not send every change at once.
    pub cadence: Cadence,
    /// What depth updates are numbered by.
    pub(crate) numbering: Numbering,
    /// Whether best prices are told again when they have not changed.
    pub(crate) quotes_repeat: bool,
    /// Whether subscribers forget levels beyond the depth of their subscription by themselves.
    pub(crate) subscribers_cut: bool,
    /// The checksum of a book, bids and asks.
    pub(crate) checksum: Option<Checksum>,
}

/// Computes the checksum of a book from its bids and asks.
pub(crate) type Checksum = fn(&Ladder<u64>, &Ladder<u64>, &Instrument) -> u32;

/// What depth updates are numbered by, and so whether a snapshot from elsewhere has a place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// By the book's changes.
    Changes,
    /// By themselves.
    Messages,
    /// By nothing.
    None,
}

/// Lengths of the windows into which a venue folds what happens, ns; zero where it sends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// Book changes.
    pub book_ns: u64,
    /// Trades.
    pub trades_ns: u64,
    /// Best prices.
    pub quotes_ns: u64,
    /// Statistics.
    pub tickers_ns: u64,
}

impl Rules {
    /// The depth of which subscribers see the most: all levels, or the largest.
    pub fn whole_depth(&self) -> u32 {
        if self.depths.contains(&0) { 0 } else { self.depths.last().copied().unwrap_or(0) }
    }
}
