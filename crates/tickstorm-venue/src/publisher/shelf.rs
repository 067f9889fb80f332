//! What the subscribers of a book know, and what they are still to be told.

use tickstorm_market::event::{BookChange, Side};

use crate::decoded::Level;
use crate::window::{Was, Window};

/// The changes since the last message of a stream that tells a book by its changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    /// Levels of each side whose quantity may be news, by rank, best last.
    touched: [Vec<Touch>; 2],
    /// The market's number of the last change that the last message contains.
    pub(super) told_id: u64,
    /// Messages so far, where the venue counts them.
    pub(super) count: u64,
    /// When the engine made the last of the changes, run time.
    pub(super) engine_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Touch {
    price: u32,
    /// Lots that subscribers know of.
    known: u64,
    /// Lots that they must know of.
    now: u64,
    /// When the engine made the change, run time.
    engine_ns: u64,
}

/// How much of what has changed a venue tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// Every level that was touched, be it as it was.
    Touched,
    /// Every level that is different, be it out of sight.
    Different,
    /// Every level that is different, but for those that so many better ones have pushed out of sight.
    InSight,
}

/// The levels of a message, best first, and the time of each.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
    /// When the engine changed them, run time: bids, then asks.
    pub(super) times: Vec<u64>,
}

impl Shelf {
    pub(super) fn new(told_id: u64, count: u64) -> Self {
        Self { told_id, count, ..Self::default() }
    }

    /// Takes in a change of a book that is told whole.
    pub(super) fn touch(&mut self, change: &BookChange, engine_ns: u64) {
        self.engine_ns = engine_ns;
        self.note(change.side, change.price, 0, change.quantity, engine_ns);
    }

    /// Takes in a change that the book already contains. Whether subscribers of this depth see it.
    pub(super) fn change(
        &mut self,
        change: &BookChange,
        was: Was,
        book: &Window,
        depth: usize,
        engine_ns: u64,
    ) -> bool {
        let shown = book.shown(change, was, depth);
        let Some(level) = shown.level else { return false };
        self.engine_ns = engine_ns;
        self.note(change.side, level.price, was.had, level.quantity, engine_ns);
        if let Some(risen) = shown.risen {
            self.note(change.side, risen.price, 0, risen.quantity, engine_ns);
        }
        if let Some(fallen) = shown.fallen {
            self.note(change.side, fallen.price, fallen.quantity, 0, engine_ns);
        }
        true
    }

    /// `known` counts if the level was not touched before.
    fn note(&mut self, side: Side, price: u32, known: u64, now: u64, engine_ns: u64) {
        let touched = &mut self.touched[half(side)];
        let place = touched.binary_search_by_key(&rank(side, price), |touch| rank(side, touch.price));
        match place {
            Ok(index) => {
                touched[index].now = now;
                touched[index].engine_ns = engine_ns;
            }
            Err(index) => touched.insert(index, Touch { price, known, now, engine_ns }),
        }
    }

    /// Collects what there is to tell, and forgets it. `false` if that is nothing.
    pub(super) fn tell(
        &mut self,
        telling: Telling,
        book: Option<&Window>,
        depth: usize,
        news: &mut News,
    ) -> bool {
        news.times.clear();
        for (side, levels) in [(Side::Buy, &mut news.bids), (Side::Sell, &mut news.asks)] {
            levels.clear();
            let touched = &mut self.touched[half(side)];
            let worst = match (telling, book) {
                (Telling::InSight, Some(book)) => book.behind(side, depth - 1),
                _ => None,
            };
            for touch in touched.drain(..).rev() {
                let told = match telling {
                    Telling::Touched => true,
                    Telling::Different | Telling::InSight => touch.known != touch.now,
                };
                let out_of_sight = |worst: Level| rank(side, touch.price) < rank(side, worst.price);
                if told && !worst.is_some_and(out_of_sight) {
                    levels.push(Level { price: touch.price, quantity: touch.now });
                    news.times.push(touch.engine_ns);
                }
            }
        }
        !news.times.is_empty()
    }

    /// Collects the book as subscribers have been told it, best first.
    pub(super) fn told(&self, book: &Window, depth: usize, news: &mut News) {
        for (side, levels) in [(Side::Buy, &mut news.bids), (Side::Sell, &mut news.asks)] {
            levels.clear();
            levels.extend(book.best_levels(side, depth));
            for touch in &self.touched[half(side)] {
                match (position(levels, side, touch.price), touch.known) {
                    (Ok(index), 0) => drop(levels.remove(index)),
                    (Ok(index), known) => levels[index].quantity = known,
                    (Err(_), 0) => {}
                    (Err(index), known) => {
                        levels.insert(index, Level { price: touch.price, quantity: known });
                    }
                }
            }
        }
    }
}

/// The best levels as subscribers have last been told them.
#[derive(Debug, Clone, Default)]
pub(super) struct Top {
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Top {
    pub(super) fn new(book: &Window, depth: usize) -> Self {
        let [bids, asks] = [Side::Buy, Side::Sell].map(|side| book.best_levels(side, depth).collect());
        Self { bids, asks }
    }

    /// Takes the levels from the book. Whether they are different.
    pub(super) fn refresh(&mut self, book: &Window, depth: usize) -> bool {
        let mut different = false;
        for (side, told) in [(Side::Buy, &mut self.bids), (Side::Sell, &mut self.asks)] {
            if !told.iter().copied().eq(book.best_levels(side, depth)) {
                told.clear();
                told.extend(book.best_levels(side, depth));
                different = true;
            }
        }
        different
    }

    /// Bids and asks, best first.
    pub(super) fn sides(&self) -> [&[Level]; 2] {
        [&self.bids, &self.asks]
    }
}

/// Levels are best first here, the other way round than by rank.
fn position(levels: &[Level], side: Side, price: u32) -> Result<usize, usize> {
    levels.binary_search_by(|level| rank(side, price).cmp(&rank(side, level.price)))
}

fn half(side: Side) -> usize {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

/// The better the price, the higher.
fn rank(side: Side, price: u32) -> u32 {
    match side {
        Side::Buy => price,
        Side::Sell => !price,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::Snapshot;
    use tickstorm_market::instrument::SymbolId;

    use super::*;
    use crate::ladder::Ladder;

    proptest! {
        /// Whatever the depth and however changes are folded, who applies what is told has the best levels.
        #[test]
        fn subscribers_keep_exactly_the_best_levels(
            depth in 1..5usize,
            changes in proptest::collection::vec((any::<bool>(), 0..12u32, 0..3u64, any::<bool>()), 1..150),
        ) {
            let mut book = Window::new(0);
            book.seed(&Snapshot {
                symbol: SymbolId(0), sequence: 0, update_id: 0,
                bids: vec![(9, 1), (5, 2), (3, 1)], asks: vec![(2, 5), (8, 1)],
            });
            for telling in [Telling::Different, Telling::InSight] {
                let mut book = book.clone();
                let (mut shelf, mut news) = (Shelf::new(0, 0), News::default());
                let mut kept = [Ladder::<u64>::new(Side::Buy), Ladder::new(Side::Sell)];
                shelf.told(&book, depth, &mut news);
                for (ladder, levels) in kept.iter_mut().zip([&news.bids, &news.asks]) {
                    for level in levels {
                        ladder.set(level.price, level.quantity);
                    }
                }
                for &(buy, price, quantity, tells) in &changes {
                    let side = if buy { Side::Buy } else { Side::Sell };
                    let change = BookChange { update_id: 1, side, price, quantity };
                    let was = book.set(&change);
                    shelf.change(&change, was, &book, depth, 7);
                    shelf.told(&book, depth, &mut news);
                    for (ladder, levels) in kept.iter().zip([&news.bids, &news.asks]) {
                        prop_assert_eq!(&ladder.levels().collect::<Vec<_>>(), levels, "as last told");
                    }
                    if !tells || !shelf.tell(telling, Some(&book), depth, &mut news) {
                        continue;
                    }
                    prop_assert_eq!(news.times.len(), news.bids.len() + news.asks.len());
                    for (ladder, levels) in kept.iter_mut().zip([&news.bids, &news.asks]) {
                        for level in levels {
                            let (had, _) = ladder.set(level.price, level.quantity);
                            prop_assert_ne!(had, level.quantity, "news");
                        }
                        if telling == Telling::InSight {
                            ladder.cut(depth);
                        }
                    }
                    for (ladder, side) in kept.iter().zip([Side::Buy, Side::Sell]) {
                        let best: Vec<Level> = book.best_levels(side, depth).collect();
                        prop_assert_eq!(ladder.levels().collect::<Vec<_>>(), best);
                    }
                }
            }
        }
    }

    #[test]
    fn the_best_levels_are_told_when_they_are_different() {
        let mut book = Window::new(0);
        let set = |book: &mut Window, price, quantity| {
            book.set(&BookChange { update_id: 1, side: Side::Buy, price, quantity });
        };
        set(&mut book, 5, 1);
        let mut top = Top::new(&book, 1);
        set(&mut book, 4, 1);
        assert!(!top.refresh(&book, 1));
        set(&mut book, 6, 1);
        assert!(top.refresh(&book, 1));
        assert_eq!(top.sides(), [&[Level { price: 6, quantity: 1 }][..], &[]]);
        set(&mut book, 6, 2);
        set(&mut book, 6, 1);
        assert!(!top.refresh(&book, 1));
    }
}
