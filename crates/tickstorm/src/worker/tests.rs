//! The drive loop against an outlet that takes, blocks, breaks and answers as a die falls, and keeps a record of its own.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tickstorm_load::{
    Arrivals, Dropped, Factor, Failure, Ledger, Outstanding, Path, Rate, Recording, RecordingSpec, Schedule,
    ScheduleSpec, Slot,
};
use tickstorm_market::{Kind, Listing, MarketSpec, Message, ShardMarket};
use tickstorm_random::{Seed, Stream};

use super::*;
use crate::{
    Pacing,
    outlet::{Markets, Taken},
};

/// What the outlet does, in per mille of its opportunities.
#[derive(Debug, Clone, Copy)]
struct Temper {
    answers: u32,
    refuses: u32,
    repeats: u32,
    talks_nonsense: u32,
    blocks: u32,
    breaks: u32,
    comes_back: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replies {
    /// Each names its message.
    ById,
    /// The n-th answers the n-th.
    InOrder,
    /// There are none.
    None,
}

/// When the run is told to end, counted in looks of the worker at the outlet.
#[derive(Debug, Clone, Copy)]
struct Order {
    command: Command,
    after_waits: u32,
}

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    temper: Temper,
    replies: Replies,
    order: Option<Order>,
    lanes: usize,
    rate: u64,
    warm_up_ms: u64,
    timeout_ms: u64,
    max_concurrent: u64,
    at_limit: AtLimit,
    batch: usize,
    flush: Flush,
    pacing: Pacing,
    publish_every_ms: [u64; 2],
    freeze: Option<Freeze>,
}

/// The worker is once kept from running while it waits for answers.
#[derive(Debug, Clone, Copy)]
struct Freeze {
    ms: u64,
    /// What it found before is all that it knows when it goes on.
    is_after_the_look: bool,
}

/// The outlet's own books. Counts are of the messages that were due in the measured phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Record {
    sent: u64,
    processed: u64,
    refused: u64,
    lost: u64,
    timed_out: u64,
    unanswered_at_the_end: u64,
    late: u64,
    unexpected: u64,
    /// Due instants and shards of what was handed over.
    placed: Vec<Slot>,
    waits: u64,
    /// What the drive loop did against the outlet's rules.
    faults: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Placed,
    Taken,
    Answered,
    GivenUp,
    /// Its late answer came too.
    AnsweredLate,
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    due_ns: u64,
    state: State,
}

#[derive(Debug, Default)]
struct ChaosLane {
    /// By ordinal, since the lane last came up.
    messages: Vec<Sent>,
    taken: usize,
    /// In-order replies: whose turn it is.
    next_answer: usize,
    is_blocked: bool,
    is_down: bool,
    /// It broke, and the drive loop was not told yet.
    is_untold: bool,
}

struct Chaos {
    case: Case,
    dice: Stream,
    lanes: Vec<ChaosLane>,
    shards: u16,
    measured_from_ns: u64,
    shared: Arc<Shared>,
    record: Arc<Mutex<Record>>,
    own: Record,
    is_blind: bool,
}

impl Chaos {
    fn rolls(&mut self, per_mille: u32) -> bool {
        self.dice.below(1000) < per_mille
    }

    fn is_measured(&self, sent: &Sent) -> bool {
        sent.due_ns >= self.measured_from_ns
    }

    fn break_lane(&mut self, lane: usize) {
        self.lanes[lane].is_down = true;
        self.lanes[lane].is_untold = true;
    }

    fn tell_loss(&mut self, lane: usize, notices: &mut Vec<Notice>) {
        let messages = std::mem::take(&mut self.lanes[lane].messages);
        let lost = messages.iter().filter(|sent| sent.state == State::Taken && self.is_measured(sent));
        self.own.lost += lost.count() as u64;
        self.lanes[lane] = ChaosLane { is_down: true, ..ChaosLane::default() };
        notices.push(Notice::Lost { lane, reason: "the die fell so".into() });
    }

    fn answer(&mut self, lane: usize, ordinal: usize, notices: &mut Vec<Notice>) {
        let failure = self.rolls(self.case.temper.refuses).then(|| {
            let kinds = [Failure::Rejected, Failure::Error("busy".into()), Failure::Panicked];
            (kinds[self.dice.below(3) as usize].clone(), Some("no".to_owned()))
        });
        let answer = match self.case.replies {
            Replies::ById => Answer::Ordinal(ordinal as u64),
            _ => Answer::Oldest,
        };
        match self.lanes[lane].messages.get(ordinal).copied() {
            Some(sent) if sent.state == State::Taken => {
                if self.is_measured(&sent) {
                    *(if failure.is_none() { &mut self.own.processed } else { &mut self.own.refused }) += 1;
                }
                self.lanes[lane].messages[ordinal].state = State::Answered;
            }
            Some(sent) if sent.state == State::GivenUp => {
                self.own.late += 1;
                self.lanes[lane].messages[ordinal].state = State::AnsweredLate;
            }
            _ => self.own.unexpected += 1,
        }
        notices.push(Notice::Reply { lane, answer, failure });
    }

    fn talk(&mut self, lane: usize, notices: &mut Vec<Notice>) {
        let temper = self.case.temper;
        match self.case.replies {
            Replies::None => {}
            Replies::InOrder => {
                while self.lanes[lane].next_answer < self.lanes[lane].taken && self.rolls(temper.answers) {
                    let ordinal = self.lanes[lane].next_answer;
                    self.lanes[lane].next_answer += 1;
                    self.answer(lane, ordinal, notices);
                }
                if self.lanes[lane].next_answer == self.lanes[lane].taken && self.rolls(temper.repeats) {
                    self.answer(lane, usize::MAX, notices);
                }
            }
            Replies::ById => {
                for ordinal in 0..self.lanes[lane].taken {
                    let is_open =
                        matches!(self.lanes[lane].messages[ordinal].state, State::Taken | State::GivenUp);
                    if is_open && self.rolls(temper.answers) || !is_open && self.rolls(temper.repeats) {
                        self.answer(lane, ordinal, notices);
                    }
                }
                if self.rolls(temper.repeats) {
                    let unsent = self.lanes[lane].messages.len() + 1000;
                    self.answer(lane, unsent, notices);
                }
            }
        }
        if self.rolls(temper.talks_nonsense) {
            self.own.unexpected += 1;
            notices.push(Notice::Nonsense { sample: "42?".into() });
        }
    }
}

impl Outlet for Chaos {
    fn state(&self, lane: usize) -> LaneState {
        match &self.lanes[lane] {
            lane if lane.is_down => LaneState::Down,
            lane if lane.is_blocked || lane.messages.len() - lane.taken > 64 => LaneState::Full,
            _ => LaneState::Open,
        }
    }

    fn begin(&mut self, lane: usize) {
        if self.state(lane) != LaneState::Open {
            self.own.faults.push(format!("lane {lane} was given a frame while {:?}", self.state(lane)));
        }
    }

    fn add(&mut self, lane: usize, ordinal: u64, message: &Message) -> bool {
        let messages = &mut self.lanes[lane].messages;
        if ordinal != messages.len() as u64 {
            self.own.faults.push(format!("ordinal {ordinal} came {}-th", messages.len()));
        }
        let shard = (message.symbol.0 % u32::from(self.shards)) as u16;
        if usize::from(shard) % self.case.lanes != lane {
            self.own.faults.push(format!("shard {shard} came on lane {lane}"));
        }
        messages.push(Sent { due_ns: message.due_ns, state: State::Placed });
        self.own.placed.push(Slot::new(message.due_ns, shard));
        true
    }

    fn pass(&mut self, _: usize, _: &Message) -> bool {
        true
    }

    fn end(&mut self, _: usize) {}

    fn buffered(&self, lane: usize) -> usize {
        (self.lanes[lane].messages.len() - self.lanes[lane].taken) * 200
    }

    fn flush(&mut self, lane: usize) -> Taken {
        if self.lanes[lane].is_down {
            return Taken { blocked: true, ..Taken::default() };
        }
        if self.rolls(self.case.temper.breaks) {
            self.break_lane(lane);
            return Taken { blocked: true, ..Taken::default() };
        }
        let from = self.lanes[lane].taken;
        let mut count = self.lanes[lane].messages.len() - from;
        let blocked = count > 0 && self.rolls(self.case.temper.blocks);
        if blocked {
            count = self.dice.below(count as u32) as usize;
        }
        for ordinal in from..from + count {
            let sent = &mut self.lanes[lane].messages[ordinal];
            sent.state = if self.case.replies == Replies::None { State::Answered } else { State::Taken };
            let counts = u64::from(sent.due_ns >= self.measured_from_ns);
            self.own.sent += counts;
            self.own.processed += if self.case.replies == Replies::None { counts } else { 0 };
        }
        self.lanes[lane].taken += count;
        self.lanes[lane].is_blocked = blocked;
        Taken { messages: count, bytes: count as u64 * 200, blocked }
    }

    fn collect(&mut self, _: &Markets, notices: &mut Vec<Notice>) {
        if std::mem::take(&mut self.is_blind) {
            return;
        }
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].is_untold {
                self.tell_loss(lane, notices);
            } else if self.lanes[lane].is_down {
                if self.rolls(self.case.temper.comes_back) {
                    self.lanes[lane].is_down = false;
                    notices.push(Notice::Up { lane });
                }
            } else {
                self.talk(lane, notices);
                if self.rolls(self.case.temper.breaks) {
                    self.tell_loss(lane, notices);
                }
            }
        }
    }

    fn give_up(&mut self, lane: usize, ordinal: u64) {
        match self.lanes[lane].messages.get(ordinal as usize).copied() {
            Some(sent) if sent.state == State::Taken => {
                self.lanes[lane].messages[ordinal as usize].state = State::GivenUp;
                self.own.timed_out += u64::from(self.is_measured(&sent));
            }
            other => self.own.faults.push(format!("message {ordinal}, {other:?}, was given up")),
        }
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        self.own.waits += 1;
        if let Some(order) = self.case.order
            && self.own.waits == u64::from(order.after_waits)
        {
            self.shared.order(order.command);
        }
        let is_waited_for = |lane: &ChaosLane| lane.messages.iter().any(|sent| sent.state == State::Taken);
        if self.lanes.iter().any(is_waited_for)
            && let Some(freeze) = self.case.freeze.take()
        {
            thread::sleep(timeout + Duration::from_millis(freeze.ms));
            self.is_blind = freeze.is_after_the_look;
            return false;
        }
        let is_news = self.dice.below(4) == 0;
        if is_news {
            thread::sleep(timeout.min(Duration::from_micros(50)));
        } else {
            thread::sleep(timeout);
        }
        is_news
    }

    fn finish(&mut self, _: Duration, _: &dyn Fn() -> bool) {
        for lane in &mut self.lanes {
            for sent in &mut lane.messages {
                let is_measured = sent.due_ns >= self.measured_from_ns;
                self.own.unanswered_at_the_end += u64::from(sent.state == State::Taken && is_measured);
                sent.state = State::Gone;
            }
        }
        *self.record.lock().unwrap() = self.own.clone();
    }
}

/// What a run against chaos left.
struct Aftermath {
    ledger: Ledger,
    recording: Recording,
    record: Record,
    summary: Summary,
    /// Every slot of the measured phase.
    scheduled: Vec<Slot>,
    measured_from_ns: u64,
}

fn run(case: &Case) -> Aftermath {
    let seed = Seed::new(case.seed);
    let market = MarketSpec {
        shards: 4,
        accounts: 2,
        ..MarketSpec::new(seed, Listing::synthetic(6, seed.child("listing", 0)))
    };
    let schedule = |name: &str, length: Duration| {
        let path = Path::constant(Factor::ONE, length).unwrap();
        Schedule::new(ScheduleSpec {
            arrivals: Arrivals::Poisson,
            seed: seed.child(name, 0),
            shard_weights: market.shard_weights(),
            ..ScheduleSpec::new(Rate::per_second(case.rate).unwrap(), path)
        })
        .unwrap()
    };
    let warm_up = Duration::from_millis(case.warm_up_ms);
    let measured_from_ns = warm_up.as_nanos() as u64;
    let measured = schedule("measured", LENGTH);
    let mut phases = Vec::new();
    if !warm_up.is_zero() {
        phases.push((schedule("warm-up", warm_up).clock(|_| true), 0));
    }
    phases.push((measured.clock(|_| true), measured_from_ns));
    let mut scheduled = Vec::new();
    let mut clock = measured.clock(|_| true);
    while clock.next_cell(&mut scheduled).is_some() {}
    for slot in &mut scheduled {
        *slot = Slot::new(slot.due_ns() + measured_from_ns, slot.shard());
    }

    let shared: Arc<Shared> = Arc::default();
    let record = Arc::default();
    let chaos = Chaos {
        dice: seed.stream("chaos", 0),
        lanes: (0..case.lanes).map(|_| ChaosLane::default()).collect(),
        shards: market.shards,
        measured_from_ns,
        shared: shared.clone(),
        record: Arc::clone(&record),
        own: Record::default(),
        is_blind: false,
        case: case.clone(),
    };
    let orders = Orders {
        phases,
        markets: (0..4).map(|shard| Some(Box::new(ShardMarket::new(&market, shard).unwrap()))).collect(),
        lane_of_shard: (0..4).map(|shard| shard % case.lanes as u32).collect(),
        lanes: case.lanes,
        measured_from_ns,
        end_ns: measured_from_ns + measured.duration_ns(),
        max_concurrent: (case.replies != Replies::None).then_some(case.max_concurrent),
        at_limit: case.at_limit,
        timeout_ns: case.timeout_ms * 1_000_000,
        batch: case.batch,
        flush: case.flush,
        taken_is_processed: case.replies == Replies::None,
        replies_have_ids: case.replies != Replies::InOrder,
        counting: Counting::Messages,
        publish_every_ns: case.publish_every_ms.map(|ms| ms * 1_000_000),
        recording: Recording::new(RecordingSpec { kinds: Kind::ALL.len(), ..RecordingSpec::default() }),
    };
    let (deltas, gathered) = mpsc::channel();
    let (_spare, spares) = mpsc::channel();
    let origin = Instant::now() + Duration::from_millis(1);
    let links = Links { worker: 0, origin, shared, deltas, spares };
    let worker = Worker::new(links, orders, chaos, Pacer::new(case.pacing, 0.0, false));
    thread::spawn(|| worker.run()).join().expect("the worker does not panic");

    let mut whole = Recording::new(RecordingSpec { kinds: Kind::ALL.len(), ..RecordingSpec::default() });
    let mut summary = None;
    while let Ok(dispatch) = gathered.recv() {
        match dispatch {
            Dispatch::Delta { recording, .. } => whole.merge(&recording),
            Dispatch::Done { summary: last, .. } => summary = Some(last),
        }
    }
    let record = record.lock().unwrap().clone();
    let ledger = whole.ledger().clone();
    Aftermath { ledger, recording: whole, record, summary: summary.unwrap(), scheduled, measured_from_ns }
}

const LENGTH: Duration = Duration::from_millis(20);

fn case() -> impl Strategy<Value = Case> {
    let per_mille = |most: u32| prop_oneof![Just(0), 0..=most];
    let temper =
        (
            prop_oneof![Just(0), Just(1000), 1u32..1000],
            per_mille(500),
            per_mille(20),
            per_mille(50),
            per_mille(900),
            prop_oneof![3 => Just(0), 1 => 0u32..20],
            prop_oneof![Just(0), 1u32..300],
        )
            .prop_map(|(answers, refuses, repeats, talks_nonsense, blocks, breaks, comes_back)| {
                Temper { answers, refuses, repeats, talks_nonsense, blocks, breaks, comes_back }
            });
    let order = prop_oneof![
        3 => Just(None),
        1 => (1u32..100).prop_map(|after_waits| Some(Order { command: Command::Stop, after_waits })),
        1 => (1u32..100).prop_map(|after_waits| Some(Order { command: Command::Abort, after_waits })),
    ];
    let target = (
        any::<u64>(),
        temper,
        prop_oneof![Just(Replies::ById), Just(Replies::InOrder), Just(Replies::None)],
        order,
        1usize..=3,
    );
    let load = (
        prop_oneof![Just(1000u64), Just(20_000), Just(100_000)],
        prop_oneof![2 => Just(0u64), 1 => Just(5)],
        prop_oneof![Just(1u64), Just(10)],
        prop_oneof![Just(1u64), 2u64..100],
        prop_oneof![Just(AtLimit::Wait), Just(AtLimit::Drop)],
    );
    let how = (
        prop_oneof![Just(1usize), 2usize..10],
        prop_oneof![
            Just(Flush::Slot),
            Just(Flush::Each),
            Just(Flush::Every(Duration::from_millis(2))),
            Just(Flush::Bytes(3000)),
        ],
        prop_oneof![3 => Just(Pacing::Sleep), 1 => Just(Pacing::Spin)],
    );
    (target, load, how).prop_map(
        |(
            (seed, temper, replies, order, lanes),
            (rate, warm_up_ms, timeout_ms, max_concurrent, at_limit),
            (batch, flush, pacing),
        )| Case {
            seed,
            temper,
            replies,
            order,
            lanes,
            rate,
            warm_up_ms,
            timeout_ms,
            max_concurrent,
            at_limit,
            batch,
            flush,
            pacing,
            publish_every_ms: [3, 5],
            freeze: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_due_message_has_exactly_one_outcome_whatever_the_target_does(case in case()) {
        let Aftermath { ledger, record, summary, scheduled, measured_from_ns, .. } = run(&case);
        prop_assert_eq!(&record.faults, &Vec::<String>::new());
        prop_assert_eq!(ledger.balances(Outstanding::default()), Ok(()));

        prop_assert_eq!(ledger.sent, record.sent);
        prop_assert_eq!(ledger.sent, summary.lanes.iter().map(|lane| lane.sent).sum::<u64>());
        prop_assert_eq!(ledger.processed, record.processed);
        prop_assert_eq!(ledger.failed.count(&Failure::Timeout), record.timed_out);
        prop_assert_eq!(ledger.failed.count(&Failure::ConnectionLost), record.lost);
        prop_assert_eq!(ledger.failed.total(), record.timed_out + record.lost + record.refused);
        prop_assert_eq!(ledger.aborted, record.unanswered_at_the_end);
        if case.warm_up_ms == 0 {
            prop_assert_eq!(ledger.late_replies, record.late);
            prop_assert_eq!(ledger.unexpected_replies, record.unexpected);
        }

        // What was handed over was due, each at most once.
        let scheduled_once: HashSet<Slot> = scheduled.iter().copied().collect();
        let measured: Vec<Slot> =
            record.placed.iter().copied().filter(|slot| slot.due_ns() >= measured_from_ns).collect();
        prop_assert!(measured.iter().all(|slot| scheduled_once.contains(slot)));
        // Two messages of a shard may be due at one instant, so slots are counted, not told apart.
        prop_assert!(is_sub_multiset(&measured, &scheduled));
        if case.order.is_none() {
            prop_assert_eq!(ledger.due, scheduled.len() as u64);
            prop_assert_eq!(summary.stopped_ns, None);
        } else {
            prop_assert!(ledger.due <= scheduled.len() as u64);
        }
        if case.order.is_none_or(|order| order.command != Command::Abort) {
            prop_assert_eq!((ledger.aborted, ledger.dropped.count(Dropped::Aborted)), (0, 0));
        }
    }
}

fn is_sub_multiset(part: &[Slot], whole: &[Slot]) -> bool {
    let (mut part, mut whole) = (part.to_vec(), whole.to_vec());
    part.sort_unstable();
    whole.sort_unstable();
    let mut rest = whole.into_iter();
    part.iter().all(|slot| rest.any(|other| other == *slot))
}

/// An outlet that behaves, but for what a test changes.
fn calm() -> Case {
    Case {
        seed: 1,
        temper: Temper {
            answers: 1000,
            refuses: 0,
            repeats: 0,
            talks_nonsense: 0,
            blocks: 0,
            breaks: 0,
            comes_back: 0,
        },
        replies: Replies::ById,
        order: None,
        lanes: 1,
        rate: 5000,
        warm_up_ms: 0,
        timeout_ms: 100,
        max_concurrent: 1000,
        at_limit: AtLimit::Wait,
        batch: 1,
        flush: Flush::Slot,
        pacing: Pacing::Sleep,
        publish_every_ms: [3, 5],
        freeze: None,
    }
}

fn tempered(change: impl FnOnce(&mut Temper)) -> Temper {
    let mut temper = calm().temper;
    change(&mut temper);
    temper
}

#[test]
fn a_target_that_answers_everything_leaves_nothing_but_processed_messages() {
    let found = run(&calm());
    assert_eq!(found.ledger.processed, found.scheduled.len() as u64);
    assert_eq!(found.ledger.messages_failed(), 0);
}

#[test]
fn awaiting_the_last_replies_costs_few_wake_ups() {
    for pacing in [Pacing::Sleep, Pacing::Spin] {
        let silent = Case {
            temper: tempered(|temper| temper.answers = 0),
            rate: 100,
            timeout_ms: 150,
            pacing,
            publish_every_ms: [1000, 1000],
            ..calm()
        };
        let found = run(&silent);
        assert_eq!(found.ledger.failed.count(&Failure::Timeout), found.ledger.due);
        // One each 20 ms would do; a spinner looks for 60 us before each.
        let most = if pacing == Pacing::Spin { 50_000 } else { 300 };
        assert!(found.record.waits < most, "{pacing:?}: {}", found.record.waits);
    }
}

#[test]
fn a_lane_that_takes_nothing_costs_few_wake_ups() {
    let unwritable = tempered(|temper| temper.blocks = 1000);
    let down = tempered(|temper| temper.breaks = 1000);
    for temper in [unwritable, down] {
        let found = run(&Case { temper, timeout_ms: 100, ..calm() });
        assert_eq!(found.ledger.dropped.total() + found.ledger.sent, found.ledger.due);
        // 200 slots, then a look each millisecond or two until the timeout is over.
        assert!(found.record.waits < 2000, "{}", found.record.waits);
    }
}

#[test]
fn messages_dropped_because_the_target_is_slow_are_not_our_fault() {
    let silent = Case {
        temper: tempered(|temper| temper.answers = 0),
        max_concurrent: 1,
        at_limit: AtLimit::Drop,
        ..calm()
    };
    let found = run(&silent);
    let dropped = found.ledger.dropped.count(Dropped::ConcurrencyLimit);
    assert!(dropped > 50, "{dropped}");
    // A busy machine may keep us from running for a while; most of the time it does not.
    assert!(found.summary.dropped_by_us * 2 < dropped, "{} of {dropped}", found.summary.dropped_by_us);
}

#[test]
fn an_answer_that_lay_there_while_we_were_kept_from_looking_is_not_late() {
    let freeze = Freeze { ms: 60, is_after_the_look: false };
    let frozen = Case { freeze: Some(freeze), timeout_ms: 1000, ..calm() };
    let found = run(&frozen);
    assert!(found.recording.latency().max_ns() > 55_000_000, "the measured latency counts all of it");
    assert_eq!(found.ledger.processed, found.scheduled.len() as u64);
    // Whether it is due before the pause or in it: what we did not see is ours. A busy machine adds some of its own.
    let net_max_ns = found.recording.net_latency().max_ns();
    assert!(net_max_ns < 30_000_000, "{net_max_ns}");
}

#[test]
fn a_pause_of_ours_that_is_longer_than_the_timeout_makes_no_timeouts() {
    for replies in [Replies::ById, Replies::InOrder] {
        let freeze = Freeze { ms: 250, is_after_the_look: true };
        let frozen = Case { freeze: Some(freeze), timeout_ms: 80, replies, rate: 20_000, ..calm() };
        let found = run(&frozen);
        assert_eq!(found.ledger.failed.count(&Failure::Timeout), 0, "{replies:?}");
        assert_eq!(found.ledger.processed, found.scheduled.len() as u64, "{replies:?}");
    }
}

#[test]
fn at_the_limit_who_was_due_first_goes_first_on_whatever_lane() {
    let overloaded = Case {
        temper: tempered(|temper| temper.answers = 300),
        lanes: 3,
        rate: 100_000,
        max_concurrent: 20,
        timeout_ms: 10_000,
        publish_every_ms: [1000, 1000],
        ..calm()
    };
    let found = run(&overloaded);
    assert_eq!(found.ledger.processed, found.scheduled.len() as u64);
    // All that is due waits after the first moments, and then goes in its order but for what is placed in one turn.
    let placed = &found.record.placed;
    let mut furthest_ns = 0;
    let mut worst_ns = 0;
    for slot in placed {
        furthest_ns = furthest_ns.max(slot.due_ns());
        worst_ns = worst_ns.max(furthest_ns - slot.due_ns());
    }
    assert!(worst_ns < 2_000_000, "a message went {worst_ns} ns after one that was due later");
}

#[test]
fn what_waits_when_a_run_is_ended_at_once_has_not_failed() {
    let stopped = Case {
        temper: tempered(|temper| temper.answers = 0),
        order: Some(Order { command: Command::Abort, after_waits: 10 }),
        rate: 100_000,
        max_concurrent: 5,
        timeout_ms: 10_000,
        ..calm()
    };
    let found = run(&stopped);
    assert_eq!(found.ledger.aborted, 5);
    assert!(found.ledger.dropped.count(Dropped::Aborted) > 0, "{:?}", found.ledger);
    assert_eq!((found.ledger.messages_failed(), found.ledger.messages_judged()), (0, 0));
    assert_eq!(found.ledger.balances(Outstanding::default()), Ok(()));
}

#[test]
fn what_a_target_never_took_is_among_the_latencies_with_its_age() {
    let unwritable = Case { temper: tempered(|temper| temper.blocks = 1000), timeout_ms: 50, ..calm() };
    let found = run(&unwritable);
    let unsent = found.ledger.dropped.count(Dropped::Unsent);
    assert!(unsent > 0, "{:?}", found.ledger);
    let latency = found.recording.latency();
    assert_eq!(latency.count(), found.ledger.processed + unsent);
    assert!(latency.percentile_ns(99.0) >= 50_000_000, "{}", latency.percentile_ns(99.0));
}
