//! Sessions with a venue that has no network: its market, its answers and its acknowledgements, and time by hand.

use tickstorm_market::event::{Body, Kind, Message, Side};
use tickstorm_venue::protocol::{Circumstances, Endpoint};
use tickstorm_venue::rest::{Facts, HttpRequest};
use tickstorm_venue::{Encoder, Numbering};

use super::*;
use crate::feed::Feed;
use crate::{Plan, Spec, Target};

/// A venue with one client.
struct Exchange {
    venue: Venue,
    listing: Listing,
    feed: Feed,
    start_unix_ns: u64,
    encoder: Encoder,
    numbering: Numbering,
    protocol: Protocol,
    rest: Rest,
    depth: u32,
    /// Bodies of answers that come before the true ones.
    stale: Option<Snapshot>,
    /// Questions by HTTP that are refused before one is answered.
    refusals: u32,
    /// Whether it answers nobody by HTTP any more.
    is_closing: bool,
}

/// Both ends, and the time.
struct Pair {
    exchange: Exchange,
    session: Session,
    now_ns: u64,
    /// Requests and when they were sent.
    sent: Vec<(u64, Vec<u8>)>,
    connects: Vec<u64>,
    hang_ups: u32,
    /// Whether a server listens, and what a client finds if none does.
    listens: bool,
    refusal: Loss,
}

fn plan(venue: Venue, symbols: u32) -> Plan {
    let spec = Spec { venue, symbols, seed: 31, ..Spec::default() };
    Plan::new(&spec, &Target::default()).unwrap()
}

impl Exchange {
    fn new(venue: Venue, symbols: u32, depth: u32) -> Self {
        let plan = plan(venue, symbols);
        let listing = plan.market().listing.clone();
        let feed = Feed::new(plan.schedule(), plan.market());
        let mut encoder = Encoder::with_depth(venue, &listing, plan.start_unix_ns(), depth);
        feed.books().for_each(|book| encoder.seed(&book));
        Self {
            venue,
            feed,
            start_unix_ns: u64::try_from(plan.start_unix_ns()).unwrap(),
            encoder,
            numbering: Numbering::default(),
            protocol: Protocol::new(venue, &listing),
            rest: Rest::new(venue, &listing),
            listing,
            depth,
            stale: None,
            refusals: 0,
            is_closing: false,
        }
    }

    /// The market's next message of a public kind and its wording, if the venue tells it to subscribers of books and
    /// trades.
    fn next(&mut self) -> (Message, Option<Vec<u8>>) {
        loop {
            let (due_ns, market) = self.feed.next_slot().expect("the run is long enough");
            let message = *market.next(due_ns);
            if !matches!(message.body.kind(), Kind::Book | Kind::Trade) {
                continue;
            }
            let mut bytes = Vec::new();
            let told = self.encoder.encode(&message, &mut self.numbering, &mut bytes);
            return (message, told.then_some(bytes));
        }
    }

    /// The answers to a request, and the books that it asks for.
    fn hear(&mut self, request: &[u8], now_ns: u64) -> Vec<Vec<u8>> {
        let circumstances = Circumstances {
            now_unix_ns: self.start_unix_ns + now_ns,
            connection: 1,
            endpoint: Endpoint::Public,
        };
        let read = self.protocol.read_request(request, Endpoint::Public);
        let (reply, topics) = match read.unwrap_or_else(|refused| panic!("{refused:?}")) {
            Request::Subscribe { id, topics, .. } => (
                Reply::Subscribed { id, all: topics.clone(), topics: topics.clone(), snapshot: None },
                topics,
            ),
            Request::Unsubscribe { id, topics } => {
                (Reply::Unsubscribed { id, topics, all: Vec::new() }, Vec::new())
            }
            Request::Ping { id } => (Reply::Pong { id }, Vec::new()),
            other => panic!("nobody was to ask {other:?}"),
        };
        let mut said = Vec::new();
        self.protocol
            .write_reply(&reply, &circumstances, &mut self.numbering, |bytes| said.push(bytes.to_vec()));
        let books = topics.iter().filter(|topic| matches!(topic.channel, Channel::Book { .. }));
        if self.venue != Venue::Binance {
            for symbol in books.filter_map(|topic| topic.symbol) {
                let book = self.feed.snapshot(symbol).unwrap();
                let mut bytes = Vec::new();
                self.encoder.snapshot(&book, now_ns, &mut self.numbering, &mut bytes);
                said.push(bytes);
            }
        }
        said
    }

    fn answer(&mut self, path: &str) -> Result<Vec<u8>, NoAnswer> {
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(NoAnswer {
                reason: "status 429".into(),
                retry_after_ns: Some(3 * S),
                is_unavailable: false,
            });
        }
        if self.is_closing {
            return Err(NoAnswer { reason: "status 503".into(), retry_after_ns: None, is_unavailable: true });
        }
        let (path, query) = path.split_once('?').unwrap();
        let call = self.rest.read_request(&HttpRequest { method: "GET", path, query, body: b"" }).unwrap();
        let Call::Depth { symbol, .. } = call else { panic!("nobody was to ask {call:?}") };
        let book = self.stale.take().unwrap_or_else(|| self.feed.snapshot(symbol).unwrap());
        let facts = Facts { now_unix_ns: self.start_unix_ns, book: Some(&book), balances: None, token: "" };
        Ok(self.rest.answer(&call, &facts).body)
    }
}

impl Pair {
    fn new(venue: Venue) -> Self {
        Self::of(venue, 3, |_| {})
    }

    fn of(venue: Venue, symbols: u32, change: impl FnOnce(&mut Subject)) -> Self {
        let mut subject = Subject {
            venue,
            listing: plan(venue, symbols).market().listing.clone(),
            channels: vec![ConsumeChannel::Book, ConsumeChannel::Trades],
            depth: venue.rules().default_depth,
            books: Books::Kept,
            reconnect: Reconnect::Always,
            max_age_ns: None,
        };
        change(&mut subject);
        Self {
            exchange: Exchange::new(venue, symbols, subject.depth),
            session: Session::new(subject),
            now_ns: 0,
            sent: Vec::new(),
            connects: Vec::new(),
            hang_ups: 0,
            listens: true,
            refusal: Loss::NobodyThere,
        }
    }

    /// Messages take five milliseconds.
    fn moment(&self) -> Moment {
        Moment { run_ns: self.now_ns, unix_ns: self.exchange.start_unix_ns + self.now_ns + 5 * MS }
    }

    /// Does what the session wants now.
    fn obey(&mut self) {
        if self.now_ns >= self.session.tick_due_ns() {
            self.session.tick(self.moment());
        }
        while let Some(order) = self.session.next_order(self.moment()) {
            let now = self.moment();
            match order {
                Order::Connect => {
                    self.connects.push(self.now_ns);
                    match self.listens {
                        true => {
                            self.exchange.numbering = Numbering::default();
                            self.session.opened(now);
                        }
                        false => self.session.lost(now, self.refusal, "nobody listens"),
                    }
                }
                Order::HangUp => self.hang_ups += 1,
                Order::Send(request) => {
                    for message in self.exchange.hear(&request, self.now_ns) {
                        self.session.take(now, &message);
                    }
                    self.sent.push((self.now_ns, request));
                }
                Order::Fetch { symbol, path } => {
                    let answer = self.exchange.answer(&path);
                    self.session.fetched(now, symbol, answer.as_deref().map_err(NoAnswer::clone));
                }
            }
        }
    }

    /// Lets time pass without messages.
    fn wait(&mut self, ns: u64) {
        let until_ns = self.now_ns + ns;
        while self.now_ns < until_ns {
            self.now_ns = (self.now_ns + 10 * MS).min(until_ns);
            self.obey();
        }
    }

    /// Hands over so many messages of the market, as `pass` lets each through: how often.
    fn trade(&mut self, messages: usize, mut pass: impl FnMut(&Message) -> usize) {
        for _ in 0..messages {
            let (message, bytes) = self.exchange.next();
            self.now_ns = self.now_ns.max(message.due_ns);
            self.obey();
            let Some(bytes) = bytes.filter(|_| self.session.is_open()) else { continue };
            let times = pass(&message);
            for _ in 0..times {
                self.session.on_traffic(self.moment());
                self.session.take(self.moment(), &bytes);
                self.obey();
            }
        }
    }

    /// Subscribes and has the market go on until every book is whole.
    fn begin(&mut self) {
        self.obey();
        self.wait(2 * S);
        self.trade(500, |_| 1);
        self.expect_true_books();
        assert!(self.session.tally().faults.is_clean(), "{:?}", self.session.tally().faults);
    }

    #[track_caller]
    fn expect_true_books(&self) {
        let symbols = self.exchange.listing.instruments.len();
        assert_eq!(self.session.books(), (symbols, symbols), "{:?}", self.session.tally());
        let shown = if self.exchange.depth == 0 { usize::MAX } else { self.exchange.depth as usize };
        for book in self.exchange.feed.books() {
            for (side, levels) in [(Side::Buy, &book.bids), (Side::Sell, &book.asks)] {
                let held: Vec<_> = self.session.replica().levels(book.symbol, side).take(shown).collect();
                let true_ones: Vec<_> = levels.iter().copied().take(shown).collect();
                assert_eq!(held, true_ones, "{:?} of {:?}", side, book.symbol);
            }
        }
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        self.session.tally().faults.kinds.iter().map(|(&kind, &count)| (kind, count)).collect()
    }
}

/// Lets everything through but the `n`-th update of a book of symbol 0, which passes so many times.
fn harmed(n: usize, times: usize) -> impl FnMut(&Message) -> usize {
    let mut seen = 0;
    move |message| {
        if !matches!(message.body, Body::Book(_)) || message.symbol.0 != 0 {
            return 1;
        }
        seen += 1;
        if seen == n { times } else { 1 }
    }
}

#[test]
fn a_whole_stream_gives_the_markets_books_and_nothing_to_object_to() {
    for venue in Venue::ALL {
        let mut pair = Pair::new(venue);
        pair.begin();
        pair.trade(3_000, |_| 1);
        pair.expect_true_books();
        let tally = pair.session.tally();
        assert!(tally.faults.is_clean(), "{venue}: {:?}", tally.faults);
        assert_eq!((tally.resyncs, tally.connections, tally.losses), (0, 1, 0), "{venue}");
        let counts = tally.symbols.iter().fold(ConsumeCountsSum::default(), |sum, it| sum.and(it.counts));
        assert!(counts.trades > 100 && counts.book_updates > 1_000, "{venue}: {counts:?}");
        let snapshots = if venue == Venue::Binance { (0, 3) } else { (3, 0) };
        assert_eq!((counts.book_snapshots, tally.fetched), snapshots, "{venue}");
    }
}

#[derive(Debug, Default)]
struct ConsumeCountsSum {
    trades: u64,
    book_updates: u64,
    book_snapshots: u64,
}

impl ConsumeCountsSum {
    fn and(self, counts: super::super::ConsumeCounts) -> Self {
        Self {
            trades: self.trades + counts.trades,
            book_updates: self.book_updates + counts.book_updates,
            book_snapshots: self.book_snapshots + counts.book_snapshots,
        }
    }
}

#[test]
fn books_of_every_depth_are_kept() {
    for venue in Venue::ALL {
        for &depth in venue.rules().depths.iter().filter(|&&depth| depth > 1) {
            let mut pair = Pair::of(venue, 2, |subject| subject.depth = depth);
            pair.obey();
            pair.wait(2 * S);
            pair.trade(2_000, |_| 1);
            pair.expect_true_books();
            assert!(
                pair.session.tally().faults.is_clean(),
                "{venue} {depth}: {:?}",
                pair.session.tally().faults
            );
        }
    }
}

#[test]
fn a_lost_update_is_found_and_the_book_made_whole_again() {
    for (venue, kind) in [
        (Venue::Binance, "update_gap"),
        (Venue::Coinbase, "number"),
        (Venue::Kraken, "checksum"),
        (Venue::Okx, "update_gap"),
        (Venue::Bybit, "update_gap"),
    ] {
        let mut pair = Pair::new(venue);
        pair.begin();
        let before = pair.session.tally().connections;
        pair.trade(1_000, harmed(100, 0));
        pair.wait(2 * S);
        pair.trade(500, |_| 1);
        pair.expect_true_books();
        let tally = pair.session.tally();
        assert_eq!(pair.faults(), [(kind, 1)], "{venue}");
        match venue {
            // Whose message was lost is not told: everything is begun anew.
            Venue::Coinbase => {
                assert_eq!((tally.resyncs, tally.connections, pair.hang_ups), (0, before + 1, 1));
            }
            _ => {
                assert_eq!((tally.resyncs, tally.connections), (1, before), "{venue}");
                assert_eq!((tally.symbols[0].resyncs, tally.symbols[0].faults), (1, 1), "{venue}");
                let name = venue.symbol(&pair.exchange.listing, &pair.exchange.listing.instruments[0]);
                assert_eq!(tally.faults.first[0].symbol.as_deref(), Some(&*name));
            }
        }
    }
}

#[test]
fn a_doubled_update_is_named_and_harms_nothing() {
    for (venue, faults) in [
        (Venue::Binance, &[("old_update", 1)][..]),
        (Venue::Coinbase, &[("number", 1)]),
        // Without numbers, and with quantities that are absolute, it cannot be told from an update that changes nothing.
        (Venue::Kraken, &[]),
        (Venue::Okx, &[("old_update", 1)]),
        (Venue::Bybit, &[("old_update", 1)]),
    ] {
        let mut pair = Pair::new(venue);
        pair.begin();
        pair.trade(1_000, harmed(100, 2));
        pair.expect_true_books();
        assert_eq!(pair.faults(), faults, "{venue}");
        let tally = pair.session.tally();
        assert_eq!((tally.resyncs, tally.connections), (0, 1), "{venue}");
    }
}

#[test]
fn a_snapshot_from_before_the_first_update_is_fetched_again() {
    let mut pair = Pair::of(Venue::Binance, 1, |_| {});
    let old = pair.exchange.feed.snapshot(SymbolId(0)).unwrap();
    for _ in 0..500 {
        pair.exchange.next();
    }
    pair.exchange.stale = Some(old);
    pair.trade(500, |_| 1);
    pair.wait(2 * S);
    pair.trade(500, |_| 1);
    pair.expect_true_books();
    let tally = pair.session.tally();
    assert_eq!((tally.snapshots_too_old, tally.fetched), (1, 2));
    assert!(tally.faults.is_clean(), "an old snapshot is no fault: {:?}", tally.faults);
}

#[test]
fn updates_that_a_snapshot_contains_are_left_out() {
    let mut pair = Pair::of(Venue::Binance, 1, |_| {});
    pair.exchange.refusals = 1;
    pair.obey();
    pair.trade(300, |_| 1);
    assert_eq!(pair.session.books(), (1, 0));
    // Meanwhile updates are held; the snapshot that comes contains them all.
    pair.wait(4 * S);
    assert_eq!(pair.session.books(), (1, 1));
    pair.trade(300, |_| 1);
    pair.expect_true_books();
    assert_eq!(pair.faults(), [(NO_SNAPSHOT, 1)]);
    assert_eq!(pair.session.tally().fetches_failed, 1);
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let mut pair = Pair::of(Venue::Binance, 1, |_| {});
    pair.exchange.refusals = 1;
    pair.obey();
    pair.wait(2 * S);
    assert_eq!(pair.exchange.refusals, 0);
    assert_eq!(pair.session.books(), (1, 0), "it said three seconds");
    pair.wait(2 * S);
    assert_eq!(pair.session.books(), (1, 1));
}

#[test]
fn a_server_that_is_about_to_close_owes_no_snapshot() {
    let mut pair = Pair::of(Venue::Binance, 1, |_| {});
    pair.exchange.is_closing = true;
    pair.obey();
    pair.wait(15 * S);
    let tally = pair.session.tally();
    assert!((3..20).contains(&tally.fetches_failed), "{} in 15 s", tally.fetches_failed);
    assert_eq!(pair.faults(), []);
    pair.listens = false;
    pair.session.lost(pair.moment(), Loss::Closed, "closed: code 1001");
    pair.wait(30 * S);
    assert!(pair.session.ended().is_some());
    assert_eq!((pair.faults(), pair.session.books()), (vec![], (1, 0)), "and its book is not whole");
}

#[test]
fn a_server_that_goes_on_owes_the_snapshots_that_it_did_not_give() {
    for (closing_s, goes_on) in [(3, true), (25, false)] {
        let mut pair = Pair::of(Venue::Binance, 1, |_| {});
        pair.exchange.is_closing = true;
        pair.obey();
        pair.wait(closing_s * S);
        if goes_on {
            assert_eq!(pair.faults(), []);
            pair.exchange.is_closing = false;
            pair.wait(5 * S);
            assert_eq!(pair.session.books(), (1, 1));
        }
        let failed = pair.session.tally().fetches_failed;
        assert_eq!(pair.faults(), [(NO_SNAPSHOT, failed)], "{closing_s} s");
    }
}

#[test]
fn a_lost_connection_is_opened_again_and_everything_begun_anew() {
    for venue in Venue::ALL {
        let mut pair = Pair::new(venue);
        pair.begin();
        let lost_ns = pair.now_ns;
        pair.session.lost(pair.moment(), Loss::Broken, "cut");
        assert_eq!(pair.session.books(), (3, 0), "{venue}");
        pair.trade(50, |_| panic!("nobody hears this"));
        pair.wait(3 * S);
        pair.trade(500, |_| 1);
        pair.expect_true_books();
        assert_eq!(pair.connects.len(), 2, "{venue}");
        assert!(pair.connects[1] >= lost_ns + 250 * MS, "{venue}");
        let tally = pair.session.tally();
        assert_eq!((tally.connections, tally.losses, tally.resyncs), (2, 1, 0), "{venue}");
        assert_eq!(pair.faults(), [(CONNECTION_LOST, 1)], "{venue}");
    }
}

#[test]
fn a_server_that_is_gone_is_tried_at_longer_and_longer_distances_and_then_given_up() {
    let mut pair = Pair::new(Venue::Okx);
    pair.begin();
    pair.listens = false;
    pair.session.lost(pair.moment(), Loss::Broken, "cut");
    pair.wait(600 * S);
    let distances: Vec<u64> = pair.connects.windows(2).map(|pair| (pair[1] - pair[0]) / (10 * MS)).collect();
    assert_eq!(pair.connects.len(), 1 + CONNECT_ATTEMPTS_MAX as usize);
    assert_eq!(&distances[1..], [50, 100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
    assert_eq!(pair.session.ended(), Some(&ConsumeEnd::Lost("nobody listens".to_owned())));
}

#[test]
fn who_is_not_to_connect_again_ends() {
    for harm in [
        |pair: &mut Pair| pair.session.lost(pair.moment(), Loss::Broken, "cut"),
        |pair: &mut Pair| {
            pair.trade(1_000, harmed(10, 0));
        },
    ] {
        let mut pair = Pair::of(Venue::Coinbase, 3, |subject| subject.reconnect = Reconnect::Never);
        pair.begin();
        harm(&mut pair);
        pair.wait(60 * S);
        assert!(pair.session.ended().is_some());
        assert_eq!(pair.connects.len(), 1);
    }
}

#[test]
fn a_server_that_takes_its_leave_is_no_fault_and_everything_is_begun_anew() {
    for venue in Venue::ALL {
        let mut pair = Pair::new(venue);
        pair.begin();
        let left_ns = pair.now_ns;
        pair.session.lost(pair.moment(), Loss::Closed, "closed: code 1001");
        assert_eq!(pair.session.books(), (3, 3), "{venue}: they are whole as of the close");
        assert!(!pair.session.is_open());
        pair.wait(3 * S);
        pair.trade(500, |_| 1);
        pair.expect_true_books();
        assert!(pair.connects[1] >= left_ns + 250 * MS, "{venue}");
        let tally = pair.session.tally();
        assert_eq!((tally.connections, tally.losses, tally.closes), (2, 0, 1), "{venue}");
        assert_eq!(tally.closings[0].text, "closed: code 1001");
        assert_eq!(pair.faults(), [], "{venue}");
    }
}

#[test]
fn a_server_that_took_its_leave_and_is_gone_ends_the_session_with_its_books() {
    for venue in Venue::ALL {
        let mut pair = Pair::new(venue);
        pair.begin();
        pair.listens = false;
        pair.session.lost(pair.moment(), Loss::Closed, "closed: code 1001");
        pair.wait(60 * S);
        assert_eq!(
            pair.session.ended(),
            Some(&ConsumeEnd::Closed("closed: code 1001".to_owned())),
            "{venue}"
        );
        assert_eq!(pair.connects.len(), 2, "{venue}: once more is enough");
        pair.expect_true_books();
        assert_eq!(pair.faults(), [], "{venue}");
    }
}

#[test]
fn a_server_that_leaves_and_then_lets_nobody_in_is_asked_again_until_it_is_gone() {
    let mut pair = Pair::new(Venue::Okx);
    pair.begin();
    (pair.listens, pair.refusal) = (false, Loss::NotOpened);
    pair.session.lost(pair.moment(), Loss::Closed, "closed: code 1001");
    pair.wait(S);
    assert!(pair.connects.len() > 2);
    assert_eq!(pair.session.ended(), None);
    assert_eq!(pair.session.books(), (3, 0), "what the books of a server are that is there is not known");
    pair.refusal = Loss::NobodyThere;
    pair.wait(10 * S);
    assert_eq!(pair.session.ended(), Some(&ConsumeEnd::Closed("closed: code 1001".to_owned())));
    pair.expect_true_books();

    let mut pair = Pair::new(Venue::Okx);
    pair.begin();
    (pair.listens, pair.refusal) = (false, Loss::NotOpened);
    pair.session.lost(pair.moment(), Loss::Closed, "closed: code 1001");
    pair.wait(600 * S);
    assert!(matches!(pair.session.ended(), Some(ConsumeEnd::Lost(_))), "{:?}", pair.session.ended());
    assert_eq!(pair.session.books(), (3, 0));
}

#[test]
fn who_is_not_to_connect_again_ends_with_the_servers_leave() {
    let mut pair = Pair::of(Venue::Kraken, 3, |subject| subject.reconnect = Reconnect::Never);
    pair.begin();
    pair.session.lost(pair.moment(), Loss::Closed, "closed: code 1000");
    pair.wait(S);
    assert_eq!(pair.session.ended(), Some(&ConsumeEnd::Closed("closed: code 1000".to_owned())));
    assert_eq!(pair.connects.len(), 1);
    pair.expect_true_books();
}

#[test]
fn an_announced_close_is_no_fault_either() {
    let mut pair = Pair::new(Venue::Okx);
    pair.begin();
    let notice = br#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#;
    pair.session.take(pair.moment(), notice);
    pair.obey();
    pair.wait(3 * S);
    pair.trade(500, |_| 1);
    pair.expect_true_books();
    assert_eq!((pair.hang_ups, pair.connects.len(), pair.session.tally().closes), (1, 2, 1));
    assert_eq!(pair.faults(), []);
}

#[test]
fn a_silent_connection_is_given_up() {
    for (venue, silence_s) in [(Venue::Binance, 60), (Venue::Coinbase, 20)] {
        let mut pair = Pair::new(venue);
        pair.begin();
        let quiet_ns = pair.now_ns;
        pair.wait((silence_s - 1) * S);
        assert_eq!(pair.hang_ups, 0, "{venue}");
        pair.wait(3 * S);
        assert_eq!((pair.hang_ups, pair.connects.len()), (1, 2), "{venue}");
        assert!(pair.connects[1] - quiet_ns >= silence_s * S, "{venue}");
        assert_eq!(pair.faults(), [(CONNECTION_LOST, 1)], "{venue}");
    }
}

#[test]
fn a_client_says_that_it_is_there_where_the_venue_wants_to_hear_it() {
    for (venue, ping) in [
        (Venue::Kraken, &br#"{"method":"ping","req_id":3}"#[..]),
        (Venue::Okx, b"ping"),
        (Venue::Bybit, br#"{"req_id":"3","op":"ping"}"#),
    ] {
        let mut pair = Pair::new(venue);
        pair.begin();
        pair.wait(31 * S);
        assert_eq!(pair.sent.last().map(|(_, request)| &request[..]), Some(ping), "{venue}");
        assert!(pair.session.tally().pongs > 0, "{venue}");
    }
}

#[test]
fn requests_are_as_long_and_as_frequent_as_the_venue_allows() {
    for (venue, requests) in
        [(Venue::Binance, 4), (Venue::Coinbase, 7), (Venue::Kraken, 6), (Venue::Okx, 4), (Venue::Bybit, 50)]
    {
        let mut pair = Pair::of(venue, 250, |_| {});
        pair.obey();
        pair.wait(10 * S);
        assert_eq!(pair.sent.len(), requests, "{venue}");
        let gap_ns = etiquette::of(venue).request_gap_ns;
        for pair in pair.sent.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= gap_ns, "{venue}");
        }
        let (wanted, whole) = pair.session.books();
        assert_eq!(wanted, 250, "{venue}");
        assert!(whole == 250 || venue == Venue::Binance, "{venue}: {whole}");
        assert!(pair.session.tally().acknowledged > 0, "{venue}");
    }
}

#[test]
fn snapshots_by_http_keep_to_the_venues_budget() {
    let mut pair = Pair::of(Venue::Binance, 250, |_| {});
    pair.obey();
    pair.wait(10 * S);
    // 2,900 at once and 50 a second, each of 500 levels weighs 25.
    let fetched = pair.session.tally().fetched;
    assert!((116..=116 + 20).contains(&fetched), "{fetched}");
    for _ in 0..2 {
        pair.session.on_traffic(pair.moment());
        pair.wait(40 * S);
    }
    assert_eq!(pair.session.tally().fetched, 250);
}

#[test]
fn a_book_that_is_lost_again_and_again_is_asked_for_less_and_less_often() {
    let mut pair = Pair::of(Venue::Okx, 1, |_| {});
    pair.begin();
    let mut seen = 0u32;
    let begin_ns = pair.now_ns;
    // Every other update is lost.
    pair.trade(40_000, |message| {
        seen += u32::from(matches!(message.body, Body::Book(_)));
        usize::from(seen.is_multiple_of(2))
    });
    let seconds = (pair.now_ns - begin_ns) / S;
    let resyncs = pair.session.tally().resyncs;
    assert!(seconds > 20 && (4..15).contains(&resyncs), "{resyncs} in {seconds} s");
}

#[test]
fn a_snapshot_that_does_not_come_is_asked_for_again() {
    let mut pair = Pair::of(Venue::Kraken, 1, |_| {});
    pair.session.tick(pair.moment());
    assert_eq!(pair.session.next_order(pair.moment()), Some(Order::Connect));
    pair.session.opened(pair.moment());
    // The venue does not hear the requests.
    while pair.now_ns < 2 * S {
        pair.now_ns += 50 * MS;
        pair.session.tick(pair.moment());
        while pair.session.next_order(pair.moment()).is_some() {}
    }
    pair.wait(12 * S);
    assert_eq!(pair.session.books(), (1, 1));
    assert_eq!(pair.faults(), [(NO_SNAPSHOT, 1)]);
    assert!(pair.sent[0].1.starts_with(br#"{"method":"unsubscribe""#));
}

#[test]
fn without_books_everything_is_counted_and_nothing_fetched() {
    let mut pair = Pair::of(Venue::Binance, 3, |subject| subject.books = Books::Ignored);
    pair.obey();
    pair.wait(2 * S);
    pair.trade(1_000, harmed(10, 0));
    let tally = pair.session.tally();
    assert_eq!((pair.session.books(), tally.fetched, tally.faults.total()), ((0, 0), 0, 0));
    assert!(tally.events > 900, "{}", tally.events);
}

#[test]
fn ages_are_told_by_the_messages_own_times() {
    let mut pair = Pair::of(Venue::Kraken, 3, |subject| subject.max_age_ns = Some(3 * MS));
    pair.trade(1_000, |_| 1);
    pair.session.take_ages();
    let ages = pair.session.ages();
    // Five milliseconds from when a message is due; its own time is that of the engine, a little before.
    assert!(ages.count >= 500 && (5.0..100.0).contains(&ages.p50_ms), "{ages:?}");
    assert_eq!((pair.session.tally().older, pair.session.tally().ahead), (ages.count, 0));
}

#[test]
fn nonsense_and_refusals_are_named() {
    let mut pair = Pair::new(Venue::Okx);
    pair.begin();
    let now = pair.moment();
    pair.session.take(now, b"{\"x\":");
    pair.session
        .take(now, br#"{"event":"error","code":"60018","msg":"Wrong URL or channel:x","connId":"a4d3ae55"}"#);
    let kinds: Vec<&str> = pair.faults().iter().map(|&(kind, _)| kind).collect();
    assert_eq!(kinds, ["malformed", REFUSED]);
}
