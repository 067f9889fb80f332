//! What the encoder remembers of each symbol, and what a batch of changes does to it.

use tickstorm_market::event::Side;

use super::account::Fees;
use crate::decoded::Level;
use crate::window::Window;

/// What messages of a symbol refer to beside their own content.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) window: Window,
    /// `u` of the last message of the book.
    pub(super) book_count: u64,
    /// `u` of the last best prices, which are a topic of their own.
    pub(super) quote_count: u64,
    /// The market's number of the last change, told or not: the venue's cross sequence.
    pub(super) change_id: u64,
    pub(super) fees: Fees,
}

/// Room for what a batch changes, used again for the next one.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    pub(super) before: [Vec<Level>; 2],
    pub(super) changed: [Vec<Level>; 2],
}

impl State {
    /// A book that is told from a change on counts from there: so the counts of a later encoder of the same market
    /// are never behind.
    pub(super) fn new(depth: u32, change_id: u64) -> Self {
        let count = COUNT_START.saturating_add(change_id);
        Self {
            window: Window::new(depth),
            book_count: count,
            quote_count: count,
            change_id,
            fees: Fees::default(),
        }
    }
}

/// Collects what turns `before` into the best `depth` levels of the window; both are best first.
pub(super) fn difference(
    before: &[Level],
    window: &Window,
    side: Side,
    depth: usize,
    changed: &mut Vec<Level>,
) {
    changed.clear();
    let better = |one: u32, other: u32| match side {
        Side::Buy => one > other,
        Side::Sell => one < other,
    };
    let mut before = before.iter().copied().peekable();
    let mut shown = 0;
    for level in window.levels(side) {
        shown += 1;
        while let Some(gone) = before.next_if(|known| better(known.price, level.price)) {
            changed.push(Level { quantity: 0, ..gone });
        }
        if before.next_if(|known| known.price == level.price) != Some(level) {
            changed.push(level);
        }
    }
    // What is worse than a full window is out of sight. Behind one that is not full, there is nothing any more.
    if shown < depth {
        changed.extend(before.map(|gone| Level { quantity: 0, ..gone }));
    }
}

pub(super) fn refill(levels: &mut Vec<Level>, from: impl Iterator<Item = Level>) {
    levels.clear();
    levels.extend(from);
}

pub(super) const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

/// Where the counts of messages begin, as on the venue long after its start: 1 would tell of a restart.
pub(crate) const COUNT_START: u64 = 200_000_000;
