//! Whether a crash was one.

use super::bands::{at_least, at_most};
use super::track::Levels;
use super::{Figure, LOOKED_AT, RealismTable, Row};
use crate::event::{Body, Message, Snapshot};
use crate::instrument::SymbolId;

/// When the parts of a crash begin, ns since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPhases {
    /// The fall begins; before it the market is calm.
    pub fall_from_ns: u64,
    /// The fall is over.
    pub fall_until_ns: u64,
    /// So is the recovery.
    pub recovered_ns: u64,
}

/// Measures a [`FlashCrash`](crate::FlashCrash) by the ten busiest symbols, message by message: how deep prices
/// fell, how thin and wide the books became, how much was traded, and what was recovered. Whether the market kept
/// its rules in the meantime is the [`Checker`](crate::Checker)'s to say.
pub struct CrashChecks {
    phases: CrashPhases,
    symbols: Vec<CrashTrack>,
}

struct CrashTrack {
    symbol: SymbolId,
    book: Levels,
    /// How far it was to fall, ticks.
    set_fall: f64,
    /// Twice the middle of the book when the fall began, at its lowest since, and at last.
    start: u32,
    lowest: u32,
    last: u32,
    calm: Sums,
    fall: Sums,
    /// The last fifth of the fall.
    trough: Sums,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    messages: u64,
    trades: u64,
    spreads: u64,
    depth: u64,
}

impl CrashChecks {
    /// Starts before the first message, from the books of the symbols; `set_fall` says by how many ticks a symbol
    /// is to fall: [`MarketSpec::path_ticks`](crate::MarketSpec::path_ticks) times the crash's depth.
    pub fn new(phases: CrashPhases, books: &[Snapshot], set_fall: impl Fn(SymbolId) -> f64) -> Self {
        let mut busiest: Vec<&Snapshot> = books.iter().collect();
        busiest.sort_by_key(|book| book.symbol);
        busiest.truncate(LOOKED_AT);
        let track = |snapshot: &Snapshot| {
            let book = Levels::new(snapshot);
            let middle = book.twice_middle();
            CrashTrack {
                symbol: snapshot.symbol,
                book,
                set_fall: set_fall(snapshot.symbol),
                start: middle,
                lowest: middle,
                last: middle,
                calm: Sums::default(),
                fall: Sums::default(),
                trough: Sums::default(),
            }
        };
        Self { phases, symbols: busiest.into_iter().map(track).collect() }
    }

    /// Takes the next message.
    pub fn observe(&mut self, message: &Message) {
        let Some(track) = self.symbols.iter_mut().find(|track| track.symbol == message.symbol) else {
            return;
        };
        if let Body::Book(change) = message.body {
            track.book.set(change.side, change.price, change.quantity);
        }
        track.last = track.book.twice_middle();
        let CrashPhases { fall_from_ns, fall_until_ns, .. } = self.phases;
        let trough_ns = fall_until_ns - fall_until_ns.saturating_sub(fall_from_ns) / 5;
        let seen = Sums {
            messages: 1,
            trades: u64::from(matches!(message.body, Body::Trade(_))),
            spreads: u64::from(track.book.spread()),
            depth: track.book.depth(BEST_LEVELS),
        };
        if message.due_ns < fall_from_ns {
            track.calm.add(seen);
            (track.start, track.lowest) = (track.last, track.last);
            return;
        }
        track.lowest = track.lowest.min(track.last);
        if message.due_ns < fall_until_ns {
            track.fall.add(seen);
            if message.due_ns >= trough_ns {
                track.trough.add(seen);
            }
        }
    }

    /// What was measured, as rows C1 to C5. Each figure is the mean over the symbols.
    pub fn finish(&self) -> RealismTable {
        let row = |id, name, figure, value, band, reference| Row {
            id,
            name,
            figures: vec![Figure { name: figure, value, band }],
            reference,
        };
        let rows = vec![
            row(
                "C1",
                "depth of the fall",
                "distance from the set fall / set fall",
                self.mean(|track| {
                    (track.set_fall > 0.0).then(|| (track.fallen() / track.set_fall - 1.0).abs())
                }),
                at_most(0.2),
                "S&P 500 9 % on 6 May 2010, bitcoin 14 % on 10 October 2025",
            ),
            row(
                "C2",
                "thin books",
                "best five levels at the trough / before",
                self.mean(|track| Some(track.trough.mean(|it| it.depth)? / track.calm.mean(|it| it.depth)?)),
                at_most(0.25),
                "0.15 to 0.25 in 2010, 0.02 to 0.1 in 2025",
            ),
            row(
                "C3",
                "wide spreads",
                "mean in the fall / before",
                self.mean(|track| {
                    Some(track.fall.mean(|it| it.spreads)? / track.calm.mean(|it| it.spreads)?)
                }),
                at_least(2.5),
                "from basis points to per cents on some books in 2025",
            ),
            row(
                "C4",
                "many trades",
                "share in the fall / before",
                self.mean(|track| Some(track.fall.mean(|it| it.trades)? / track.calm.mean(|it| it.trades)?)),
                at_least(2.0),
                "70 % of forced selling within 40 minutes in 2025, at 10.9 times the pace",
            ),
            row(
                "C5",
                "recovery",
                "share of the fall",
                self.mean(CrashTrack::recovered),
                at_least(0.5),
                "nearly all within 36 minutes in 2010",
            ),
        ];
        RealismTable { rows }
    }

    /// `None` if it cannot be told of one of the symbols.
    fn mean(&self, value: impl Fn(&CrashTrack) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.symbols.iter().map(value).collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }
}

impl CrashTrack {
    /// Ticks.
    fn fallen(&self) -> f64 {
        0.5 * (f64::from(self.start) - f64::from(self.lowest))
    }

    fn recovered(&self) -> Option<f64> {
        let fallen = self.fallen();
        (fallen > 0.0).then(|| 0.5 * (f64::from(self.last) - f64::from(self.lowest)) / fallen)
    }
}

impl Sums {
    fn add(&mut self, seen: Sums) {
        self.messages += seen.messages;
        self.trades += seen.trades;
        self.spreads += seen.spreads;
        self.depth += seen.depth;
    }

    fn mean(&self, of: impl Fn(&Sums) -> u64) -> Option<f64> {
        let sum = of(self) as f64;
        (self.messages >= LEAST_MESSAGES && sum > 0.0).then(|| sum / self.messages as f64)
    }
}

/// Levels of each side whose lots count as depth.
const BEST_LEVELS: usize = 5;

/// Fewer messages of a symbol in a phase tell nothing of it.
const LEAST_MESSAGES: u64 = 100;
