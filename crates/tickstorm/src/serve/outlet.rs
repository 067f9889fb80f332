//! The exchange as the drive loop sees it: one lane that takes everything, behind which are the clients' sockets.

use std::{
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, Sender},
    },
    time::{Duration, Instant},
};

use tickstorm_load::Recording;
use tickstorm_market::{AccountId, Message, Snapshot, SymbolId};
use tickstorm_net::{
    Arrival, Event, Events, Link, Poller, Transport,
    observe::{Observer, SilenceLimits},
};
use tickstorm_venue::decoded::AssetBalance;

use crate::{
    outlet::{LaneState, Markets, Notice, Outlet, Taken},
    refused::reason,
};

use super::{
    Waiting,
    client::Cause,
    desk::{Ask, Asks, Facts, Want},
    floor::{Books, Entrance, Floor, PastClients},
    gauge::Gallery,
    grade::Grader,
    results::Board,
    spec::ServeSpec,
};

/// The exchange behind its doors. Before the clock starts it is driven by [`ServeOutlet::attend`], then by a worker.
pub(crate) struct ServeOutlet {
    floor: Floor<Transport>,
    poller: Arc<Poller>,
    events: Events,
    ready: Vec<Event>,
    asks: Receiver<Ask>,
    counts: Arc<Asks>,
    board: Board,
    results: Sender<Outcome>,
    gallery: Gallery,
    /// Who came when the feed had stopped.
    late: Vec<(Box<Arrival>, Entrance)>,
    opened: Instant,
    placed: usize,
    written: usize,
}

/// What leads to the outside.
pub(super) struct Doorway {
    pub poller: Arc<Poller>,
    pub asks: Receiver<Ask>,
    pub counts: Arc<Asks>,
    /// Where the clients are shown while the run is under way.
    pub board: Board,
    /// Where the clients' last figures go when the run is over.
    pub results: Sender<Outcome>,
    /// None where the system gave no thread for it.
    pub observer: Option<Observer>,
    /// When the doors were opened: floor time zero.
    pub opened: Instant,
}

/// What the floor leaves.
#[derive(Default)]
pub(super) struct Outcome {
    pub past: PastClients,
    pub grades: Grader,
    /// Messages of the market in the measured phase.
    pub market_messages: u64,
    /// Floor time of the start of the measured phase.
    pub measured_from_ns: u64,
}

/// What the markets of all shards know.
pub(super) struct MarketBooks<'a>(pub(super) &'a Markets);

impl Books for MarketBooks<'_> {
    fn book(&self, symbol: SymbolId) -> Option<Snapshot> {
        let shard = symbol.0 as usize % self.0.len().max(1);
        self.0.get(shard)?.as_ref()?.snapshot(symbol)
    }

    fn balances(&self, account: AccountId) -> Vec<AssetBalance> {
        let all = self.0.iter().flatten().flat_map(|market| market.balances());
        all.filter(|balance| balance.account == account).map(|balance| AssetBalance::of(&balance)).collect()
    }
}

impl ServeOutlet {
    pub(super) fn new(floor: Floor<Transport>, doorway: Doorway) -> Self {
        let Doorway { poller, asks, counts, board, results, observer, opened } = doorway;
        Self {
            floor,
            poller,
            events: Events::new(),
            ready: Vec::new(),
            asks,
            counts,
            board,
            results,
            gallery: Gallery::new(observer),
            late: Vec::new(),
            opened,
            placed: 0,
            written: 0,
        }
    }

    /// Floor time.
    fn now(&self) -> u64 {
        self.opened.elapsed().as_nanos() as u64
    }

    pub(super) fn spec(&self) -> &ServeSpec {
        &self.floor.spec
    }

    /// Who has come, and who has subscribed.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            subscribed: self.floor.subscribed(),
            connected: self.floor.keys().count(),
            last_refused: self.floor.last_refused.as_ref().map(reason),
        }
    }

    /// The clock will not start: who has come is told, and nobody else is let in.
    pub(super) fn close_early(&mut self) {
        self.counts.are_closed.store(true, Relaxed);
        self.take_leave();
    }

    /// Whether some client does this and that while the market stands still.
    pub(super) fn is_restless(&self) -> bool {
        self.gallery.is_restless()
    }

    /// Serves clients while the market stands still, for at most so long.
    pub(super) fn attend(&mut self, markets: &Markets, timeout: Duration) {
        self.wait(timeout);
        self.serve(markets);
        let now_ns = self.now();
        self.floor.reached(now_ns);
        self.floor.flush(now_ns);
        self.mind_sockets();
    }

    /// The schedule starts then.
    pub(crate) fn set_origin(&mut self, origin: Instant) {
        let starts_ns = origin.saturating_duration_since(self.opened).as_nanos() as u64;
        self.floor.time.run_starts_ns = Some(starts_ns);
        self.gallery.feed_begins();
    }

    /// Lets clients in, hears them and answers.
    fn serve(&mut self, markets: &Markets) {
        let books = MarketBooks(markets);
        let mut ready = std::mem::take(&mut self.ready);
        for event in ready.drain(..) {
            let now_ns = self.now();
            if event.writable {
                self.floor.go_on(event.key, now_ns);
            }
            if event.readable {
                self.floor.hear(event.key, &books, now_ns);
            }
        }
        self.ready = ready;
        for key in std::mem::take(&mut self.floor.restless) {
            let now_ns = self.now();
            self.floor.hear(key, &books, now_ns);
        }
        while let Ok(ask) = self.asks.try_recv() {
            match ask {
                Ask::Arrive { arrival, entrance } => self.arrive(*arrival, entrance, &books),
                Ask::Grade { posted, reply } => {
                    let now_ns = self.now();
                    if self.floor.grader.wants(posted.symbol)
                        && let Some(book) = books.book(posted.symbol)
                    {
                        self.floor.grader.follow(&book, now_ns);
                    }
                    let _ = reply.send(self.floor.grader.grade(&posted, now_ns));
                }
                Ask::Facts { want, reply } => {
                    // Who asked may have gone.
                    let _ = reply.send(self.facts(&want, &books));
                }
            }
        }
        let now_ns = self.now();
        if self.floor.tick(&mut self.gallery, now_ns) {
            self.board.show(self.floor.figures());
        }
        self.mind_sockets();
    }

    fn arrive(&mut self, arrival: Arrival, entrance: Entrance, books: &dyn Books) {
        let now_ns = self.now();
        let Arrival { transport, early, .. } = arrival;
        let (local, peer) = (entrance.who.local, entrance.who.peer);
        let link = Link::new(transport, &early, MAX_REQUEST);
        let key = self.floor.arrive(link, entrance, books, now_ns);
        self.gallery.enter(key, local, peer);
        // Requests may have come with the handshake already.
        self.floor.hear(key, books, now_ns);
    }

    fn facts(&self, want: &Want, books: &dyn Books) -> Facts {
        let now_ns = self.now();
        Facts {
            now_unix_ns: self.floor.unix_ns(now_ns),
            book: match want {
                Want::Book(symbol) => books.book(*symbol),
                _ => None,
            },
            balances: match want {
                Want::Balances(account) => Some((*account, books.balances(*account))),
                _ => None,
            },
            tickers: match want {
                Want::Tickers { single } => self.floor.tickers_told(*single, books),
                _ => Vec::new(),
            },
        }
    }

    /// Tells the poller what is waited for now, and closes what is over.
    fn mind_sockets(&mut self) {
        for key in std::mem::take(&mut self.floor.changed) {
            let Some(client) = self.floor.client_mut(key) else { continue };
            if let Err(error) = client.link.watch(&self.poller, key) {
                let (text, now_ns) = (error.kind().to_string(), self.now());
                self.floor.end(key, Cause::Vanished, None, &text, now_ns);
            }
        }
        let mut seen = Vec::new();
        for (key, mut link) in std::mem::take(&mut self.floor.ended) {
            link.unwatch(&self.poller);
            seen.push((key, self.gallery.exit(key)));
        }
        self.floor.past.saw(seen);
        self.floor.past.make_room();
    }

    /// Lets the clients read what waits for them and watches them until they rest.
    fn fall_silent(&mut self, is_over: &dyn Fn() -> bool) {
        let longest = self.floor.spec.silence;
        let is_probed = !longest.is_zero();
        if is_probed {
            let stopped_ns = self.now();
            self.gallery.fall_silent(stopped_ns, SilenceLimits { longest, ..SilenceLimits::default() });
        }
        let deadline = Instant::now() + longest.max(DRAIN_MIN);
        // A close frame that is seen in the last look would be taken for what the client has not read in all that time.
        let given_up = if is_probed { deadline + LAST_LOOK } else { deadline };
        loop {
            let now = Instant::now();
            let is_certain = !is_probed || self.gallery.is_certain();
            let is_over = is_over() || is_certain && (now >= deadline || self.floor.is_drained());
            if now >= given_up || is_over {
                return;
            }
            self.await_sockets((given_up - now).min(SILENCE_LOOK));
            self.hear_out();
            self.grade_late_posts();
            let now_ns = self.now();
            self.floor.flush(now_ns);
            self.floor.gauge_queues(&self.gallery);
            self.mind_sockets();
        }
    }

    /// Waits for sockets, and whether one has something to tell. What the clock asks of the exchange does not matter here.
    fn await_sockets(&mut self, timeout: Duration) -> bool {
        // A poller that fails has nothing to tell; the loop goes on by its times.
        if self.poller.wait(timeout, &mut self.events).is_err() {
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
            return false;
        }
        self.ready.extend(self.events.iter());
        !self.ready.is_empty()
    }

    /// Goes on sending what waits, and hears clients without answering.
    fn hear_out(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        for event in ready.drain(..) {
            let now_ns = self.now();
            if event.writable {
                self.floor.go_on(event.key, now_ns);
            }
            if event.readable {
                self.floor.hear_silently(event.key, now_ns);
            }
        }
        self.ready = ready;
    }

    /// A client that is behind goes on telling its book as it catches up. Without an answer it would wait, and look as if
    /// it rested.
    fn grade_late_posts(&mut self) {
        while let Ok(ask) = self.asks.try_recv() {
            match ask {
                Ask::Grade { posted, reply } => {
                    let now_ns = self.now();
                    // Who asked may have gone.
                    let _ = reply.send(self.floor.grader.grade(&posted, now_ns));
                }
                Ask::Arrive { arrival, entrance } => self.late.push((arrival, entrance)),
                // It was asked just before the end: who waits for the answer hears that there is none.
                Ask::Facts { .. } => {}
            }
        }
    }

    fn take_leave(&mut self) {
        self.grade_late_posts();
        // Who came at the last moment was not let in any more, but is told.
        for (arrival, entrance) in std::mem::take(&mut self.late) {
            self.arrive(*arrival, entrance, &MarketBooks(&[]));
        }
        let now_ns = self.now();
        for key in self.floor.keys().collect::<Vec<_>>() {
            self.floor.say_goodbye(key, now_ns);
        }
        self.floor.flush(now_ns);
        let deadline = Instant::now() + GOODBYE;
        while self.floor.keys().next().is_some() && Instant::now() < deadline {
            self.mind_sockets();
            self.await_sockets(SILENCE_LOOK);
            self.hear_out();
        }
        let now_ns = self.now();
        for key in self.floor.keys().collect::<Vec<_>>() {
            self.floor.end(key, Cause::RunEnded, None, "", now_ns);
        }
        self.mind_sockets();
    }
}

impl Outlet for ServeOutlet {
    /// What a client does not take waits in its own queue.
    fn state(&self, _: usize) -> LaneState {
        LaneState::Open
    }

    fn begin(&mut self, _: usize) {}

    /// Takes a slot even if nobody is told: the rate is that of the market.
    #[inline]
    fn add(&mut self, _: usize, _: u64, message: &Message) -> bool {
        self.floor.say(message);
        self.placed += 1;
        if self.floor.turn_bytes() >= TURN_BYTES {
            self.written += self.floor.turn_bytes();
            let now_ns = self.now();
            self.floor.flush(now_ns);
        }
        true
    }

    fn pass(&mut self, _: usize, message: &Message) -> bool {
        self.floor.say(message);
        true
    }

    fn end(&mut self, _: usize) {}

    fn buffered(&self, _: usize) -> usize {
        self.floor.turn_bytes()
    }

    fn flush(&mut self, _: usize) -> Taken {
        let bytes = std::mem::take(&mut self.written) + self.floor.turn_bytes();
        let now_ns = self.now();
        self.floor.flush(now_ns);
        Taken { messages: std::mem::take(&mut self.placed), bytes: bytes as u64, blocked: false }
    }

    fn collect(&mut self, markets: &Markets, _: &mut Vec<Notice>) {
        self.serve(markets);
    }

    fn give_up(&mut self, _: usize, _: u64) {}

    fn wait(&mut self, timeout: Duration) -> bool {
        let now_ns = self.now();
        let next_ns = self.floor.next_timer_ns();
        let timeout = if self.floor.restless.is_empty() {
            timeout.min(Duration::from_nanos(next_ns.saturating_sub(now_ns)))
        } else {
            Duration::ZERO
        };
        self.await_sockets(timeout) || next_ns <= self.now()
    }

    fn reached(&mut self, run_ns: u64) {
        let starts_ns = self.floor.time.run_starts_ns.unwrap_or(0);
        self.floor.reached(starts_ns + run_ns);
        let now_ns = self.now();
        self.floor.flush(now_ns);
        self.mind_sockets();
    }

    fn finish(&mut self, patience: Duration, is_over: &dyn Fn() -> bool) {
        self.counts.are_closed.store(true, Relaxed);
        let stopped_ns = self.now();
        self.floor.close_windows(stopped_ns);
        self.floor.probe_the_end(stopped_ns);
        self.floor.flush(stopped_ns);
        self.floor.look_at_all(&mut self.gallery, stopped_ns);
        self.mind_sockets();
        // A run that is aborted does not wait for what its clients may still have to do.
        self.floor.is_cut_short = patience <= ABORTED;
        if !self.floor.is_cut_short {
            self.fall_silent(is_over);
        }
        self.take_leave();
        let outcome = Outcome {
            past: std::mem::take(&mut self.floor.past).told(),
            grades: std::mem::take(&mut self.floor.grader),
            market_messages: self.floor.market_messages,
            measured_from_ns: self.floor.time.measured_from_floor_ns(),
        };
        // A collector that is gone has no use for it.
        let _ = self.results.send(outcome);
    }

    fn was_away(&mut self, from_ns: u64, to_ns: u64) {
        let starts_ns = self.floor.time.run_starts_ns.unwrap_or(0);
        self.floor.was_away(starts_ns + from_ns, starts_ns + to_ns);
    }

    fn settle(&mut self, recording: &mut Recording) {
        self.floor.settle(recording);
    }
}

/// A turn is flushed once it is as large as this: it fits into a core's cache, and a write of it is worth its price.
pub(super) const TURN_BYTES: usize = 192 << 10;

/// Larger requests than this no venue takes. It is more than OKX's 64 KiB, so that what is too long for a venue is its own
/// to refuse.
pub(super) const MAX_REQUEST: usize = 128 << 10;

/// How often clients are looked at while nothing is sent to them.
const SILENCE_LOOK: Duration = Duration::from_millis(2);

/// The observer's look after the end of a silence comes within this, however many clients there are.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// What waits for the clients at the end may take this long, whatever is probed.
const DRAIN_MIN: Duration = Duration::from_secs(1);

/// How long clients have to answer the last close frame.
const GOODBYE: Duration = Duration::from_secs(1);

/// A run's patience at its end is no longer than this when it was aborted.
const ABORTED: Duration = Duration::from_millis(200);
