//! Whether a stream looks like a market's: fourteen figures, each beside the band it should lie in and what real
//! venues show.
//!
//! [`Realism`] reads messages and nothing else, so a recording of a real venue can be measured as well as the
//! stream of a [`ShardMarket`](crate::ShardMarket) or several of them merged. A million messages of twenty symbols
//! or more are enough for every figure; where they are too few for one, its verdict is
//! [`NotObservable`](Verdict::NotObservable), never a pass.
//!
//! | | figure | how it is computed | after |
//! |---|---|---|---|
//! | M1 | burst size | counts n in windows of 1 and 10 ms: `Var n / mean² - 1 / mean`; largest / mean | multiplicative cascades: Riedi et al. 1999 |
//! | M2 | self-excitation | a symbol's counts in windows of thirty: `1 - sqrt(mean / Var)` | Filimonov and Sornette 2012; Hardiman, Bercot and Bouchaud 2013 |
//! | M3 | gaps | standard deviation / mean of a symbol's gaps | |
//! | M4 | mix | book changes per trade; additions per reduction | message counts of exchanges |
//! | M5 | spread | share of messages at one tick; mean in ticks; moves of the middle per message. M5s where ticks are small | Gould et al. 2013 |
//! | M6 | book shape | mean lots by distance: where they are most; those at 0 and at 39 ticks over the most | Bouchaud, Mézard and Potters 2002 |
//! | M7 | tails of returns | Hill's index of the largest 5 %; excess kurtosis | Gopikrishnan et al. 1998; Cont 2001 |
//! | M8 | no memory in returns | autocorrelation at lag 1, largest at lags 2 to 10; variance over 1024 messages / 64 times that over 16 | Cont 2001 |
//! | M9 | clustered volatility | autocorrelation of absolute returns, lag 1 and mean of lags 2 to 10 | Cont 2001 |
//! | M10 | memory of trade signs | autocorrelation at lags 1 and 20; slope of its logarithm on that of the lag, 1 to 30 | Lillo and Farmer 2004; Lillo, Mike and Farmer 2005 |
//! | M11 | sizes of market orders | Hill's index of the largest 1 %; 99 % quantile / median | Maslov and Mills 2001 |
//! | M12 | impact | mean move in an order's direction 50 messages later, ticks; exponent of its growth with size | Bouchaud, Mézard and Potters 2002 |
//! | M13 | imbalance predicts | P(next move up) with imbalance above 0.6, less that with it below -0.6 | Gould and Bonart 2015 |
//! | M14 | concentration | slope of log count on log rank of the fifty busiest symbols, negated | |
//!
//! Figures of single symbols are those of the ten busiest, taken together. Time is counted in a symbol's own
//! messages, so that only M1 to M3 depend on when messages are due. A *return* is the move of the middle of the
//! book over 16, 32, 64 ... messages, the fewest over which its standard deviation is a tick, divided by that
//! deviation of its symbol. A *market order* is all trades of one event.
//!
//! ```
//! use tickstorm_market::realism::{Expectation, Realism, Verdict};
//! use tickstorm_market::{Listing, MarketSpec, ShardMarket};
//! use tickstorm_random::Seed;
//!
//! let seed = Seed::new(1);
//! let spec = MarketSpec { shards: 1, ..MarketSpec::new(seed, Listing::synthetic(20, seed)) };
//! let mut market = ShardMarket::new(&spec, 0)?;
//! let mut realism = Realism::new(spec.listing.instruments.len(), &market.snapshots());
//! for number in 0..150_000 {
//!     realism.observe(market.next(number * 50_000));
//! }
//! let table = realism.finish(Expectation::default());
//! let verdict = |id| table.row(id).map(|row| row.verdict());
//! assert_eq!(verdict("M4"), Some(Verdict::Met));
//! // Equal gaps are no market's.
//! assert_eq!(verdict("M1"), Some(Verdict::Missed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use crate::event::{Message, Snapshot};
use crate::regime::TickProfile;

mod arrivals;
mod bands;
mod crash;
mod measures;
pub(crate) mod statistics;
mod track;

pub use crash::{CrashChecks, CrashPhases};

use arrivals::Windows;
use track::Track;

/// Measures a stream, message by message.
///
/// Memory is bounded: some megabytes for each of the ten busiest symbols, a counter for every other. Costs some
/// 200 ns a message, and allocates.
pub struct Realism {
    /// Messages of each symbol.
    counts: Vec<u64>,
    /// Where a symbol's track is, for those that have one.
    places: Vec<Option<usize>>,
    tracks: Vec<Track>,
    milliseconds: Windows,
    centiseconds: Windows,
}

impl Realism {
    /// Starts before the first message of a stream of so many symbols, from their books. Those with the lowest
    /// ids, ten at most, are looked at one by one: a listing has its busiest instruments first. Messages of
    /// symbols beyond the number are ignored.
    pub fn new(symbols: usize, books: &[Snapshot]) -> Self {
        let mut busiest: Vec<&Snapshot> =
            books.iter().filter(|it| (it.symbol.0 as usize) < symbols).collect();
        busiest.sort_by_key(|book| book.symbol);
        busiest.dedup_by_key(|book| book.symbol);
        busiest.truncate(LOOKED_AT);
        let mut places = vec![None; symbols];
        for (place, book) in busiest.iter().enumerate() {
            places[book.symbol.0 as usize] = Some(place);
        }
        Self {
            counts: vec![0; symbols],
            places,
            tracks: busiest.into_iter().map(Track::new).collect(),
            milliseconds: Windows::new(1_000_000),
            centiseconds: Windows::new(10_000_000),
        }
    }

    /// Takes the next message of the stream. Due times should not fall, and the messages of an event should be
    /// consecutive for their symbol.
    pub fn observe(&mut self, message: &Message) {
        let symbol = message.symbol.0 as usize;
        let Some(count) = self.counts.get_mut(symbol) else { return };
        *count += 1;
        self.milliseconds.on_message(message.due_ns);
        self.centiseconds.on_message(message.due_ns);
        if let Some(place) = self.places[symbol] {
            self.tracks[place].observe(message);
        }
    }

    /// Takes a further part of what came in together with the last message, as a venue that folds changes sends
    /// them: it counts like any other, but not as an arrival.
    pub fn observe_more(&mut self, message: &Message) {
        let symbol = message.symbol.0 as usize;
        let Some(count) = self.counts.get_mut(symbol) else { return };
        *count += 1;
        if let Some(place) = self.places[symbol] {
            self.tracks[place].follow(message);
        }
    }

    /// The figures of what has come so far, beside what was to be expected.
    pub fn finish(&self, expectation: Expectation) -> RealismTable {
        let bands = bands::bands(expectation);
        let values = measures::measure(self);
        let rows = bands
            .into_iter()
            .zip(values)
            .map(|(row, values)| Row {
                id: row.id,
                name: row.name,
                figures: row
                    .figures
                    .iter()
                    .zip(values)
                    .map(|(&(name, band), value)| Figure { name, value, band })
                    .collect(),
                reference: row.reference,
            })
            .collect();
        RealismTable { rows }
    }
}

/// How many symbols, the busiest, are looked at one by one.
const LOOKED_AT: usize = 10;

/// What a stream is expected to look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    /// An ordinary day or one of news.
    pub mood: Mood,
    /// How wide a tick is for the books.
    pub ticks: TickProfile,
    /// Exponent of the law of activity, see [`MarketSpec::zipf`](crate::MarketSpec::zipf).
    pub zipf: f64,
}

impl Default for Expectation {
    /// An ordinary day, large ticks, activity falling as one over the rank.
    fn default() -> Self {
        Self { mood: Mood::Normal, ticks: TickProfile::Large, zipf: 1.0 }
    }
}

/// The mood of a market as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mood {
    /// As in [`Regime::NORMAL`](crate::Regime::NORMAL).
    Normal,
    /// As in [`Regime::VOLATILE`](crate::Regime::VOLATILE).
    Volatile,
}

/// All that was measured of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct RealismTable {
    /// In the order of their numbers.
    pub rows: Vec<Row>,
}

impl RealismTable {
    /// The row with this id, as `M8`.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The worst of the rows' verdicts.
    pub fn verdict(&self) -> Verdict {
        worst(self.rows.iter().map(Row::verdict))
    }
}

/// One metric: a figure or a few that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As `M8`.
    pub id: &'static str,
    /// What it is about, in a few words.
    pub name: &'static str,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What real venues, or the literature, show.
    pub reference: &'static str,
}

impl Row {
    /// The worst of its figures' verdicts.
    pub fn verdict(&self) -> Verdict {
        worst(self.figures.iter().map(Figure::verdict))
    }
}

/// A measured number and where it should lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// `None` where the stream has too little of what it is computed from.
    pub value: Option<f64>,
    /// Where it should lie.
    pub band: Band,
}

impl Figure {
    /// Whether the value lies in its band.
    pub fn verdict(&self) -> Verdict {
        match self.value {
            None => Verdict::NotObservable,
            Some(value) if self.band.contains(value) => Verdict::Met,
            Some(_) => Verdict::Missed,
        }
    }
}

/// An interval, ends included; infinite where it has no end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Band {
    /// Whether the value is inside; not if it is no number.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

impl fmt::Display for Band {
    /// As `0.6 to 1.5`, `at least 10`, `at most 0.7` or `any`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low.is_finite(), self.high.is_finite()) {
            (true, true) => write!(formatter, "{} to {}", self.low, self.high),
            (true, false) => write!(formatter, "at least {}", self.low),
            (false, true) => write!(formatter, "at most {}", self.high),
            (false, false) => write!(formatter, "any"),
        }
    }
}

/// What is to be said of a figure, a row, or the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// All is where it should be.
    Met,
    /// The stream has too little to tell.
    NotObservable,
    /// Something is not where it should be.
    Missed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Verdict::Met => "met",
            Verdict::NotObservable => "not observable",
            Verdict::Missed => "missed",
        })
    }
}

fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.max().unwrap_or(Verdict::NotObservable)
}

#[cfg(test)]
mod tests;
