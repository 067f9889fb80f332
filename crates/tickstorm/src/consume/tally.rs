//! What a consumer counts.

use std::collections::BTreeMap;

use tickstorm_load::Histogram;
use tickstorm_market::SymbolId;
use tickstorm_venue::Decoded;
use tickstorm_venue::decoded::DepthForm;

/// Things that messages said of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsumeCounts {
    /// Public trades, and trades summed.
    pub trades: u64,
    /// Updates of books.
    pub book_updates: u64,
    /// Books told whole.
    pub book_snapshots: u64,
    /// Levels in both.
    pub levels: u64,
    /// 24 h statistics.
    pub tickers: u64,
    /// Best prices.
    pub quotes: u64,
    /// Everything else: states of instruments, news of accounts.
    pub others: u64,
}

impl ConsumeCounts {
    /// All of them; a book, of however many levels, is one.
    pub fn events(&self) -> u64 {
        self.trades + self.book_updates + self.book_snapshots + self.tickers + self.quotes + self.others
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &ConsumeCounts) {
        self.trades += other.trades;
        self.book_updates += other.book_updates;
        self.book_snapshots += other.book_snapshots;
        self.levels += other.levels;
        self.tickers += other.tickers;
        self.quotes += other.quotes;
        self.others += other.others;
    }
}

/// What went wrong, by kind, and the first cases in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumeFaults {
    /// How many of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The first ones.
    pub first: Vec<ConsumeFault>,
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeFault {
    /// When, ms since the beginning.
    pub at_ms: u64,
    /// With which instrument, in the venue's words, where it is about one.
    pub symbol: Option<String>,
    /// Its kind, as `update_gap`.
    pub kind: &'static str,
    /// What was expected and what was found.
    pub text: String,
}

impl ConsumeFaults {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// How many there were of a kind.
    pub fn of(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }
}

/// Counts of a whole session. What is counted a message stands first.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) symbols: Vec<SymbolTally>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) events: u64,
    /// Since it was last taken away.
    age: Histogram,
    /// Messages that say they were made after they came: by another clock.
    pub(super) ahead: u64,
    max_age_ns: Option<u64>,
    pub(super) older: u64,
    pub(super) faults: ConsumeFaults,
    pub(super) heartbeats: u64,
    pub(super) pongs: u64,
    pub(super) acknowledged: u64,
    pub(super) resyncs: u64,
    pub(super) connections: u64,
    pub(super) losses: u64,
    pub(super) fetched: u64,
    pub(super) fetches_failed: u64,
    pub(super) snapshots_too_old: u64,
}

/// Counts of one instrument.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SymbolTally {
    pub(super) counts: ConsumeCounts,
    pub(super) faults: u64,
    pub(super) resyncs: u64,
}

impl Tally {
    pub(super) fn new(symbols: usize, max_age_ns: Option<u64>) -> Self {
        Self {
            symbols: vec![SymbolTally::default(); symbols],
            frames: 0,
            bytes: 0,
            events: 0,
            age: Histogram::new(),
            ahead: 0,
            max_age_ns,
            older: 0,
            faults: ConsumeFaults::default(),
            heartbeats: 0,
            pongs: 0,
            acknowledged: 0,
            resyncs: 0,
            connections: 0,
            losses: 0,
            fetched: 0,
            fetches_failed: 0,
            snapshots_too_old: 0,
        }
    }

    /// Counts what a message says.
    #[inline]
    pub(super) fn count(&mut self, said: &Decoded<'_>) {
        let Some(symbol) = symbol_of(said) else {
            self.events += 1;
            return;
        };
        let Some(of_symbol) = self.symbols.get_mut(symbol.0 as usize) else { return };
        let counts = &mut of_symbol.counts;
        match said {
            Decoded::Depth(update) => {
                match update.form {
                    DepthForm::Snapshot => counts.book_snapshots += 1,
                    DepthForm::Update => counts.book_updates += 1,
                }
                counts.levels += (update.bids.len() + update.asks.len()) as u64;
            }
            Decoded::Trade(_) | Decoded::Aggregate(_) => counts.trades += 1,
            Decoded::Ticker(_) => counts.tickers += 1,
            Decoded::Quote(_) => counts.quotes += 1,
            _ => counts.others += 1,
        }
        self.events += 1;
    }

    /// Notes how old a message is by its own time.
    #[inline]
    pub(super) fn on_age(&mut self, made_unix_ns: u64, now_unix_ns: u64) {
        self.ahead += u64::from(made_unix_ns > now_unix_ns);
        let age_ns = now_unix_ns.saturating_sub(made_unix_ns);
        self.age.record(age_ns);
        self.older += u64::from(self.max_age_ns.is_some_and(|most| age_ns > most));
    }

    /// The ages since this was last asked, added to `total`, and told apart.
    pub(super) fn take_ages(&mut self, total: &mut Histogram) -> Ages {
        let ages = Ages::of(&self.age);
        total.merge(&self.age);
        self.age.clear();
        ages
    }

    pub(super) fn fault(
        &mut self,
        now_ns: u64,
        symbol: Option<(SymbolId, &dyn Fn() -> String)>,
        kind: &'static str,
        text: impl FnOnce() -> String,
    ) {
        *self.faults.kinds.entry(kind).or_default() += 1;
        if let Some(of_symbol) = symbol.and_then(|(id, _)| self.symbols.get_mut(id.0 as usize)) {
            of_symbol.faults += 1;
        }
        if self.faults.first.len() < FAULTS_IN_FULL {
            let symbol = symbol.map(|(_, name)| name());
            self.faults.first.push(ConsumeFault { at_ms: now_ns / 1_000_000, symbol, kind, text: text() });
        }
    }
}

/// A server that is wrong throughout should still give a report that can be read.
const FAULTS_IN_FULL: usize = 100;

/// How old messages were when they were decoded, ms.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ages {
    /// Messages that tell when they were made.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 99 of 100 are no older.
    pub p99_ms: f64,
    /// The oldest.
    pub max_ms: f64,
}

impl Ages {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let ms = |ns: u64| ns as f64 / 1e6;
        Self {
            count: histogram.count(),
            p50_ms: ms(histogram.percentile_ns(50.0)),
            p99_ms: ms(histogram.percentile_ns(99.0)),
            max_ms: ms(histogram.max_ns()),
        }
    }
}

pub(super) fn symbol_of(said: &Decoded<'_>) -> Option<SymbolId> {
    match said {
        Decoded::Depth(update) => Some(update.symbol),
        Decoded::Trade(print) => Some(print.symbol),
        Decoded::Aggregate(trade) => Some(trade.symbol),
        Decoded::Quote(update) => Some(update.symbol),
        Decoded::Ticker(update) => Some(update.symbol),
        Decoded::Execution(report) => Some(report.symbol),
        Decoded::Status(update) => Some(update.symbol),
        Decoded::Numbered(_) | Decoded::Balance(_) | Decoded::Transfer(_) | Decoded::Control => None,
    }
}

/// When the venue made the message, as far as this part of it tells; not of what is told from before.
#[inline]
pub(super) fn made_unix_ns(said: &Decoded<'_>) -> Option<u64> {
    match said {
        Decoded::Depth(update) if update.form == DepthForm::Update => update.event_ns.or(update.engine_ns),
        Decoded::Trade(print) => Some(print.event_ns.unwrap_or(print.engine_ns)),
        Decoded::Aggregate(trade) => Some(trade.event_ns),
        Decoded::Quote(update) => update.event_ns,
        Decoded::Ticker(update) => update.event_ns,
        _ => None,
    }
}
