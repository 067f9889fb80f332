//! What a consumer found.

use std::time::Duration;

use serde_json::{Value, json};
use tickstorm_venue::Venue;

use super::choice::ConsumeChannel;
use super::session::{Books, Session};
use super::tally::{Ages, ConsumeClosing, ConsumeCounts, ConsumeFaults};

/// What an interval brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConsumeInterval {
    /// Seconds since the beginning.
    pub start_s: f64,
    /// Seconds since the beginning.
    pub end_s: f64,
    /// Things that messages said of the market.
    pub events: u64,
    /// Messages.
    pub frames: u64,
    /// Bytes of messages, without framing.
    pub bytes: u64,
    /// How old they were.
    pub age: Ages,
    /// What went wrong.
    pub faults: u64,
    /// Books begun anew.
    pub resyncs: u64,
    /// Books that are subscribed to.
    pub books_wanted: usize,
    /// Those of them that are whole at the end.
    pub books_whole: usize,
    /// Whether there is a connection at the end.
    pub is_connected: bool,
}

/// An interval under way.
#[derive(Debug)]
pub(super) struct IntervalStart {
    origin_ns: u64,
    start_ns: u64,
    counts: [u64; 5],
}

impl ConsumeInterval {
    pub(super) fn start(now_ns: u64, session: &Session) -> IntervalStart {
        IntervalStart { origin_ns: now_ns, start_ns: now_ns, counts: counts(session) }
    }
}

impl IntervalStart {
    pub(super) fn due_ns(&self, interval_ns: u64) -> u64 {
        self.start_ns.saturating_add(interval_ns)
    }

    /// Ends it and begins the next.
    pub(super) fn end(&mut self, now_ns: u64, session: &mut Session) -> ConsumeInterval {
        let before = std::mem::replace(&mut self.counts, counts(session));
        let since = |index: usize| self.counts[index] - before[index];
        let seconds = |ns: u64| (ns - self.origin_ns) as f64 / 1e9;
        let (books_wanted, books_whole) = session.books();
        let ended = ConsumeInterval {
            start_s: seconds(self.start_ns),
            end_s: seconds(now_ns),
            events: since(0),
            frames: since(1),
            bytes: since(2),
            age: session.take_ages(),
            faults: since(3),
            resyncs: since(4),
            books_wanted,
            books_whole,
            is_connected: session.is_open(),
        };
        self.start_ns = now_ns;
        ended
    }
}

fn counts(session: &Session) -> [u64; 5] {
    let tally = session.tally();
    [tally.events, tally.frames, tally.bytes, tally.faults.total(), tally.resyncs]
}

/// Everything that a consumer found.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumeReport {
    /// Whose dialect it was.
    pub venue: Venue,
    /// Where the messages came from, without the query.
    pub socket: String,
    /// Where books and instruments were asked for.
    pub rest: String,
    /// What was subscribed to.
    pub channels: Vec<ConsumeChannel>,
    /// Levels a side of the books, zero for all.
    pub depth: u32,
    /// Whether books were kept.
    pub books: Books,
    /// How long it took, s.
    pub elapsed_s: f64,
    /// Why it ended.
    pub end: ConsumeEnd,
    /// What the messages said.
    pub counts: ConsumeCounts,
    /// Things that messages said of the market, first states of subscriptions left out: the sum of the counts.
    pub events: u64,
    /// Messages, control messages included.
    pub frames: u64,
    /// Those of them with at least one event.
    pub market_frames: u64,
    /// Bytes of messages, without framing.
    pub bytes: u64,
    /// Bytes of the WebSocket streams after their handshakes: messages, pings and close frames with their headers, as
    /// they are before TLS.
    pub wire_bytes: u64,
    /// How old the messages were when they were decoded: this machine's wall clock less the time in the message, which
    /// at most venues is told in whole milliseconds. Both clocks' errors are in it.
    pub age: Ages,
    /// Messages made after they came, if both clocks were right; their age counts as zero.
    pub ahead: u64,
    /// The limit on age, ms.
    pub max_age_ms: Option<f64>,
    /// Messages beyond it.
    pub older: u64,
    /// What went wrong.
    pub faults: ConsumeFaults,
    /// Books begun anew after a loss.
    pub resyncs: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections lost: without a word, or by a close frame that blames somebody.
    pub losses: u64,
    /// How often the server took its leave.
    pub closes: u64,
    /// The first times in full.
    pub closings: Vec<ConsumeClosing>,
    /// Books that came by HTTP.
    pub snapshots_fetched: u64,
    /// Books that should have come by HTTP.
    pub fetches_failed: u64,
    /// Books that came by HTTP from before the first update, and were fetched again.
    pub snapshots_too_old: u64,
    /// Acknowledgements of requests.
    pub acknowledged: u64,
    /// Signs of life in messages.
    pub heartbeats: u64,
    /// Answers to our pings in messages.
    pub pongs: u64,
    /// Pings of the server that were answered.
    pub pings_answered: u64,
    /// Books that were subscribed to and kept.
    pub books_wanted: usize,
    /// Those of them that were whole at the end.
    pub books_whole: usize,
    /// Instrument by instrument, in the order in which they were chosen.
    pub symbols: Vec<SymbolReport>,
}

/// Why consuming ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumeEnd {
    /// The time was over.
    Duration,
    /// It was stopped.
    Stopped,
    /// The server took its leave, and is gone or was not to be asked again; its last words.
    Closed(String),
    /// The connection was lost for good; the last reason.
    Lost(String),
}

/// What was found about one instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolReport {
    /// In the venue's words.
    pub symbol: String,
    /// What the messages said.
    pub counts: ConsumeCounts,
    /// What went wrong.
    pub faults: u64,
    /// How often its book was begun anew.
    pub resyncs: u64,
    /// Whether its book was whole at the end, if it was kept.
    pub book_is_whole: Option<bool>,
}

/// What a report amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumeVerdict {
    /// Nothing went wrong.
    Clean,
    /// Something went wrong, or was too old.
    Faulty,
    /// Nothing went wrong, but that proves nothing: nothing came, or not every book was whole at the end.
    Unproved,
}

impl ConsumeVerdict {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            ConsumeVerdict::Clean => "CLEAN",
            ConsumeVerdict::Faulty => "FAULTY",
            ConsumeVerdict::Unproved => "UNPROVED",
        }
    }
}

impl ConsumeReport {
    pub(super) fn of(
        session: &Session,
        [socket, rest]: [String; 2],
        end: ConsumeEnd,
        elapsed: Duration,
        [pings_answered, wire_bytes]: [u64; 2],
    ) -> Self {
        let (subject, tally) = (session.subject(), session.tally());
        let (books_wanted, books_whole) = session.books();
        let mut counts = ConsumeCounts::default();
        tally.symbols.iter().for_each(|of_symbol| counts.add(&of_symbol.counts));
        counts.others += tally.events - counts.events();
        let symbols =
            subject.listing.instruments.iter().zip(&tally.symbols).map(|(listed, of_symbol)| SymbolReport {
                symbol: subject.venue.symbol(&subject.listing, listed),
                counts: of_symbol.counts,
                faults: of_symbol.faults,
                resyncs: of_symbol.resyncs,
                book_is_whole: session.is_whole(listed.id),
            });
        Self {
            venue: subject.venue,
            socket,
            rest,
            channels: subject.channels.clone(),
            depth: subject.depth,
            books: subject.books,
            elapsed_s: elapsed.as_secs_f64(),
            end,
            counts,
            events: tally.events,
            frames: tally.frames,
            market_frames: tally.market_frames,
            bytes: tally.bytes,
            wire_bytes,
            age: session.ages(),
            ahead: tally.ahead,
            max_age_ms: subject.max_age_ns.map(|ns| ns as f64 / 1e6),
            older: tally.older,
            faults: tally.faults.clone(),
            resyncs: tally.resyncs,
            connections: tally.connections,
            losses: tally.losses,
            closes: tally.closes,
            closings: tally.closings.clone(),
            snapshots_fetched: tally.fetched,
            fetches_failed: tally.fetches_failed,
            snapshots_too_old: tally.snapshots_too_old,
            acknowledged: tally.acknowledged,
            heartbeats: tally.heartbeats,
            pongs: tally.pongs,
            pings_answered,
            books_wanted,
            books_whole,
            symbols: symbols.collect(),
        }
    }

    /// What it amounts to.
    pub fn verdict(&self) -> ConsumeVerdict {
        if !self.faults.is_clean() || self.older > 0 {
            ConsumeVerdict::Faulty
        } else if self.events + self.counts.states() == 0 || self.books_whole < self.books_wanted {
            ConsumeVerdict::Unproved
        } else {
            ConsumeVerdict::Clean
        }
    }

    /// So many a second.
    pub fn per_second(&self, count: u64) -> f64 {
        if self.elapsed_s > 0.0 { count as f64 / self.elapsed_s } else { 0.0 }
    }

    /// Everything as data.
    pub fn to_json(&self) -> Value {
        let (end, reason) = match &self.end {
            ConsumeEnd::Duration => ("duration", None),
            ConsumeEnd::Stopped => ("stopped", None),
            ConsumeEnd::Closed(said) => ("closed", Some(said)),
            ConsumeEnd::Lost(why) => ("lost", Some(why)),
        };
        let first = self.faults.first.iter().map(|fault| {
            json!({ "at_ms": fault.at_ms, "symbol": fault.symbol, "kind": fault.kind, "text": fault.text })
        });
        let closings = self.closings.iter().map(|it| json!({ "at_ms": it.at_ms, "text": it.text }));
        let symbols = self.symbols.iter().map(|of_symbol| {
            json!({
                "symbol": of_symbol.symbol,
                "counts": counts_json(&of_symbol.counts),
                "faults": of_symbol.faults,
                "resyncs": of_symbol.resyncs,
                "book_is_whole": of_symbol.book_is_whole,
            })
        });
        json!({
            "verdict": self.verdict().name(),
            "venue": self.venue.name(),
            "socket": self.socket,
            "rest": self.rest,
            "channels": self.channels.iter().map(|channel| channel.name()).collect::<Vec<_>>(),
            "depth": self.depth,
            "books_kept": self.books == Books::Kept,
            "elapsed_s": self.elapsed_s,
            "end": { "kind": end, "reason": reason },
            "events": self.events,
            "frames": self.frames,
            "market_frames": self.market_frames,
            "bytes": self.bytes,
            "wire_bytes": self.wire_bytes,
            "events_per_s": self.per_second(self.events),
            "frames_per_s": self.per_second(self.frames),
            "bytes_per_s": self.per_second(self.bytes),
            "counts": counts_json(&self.counts),
            "age": {
                "messages": self.age.count,
                "p50_ms": told(self.age, self.age.p50_ms),
                "p99_ms": told(self.age, self.age.p99_ms),
                "max_ms": told(self.age, self.age.max_ms),
                "ahead": self.ahead,
                "limit_ms": self.max_age_ms,
                "beyond_limit": self.older,
            },
            "faults": {
                "total": self.faults.total(),
                "by_kind": self.faults.kinds,
                "first": first.collect::<Vec<_>>(),
            },
            "books": { "wanted": self.books_wanted, "whole": self.books_whole, "resyncs": self.resyncs },
            "snapshots": {
                "fetched": self.snapshots_fetched,
                "failed": self.fetches_failed,
                "too_old": self.snapshots_too_old,
            },
            "connections": {
                "opened": self.connections,
                "lost": self.losses,
                "closed": self.closes,
                "closings": closings.collect::<Vec<_>>(),
            },
            "acknowledged": self.acknowledged,
            "heartbeats": self.heartbeats,
            "pongs": self.pongs,
            "pings_answered": self.pings_answered,
            "symbols": symbols.collect::<Vec<_>>(),
        })
    }
}

/// Nothing measured is no age of zero.
fn told(age: Ages, value_ms: f64) -> Option<f64> {
    (age.count > 0).then_some(value_ms)
}

fn counts_json(counts: &ConsumeCounts) -> Value {
    json!({
        "trades": counts.trades,
        "book_updates": counts.book_updates,
        "book_snapshots": counts.book_snapshots,
        "levels": counts.levels,
        "tickers": counts.tickers,
        "quotes": counts.quotes,
        "first_states": counts.first_states,
        "repeats": counts.repeats,
        "others": counts.others,
    })
}
