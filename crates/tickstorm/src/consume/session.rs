//! What a right client does, without its sockets and clocks.

use std::collections::{HashMap, VecDeque};

use tickstorm_load::Histogram;
use tickstorm_market::{Listing, Snapshot, SymbolId};
use tickstorm_venue::decoded::{Continuity, Counted, DepthForm, DepthUpdate, Level};
use tickstorm_venue::protocol::{Channel, Reply, Request, RequestId, Topic};
use tickstorm_venue::rest::Call;
use tickstorm_venue::{Conduct, Decoded, Decoder, Fault, Protocol, Replica, Rest, Sequences, Venue};

use super::choice::{ConsumeChannel, topics};
use super::etiquette::{self, Etiquette, Ids, MS, S, Snapshots};
use super::report::ConsumeEnd;
use super::tally::{Ages, FirstStates, Tally, made_unix_ns};
use crate::refused::reason;

/// A reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moment {
    /// Since the session began; never goes back.
    pub(super) run_ns: u64,
    /// By the wall clock, to compare with the times in messages.
    pub(super) unix_ns: u64,
}

/// What a session is about.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) venue: Venue,
    /// What is subscribed to, and nothing else.
    pub(super) listing: Listing,
    pub(super) channels: Vec<ConsumeChannel>,
    /// Levels a side of the books.
    pub(super) depth: u32,
    pub(super) books: Books,
    pub(super) reconnect: Reconnect,
    pub(super) max_age_ns: Option<u64>,
}

/// Whether books are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Books {
    /// They are kept, verified, and made whole again when something was lost.
    #[default]
    Kept,
    /// Messages are decoded and counted, no more: the fastest reader, that cannot tell whether a book is right.
    Ignored,
}

/// What to do when the connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reconnect {
    /// Connect again, with longer and longer waits.
    #[default]
    Always,
    /// End.
    Never,
}

/// What the session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Connect; answered by [`Session::opened`] or [`Session::lost`].
    Connect,
    /// Give up the connection, which counts as lost already.
    HangUp,
    /// Send a text message.
    Send(Vec<u8>),
    /// Ask for a book by HTTP; answered by [`Session::fetched`].
    Fetch {
        /// Of which instrument.
        symbol: SymbolId,
        /// Path and query.
        path: String,
    },
}

/// How a connection ended, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The server took its leave: a close frame that blames nobody.
    Closed,
    /// It broke, or the server put the client out.
    Broken,
    /// It could not be opened.
    NotOpened,
    /// Nobody listens there.
    NobodyThere,
}

/// Why there is no answer by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAnswer {
    pub(super) reason: String,
    /// As long as the server wants to be left alone.
    pub(super) retry_after_ns: Option<u64>,
    /// Whether the server says that it is not there for anybody now, as one does that is about to close.
    pub(super) is_unavailable: bool,
}

/// A client's conversation with one server. Everything that it decides depends on what it is told and when; it begins by
/// ordering a connection.
#[derive(Debug)]
pub(super) struct Session {
    decoder: Decoder,
    desk: Desk,
}

/// Everything but the decoder, whose messages it takes.
#[derive(Debug)]
struct Desk {
    subject: Subject,
    etiquette: &'static Etiquette,
    protocol: Protocol,
    rest: Rest,
    replica: Replica,
    sequences: Sequences,
    books: Vec<Book>,
    tally: Tally,
    ages: Histogram,
    orders: VecDeque<Order>,
    /// Requests that wait for their turn.
    requests: VecDeque<Vec<u8>>,
    request_due_ns: u64,
    /// By their number, the books that they ask for.
    asked: HashMap<u64, Vec<SymbolId>>,
    next_id: u64,
    link: Link,
    /// Attempts to connect in a row that were in vain.
    failures: u32,
    /// The server's last words, from when it took its leave until there is a connection again. Books stay as they were.
    farewell: Option<String>,
    ended: Option<ConsumeEnd>,
    fetches: Fetches,
    last_traffic_ns: u64,
    last_ping_ns: u64,
    tick_due_ns: u64,
}

/// Where the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// To be opened at this time.
    Due(u64),
    Opening,
    Open,
    Ended,
}

/// How far a book is, if it is subscribed to.
#[derive(Debug, Default)]
struct Book {
    state: State,
    /// When it last was made whole, or was to be.
    since_ns: u64,
    /// Attempts that did not last.
    attempts: u32,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody asked for it.
    #[default]
    Unwanted,
    /// Its snapshot is to come over the socket.
    Awaited,
    /// To be asked for again at this time.
    Due(u64),
    /// Its updates are kept until its snapshot has come by HTTP.
    Held { updates: VecDeque<HeldUpdate>, fetch: Fetch },
    /// Its snapshot is there, and the first update that continues it is to come.
    Seeded { update_id: u64 },
    /// Whole.
    Live,
}

/// Where the snapshot of a held book is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetch {
    /// Not before the subscription is acknowledged, or this time has come.
    From(u64),
    Asked,
}

/// An update of a book that waits for its snapshot.
#[derive(Debug)]
struct HeldUpdate {
    update: DepthUpdate<'static>,
    bids: Box<[Level]>,
    asks: Box<[Level]>,
}

/// Snapshots by HTTP, one at a time and within a budget.
#[derive(Debug)]
struct Fetches {
    waiting: VecDeque<SymbolId>,
    under_way: Option<SymbolId>,
    due_ns: u64,
    failures: u32,
    /// Answers that are faults only if the server goes on after them.
    excused: Vec<Excused>,
    limit: u32,
    weight: u64,
    budget: u64,
    budget_ns: u64,
}

/// A snapshot that could not be had because the server was not there for anybody.
#[derive(Debug)]
struct Excused {
    at: Moment,
    symbol: SymbolId,
    reason: String,
}

/// What is known of a message while its parts are read.
#[derive(Debug, Default)]
struct Frame {
    is_aged: bool,
    is_control: bool,
    /// It came before.
    is_doubled: bool,
    /// It says something new of the market.
    is_news: bool,
}

impl Session {
    pub(super) fn new(subject: Subject) -> Self {
        let (venue, listing) = (subject.venue, &subject.listing);
        let mut books: Vec<Book> = listing.instruments.iter().map(|_| Book::default()).collect();
        books.iter_mut().for_each(|book| book.state = State::Unwanted);
        let fetches = Fetches::new(listing.instruments.len());
        Self {
            decoder: Decoder::new(venue, listing),
            desk: Desk {
                etiquette: etiquette::of(venue),
                protocol: Protocol::new(venue, listing),
                rest: Rest::new(venue, listing),
                replica: blank(&subject),
                sequences: Sequences::default(),
                books,
                tally: Tally::new(listing.instruments.len(), subject.max_age_ns),
                ages: Histogram::new(),
                orders: VecDeque::new(),
                requests: VecDeque::new(),
                request_due_ns: 0,
                asked: HashMap::new(),
                next_id: 0,
                link: Link::Due(0),
                failures: 0,
                farewell: None,
                ended: None,
                fetches,
                last_traffic_ns: 0,
                last_ping_ns: 0,
                tick_due_ns: 0,
                subject,
            },
        }
    }

    /// The connection that was ordered is open.
    pub(super) fn opened(&mut self, now: Moment) {
        self.desk.on_open(now);
    }

    /// The connection could not be opened, or is gone.
    pub(super) fn lost(&mut self, now: Moment, how: Loss, why: &str) {
        self.desk.on_lost(now, how, why);
    }

    /// Something came over the connection, if only a ping.
    #[inline]
    pub(super) fn on_traffic(&mut self, now: Moment) {
        self.desk.last_traffic_ns = now.run_ns;
    }

    /// A message has come.
    #[inline]
    pub(super) fn take(&mut self, now: Moment, bytes: &[u8]) {
        let Self { decoder, desk } = self;
        desk.tally.frames += 1;
        desk.tally.bytes += bytes.len() as u64;
        let mut frame = Frame::default();
        decoder.decode_each(bytes, |said| match said {
            Ok(said) => desk.on_said(now, &said, &mut frame),
            Err(error) => desk.tally.fault(now.run_ns, None, error.kind(), || error.to_string()),
        });
        desk.tally.market_frames += u64::from(frame.is_news);
        if frame.is_control {
            desk.on_control(now, bytes);
        }
    }

    /// The answer to a [fetch](Order::Fetch) has come.
    pub(super) fn fetched(&mut self, now: Moment, symbol: SymbolId, answer: Result<&[u8], NoAnswer>) {
        self.desk.on_fetched(now, symbol, answer);
    }

    /// Lets time pass; to be called when [`Session::tick_due_ns`] has come.
    pub(super) fn tick(&mut self, now: Moment) {
        self.desk.on_tick(now);
    }

    /// When the session next wants to hear of the time.
    #[inline]
    pub(super) fn tick_due_ns(&self) -> u64 {
        self.desk.tick_due_ns
    }

    /// What is to be done next; to be asked until there is nothing.
    pub(super) fn next_order(&mut self, now: Moment) -> Option<Order> {
        self.desk.next_order(now)
    }

    /// Why the session has come to an end of itself.
    pub(super) fn ended(&self) -> Option<&ConsumeEnd> {
        self.desk.ended.as_ref()
    }

    pub(super) fn is_open(&self) -> bool {
        self.desk.link == Link::Open
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.desk.subject
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.desk.tally
    }

    /// Ages of messages since this was last asked.
    pub(super) fn take_ages(&mut self) -> Ages {
        let Desk { tally, ages, .. } = &mut self.desk;
        tally.take_ages(ages)
    }

    /// Ages of all messages up to when they were last taken.
    pub(super) fn ages(&self) -> Ages {
        Ages::of(&self.desk.ages)
    }

    /// Books that are wanted, and those of them that are whole; once the server has taken its leave, as they were then.
    pub(super) fn books(&self) -> (usize, usize) {
        let books = &self.desk.books;
        let wanted = books.iter().filter(|book| !matches!(book.state, State::Unwanted)).count();
        let whole = books.iter().filter(|book| book.is_whole() && self.desk.are_books_known()).count();
        (wanted, whole)
    }

    /// Whether a book is whole; none if it is not wanted.
    pub(super) fn is_whole(&self, symbol: SymbolId) -> Option<bool> {
        let book = self.desk.books.get(symbol.0 as usize)?;
        (!matches!(book.state, State::Unwanted)).then(|| book.is_whole() && self.desk.are_books_known())
    }

    #[cfg(test)]
    pub(super) fn replica(&self) -> &Replica {
        &self.desk.replica
    }
}

/// Empty books. Each kind of message comes in its own rhythm, and what was shown in between nobody knows.
fn blank(subject: &Subject) -> Replica {
    let mut replica = Replica::with_depth(subject.venue, &subject.listing, subject.depth);
    replica.set_conduct(Conduct::Batched);
    replica
}

/// Of the messages.
impl Desk {
    #[inline]
    fn on_said(&mut self, now: Moment, said: &Decoded<'_>, frame: &mut Frame) {
        match said {
            Decoded::Numbered(numbered) => {
                let Err(fault) = self.sequences.on_number(*numbered) else { return };
                self.tally.fault(now.run_ns, None, fault.kind(), || fault.to_string());
                if let Fault::Number { counted: Counted::Frames, expected, found } = fault {
                    frame.is_doubled = found < expected;
                    if found > expected {
                        // Whose message is missing nobody can say: the venue's advice is to connect again.
                        self.hang_up(now, "messages are missing");
                    }
                }
                return;
            }
            Decoded::Control => return frame.is_control = true,
            _ if frame.is_doubled => return,
            _ => {}
        }
        frame.is_news |= self.tally.count(said);
        if !frame.is_aged
            && let Some(made) = made_unix_ns(said)
        {
            frame.is_aged = true;
            self.tally.on_age(made, now.unix_ns);
        }
        if self.subject.books == Books::Ignored || self.link != Link::Open {
            return;
        }
        match said {
            Decoded::Depth(update) => self.on_depth(now, update),
            said => self.apply(now, said),
        }
    }

    fn on_depth(&mut self, now: Moment, update: &DepthUpdate<'_>) {
        let id = update.symbol;
        let Some(book) = self.books.get_mut(id.0 as usize) else { return };
        match &mut book.state {
            State::Live => {}
            State::Unwanted => return,
            State::Awaited | State::Due(_) if update.form == DepthForm::Update => return,
            State::Awaited | State::Due(_) => {
                book.state = State::Live;
                book.since_ns = now.run_ns;
            }
            State::Held { updates, fetch } => {
                updates.push_back(HeldUpdate::of(update));
                // Without its oldest update the snapshot will be found too old, and fetched again.
                if updates.len() > HELD_MAX {
                    updates.pop_front();
                }
                if *fetch != Fetch::Asked && updates.len() == 1 {
                    *fetch = Fetch::Asked;
                    self.fetches.waiting.push_back(id);
                }
                return;
            }
            State::Seeded { update_id } => match update.continuity {
                Continuity::Range { last, .. } if last <= *update_id => return,
                Continuity::Range { first, .. } if first > *update_id + 1 => {
                    self.tally.snapshots_too_old += 1;
                    let updates = VecDeque::from([HeldUpdate::of(update)]);
                    return self.refetch(now, id, updates);
                }
                _ => {
                    book.state = State::Live;
                    book.since_ns = now.run_ns;
                }
            },
        }
        self.apply(now, &Decoded::Depth(*update));
        if !self.replica.book(id).is_synchronised() {
            self.resynchronise(now, update);
        }
    }

    #[inline]
    fn apply(&mut self, now: Moment, said: &Decoded<'_>) {
        if let Err(fault) = self.replica.apply(said) {
            let symbol = super::tally::symbol_of(said);
            self.fault(now, symbol, fault.kind(), || fault.to_string());
        }
    }

    #[cold]
    fn fault(
        &mut self,
        now: Moment,
        symbol: Option<SymbolId>,
        kind: &'static str,
        text: impl FnOnce() -> String,
    ) {
        let (venue, listing) = (self.subject.venue, &self.subject.listing);
        let listed = symbol.and_then(|id| listing.instruments.get(id.0 as usize));
        let name = listed.map(|listed| move || venue.symbol(listing, listed));
        let symbol = symbol.zip(name.as_ref()).map(|(id, name)| (id, name as &dyn Fn() -> String));
        // The symbol stands beside the text.
        let bare = || {
            let text = text();
            let prefix = listed.map(|listed| format!("{}: ", listed.symbol)).unwrap_or_default();
            text.strip_prefix(&prefix).map(str::to_owned).unwrap_or(text)
        };
        self.tally.fault(now.run_ns, symbol, kind, bare);
    }

    /// Answers, heartbeats and announcements.
    #[cold]
    fn on_control(&mut self, now: Moment, bytes: &[u8]) {
        match self.protocol.read_reply(bytes) {
            Err(error) => self.tally.fault(now.run_ns, None, error.kind(), || error.to_string()),
            Ok(None) => {}
            Ok(Some(reply)) => match reply {
                Reply::Subscribed { id, .. } => self.on_subscribed(now, id),
                Reply::Subscriptions { .. } => self.tally.acknowledged += 1,
                Reply::Refused(refused) => {
                    let text = || format!("the server refuses a request: {}", reason(&refused));
                    self.tally.fault(now.run_ns, None, REFUSED, text);
                }
                Reply::Pong { .. } => self.tally.pongs += 1,
                Reply::Heartbeat { .. } => self.tally.heartbeats += 1,
                // What is lost while the venue closes cannot be told from what is lost otherwise.
                Reply::ClosingSoon => self.on_announcement(now),
                _ => {}
            },
        }
    }

    fn on_subscribed(&mut self, now: Moment, id: Option<RequestId>) {
        self.tally.acknowledged += 1;
        let number = id.and_then(|RequestId(text)| text.trim_matches('"').parse::<u64>().ok());
        let Some(symbols) = number.and_then(|number| self.asked.remove(&number)) else { return };
        for symbol in symbols {
            if let State::Held { fetch: fetch @ Fetch::From(_), .. } =
                &mut self.books[symbol.0 as usize].state
            {
                *fetch = Fetch::Asked;
                self.fetches.waiting.push_back(symbol);
            }
        }
        self.tick_due_ns = now.run_ns;
    }
}

/// Of books that are not whole.
impl Desk {
    /// A book has lost something with this update: it is begun anew.
    #[cold]
    fn resynchronise(&mut self, now: Moment, update: &DepthUpdate<'_>) {
        let id = update.symbol;
        self.tally.resyncs += 1;
        self.tally.symbols[id.0 as usize].resyncs += 1;
        if self.etiquette.snapshots == Snapshots::Http {
            return self.refetch(now, id, VecDeque::from([HeldUpdate::of(update)]));
        }
        let book = &mut self.books[id.0 as usize];
        let wait_ns = book.wait_ns(now.run_ns);
        book.state = State::Due(now.run_ns + wait_ns);
        book.since_ns = now.run_ns;
        self.tick_due_ns = self.tick_due_ns.min(now.run_ns + wait_ns);
    }

    /// Asks for a book's snapshot by HTTP, after the updates that are held already.
    fn refetch(&mut self, now: Moment, id: SymbolId, updates: VecDeque<HeldUpdate>) {
        let book = &mut self.books[id.0 as usize];
        let due_ns = now.run_ns + book.wait_ns(now.run_ns);
        book.since_ns = now.run_ns;
        book.state = match due_ns == now.run_ns {
            true => {
                self.fetches.waiting.push_back(id);
                State::Held { updates, fetch: Fetch::Asked }
            }
            false => State::Held { updates, fetch: Fetch::From(due_ns) },
        };
        self.tick_due_ns = self.tick_due_ns.min(due_ns);
    }

    fn on_fetched(&mut self, now: Moment, symbol: SymbolId, answer: Result<&[u8], NoAnswer>) {
        if self.fetches.under_way == Some(symbol) {
            self.fetches.under_way = None;
        }
        self.tick_due_ns = now.run_ns;
        if self.link != Link::Open {
            // It was asked for a connection that is gone; the next one asks anew.
            return;
        }
        let snapshot = answer.and_then(|body| {
            let unread = |error: tickstorm_venue::DecodeError| NoAnswer {
                reason: format!("cannot be read: {error}"),
                retry_after_ns: None,
                is_unavailable: false,
            };
            self.rest.read_depth(symbol, body).map_err(unread)
        });
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(NoAnswer { reason, retry_after_ns, is_unavailable }) => {
                self.tally.fetches_failed += 1;
                self.fetches.excused.push(Excused { at: now, symbol, reason });
                if !is_unavailable {
                    self.excuse_no_more();
                }
                let wait_ns = backoff_ns(self.fetches.failures).max(retry_after_ns.unwrap_or(0));
                self.fetches.failures += 1;
                self.fetches.due_ns = now.run_ns + wait_ns;
                if self.is_held(symbol) {
                    self.fetches.waiting.push_back(symbol);
                }
                return;
            }
        };
        self.fetches.failures = 0;
        self.tally.fetched += 1;
        self.excuse_no_more();
        self.seed(now, &snapshot);
    }

    /// The server goes on: that it was not there was a fault.
    fn excuse_no_more(&mut self) {
        for Excused { at, symbol, reason } in std::mem::take(&mut self.fetches.excused) {
            self.fault(at, Some(symbol), NO_SNAPSHOT, || reason);
        }
    }

    /// Puts a snapshot in its place among the updates that were held for it.
    fn seed(&mut self, now: Moment, snapshot: &Snapshot) {
        let id = snapshot.symbol;
        let book = &mut self.books[id.0 as usize];
        let State::Held { updates, .. } = &mut book.state else { return };
        let mut updates = std::mem::take(updates);
        while updates.front().is_some_and(|held| held.last() <= snapshot.update_id) {
            updates.pop_front();
        }
        if updates.front().is_some_and(|held| held.first() > snapshot.update_id + 1) {
            self.tally.snapshots_too_old += 1;
            return self.refetch(now, id, updates);
        }
        book.state = State::Seeded { update_id: snapshot.update_id };
        self.replica.seed(snapshot);
        // One of them may show a loss, from which on they are held again.
        for held in updates {
            self.on_depth(now, &held.update());
        }
    }

    fn is_held(&self, symbol: SymbolId) -> bool {
        matches!(self.books[symbol.0 as usize].state, State::Held { .. })
    }
}

impl Book {
    fn is_whole(&self) -> bool {
        matches!(self.state, State::Live | State::Seeded { .. })
    }

    /// How long to wait before it is asked for again: not at all, unless the last time did not last.
    fn wait_ns(&mut self, now_ns: u64) -> u64 {
        let lasted = now_ns.saturating_sub(self.since_ns) > LASTING_NS;
        self.attempts = if lasted { 0 } else { self.attempts.saturating_add(1) };
        match self.attempts {
            0 | 1 => 0,
            attempts => backoff_ns(attempts - 2),
        }
    }
}

impl HeldUpdate {
    fn of(update: &DepthUpdate<'_>) -> Self {
        let (bids, asks) = (update.bids.into(), update.asks.into());
        Self { update: DepthUpdate { bids: &[], asks: &[], ..*update }, bids, asks }
    }

    fn update(&self) -> DepthUpdate<'_> {
        DepthUpdate { bids: &self.bids, asks: &self.asks, ..self.update }
    }

    fn first(&self) -> u64 {
        match self.update.continuity {
            Continuity::Range { first, .. } => first,
            _ => self.last(),
        }
    }

    fn last(&self) -> u64 {
        self.update.change_id().unwrap_or(u64::MAX)
    }
}

/// Of the connection.
impl Desk {
    fn on_open(&mut self, now: Moment) {
        self.forget();
        self.farewell = None;
        self.link = Link::Open;
        self.tally.connections += 1;
        self.last_traffic_ns = now.run_ns;
        self.last_ping_ns = now.run_ns;
        self.request_due_ns = now.run_ns;
        if self.etiquette.heartbeats {
            let topic = Topic { channel: Channel::Heartbeats, symbol: None, name: String::new() };
            self.request(|id| Request::Subscribe {
                id,
                topics: vec![topic],
                snapshot: None,
                fills: None,
                login: None,
            });
        }
        let Subject { venue, listing, channels, depth, .. } = &self.subject;
        self.tally.first_states = FirstStates::none(listing.instruments.len());
        for topics in topics(*venue, listing, channels, *depth) {
            self.subscribe(now, &topics);
        }
        self.tick_due_ns = now.run_ns;
    }

    /// Subscribes to topics of one channel, in as many requests as the venue wants.
    fn subscribe(&mut self, now: Moment, topics: &[Topic]) {
        for topics in topics.chunks(self.etiquette.topics_per_request) {
            let channel = topics[0].channel;
            // Old trades are no news, and Kraken lets its clients say so.
            let kraken = self.subject.venue == Venue::Kraken;
            let snapshot = (kraken && channel == Channel::Trades).then_some(false);
            let topics = topics.to_vec();
            let symbols: Vec<SymbolId> = topics.iter().filter_map(|topic| topic.symbol).collect();
            let number =
                self.request(|id| Request::Subscribe { id, topics, snapshot, fills: None, login: None });
            self.tally.first_states.expect(self.subject.venue, channel, &symbols);
            if !matches!(channel, Channel::Book { .. } | Channel::TopOfBook { .. })
                || self.subject.books == Books::Ignored
            {
                continue;
            }
            let from_ns =
                now.run_ns + self.requests.len() as u64 * self.etiquette.request_gap_ns + FETCH_AT_LAST_NS;
            for symbol in &symbols {
                let book = &mut self.books[symbol.0 as usize];
                book.since_ns = now.run_ns;
                book.state = match self.etiquette.snapshots {
                    Snapshots::Socket => State::Awaited,
                    Snapshots::Http => State::Held { updates: VecDeque::new(), fetch: Fetch::From(from_ns) },
                };
            }
            self.asked.insert(number, symbols);
        }
    }

    /// Has a request wait for its turn, and returns its number.
    fn request(&mut self, request: impl FnOnce(Option<RequestId>) -> Request) -> u64 {
        self.next_id += 1;
        let id = match self.etiquette.ids {
            Ids::None => None,
            Ids::Numbers => Some(RequestId(self.next_id.to_string())),
            Ids::Texts => Some(RequestId(format!("\"{}\"", self.next_id))),
        };
        let mut bytes = Vec::new();
        let is_known = self.protocol.write_request(&request(id), &mut bytes);
        assert!(is_known, "only what the venue offers is asked for");
        self.requests.push_back(bytes);
        self.next_id
    }

    /// Gives up the connection of its own accord.
    fn hang_up(&mut self, now: Moment, why: &str) {
        if self.link != Link::Open {
            return;
        }
        self.orders.clear();
        self.orders.push_back(Order::HangUp);
        match self.subject.reconnect {
            Reconnect::Always => self.begin_anew(now, 0),
            Reconnect::Never => self.end(why),
        }
    }

    /// The venue says that it is about to close: a right client goes elsewhere before.
    fn on_announcement(&mut self, now: Moment) {
        if self.link == Link::Open {
            self.note_farewell(now, "announced that it will close the connection");
            self.hang_up(now, "");
        }
    }

    fn note_farewell(&mut self, now: Moment, said: &str) {
        self.tally.close(now.run_ns, said);
        self.farewell = Some(said.to_owned());
        self.failures = 0;
    }

    fn end(&mut self, why: &str) {
        self.ended = Some(match self.farewell.clone() {
            Some(said) => {
                self.drop_requests();
                ConsumeEnd::Closed(said)
            }
            None => {
                self.forget();
                ConsumeEnd::Lost(why.to_owned())
            }
        });
        self.link = Link::Ended;
    }

    fn on_lost(&mut self, now: Moment, how: Loss, why: &str) {
        let was_open = self.link == Link::Open;
        self.orders.clear();
        match (was_open, how) {
            (true, Loss::Closed) => self.note_farewell(now, why),
            (true, _) => {
                self.tally.losses += 1;
                self.failures = 0;
                self.tally.fault(now.run_ns, None, CONNECTION_LOST, || why.to_owned());
            }
            (false, _) => self.failures += 1,
        }
        let has_left = self.farewell.is_some();
        if has_left && how == Loss::NobodyThere || self.subject.reconnect == Reconnect::Never {
            return self.end(why);
        }
        if self.failures >= CONNECT_ATTEMPTS_MAX {
            // Somebody is there who does not let us in any more: that is more than a leave.
            self.farewell = None;
            return self.end(why);
        }
        self.begin_anew(now, backoff_ns(self.failures));
    }

    /// Orders another connection.
    fn begin_anew(&mut self, now: Moment, wait_ns: u64) {
        match self.farewell {
            Some(_) => self.drop_requests(),
            None => self.forget(),
        }
        self.link = Link::Due(now.run_ns + wait_ns);
        self.tick_due_ns = self.tick_due_ns.min(now.run_ns + wait_ns);
    }

    /// Whether the books are those of the server: not while it is back and lets nobody in.
    fn are_books_known(&self) -> bool {
        match self.link {
            Link::Open | Link::Ended => true,
            Link::Due(_) | Link::Opening => self.farewell.is_some() && self.failures == 0,
        }
    }

    fn drop_requests(&mut self) {
        self.requests.clear();
        self.asked.clear();
        self.fetches.waiting.clear();
        self.fetches.excused.clear();
    }

    /// Forgets what the connection said.
    fn forget(&mut self) {
        self.drop_requests();
        self.sequences = Sequences::default();
        self.replica = blank(&self.subject);
        for book in self.books.iter_mut().filter(|book| !matches!(book.state, State::Unwanted)) {
            book.state = State::Awaited;
        }
    }

    #[cold]
    fn on_tick(&mut self, now: Moment) {
        let now_ns = now.run_ns;
        self.tick_due_ns = now_ns + TICK_NS;
        match self.link {
            Link::Due(due_ns) if due_ns <= now_ns => {
                self.link = Link::Opening;
                self.orders.push_back(Order::Connect);
            }
            Link::Open => {}
            _ => return,
        }
        if self.link != Link::Open {
            return;
        }
        if now_ns.saturating_sub(self.last_traffic_ns) >= self.etiquette.silence_ns {
            let seconds = self.etiquette.silence_ns / S;
            self.on_lost(now, Loss::Broken, &format!("nothing came for {seconds} s"));
            self.orders.push_back(Order::HangUp);
            return;
        }
        if self.etiquette.ping_every_ns.is_some_and(|every| now_ns - self.last_ping_ns >= every) {
            self.last_ping_ns = now_ns;
            self.request(|id| Request::Ping { id });
        }
        let excused_at_ns = self.fetches.excused.first().map(|excused| excused.at.run_ns);
        if excused_at_ns.is_some_and(|at_ns| now_ns - at_ns >= CLOSING_PATIENCE_NS) {
            self.excuse_no_more();
        }
        self.ask_again(now);
    }

    /// Sees to the books that have waited long enough.
    fn ask_again(&mut self, now: Moment) {
        let now_ns = now.run_ns;
        for index in 0..self.books.len() {
            let (id, book) = (SymbolId(index as u32), &mut self.books[index]);
            match &mut book.state {
                State::Held { fetch, .. } => {
                    if matches!(fetch, Fetch::From(due_ns) if *due_ns <= now_ns) {
                        *fetch = Fetch::Asked;
                        self.fetches.waiting.push_back(id);
                    }
                }
                State::Due(due_ns) if *due_ns <= now_ns => self.subscribe_again(now, id),
                State::Awaited
                    if self.requests.is_empty() && now_ns - book.since_ns >= SNAPSHOT_PATIENCE_NS =>
                {
                    self.tally.resyncs += 1;
                    self.tally.symbols[index].resyncs += 1;
                    self.fault(now, Some(id), NO_SNAPSHOT, || {
                        format!("none within {} s of the subscription", SNAPSHOT_PATIENCE_NS / S)
                    });
                    self.subscribe_again(now, id);
                }
                _ => {}
            }
        }
    }

    /// Has the venue send a book's snapshot again.
    fn subscribe_again(&mut self, now: Moment, id: SymbolId) {
        let Subject { venue, depth, .. } = self.subject;
        let channel = ConsumeChannel::Book.of_venue(venue, depth);
        let topic = Topic { channel, symbol: Some(id), name: String::new() };
        self.request(|id| Request::Unsubscribe { id, topics: vec![topic.clone()] });
        self.subscribe(now, &[topic]);
    }

    fn next_order(&mut self, now: Moment) -> Option<Order> {
        if let Some(order) = self.orders.pop_front() {
            return Some(order);
        }
        if self.link != Link::Open {
            return None;
        }
        if now.run_ns >= self.request_due_ns {
            if let Some(request) = self.requests.pop_front() {
                self.request_due_ns = now.run_ns + self.etiquette.request_gap_ns;
                return Some(Order::Send(request));
            }
        } else if !self.requests.is_empty() {
            self.tick_due_ns = self.tick_due_ns.min(self.request_due_ns);
        }
        self.next_fetch(now)
    }

    fn next_fetch(&mut self, now: Moment) -> Option<Order> {
        if self.fetches.waiting.is_empty() || !self.fetches.may_ask(now.run_ns) {
            return None;
        }
        loop {
            let symbol = self.fetches.waiting.pop_front()?;
            if !self.is_held(symbol) {
                continue;
            }
            let limit = self.fetches.limit;
            let path = self.rest.path(&Call::Depth { symbol, limit });
            let path = path.expect("who gives snapshots by HTTP has a path for them");
            self.fetches.ask(symbol);
            return Some(Order::Fetch { symbol, path });
        }
    }
}

impl Fetches {
    fn new(symbols: usize) -> Self {
        // Of a book the client cannot know more than the snapshot has: as deep as the budget allows.
        let (limit, weight) = match symbols as u64 {
            symbols if symbols * 250 <= WEIGHT_AT_ONCE => (5000, 250),
            symbols if symbols * 50 <= WEIGHT_AT_ONCE => (1000, 50),
            _ => (500, 25),
        };
        Self {
            waiting: VecDeque::new(),
            under_way: None,
            due_ns: 0,
            failures: 0,
            excused: Vec::new(),
            limit,
            weight,
            budget: WEIGHT_AT_ONCE,
            budget_ns: 0,
        }
    }

    fn may_ask(&mut self, now_ns: u64) -> bool {
        let earned = now_ns.saturating_sub(self.budget_ns) / (S / WEIGHT_PER_S);
        self.budget = (self.budget + earned).min(WEIGHT_AT_ONCE);
        self.budget_ns += earned * (S / WEIGHT_PER_S);
        self.under_way.is_none() && self.due_ns <= now_ns && self.budget >= self.weight
    }

    fn ask(&mut self, symbol: SymbolId) {
        self.budget -= self.weight;
        self.under_way = Some(symbol);
    }
}

/// Doubles from a quarter of a second to half a minute. The same each time: what a consumer does can be repeated.
fn backoff_ns(failures: u32) -> u64 {
    ((250 * MS) << failures.min(7)).min(30 * S)
}

/// How often the session looks at the clock when nothing else happens.
const TICK_NS: u64 = 50 * MS;

/// A connection that cannot be had so many times in a row is given up.
const CONNECT_ATTEMPTS_MAX: u32 = 10;

/// A book that is whole for so long was made whole successfully.
const LASTING_NS: u64 = 10 * S;

/// A snapshot that was subscribed to has so long to come.
const SNAPSHOT_PATIENCE_NS: u64 = 10 * S;

/// A server that answers nobody by HTTP any more, because it is about to close, has so long to take its leave. That of
/// `tickstorm serve` watches its clients for ten seconds before.
const CLOSING_PATIENCE_NS: u64 = 20 * S;

/// A snapshot is fetched after so long, even if the subscription was not acknowledged.
const FETCH_AT_LAST_NS: u64 = 2 * S;

/// Updates of a book that are held until its snapshot is there: 17 minutes of a venue that sends ten a second.
const HELD_MAX: usize = 10_000;

/// Binance allows a weight of 6,000 a minute; 5,000 levels weigh 250, 1,000 weigh 50, 500 weigh 25, and the list of
/// instruments 20.
const WEIGHT_AT_ONCE: u64 = 2_900;
const WEIGHT_PER_S: u64 = 50;

/// Kinds of faults beside those of messages.
pub(super) const CONNECTION_LOST: &str = "connection_lost";
pub(super) const NO_SNAPSHOT: &str = "no_snapshot";
pub(super) const REFUSED: &str = "refused";

#[cfg(test)]
mod tests;
