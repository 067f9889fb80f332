//! What a consumer counts.

use std::collections::BTreeMap;

use tickstorm_load::Histogram;
use tickstorm_market::SymbolId;
use tickstorm_venue::decoded::{DepthForm, Level};
use tickstorm_venue::protocol::Channel;
use tickstorm_venue::{Decoded, Venue};

/// Things that messages said of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsumeCounts {
    /// Public trades, and trades summed.
    pub trades: u64,
    /// Updates of books; of books that the venue tells whole each time, each.
    pub book_updates: u64,
    /// First states of books, as each subscription begins with one at most venues. No events.
    pub book_snapshots: u64,
    /// Levels in both.
    pub levels: u64,
    /// 24 h statistics.
    pub tickers: u64,
    /// Best prices.
    pub quotes: u64,
    /// Statistics and best prices with which a subscription begins. No events.
    pub first_states: u64,
    /// What says again what was said, as some venues do when nothing has changed for long. No events.
    pub repeats: u64,
    /// Everything else: states of instruments, news of accounts.
    pub others: u64,
}

impl ConsumeCounts {
    /// Things that have happened on the market since the subscription; an update of a book, of however many levels, is
    /// one.
    pub fn events(&self) -> u64 {
        self.trades + self.book_updates + self.tickers + self.quotes + self.others
    }

    /// What was told of before the subscription.
    pub fn states(&self) -> u64 {
        self.book_snapshots + self.first_states
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &ConsumeCounts) {
        self.trades += other.trades;
        self.book_updates += other.book_updates;
        self.book_snapshots += other.book_snapshots;
        self.levels += other.levels;
        self.tickers += other.tickers;
        self.quotes += other.quotes;
        self.first_states += other.first_states;
        self.repeats += other.repeats;
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

/// The server has taken its leave, as venues do once a day and before they are maintained. That is no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeClosing {
    /// When, ms since the beginning.
    pub at_ms: u64,
    /// What it said, as `closed: code 1001`.
    pub text: String,
}

/// Subscriptions whose first message is still to come, by instrument. That message tells what was before: a book, the
/// last statistics, the best prices.
#[derive(Debug, Clone)]
pub(super) struct FirstStates(Box<[FirstsOfSymbol]>);

/// How many of each kind are to come.
#[derive(Debug, Clone, Copy, Default)]
struct FirstsOfSymbol {
    books: u8,
    tickers: u8,
    quotes: u8,
}

impl FirstStates {
    pub(super) fn none(symbols: usize) -> Self {
        Self(vec![FirstsOfSymbol::default(); symbols].into())
    }

    /// These instruments have been subscribed to.
    pub(super) fn expect(&mut self, venue: Venue, channel: Channel, symbols: &[SymbolId]) {
        // Books of Binance are fetched, and its streams begin with what happens next.
        if venue == Venue::Binance {
            return;
        }
        for symbol in symbols {
            let Some(firsts) = self.0.get_mut(symbol.0 as usize) else { continue };
            match channel {
                Channel::Book { .. } | Channel::TopOfBook { .. } => firsts.books = 1,
                Channel::Tickers => firsts.tickers += 1,
                // Kraken tells best prices in statistics.
                Channel::Quotes if venue == Venue::Kraken => firsts.tickers += 1,
                Channel::Quotes => firsts.quotes += 1,
                _ => {}
            }
        }
    }

    /// Whether this is the first message of a subscription.
    #[inline]
    fn take(&mut self, said: &Decoded<'_>, symbol: SymbolId) -> bool {
        let Some(firsts) = self.0.get_mut(symbol.0 as usize) else { return false };
        let to_come = match said {
            // An update that is still under way from before a book was asked for again is none.
            Decoded::Depth(update) if update.form == DepthForm::Snapshot => &mut firsts.books,
            Decoded::Ticker(_) => &mut firsts.tickers,
            Decoded::Quote(_) => &mut firsts.quotes,
            _ => return false,
        };
        let is_first = *to_come > 0;
        *to_come -= u8::from(is_first);
        is_first
    }
}

/// Counts of a whole session. What is counted a message stands first.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) symbols: Vec<SymbolTally>,
    pub(super) frames: u64,
    pub(super) market_frames: u64,
    pub(super) bytes: u64,
    pub(super) events: u64,
    pub(super) first_states: FirstStates,
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
    pub(super) closes: u64,
    pub(super) closings: Vec<ConsumeClosing>,
    pub(super) fetched: u64,
    pub(super) fetches_failed: u64,
    pub(super) snapshots_too_old: u64,
}

/// Counts of one instrument.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SymbolTally {
    pub(super) counts: ConsumeCounts,
    /// The last best prices and their number.
    last_quote: Option<(u64, [Level; 2])>,
    pub(super) faults: u64,
    pub(super) resyncs: u64,
}

impl SymbolTally {
    /// Whether this tells nothing that was not told before.
    #[inline]
    fn is_repeated(&mut self, said: &Decoded<'_>) -> bool {
        match said {
            Decoded::Depth(update) => {
                update.form == DepthForm::Update && update.bids.is_empty() && update.asks.is_empty()
            }
            Decoded::Quote(update) => {
                let quote = Some((update.update_id, [update.bid, update.ask]));
                std::mem::replace(&mut self.last_quote, quote) == quote
            }
            _ => false,
        }
    }
}

impl Tally {
    pub(super) fn new(symbols: usize, max_age_ns: Option<u64>) -> Self {
        Self {
            symbols: vec![SymbolTally::default(); symbols],
            frames: 0,
            market_frames: 0,
            bytes: 0,
            events: 0,
            first_states: FirstStates::none(symbols),
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
            closes: 0,
            closings: Vec::new(),
            fetched: 0,
            fetches_failed: 0,
            snapshots_too_old: 0,
        }
    }

    /// Counts what a message says, and tells whether that is news: no first state of a subscription, and no repetition.
    #[inline]
    pub(super) fn count(&mut self, said: &Decoded<'_>) -> bool {
        let Some(symbol) = symbol_of(said) else {
            self.events += 1;
            return true;
        };
        let Some(of_symbol) = self.symbols.get_mut(symbol.0 as usize) else { return false };
        let is_first = self.first_states.take(said, symbol);
        let is_repeated = of_symbol.is_repeated(said);
        let counts = &mut of_symbol.counts;
        match said {
            _ if is_repeated && !is_first => counts.repeats += 1,
            Decoded::Depth(update) => {
                match is_first {
                    true => counts.book_snapshots += 1,
                    false => counts.book_updates += 1,
                }
                counts.levels += (update.bids.len() + update.asks.len()) as u64;
            }
            _ if is_first => counts.first_states += 1,
            Decoded::Trade(_) | Decoded::Aggregate(_) => counts.trades += 1,
            Decoded::Ticker(_) => counts.tickers += 1,
            Decoded::Quote(_) => counts.quotes += 1,
            _ => counts.others += 1,
        }
        let is_news = !is_first && !is_repeated;
        self.events += u64::from(is_news);
        is_news
    }

    /// Notes that the server has taken its leave.
    pub(super) fn close(&mut self, now_ns: u64, said: &str) {
        self.closes += 1;
        if self.closings.len() < FAULTS_IN_FULL {
            self.closings.push(ConsumeClosing { at_ms: now_ns / 1_000_000, text: said.to_owned() });
        }
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
