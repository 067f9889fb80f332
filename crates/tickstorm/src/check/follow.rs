//! What is measured of a stream, whatever form it has.

use std::collections::BTreeMap;

use tickstorm_market::portrait::{Picture, Portrait};
use tickstorm_market::realism::{CrashChecks, Expectation, Realism, RealismTable};
use tickstorm_market::{Listing, Message, Snapshot, SymbolId};

use super::{CheckOptions, StreamExpectation};

/// Follows a stream's messages.
pub(super) struct Follower {
    realism: Realism,
    crash: Option<(CrashChecks, u64)>,
    portrait: Option<Portrait>,
    expected: Option<Expectation>,
    messages: BTreeMap<&'static str, u64>,
    first_ns: Option<u64>,
    last_ns: u64,
}

/// Which part of what came in together a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The first, or only one: it counts as an arrival.
    First,
    /// A further one.
    More,
}

/// What a follower has measured.
pub(super) struct Measured {
    pub(super) realism: RealismTable,
    pub(super) bands_judged: bool,
    pub(super) crash: Option<RealismTable>,
    pub(super) picture: Option<Picture>,
    pub(super) messages: BTreeMap<&'static str, u64>,
    pub(super) span_s: f64,
}

impl Follower {
    /// Starts at the books that are known before the first message. Times of messages count from `origin_unix_ns`.
    pub(super) fn new(
        listing: &Listing,
        books: &[Snapshot],
        origin_unix_ns: i64,
        options: &CheckOptions,
    ) -> Self {
        let symbols = listing.instruments.len();
        let expectation = options.expectation.as_ref();
        let crash = expectation.and_then(|it| it.crash.as_ref()).map(|crash| {
            let fall = |symbol: SymbolId| crash.falls.get(symbol.0 as usize).copied().unwrap_or_default();
            let checks = CrashChecks::new(crash.phases, books, fall);
            (checks, crash.start_unix_ns.abs_diff(origin_unix_ns))
        });
        Self {
            realism: Realism::new(symbols, books),
            crash,
            portrait: options.pictures.then(|| Portrait::new(symbols, books)),
            expected: expectation.and_then(|expectation: &StreamExpectation| expectation.bands),
            messages: BTreeMap::new(),
            first_ns: None,
            last_ns: 0,
        }
    }

    #[inline]
    pub(super) fn observe(&mut self, message: &Message, part: Part) {
        self.count(message.body.kind().name());
        self.first_ns.get_or_insert(message.due_ns);
        self.last_ns = self.last_ns.max(message.due_ns);
        match part {
            Part::First => self.realism.observe(message),
            Part::More => self.realism.observe_more(message),
        }
        if let Some((crash, start_ns)) = &mut self.crash {
            crash.observe(&Message { due_ns: message.due_ns.saturating_sub(*start_ns), ..*message });
        }
        if let Some(portrait) = &mut self.portrait {
            portrait.observe(message);
        }
    }

    pub(super) fn count(&mut self, kind: &'static str) {
        *self.messages.entry(kind).or_default() += 1;
    }

    /// The figures named in `withheld` are not observable, whatever was computed.
    pub(super) fn finish(self, withheld: &[&'static str]) -> Measured {
        let mut realism = self.realism.finish(self.expected.unwrap_or_default());
        for row in realism.rows.iter_mut().filter(|row| withheld.contains(&row.id)) {
            row.figures.iter_mut().for_each(|figure| figure.value = None);
        }
        Measured {
            realism,
            bands_judged: self.expected.is_some(),
            crash: self.crash.map(|(crash, _)| crash.finish()),
            picture: self.portrait.map(|portrait| portrait.finish()),
            messages: self.messages,
            span_s: self.last_ns.saturating_sub(self.first_ns.unwrap_or(self.last_ns)) as f64 / 1e9,
        }
    }
}
