//! An exchange with its market and its callers, driven by hand.

use std::{sync::Arc, time::Duration};

use tickstorm_load::{Arrivals, Factor, Rate, Recording, Slot};
use tickstorm_market::{ShardMarket, Snapshot, SymbolId, Ticker};
use tickstorm_net::Link;
use tickstorm_venue::{Venue, access::Keys, protocol::Endpoint};

use super::{caller::Caller, wire::Wire};
use crate::{
    Plan, Spec,
    run::markets_of_run,
    serve::{
        ServeSpec,
        client::{Cause, Stage, Who},
        floor::{Books, Entrance, Floor, Past, PastClients, Time},
        gauge::Gallery,
        outlet::{MAX_REQUEST, MarketBooks},
    },
};

/// The exchange, its market and its clients.
pub(super) struct Hall {
    pub floor: Floor<Wire>,
    pub callers: Vec<Caller>,
    pub now_ns: u64,
    /// How often the exchange looks at its clients.
    pub step_ns: u64,
    pub plan: Plan,
    markets: Vec<Option<Box<ShardMarket>>>,
    slots: Vec<Slot>,
    next_slot: usize,
    gallery: Gallery,
    recording: Recording,
    starts_ns: u64,
    /// The most that ever waited for one client.
    pub most_queued: usize,
    /// The largest turn.
    pub largest_turn: usize,
}

/// What a run came to.
pub(super) struct Outcome {
    pub past: PastClients,
    pub recording: Recording,
    pub callers: Vec<Caller>,
}

pub(super) const MS: u64 = 1_000_000;
pub(super) const S: u64 = 1_000 * MS;

/// Floor time at which the schedule starts.
pub(super) const STARTS_NS: u64 = 200 * MS;

/// A market of three instruments, as busy as a test can wait for.
pub(super) fn market(seed: u64) -> Spec {
    Spec {
        seed,
        symbols: 3,
        accounts: 2,
        base_rate: Rate::per_second(2_000).expect("it is a rate"),
        multiplier: Factor::ONE,
        arrivals: Some(Arrivals::Paced),
        duration: Some(Duration::from_secs(120)),
        ..Spec::default()
    }
}

impl Hall {
    /// Doors that open now; the schedule starts at [`STARTS_NS`], and what is due after so much more is measured.
    pub(super) fn open(spec: &Spec, serve: ServeSpec, measured_from_ns: u64) -> Self {
        let plan = Plan::serving(spec).expect("the plan is an ordinary one");
        let time = Time { is_wire_fixed: true, run_starts_ns: Some(STARTS_NS), measured_from_ns };
        let keys: Vec<Keys> = Venue::ALL
            .iter()
            .map(|&venue| {
                let mut keys = Keys::new(venue);
                for key in serve.keys.iter().filter(|key| key.venue == venue) {
                    keys.add(key.credential.clone()).expect("it is a key");
                }
                keys
            })
            .collect();
        let start_unix_ns = plan.start_unix_ns() as u64;
        let listing = plan.market().listing.clone();
        let times = (start_unix_ns, start_unix_ns);
        let floor = Floor::new(serve, listing, times, time, Arc::from(keys), plan.recording());
        Self {
            floor,
            callers: Vec::new(),
            now_ns: 0,
            step_ns: 5 * MS,
            markets: markets_of_run(&plan),
            slots: Vec::new(),
            next_slot: 0,
            gallery: Gallery::blind(),
            recording: plan.recording(),
            starts_ns: STARTS_NS,
            plan,
            most_queued: 0,
            largest_turn: 0,
        }
    }

    /// The schedule starts later.
    pub(super) fn start_at(&mut self, starts_ns: u64) {
        self.starts_ns = starts_ns;
        self.floor.time.run_starts_ns = Some(starts_ns);
    }

    /// A client comes whose kernel holds so many bytes.
    pub(super) fn enter(&mut self, venue: Venue, capacity: usize) -> usize {
        self.enter_by(entrance(venue), Wire::new(capacity), &[])
    }

    pub(super) fn enter_by(&mut self, entrance: Entrance, wire: Wire, early: &[u8]) -> usize {
        let venue = entrance.venue;
        let link = Link::new(wire.clone(), early, MAX_REQUEST);
        let key = self.floor.arrive(link, entrance, &MarketBooks(&self.markets), self.now_ns);
        self.callers.push(Caller::new(key, venue, &self.plan.market().listing, wire));
        self.floor.hear(key, &MarketBooks(&self.markets), self.now_ns);
        self.callers.len() - 1
    }

    /// Goes on by so much.
    pub(super) fn run(&mut self, span_ns: u64) {
        let until_ns = self.now_ns + span_ns;
        while self.now_ns < until_ns {
            self.step((self.now_ns + self.step_ns).min(until_ns));
        }
    }

    fn step(&mut self, now_ns: u64) {
        while self.due_ns() <= now_ns {
            let slot = self.slots[self.next_slot];
            self.next_slot += 1;
            let market = self.markets[usize::from(slot.shard())].as_mut().expect("it has symbols");
            self.floor.say(market.next(slot.due_ns()));
            if self.floor.turn_bytes() >= 192 << 10 {
                self.flush(now_ns);
            }
        }
        self.flush(now_ns);
        self.floor.reached(now_ns);
        self.flush(now_ns);
        self.now_ns = now_ns;
        self.attend();
    }

    /// So many messages of the market, without the end of a turn. How many more the first client is owed then.
    pub(super) fn say_without_a_flush(&mut self, count: usize) -> u64 {
        let key = self.callers[0].key;
        let owed = |floor: &Floor<Wire>| floor.client(key).map_or(0, |client| client.tally.owed);
        let before = owed(&self.floor);
        for _ in 0..count {
            let slot = self.slots[self.next_slot];
            self.next_slot += 1;
            let market = self.markets[usize::from(slot.shard())].as_mut().expect("it has symbols");
            self.floor.say(market.next(slot.due_ns()));
        }
        owed(&self.floor) - before
    }

    fn due_ns(&mut self) -> u64 {
        if self.slots.is_empty() {
            let mut clock = self.plan.schedule().clock(|_| true);
            while clock.next_cell(&mut self.slots).is_some() {}
        }
        self.slots.get(self.next_slot).map_or(u64::MAX, |slot| self.starts_ns + slot.due_ns())
    }

    fn flush(&mut self, now_ns: u64) {
        self.largest_turn = self.largest_turn.max(self.floor.turn_bytes());
        self.floor.flush(now_ns);
        for key in self.floor.keys().collect::<Vec<_>>() {
            let queued = self.floor.client(key).map_or(0, |client| client.link.queued());
            self.most_queued = self.most_queued.max(queued);
        }
    }

    /// What the drive loop does between two turns: clients are heard, and the clock is looked at.
    pub(super) fn attend(&mut self) {
        for index in 0..self.callers.len() {
            let caller = &mut self.callers[index];
            caller.listen();
            for symbol in std::mem::take(&mut caller.fetches) {
                caller.fetched(&MarketBooks(&self.markets).book(symbol).expect("it is traded"));
            }
            let (key, wire) = (caller.key, caller.wire.clone());
            let is_blocked = self.floor.client(key).is_some_and(|client| client.link.is_blocked());
            if is_blocked && wire.is_writable() {
                self.floor.go_on(key, self.now_ns);
            }
            if wire.is_readable() {
                self.floor.hear(key, &MarketBooks(&self.markets), self.now_ns);
            }
        }
        self.floor.tick(&mut self.gallery, self.now_ns);
        self.flush(self.now_ns);
        self.floor.changed.clear();
        self.floor.ended.clear();
        self.floor.settle(&mut self.recording);
    }

    pub(super) fn truth(&self, symbol: SymbolId) -> Snapshot {
        MarketBooks(&self.markets).book(symbol).expect("it is traded")
    }

    /// The statistics that are told by HTTP.
    pub(super) fn tickers_told(&self, single: Option<SymbolId>) -> Vec<Option<Ticker>> {
        self.floor.tickers_told(single, &MarketBooks(&self.markets))
    }

    /// Tells what is still to be told, and has all read it who read.
    pub(super) fn settle(&mut self) {
        self.floor.close_windows(self.now_ns);
        self.flush(self.now_ns);
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..SETTLING {
            self.attend();
            let waits = |caller: &Caller| {
                let client = self.floor.client(caller.key);
                caller.is_reading && client.is_some_and(|client| client.link.queued() > 0)
            };
            if !self.callers.iter().any(waits) {
                break;
            }
        }
        // What was read last is answered.
        (0..4).for_each(|_| self.attend());
    }

    /// Ends the run and balances the books.
    #[track_caller]
    pub(super) fn close(mut self) -> Outcome {
        self.settle();
        for key in self.floor.keys().collect::<Vec<_>>() {
            self.floor.say_goodbye(key, self.now_ns);
        }
        self.flush(self.now_ns);
        self.drain();
        for key in self.floor.keys().collect::<Vec<_>>() {
            self.floor.end(key, Cause::RunEnded, None, "", self.now_ns);
        }
        self.floor.settle(&mut self.recording);
        let past = std::mem::take(&mut self.floor.past).told();
        let outcome = Outcome { past, recording: self.recording, callers: self.callers };
        outcome.check();
        outcome
    }

    /// Whether a client is still being served.
    pub(super) fn waits(&self, index: usize) -> usize {
        self.floor.client(self.callers[index].key).map_or(0, |client| client.link.queued())
    }

    pub(super) fn is_open(&self, index: usize) -> bool {
        let client = self.floor.client(self.callers[index].key);
        client.is_some_and(|client| client.stage == Stage::Open)
    }
}

impl Outcome {
    /// The books balance, client by client and together.
    #[track_caller]
    pub(super) fn check(&self) {
        let mut sums = [0; 3];
        for past in &self.past.kept {
            let tally = &past.tally;
            assert_eq!(
                tally.owed,
                tally.delivered + tally.folded + tally.dropped + tally.lost,
                "{} client {}: {tally:?}",
                past.venue,
                past.number
            );
            sums[0] += tally.owed;
            sums[1] += tally.delivered + tally.folded;
            sums[2] += tally.dropped + tally.lost;
        }
        let ledger = self.recording.ledger();
        assert_eq!(sums, [ledger.due, ledger.sent, ledger.dropped.total()]);
        ledger.balances(tickstorm_load::Outstanding::default()).expect("the books balance");
    }

    pub(super) fn of(&self, index: usize) -> &Past {
        let key = self.callers[index].key;
        self.past.kept.iter().find(|past| past.key == key).expect("everybody who came is gone")
    }
}

pub(super) fn entrance(venue: Venue) -> Entrance {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    Entrance {
        who: Who { peer: nowhere, local: nowhere, user_agent: None, is_tls: false },
        venue,
        endpoint: Endpoint::Public,
        is_combined: false,
        streams: Vec::new(),
        owner: None,
    }
}

/// Looks in which everything is read that will be.
const SETTLING: usize = 10_000;
