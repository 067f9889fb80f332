//! The exchange itself, without sockets and clocks: clients come, ask and are told, and what became of everything
//! they were owed is on the books.
//!
//! Three times are told apart. *Floor time* counts from the opening of the doors, *run time* from the start of the
//! schedule, and *wire time* is what messages carry, as time since the Unix time of the publishers' start.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use tickstorm_load::{Dropped, Recording};
use tickstorm_market::{AccountId, Body, Listing, Message, Snapshot, SymbolId, Ticker};
use tickstorm_net::{
    Carrier, CloseReason, Link, Mark, Scratch, Silence, Turn,
    frame::{Incoming, Opcode},
    observe::PingProbe,
};
use tickstorm_report::{LeftOut, Summary};
use tickstorm_venue::{
    Blotter, Rest, Venue,
    access::Keys,
    closing::{Closing, Leave},
    decoded::AssetBalance,
    limits::Limits,
    protocol::{Circumstances, Endpoint, Refused, Reply, Request, Topic},
    publisher::{AccountState, Frame, RECENT_TRADES, StreamId, Wish},
    rest::untraded,
};

use crate::stall::Intervals;

use super::{
    client::{Cause, Client, End, Held, Source, Stage, Subscriber, Tally, Who},
    conflate::{Folded, Folder},
    gauge::{Ages, Seen},
    grade::Grader,
    outlet::TURN_BYTES,
    results,
    shop::Shop,
    spec::{ServeSpec, SlowClient},
    tick::VENUE_PING,
};

/// What the floor knows of the market beyond its messages.
pub(super) trait Books {
    /// A symbol's book as of the last message.
    fn book(&self, symbol: SymbolId) -> Option<Snapshot>;

    /// What an account has as of the last message.
    fn balances(&self, account: AccountId) -> Vec<AssetBalance>;
}

/// The clients of all venues, and what they are sent.
pub(super) struct Floor<T> {
    pub(super) spec: ServeSpec,
    listing: Listing,
    /// Unix time of wire time zero, ns.
    start_unix_ns: u64,
    /// Real Unix time of floor time zero, ns.
    opened_unix_ns: u64,
    pub(super) time: Time,

    shops: [Option<Box<Shop>>; Venue::ALL.len()],
    /// By key. Keys are not used again, so that what refers to a client that is gone finds nobody else.
    clients: Vec<Option<Box<Client<T>>>>,
    /// Keys of the clients that have logged in to an account.
    owners: BTreeMap<AccountId, Vec<usize>>,
    /// Of the accounts that a key opens, in wire time.
    blotters: BTreeMap<AccountId, Blotter>,
    pub(super) keys: Arc<[Keys]>,
    came: u32,
    /// What was refused last, for who wonders why nobody has subscribed.
    pub(super) last_refused: Option<Refused>,

    turn: Turn,
    scratch: Scratch,
    /// Clients that get something in this turn.
    dirty: Vec<usize>,
    /// Clients for which what their sockets wait for may have changed.
    pub(super) changed: Vec<usize>,
    /// Clients that had more to say than a turn has time for.
    pub(super) restless: Vec<usize>,
    /// Clients that have subscribed to something since somebody looked.
    pub(super) subscribers_new: Vec<usize>,
    /// Connections that are over: to be closed by whoever opened them.
    pub(super) ended: Vec<(usize, Link<T>)>,
    pub(super) past: PastClients,

    epoch: u8,
    /// Of the measured phase.
    pub(super) market_messages: u64,
    recording: Recording,
    absences: Intervals,
    pub(super) grader: Grader,
    /// The last statistics of each symbol, in wire time.
    pub(super) tickers: Box<[Option<Ticker>]>,
    /// The last trades of each symbol, oldest first, in wire time: what clients are told of them does not depend on who
    /// else listened.
    trades: Box<[VecDeque<Message>]>,
    /// Symbols that are not traded at the moment.
    halted: BTreeSet<SymbolId>,
    pub(super) next_tick_ns: u64,
    /// Of the connections that are open, where the next look at some of them begins.
    pub(super) looked_at: usize,
    /// Whether the run was ended at once: what would have become of what waits, nobody knows.
    pub(super) is_cut_short: bool,
}

/// How floor, run and wire time hang together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    /// Whether messages carry the plan's own start time instead of the real one.
    pub is_wire_fixed: bool,
    /// Floor time of the start of the schedule, once it is known.
    pub run_starts_ns: Option<u64>,
    /// Run time at which the measured phase begins.
    pub measured_from_ns: u64,
}

/// A client that is gone.
#[derive(Debug)]
pub(super) struct Past {
    pub key: usize,
    pub number: u32,
    pub who: Who,
    pub venue: Venue,
    /// Without its histogram, of which the summary is kept.
    pub tally: Tally,
    pub lag: Summary,
    pub round_trips: Summary,
    /// What its reader had passed at the end; none if it has never answered a ping.
    pub reader: Option<Reader>,
    /// At its worst in the measured phase, and at the end.
    pub worst: Ages,
    pub last: Ages,
    pub seen: Seen,
}

/// What pings have told of a client's reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// It had passed everything at this time.
    Passed { at_ns: u64 },
    /// It had not passed something so old.
    Behind { age_ns: u64 },
}

impl Reader {
    fn of(probe: &PingProbe, now_ns: u64) -> Option<Self> {
        if !probe.is_answered() {
            return None;
        }
        let behind = Self::Behind { age_ns: probe.age_ns(now_ns) };
        Some(probe.passed_at_ns().map_or(behind, |at_ns| Self::Passed { at_ns }))
    }
}

/// Clients that are gone: those who matter most each for itself, and all together.
#[derive(Debug, Default)]
pub(super) struct PastClients {
    pub kept: Vec<Past>,
    pub left_out: u64,
    /// What the verdict needs of those that are not kept.
    pub together: Option<LeftOut>,
    /// Of all of them: market events, frames and bytes.
    pub delivered: [u64; 3],
}

impl PastClients {
    pub(super) fn add(&mut self, client: Past) {
        let Tally { delivered, folded, frames, bytes, .. } = client.tally;
        for (sum, more) in self.delivered.iter_mut().zip([delivered + folded, frames, bytes]) {
            *sum += more;
        }
        self.kept.push(client);
    }

    /// Keeps what was seen of the last clients that are gone.
    pub(super) fn saw(&mut self, seen: Vec<(usize, Seen)>) {
        let first = self.kept.len() - seen.len();
        for (past, (key, seen)) in self.kept[first..].iter_mut().zip(seen) {
            debug_assert_eq!(past.key, key, "clients are seen off in the order in which they ended");
            past.seen = seen;
        }
    }

    /// Clients that come and go without end must not fill the memory. To be called once it is known what was seen of all.
    pub(super) fn make_room(&mut self) {
        // Not at every client: they are put in order each time.
        if self.kept.len() >= 2 * MOST_PAST {
            self.keep(MOST_PAST);
        }
    }

    /// Keeps so many, and of the others what the verdict needs.
    fn keep(&mut self, most: usize) {
        if self.kept.len() <= most {
            return;
        }
        self.kept.sort_by_cached_key(|past| {
            Reverse((
                past.tally.was_cut_off(),
                past.tally.owed > 0,
                results::age_ns(past),
                Reverse(past.number),
            ))
        });
        for past in self.kept.drain(most..) {
            self.left_out += 1;
            results::leave_out(&mut self.together, &past);
        }
    }

    /// The clients that are told of, in the order in which they came.
    pub(super) fn told(mut self) -> Self {
        self.keep(MOST_PAST);
        self.kept.sort_by_key(|past| past.number);
        self
    }
}

/// What came through the door.
pub(super) struct Entrance {
    pub who: Who,
    pub venue: Venue,
    pub endpoint: Endpoint,
    pub is_combined: bool,
    /// Names that the path asks to be subscribed to, in the venue's words.
    pub streams: Vec<String>,
    /// The account whose key stands in the path.
    pub owner: Option<AccountId>,
}

/// What a client said, kept until the link is free again.
enum Said {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseReason),
}

impl Time {
    /// Floor time of wire time zero; none before that is known.
    fn offset_ns(&self) -> Option<u64> {
        if self.is_wire_fixed { self.run_starts_ns } else { Some(0) }
    }

    /// Before the start of a schedule of fixed times, wire time stands still.
    pub(super) fn wire_ns(&self, floor_ns: u64) -> u64 {
        self.offset_ns().map_or(0, |offset_ns| floor_ns.saturating_sub(offset_ns))
    }

    fn floor_ns(&self, wire_ns: u64) -> u64 {
        wire_ns.saturating_add(self.offset_ns().unwrap_or(0))
    }

    fn measured_ns(&self, floor_ns: u64) -> u64 {
        floor_ns.saturating_sub(self.measured_from_floor_ns())
    }

    pub(super) fn measured_from_floor_ns(&self) -> u64 {
        self.run_starts_ns.map_or(u64::MAX, |start_ns| start_ns + self.measured_from_ns)
    }

    /// A message of the market in wire time.
    fn on_the_wire(&self, message: &Message) -> Message {
        let mut message = *message;
        if !self.is_wire_fixed {
            let shift_ns = self.run_starts_ns.unwrap_or(0);
            message.due_ns += shift_ns;
            message.event_ns += shift_ns;
            match &mut message.body {
                Body::Execution(execution) => execution.placed_ns += shift_ns,
                Body::Ticker(ticker) => ticker.open_ns += shift_ns,
                _ => {}
            }
        }
        message
    }
}

impl<T: Carrier> Floor<T> {
    pub(super) fn new(
        spec: ServeSpec,
        listing: Listing,
        (start_unix_ns, opened_unix_ns): (u64, u64),
        time: Time,
        keys: Arc<[Keys]>,
        recording: Recording,
    ) -> Self {
        Self {
            tickers: vec![None; listing.instruments.len()].into(),
            trades: vec![VecDeque::new(); listing.instruments.len()].into(),
            halted: BTreeSet::new(),
            listing,
            start_unix_ns,
            opened_unix_ns,
            time,
            shops: Default::default(),
            clients: Vec::new(),
            owners: BTreeMap::new(),
            blotters: spec.keys.iter().map(|key| (key.credential.account, Blotter::default())).collect(),
            keys,
            came: 0,
            last_refused: None,
            turn: Turn::new(),
            scratch: Scratch::default(),
            dirty: Vec::new(),
            changed: Vec::new(),
            restless: Vec::new(),
            subscribers_new: Vec::new(),
            ended: Vec::new(),
            past: PastClients::default(),
            epoch: 0,
            market_messages: 0,
            recording,
            absences: Intervals::default(),
            grader: Grader::default(),
            next_tick_ns: 0,
            looked_at: 0,
            is_cut_short: false,
            spec,
        }
    }

    /// Lets a client in and tells its key.
    pub(super) fn arrive(
        &mut self,
        link: Link<T>,
        entrance: Entrance,
        books: &dyn Books,
        now_ns: u64,
    ) -> usize {
        let key = self.clients.len();
        self.came += 1;
        let Entrance { who, venue, endpoint, is_combined, streams, owner } = entrance;
        let limits = Limits::new(venue, self.spec.limits);
        let mut client = Client::new(self.came, link, who, (venue, endpoint), &limits, now_ns);
        client.link.set_epoch(self.epoch);
        client.is_combined = is_combined;
        self.clients.push(Some(Box::new(client)));
        let shop = &mut self.shops[venue as usize];
        if shop.is_none() {
            let mut opened = Shop::new(venue, &self.listing, self.start_unix_ns as i64, &self.spec);
            opened.publisher.catch_up(&self.tickers, &self.halted);
            *shop = Some(Box::new(opened));
        }
        self.changed.push(key);
        self.reply(key, &Reply::Greeting, now_ns);
        if let Some(account) = owner {
            self.become_owner(key, account, &books.balances(account));
            self.open_user_stream(key, books, now_ns);
        }
        for stream in streams {
            self.open_from_path(key, &stream, books, now_ns);
        }
        key
    }

    /// Reads what a client has said, and answers.
    pub(super) fn hear(&mut self, key: usize, books: &dyn Books, now_ns: u64) {
        let mut said = Vec::new();
        for _ in 0..READS_A_TURN {
            let Some(client) = self.clients.get_mut(key).and_then(Option::as_deref_mut) else { return };
            let heard = client.link.read(|incoming| {
                said.push(match incoming {
                    Incoming::Message(text) => Said::Text(text.to_vec()),
                    Incoming::Ping(payload) => Said::Ping(payload.to_vec()),
                    Incoming::Pong(payload) => Said::Pong(payload.to_vec()),
                    Incoming::Close(reason) => Said::Close(reason),
                });
            });
            // A probe's pong does not keep a connection alive that the venue would close.
            if said.iter().any(|said| !matches!(said, Said::Pong(_))) {
                client.keep.heard_ns = now_ns;
            }
            for said in said.drain(..) {
                // What one client asks for is no single turn: else a few requests could fill the memory.
                if self.turn.len() >= TURN_BYTES {
                    self.flush(now_ns);
                }
                match said {
                    Said::Text(text) => self.on_text(key, &text, books, now_ns),
                    Said::Ping(payload) => self.on_ping(key, &payload, now_ns),
                    Said::Pong(payload) => self.on_pong(key, &payload, now_ns),
                    Said::Close(reason) => return self.on_close(key, reason, now_ns),
                }
            }
            match heard {
                Ok(heard) if heard.bytes == 0 && !heard.more => return,
                Ok(_) => {}
                Err(Silence::Garbled { code, text }) => {
                    return self.leave_saying(key, Cause::Offended, (code, &text), now_ns);
                }
                Err(silence) => return self.end(key, Cause::Vanished, None, &silence.to_string(), now_ns),
            }
        }
        // There may be more behind a socket that does not say so again.
        self.restless.push(key);
    }

    fn on_text(&mut self, key: usize, text: &[u8], books: &dyn Books, now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        if client.stage != Stage::Open {
            return;
        }
        client.tally.requests += 1;
        if let Err(overstep) = client.meter.on_message(now_ns, text.len()) {
            return self.overstepped(key, None, overstep, now_ns);
        }
        match self.read_request(key, text) {
            Some(Ok(request)) => self.on_request(key, request, books, now_ns),
            Some(Err(refused)) => self.refuse(key, refused, now_ns),
            None => {}
        }
    }

    /// What answers the calls of a client.
    pub(super) fn rest_of(&self, key: usize) -> Option<&Rest> {
        let client = self.client(key)?;
        self.shops[client.venue as usize].as_deref().map(|shop| &shop.rest)
    }

    /// What a client's words mean at its venue.
    pub(super) fn read_request(&self, key: usize, text: &[u8]) -> Option<Result<Request, Refused>> {
        let client = self.client(key)?;
        let shop = self.shops[client.venue as usize].as_deref()?;
        Some(shop.protocol.read_request(text, client.endpoint))
    }

    fn on_ping(&mut self, key: usize, payload: &[u8], now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        if let Err(overstep) = client.meter.on_message(now_ns, payload.len()) {
            return self.overstepped(key, None, overstep, now_ns);
        }
        let frame = self.turn.control(Opcode::Pong, payload);
        self.send(key, frame, now_ns);
    }

    fn on_pong(&mut self, key: usize, payload: &[u8], now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        let answers_probe =
            client.probe.as_mut().is_some_and(|probe| probe.on_pong(payload, now_ns).is_some());
        // Pongs that nobody asked for are allowed and do not count. Whoever answers only the last ping has passed ours.
        if answers_probe || payload == VENUE_PING {
            client.keep.pong_by_ns = None;
        }
    }

    fn on_close(&mut self, key: usize, reason: CloseReason, now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        if client.stage == Stage::Open {
            let frame = self.turn.close(reason.code.unwrap_or(1000), "");
            self.send(key, frame, now_ns);
            self.flush(now_ns);
        }
        self.end(key, Cause::ClosedByClient, reason.code, &reason.text, now_ns);
    }

    /// Tells the clients what has happened on the market; the message is in run time.
    #[inline]
    pub(super) fn say(&mut self, message: &Message) {
        let message = self.time.on_the_wire(message);
        if self.epoch == 0 && self.time.floor_ns(message.due_ns) >= self.time.measured_from_floor_ns() {
            self.begin_measuring();
        }
        self.market_messages += u64::from(self.epoch);
        match &message.body {
            Body::Ticker(ticker) => self.tickers[message.symbol.0 as usize] = Some(*ticker),
            Body::Status(status) if status.trading => drop(self.halted.remove(&message.symbol)),
            Body::Status(_) => drop(self.halted.insert(message.symbol)),
            Body::Trade(_) => self.remember_trade(&message),
            _ => {}
        }
        let (shops, mut out) = self.parts();
        for shop in shops.iter_mut().flatten() {
            shop.push(&message, |folder, frame, subscribers| out.deliver(folder, frame, subscribers));
        }
        if !self.grader.is_idle()
            && let Body::Book(change) = &message.body
        {
            self.grader.on_change(message.symbol, change, self.time.floor_ns(message.due_ns));
        }
        if let Some(account) = account_of(&message.body)
            && let Some(blotter) = self.blotters.get_mut(&account)
        {
            blotter.push(&message);
            self.tell_owners(account, &message);
        }
    }

    fn remember_trade(&mut self, message: &Message) {
        let trades = &mut self.trades[message.symbol.0 as usize];
        if trades.len() == RECENT_TRADES {
            trades.pop_front();
        }
        trades.push_back(*message);
    }

    /// The last statistics by symbol. A single one that is asked for has some also if nothing was traded yet.
    pub(super) fn tickers_told(&self, single: Option<SymbolId>, books: &dyn Books) -> Vec<Option<Ticker>> {
        let mut tickers = self.tickers.to_vec();
        if let Some(symbol) = single {
            let told = &mut tickers[symbol.0 as usize];
            *told = told.or_else(|| Some(untraded(self.listing.instrument(symbol), &books.book(symbol)?)));
        }
        tickers
    }

    /// The stream of a public topic, which knows what was before it; none where the venue publishes no such thing.
    pub(super) fn open_stream(&mut self, venue: Venue, topic: &Topic, books: &dyn Books) -> Option<StreamId> {
        let publisher = &mut self.shops[venue as usize].as_deref_mut()?.publisher;
        let stream = publisher.open(topic, &mut |symbol| books.book(symbol))?;
        if let Some(symbol) = topic.symbol {
            publisher.recall(stream, &self.trades[symbol.0 as usize]);
        }
        Some(stream)
    }

    /// Every message that was due by this floor time has been said: windows that end by then are told, and what says that
    /// nothing has changed.
    pub(super) fn reached(&mut self, now_ns: u64) {
        let wire_ns = self.time.wire_ns(now_ns);
        let (shops, mut out) = self.parts();
        for shop in shops.iter_mut().flatten() {
            shop.reach(wire_ns, |folder, frame, subscribers| out.deliver(folder, frame, subscribers));
        }
    }

    /// Floor time at which the next frame may be due that no message of the market brings about.
    pub(super) fn next_window_ns(&self) -> Option<u64> {
        // As long as wire time stands still, nothing that waits for it comes.
        let offset_ns = self.time.offset_ns()?;
        let ends = self.shops.iter().flatten().filter_map(|shop| shop.publisher.next_due_ns());
        ends.min().map(|wire_ns| wire_ns.saturating_add(offset_ns))
    }

    /// The turn under way.
    pub(super) fn turn_mut(&mut self) -> &mut Turn {
        &mut self.turn
    }

    /// Whether what is due is on the books.
    pub(super) fn is_measuring(&self) -> bool {
        self.epoch > 0
    }

    /// Nothing more will happen: what waits for the end of its window is told.
    pub(super) fn close_windows(&mut self, now_ns: u64) {
        let wire_ns = self.time.wire_ns(now_ns);
        let (shops, mut out) = self.parts();
        for shop in shops.iter_mut().flatten() {
            shop.close_all(wire_ns, |folder, frame, subscribers| out.deliver(folder, frame, subscribers));
        }
    }

    /// Bytes of frames that wait for the flush.
    pub(super) fn turn_bytes(&self) -> usize {
        self.turn.len()
    }

    fn parts(&mut self) -> (&mut [Option<Box<Shop>>], Out<'_, T>) {
        let out = Out {
            clients: &mut self.clients,
            turn: &mut self.turn,
            dirty: &mut self.dirty,
            recording: (self.epoch > 0).then_some(&mut self.recording),
            slow_client: self.spec.slow_client,
            time: self.time,
        };
        (&mut self.shops, out)
    }

    /// What is due from now on is on the books.
    fn begin_measuring(&mut self) {
        self.epoch = 1;
        for client in self.clients.iter_mut().flatten() {
            client.link.set_epoch(1);
            client.folds.forget_counts();
        }
    }

    fn tell_owners(&mut self, account: AccountId, message: &Message) {
        let Some(keys) = self.owners.get(&account) else { return };
        let due_ns = self.time.floor_ns(message.due_ns);
        for &key in keys {
            let Some(client) = self.clients[key].as_deref_mut() else { continue };
            let Client { account, numbering, held, link, tally, is_dirty, stage, .. } = client;
            let Some((_, feed)) = account.as_mut().filter(|_| *stage == Stage::Open) else { continue };
            let about = |topic: &Topic| topic.symbol.is_none_or(|symbol| symbol == message.symbol);
            let channels: Vec<_> = held
                .iter()
                .filter(|held| held.source == Source::Account && about(&held.topic))
                .map(|held| held.topic.channel)
                .collect();
            // A fill is told as itself and as what it makes of the order, but it is one message.
            let mut messages = 1;
            feed.push(message, &channels, numbering, &mut |bytes, kind| {
                if self.epoch > 0 && messages > 0 {
                    self.recording.on_due(1);
                    self.recording.count_kind(kind as usize, 1);
                    tally.owed += 1;
                    tally.on_placed(kind, 1);
                }
                link.push(self.turn.text(bytes), due_ns, messages);
                messages = 0;
                if !*is_dirty {
                    *is_dirty = true;
                    self.dirty.push(key);
                }
            });
        }
    }

    /// Offers everything to the kernel. Clients for which too much waits then are dealt with.
    pub(super) fn flush(&mut self, now_ns: u64) {
        if self.dirty.is_empty() {
            return;
        }
        let turn = self.turn.seal();
        let dirty = std::mem::take(&mut self.dirty);
        let mut broken = Vec::new();
        for &key in &dirty {
            let Some(client) = self.clients[key].as_deref_mut() else { continue };
            client.is_dirty = false;
            if client.link.frames_pushed() > std::mem::take(&mut client.controls) {
                client.keep.said_ns = now_ns;
            }
            let was_blocked = client.link.is_blocked();
            let Client { link, tally, .. } = client;
            let mut books = Booking {
                recording: &mut self.recording,
                tally,
                time: self.time,
                absences: &self.absences,
                now_ns,
            };
            let delivery = link.flush(&turn, now_ns, &mut self.scratch, |mark| books.on_taken(mark));
            match delivery {
                Ok(delivery) => {
                    client.tally.bytes += delivery.bytes;
                    if self.epoch > 0 {
                        self.recording.on_writes(delivery.writes, delivery.bytes);
                    }
                }
                Err(error) => broken.push((key, error)),
            }
            if client.link.is_blocked() || was_blocked {
                self.changed.push(key);
            }
        }
        self.turn.reuse(turn);
        let mut keys = dirty;
        for &key in &keys {
            self.weigh(key, now_ns);
        }
        keys.clear();
        if self.dirty.is_empty() {
            self.dirty = keys;
        }
        for (key, error) in broken {
            self.end(key, Cause::Vanished, None, &format!("the connection broke: {}", error.kind()), now_ns);
        }
    }

    /// The client's kernel takes more again.
    pub(super) fn go_on(&mut self, key: usize, now_ns: u64) {
        let Some(client) = self.clients.get_mut(key).and_then(Option::as_deref_mut) else { return };
        let Client { link, tally, .. } = client;
        let mut books = Booking {
            recording: &mut self.recording,
            tally,
            time: self.time,
            absences: &self.absences,
            now_ns,
        };
        match link.flush_queue(|mark| books.on_taken(mark)) {
            Ok(delivery) => {
                client.tally.bytes += delivery.bytes;
                if self.epoch > 0 {
                    self.recording.on_writes(delivery.writes, delivery.bytes);
                }
                self.changed.push(key);
                self.weigh(key, now_ns);
            }
            Err(error) => {
                let text = format!("the connection broke: {}", error.kind());
                self.end(key, Cause::Vanished, None, &text, now_ns);
            }
        }
    }

    /// Compares what waits for a client with what may.
    fn weigh(&mut self, key: usize, now_ns: u64) {
        let limit = self.spec.client_queue;
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        let queued = client.link.queued();
        if queued > limit {
            client.is_full = true;
            let most = match self.spec.slow_client {
                SlowClient::Disconnect => limit,
                SlowClient::Conflate | SlowClient::Drop => limit.saturating_add(ANSWERS_MOST),
            };
            if queued > most && client.stage == Stage::Open {
                self.cut_off(key, now_ns);
            }
        } else if client.is_full && queued <= limit / 2 {
            client.is_full = false;
            self.release_folds(key, now_ns);
        }
    }

    /// There is room again: what was held back is told.
    fn release_folds(&mut self, key: usize, now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        if client.folds.is_empty() {
            return;
        }
        let Some(shop) = self.shops[client.venue as usize].as_deref_mut() else { return };
        let wire_ns = self.time.wire_ns(now_ns);
        for folded in client.folds.release(&mut shop.publisher) {
            let Folded { stream, kind, due_ns, mut messages, .. } = folded;
            let Some(bytes) = folded.bytes else {
                if messages > 0 {
                    client.tally.on_placed(kind, messages);
                }
                let Client { numbering, link, .. } = &mut *client;
                let turn = &mut self.turn;
                shop.publisher.greet(stream, None, wire_ns, numbering, &mut |bytes| {
                    link.push_held(turn.text(bytes), due_ns, std::mem::take(&mut messages));
                });
                continue;
            };
            let frame = match numbering_place(client.venue, &bytes) {
                Some(place) => {
                    client.numbering.frames += 1;
                    replaced(&mut self.turn, &bytes, &place, client.numbering.frames - 1)
                }
                None => match shop.wrapping_of(stream, key) {
                    Some(name) => wrap(&mut self.turn, name, &bytes),
                    None => self.turn.text(&bytes),
                },
            };
            client.link.push_held(frame, due_ns, messages);
            // What is held back from before the measured phase has no messages in it that count.
            if messages > 0 {
                client.tally.on_placed(kind, messages);
            }
        }
        self.touch(key);
    }

    /// Adds a control frame of this turn.
    pub(super) fn send(&mut self, key: usize, frame: std::ops::Range<usize>, now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        client.link.push(frame, now_ns, 0);
        client.controls += 1;
        self.touch(key);
    }

    pub(super) fn touch(&mut self, key: usize) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        if !client.is_dirty {
            client.is_dirty = true;
            self.dirty.push(key);
        }
    }

    pub(super) fn reply(&mut self, key: usize, reply: &Reply, now_ns: u64) {
        let circumstances = self.circumstances(key, now_ns);
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        let Some(shop) = self.shops[client.venue as usize].as_deref() else { return };
        let Client { numbering, link, is_combined, .. } = client;
        let turn = &mut self.turn;
        // Of all that is no stream's, this alone is wrapped as if it were.
        let is_wrapped = *is_combined && *reply == Reply::ClosingSoon;
        shop.protocol.write_reply(reply, &circumstances, numbering, |bytes| {
            let frame = if is_wrapped { wrap(turn, "!serverShutdown", bytes) } else { turn.text(bytes) };
            link.push(frame, now_ns, 0);
        });
        if link.has_pieces() {
            self.touch(key);
        }
    }

    fn circumstances(&self, key: usize, now_ns: u64) -> Circumstances {
        let client = self.clients[key].as_deref();
        Circumstances {
            now_unix_ns: self.unix_ns(now_ns),
            connection: client.map_or(0, |client| u64::from(client.number)),
            endpoint: client.map_or(Endpoint::Public, |client| client.endpoint),
        }
    }

    /// Unix time of wire time zero.
    pub(super) fn start_unix_ns(&self) -> u64 {
        self.start_unix_ns
    }

    /// What the messages' clock says.
    pub(super) fn unix_ns(&self, now_ns: u64) -> u64 {
        self.start_unix_ns.saturating_add(self.time.wire_ns(now_ns))
    }

    /// What the clock on the wall says.
    pub(super) fn real_unix_ns(&self, now_ns: u64) -> u64 {
        self.opened_unix_ns.saturating_add(now_ns)
    }

    /// Takes leave of a client: a close frame behind what waits, and a moment for it to be read.
    pub(super) fn leave(&mut self, key: usize, cause: Cause, closing: Closing, now_ns: u64) {
        self.leave_saying(key, cause, (closing.code, closing.text), now_ns);
    }

    fn leave_saying(&mut self, key: usize, cause: Cause, (code, text): (u16, &str), now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        if client.stage != Stage::Open {
            return;
        }
        client.stage = Stage::Leaving { until_ns: now_ns + LEAVE_NS };
        client.tally.end.get_or_insert(End { at_ns: now_ns, cause, code: Some(code), text: text.to_owned() });
        self.unsubscribe_all(key);
        let frame = self.turn.close(code, text);
        self.send(key, frame, now_ns);
    }

    /// Too much waits for a client: what the kernel has no part of is taken back.
    fn cut_off(&mut self, key: usize, now_ns: u64) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        let Client { link, tally, .. } = client;
        let mut dropped = 0;
        link.cut(|mark| dropped += if mark.epoch > 0 { u64::from(mark.messages) } else { 0 });
        tally.dropped += dropped;
        self.recording.on_dropped(Dropped::SlowClient, self.time.measured_ns(now_ns), dropped);
        let closing = client.venue.closing(Leave::SlowConsumer);
        self.leave(key, Cause::TooSlow, closing, now_ns);
    }

    /// The connection is over.
    pub(super) fn end(&mut self, key: usize, cause: Cause, code: Option<u16>, text: &str, now_ns: u64) {
        self.unsubscribe_all(key);
        let Some(client) = self.clients[key].take() else { return };
        let mut client = *client;
        let at_ns = self.time.measured_ns(now_ns);
        let waiting = client.link.waiting().filter(|mark| mark.epoch > 0);
        let waiting: u64 = waiting.map(|mark| u64::from(mark.messages)).sum();
        // The turn may be under way.
        let waiting = waiting + client.link.messages_pushed(1);
        if waiting > 0 {
            let reason = match (cause, self.is_cut_short) {
                (Cause::RunEnded, true) => Dropped::Aborted,
                (Cause::RunEnded, false) => Dropped::Unsent,
                _ => Dropped::Lost,
            };
            self.recording.on_dropped(reason, at_ns, waiting);
            client.tally.lost += waiting;
        }
        client.tally.end.get_or_insert(End { at_ns: now_ns, cause, code, text: text.to_owned() });
        let lag = client.tally.lag.take();
        self.past.add(Past {
            key,
            number: client.number,
            who: client.who,
            venue: client.venue,
            tally: client.tally,
            lag: lag.as_deref().map(Summary::from).unwrap_or_default(),
            reader: client.probe.as_deref().and_then(|probe| Reader::of(probe, now_ns)),
            round_trips: client.probe.map(|probe| probe.round_trips().into()).unwrap_or_default(),
            worst: client.worst,
            last: client.ages,
            seen: Seen::default(),
        });
        self.ended.push((key, client.link));
    }

    fn unsubscribe_all(&mut self, key: usize) {
        let Some(client) = self.clients[key].as_deref_mut() else { return };
        let held = std::mem::take(&mut client.held);
        let dropped: u64 = client.folds.forget_all().map(u64::from).sum();
        // What was held back before the measured phase was not owed.
        let dropped = if self.epoch > 0 { dropped } else { 0 };
        client.tally.dropped += dropped;
        let venue = client.venue;
        for Held { source, .. } in held {
            if let (Source::Stream(stream), Some(shop)) = (source, self.shops[venue as usize].as_deref_mut())
            {
                shop.unsubscribe(stream, key);
            }
        }
        self.forget_owner(key);
        if dropped > 0 {
            self.recording.on_dropped(Dropped::SlowClient, self.last_measured_ns(), dropped);
        }
    }

    fn last_measured_ns(&self) -> u64 {
        self.time.measured_ns(self.next_tick_ns)
    }

    /// The kernel kept the thread from running: floor times.
    pub(super) fn was_away(&mut self, from_ns: u64, to_ns: u64) {
        self.absences.add(from_ns, to_ns);
    }

    /// Adds what was noted since the last time.
    pub(super) fn settle(&mut self, recording: &mut Recording) {
        recording.merge(&self.recording);
        self.recording.clear();
    }

    /// Clients with a subscription to something that there is.
    pub(super) fn subscribed(&self) -> usize {
        let clients = self.clients.iter().flatten();
        clients.filter(|client| client.held.iter().any(|held| held.source != Source::Nowhere)).count()
    }

    pub(super) fn shop_mut(&mut self, venue: Venue) -> Option<&mut Shop> {
        self.shops[venue as usize].as_deref_mut()
    }

    /// A client, its venue's shop, and the turn under way.
    pub(super) fn at(&mut self, key: usize) -> (Option<&mut Shop>, Option<&mut Client<T>>, &mut Turn) {
        let client = self.clients.get_mut(key).and_then(Option::as_deref_mut);
        let venue = client.as_ref().map(|client| client.venue as usize);
        (venue.and_then(|venue| self.shops[venue].as_deref_mut()), client, &mut self.turn)
    }

    /// From now on the client is told of this account.
    pub(super) fn become_owner(&mut self, key: usize, account: AccountId, balances: &[AssetBalance]) {
        let Some(client) = self.clients.get_mut(key).and_then(Option::as_deref_mut) else { return };
        let Some(shop) = self.shops[client.venue as usize].as_deref() else { return };
        if client.account.as_ref().is_some_and(|(own, _)| *own == account) {
            return;
        }
        let blotter = self.blotters.entry(account).or_default();
        let feed = Box::new(shop.publisher.account_feed(account, &AccountState { balances, blotter }));
        if let Some((former, _)) = client.account.replace((account, feed)) {
            self.owners.entry(former).or_default().retain(|&other| other != key);
        }
        self.owners.entry(account).or_default().push(key);
    }

    /// The client speaks for nobody any more.
    pub(super) fn forget_owner(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key).and_then(Option::as_deref_mut) else { return };
        client.login = None;
        let Some((account, _)) = client.account.take() else { return };
        if let Some(keys) = self.owners.get_mut(&account) {
            keys.retain(|&other| other != key);
            if keys.is_empty() {
                self.owners.remove(&account);
            }
        }
    }

    /// Tells an owner what who subscribes to these topics of the account is told first.
    pub(super) fn greet_owner(
        &mut self,
        key: usize,
        topics: &[Topic],
        wish: Wish,
        books: &dyn Books,
        now_ns: u64,
    ) {
        let wire_ns = self.time.wire_ns(now_ns);
        let Some(client) = self.clients.get_mut(key).and_then(Option::as_deref_mut) else { return };
        let Client { account: Some((account, feed)), numbering, link, .. } = client else { return };
        let (balances, blotter) = (books.balances(*account), self.blotters.entry(*account).or_default());
        let state = AccountState { balances: &balances, blotter };
        let turn = &mut self.turn;
        feed.greet(topics, wish, &state, wire_ns, numbering, &mut |bytes| {
            link.push(turn.text(bytes), now_ns, 0);
        });
    }

    /// What was held back from a client will not be told.
    pub(super) fn drop_folded(&mut self, key: usize, messages: u32) {
        if self.epoch == 0 {
            return;
        }
        let Some(client) = self.clients.get_mut(key).and_then(Option::as_deref_mut) else { return };
        client.tally.dropped += u64::from(messages);
        self.recording.on_dropped(Dropped::SlowClient, self.last_measured_ns(), u64::from(messages));
    }

    pub(super) fn client(&self, key: usize) -> Option<&Client<T>> {
        self.clients.get(key)?.as_deref()
    }

    pub(super) fn client_mut(&mut self, key: usize) -> Option<&mut Client<T>> {
        self.clients.get_mut(key)?.as_deref_mut()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.clients.len()).filter(|&key| self.clients[key].is_some())
    }
}

/// What it takes to hand frames to their subscribers.
struct Out<'a, T> {
    clients: &'a mut [Option<Box<Client<T>>>],
    turn: &'a mut Turn,
    dirty: &'a mut Vec<usize>,
    /// None before the measured phase.
    recording: Option<&'a mut Recording>,
    slow_client: SlowClient,
    time: Time,
}

impl<T: Carrier> Out<'_, T> {
    /// Gives a frame to each of its subscribers. It is written once for all who get the same bytes.
    #[inline]
    fn deliver(&mut self, folder: &mut Folder, frame: &Frame<'_>, subscribers: &[Subscriber]) {
        let due_ns = self.time.floor_ns(frame.due_ns);
        let mut shared = None;
        let mut wrapped: Option<(&str, std::ops::Range<usize>)> = None;
        let (mut owed, mut dropped) = (0, 0);
        for subscriber in subscribers {
            let Some(client) = self.clients[subscriber.key].as_deref_mut() else { continue };
            if client.stage != Stage::Open {
                continue;
            }
            // To who is behind it is no news that there is none.
            if frame.messages == 0 && (client.is_full || client.folds.holds(frame.stream)) {
                continue;
            }
            owed += u64::from(frame.messages);
            if self.recording.is_some() {
                client.tally.owed += u64::from(frame.messages);
            }
            if client.is_full || client.folds.holds(frame.stream) {
                let may_hold = self.slow_client == SlowClient::Conflate;
                let what = (frame.stream, frame.kind);
                let folds = &mut client.folds;
                if !(may_hold && folder.hold(folds, what, frame.bytes, (due_ns, frame.messages))) {
                    // Where messages of the connection are numbered, that one is missing is to be seen.
                    if !may_hold && frame.number.is_some() {
                        client.numbering.frames += 1;
                    }
                    dropped += u64::from(frame.messages);
                    if self.recording.is_some() {
                        client.tally.dropped += u64::from(frame.messages);
                    }
                }
                continue;
            }
            let range = match (&frame.number, &subscriber.wrapped) {
                (Some(number), _) => {
                    let count = client.numbering.frames;
                    client.numbering.frames += 1;
                    replaced(self.turn, frame.bytes, number, count)
                }
                (None, Some(name)) => match &wrapped {
                    Some((last, range)) if *last == &**name => range.clone(),
                    _ => {
                        let range = wrap(self.turn, name, frame.bytes);
                        wrapped = Some((name, range.clone()));
                        range
                    }
                },
                (None, None) => shared.get_or_insert_with(|| self.turn.text(frame.bytes)).clone(),
            };
            client.link.push(range, due_ns, frame.messages);
            if self.recording.is_some() && frame.messages > 0 {
                client.tally.on_placed(frame.kind, frame.messages);
            }
            if !client.is_dirty {
                client.is_dirty = true;
                self.dirty.push(subscriber.key);
            }
        }
        if let Some(recording) = self.recording.as_deref_mut() {
            recording.on_due(owed);
            recording.count_kind(frame.kind as usize, owed);
            if dropped > 0 {
                recording.on_dropped(Dropped::SlowClient, self.time.measured_ns(due_ns), dropped);
            }
        }
    }
}

/// Adds a frame in which the connection's own number stands in place of the publisher's.
fn replaced(
    turn: &mut Turn,
    bytes: &[u8],
    place: &std::ops::Range<usize>,
    number: u64,
) -> std::ops::Range<usize> {
    let mut digits = itoa::Buffer::new();
    turn.parts(&[&bytes[..place.start], digits.format(number).as_bytes(), &bytes[place.end..]])
}

/// Adds a frame in Binance's wrapper, which names the stream.
fn wrap(turn: &mut Turn, name: &str, bytes: &[u8]) -> std::ops::Range<usize> {
    turn.parts(&[br#"{"stream":""#, name.as_bytes(), br#"","data":"#, bytes, b"}"])
}

/// Where the number of the connection's frames stands in a message that was rendered for no connection.
fn numbering_place(venue: Venue, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    if venue != Venue::Coinbase {
        return None;
    }
    let start = memchr::memmem::find(bytes, SEQUENCE)? + SEQUENCE.len();
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(start..start + length)
}

const SEQUENCE: &[u8] = br#""sequence_num":"#;

/// Books what the kernel has taken.
struct Booking<'a> {
    recording: &'a mut Recording,
    tally: &'a mut Tally,
    time: Time,
    absences: &'a Intervals,
    now_ns: u64,
}

impl Booking<'_> {
    #[inline]
    fn on_taken(&mut self, mark: &Mark) {
        if mark.epoch == 0 || mark.messages == 0 {
            return;
        }
        let lag_ns = self.now_ns.saturating_sub(mark.due_ns);
        // Since it was first offered the client has not taken it, but for the time in which we were not there to see.
        let blocked_ns = self.now_ns.saturating_sub(mark.offered_ns);
        let stall_ns = match blocked_ns {
            0 => 0,
            _ => blocked_ns - self.absences.within(mark.offered_ns, self.now_ns).min(blocked_ns),
        };
        let at_ns = self.time.measured_ns(self.now_ns);
        self.recording.on_delivered(u64::from(mark.messages), at_ns, lag_ns, stall_ns);
        self.tally.on_delivered(mark, lag_ns);
    }
}

fn account_of(body: &Body) -> Option<AccountId> {
    match body {
        Body::Execution(execution) => Some(execution.account),
        Body::Balance(balance) => Some(balance.account),
        Body::Transfer(transfer) => Some(transfer.account),
        Body::Book(_) | Body::Trade(_) | Body::Quote(_) | Body::Ticker(_) | Body::Status(_) => None,
    }
}

/// What is neither folded nor dropped may wait for a client beyond its queue: snapshots and answers that it asked for
/// and does not read. Then it is cut off, however slow clients are treated.
const ANSWERS_MOST: usize = 16 << 20;

/// Reads of one client in a turn: one that talks without end is heard again when the others have had theirs.
const READS_A_TURN: usize = 16;

/// Clients that are gone and are told of one by one.
pub(super) const MOST_PAST: usize = 1_000;

/// How long a client that is taken leave of has to answer.
const LEAVE_NS: u64 = 2_000_000_000;
