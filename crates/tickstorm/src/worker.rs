//! The drive loop, once for all ways to reach a target: takes what is due from the clock, has the market say what it
//! is, places it on its lane, hands it over, and books what became of it.

mod orders;

pub(crate) use orders::*;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet, VecDeque, binary_heap::PeekMut},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tickstorm_load::{Dropped, Failure, Recording, Slot, Timing};
use tickstorm_market::Kind;
use tickstorm_report::Outage;

use crate::{
    AtLimit, Flush,
    machine::ThreadUsage,
    outlet::{Answer, LaneState, Notice, Outlet},
    pacer::Pacer,
    stall::{Intervals, Stalls},
};

/// A worker at work. One OS thread owns it; nothing of it is shared per message.
pub(crate) struct Worker<O> {
    links: Links,
    orders: Orders,
    outlet: O,

    phase: usize,
    slots: Vec<Slot>,
    next_slot: usize,
    /// All slots due before this are drawn.
    drawn_until_ns: u64,
    last_due_ns: u64,

    lanes: Vec<Lane>,
    /// Lanes with something waiting or placed; each at most once.
    busy: Vec<u32>,
    /// Whether more waits than the limit leaves room for, so that lanes have their [share](Lane::share) of it.
    room_is_short: bool,
    /// Lanes by the due instant of a message that waits there, for sharing out what room there is.
    queue: BinaryHeap<Reverse<(u64, u32)>>,
    /// Sent or placed, and unanswered.
    outstanding: u64,
    waiting: u64,

    recording: Box<Recording>,
    /// Where the warm-up's figures go, which nobody reads.
    warm_up: Box<Recording>,
    next_publish_ns: u64,
    /// When the last look at what came back began and when it ended: what was not there then came later.
    look_began_ns: u64,
    looked_ns: u64,
    /// Nothing expires before this.
    next_expiry_ns: u64,
    notices: Vec<Notice>,

    pacer: Pacer,
    usage: ThreadUsage,
    absences: Intervals,
    absence_summary: AbsenceSummary,
    dropped_by_us: u64,
    stopped_ns: Option<u64>,
}

/// A lane and what is under way on it.
#[derive(Default)]
struct Lane {
    /// Due and not placed: due instant and shard.
    backlog: VecDeque<Slot>,
    /// Placed and not taken.
    placed: VecDeque<Placed>,
    placed_since_ns: u64,
    /// How many more of the backlog may be placed this turn, while the limit is what holds them up.
    share: usize,
    /// Taken and unanswered, but for answered ones behind an unanswered one; the first has ordinal `base`.
    flights: VecDeque<Flight>,
    base: u64,
    /// In flight order, timed-out messages whose reply may still come, where replies have no ids.
    overtaken: u64,
    /// Ordinals of timed-out messages, where they do; bounded.
    given_up: HashSet<u64>,
    stalls: Stalls,
    is_busy: bool,
    is_down: bool,
    outage: Option<OpenOutage>,
    summary: LaneSummary,
}

/// Whether an order ended the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obeyed {
    GoOn,
    Ended,
}

/// Whether placed messages may wait for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    ByTheRule,
    Now,
}

struct OpenOutage {
    started_ns: u64,
    reason: String,
    lost: u64,
}

#[derive(Clone, Copy)]
struct Placed {
    due_ns: u64,
    kind: Kind,
}

/// How the instant of an answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It was found when we looked.
    Now,
    /// Who answered noted it.
    ByTheCallee,
}

#[derive(Clone, Copy)]
struct Flight {
    due_ns: u64,
    sent_ns: u64,
    pacing_ns: u64,
    answered: bool,
}

impl<O: Outlet> Worker<O> {
    pub(crate) fn new(links: Links, orders: Orders, outlet: O, pacer: Pacer) -> Self {
        let recording = Box::new(orders.recording.clone());
        Self {
            lanes: (0..orders.lanes).map(|_| Lane::default()).collect(),
            warm_up: recording.clone(),
            recording,
            outlet,
            links,
            phase: 0,
            slots: Vec::new(),
            next_slot: 0,
            drawn_until_ns: 0,
            last_due_ns: 0,
            busy: Vec::new(),
            room_is_short: false,
            queue: BinaryHeap::new(),
            outstanding: 0,
            waiting: 0,
            next_publish_ns: orders.publish_every_ns[0].min(orders.publish_every_ns[1]),
            look_began_ns: 0,
            looked_ns: 0,
            next_expiry_ns: 0,
            notices: Vec::new(),
            pacer,
            usage: ThreadUsage::default(),
            absences: Intervals::default(),
            absence_summary: AbsenceSummary::default(),
            dropped_by_us: 0,
            stopped_ns: None,
            orders,
        }
    }

    /// Runs to the end and hands in what it knows, even when something panics on the way.
    pub(crate) fn run(mut self) {
        let _ = tickstorm_net::precise_timers();
        self.usage = ThreadUsage::of_this_thread();
        let lanes_up = self.lanes.len() as u64;
        self.links.shared.lanes_up.fetch_add(lanes_up, Ordering::Relaxed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.drive()));
        let now = self.now();
        if outcome.is_err() {
            self.stopped_ns.get_or_insert(now);
            self.abandon(now);
        }
        let patience = match self.links.shared.command() {
            Command::Abort => PATIENCE_ABORTED,
            // Nothing has told whether the target read what the kernel took.
            _ if self.orders.taken_is_processed => Duration::from_nanos(self.orders.timeout_ns),
            _ => PATIENCE,
        };
        let shared = Arc::clone(&self.links.shared);
        self.outlet.finish(patience, &|| shared.command() == Command::Abort);
        self.outlet.settle(&mut self.recording);
        let measured_ns = self.measured(now);
        for lane in &mut self.lanes {
            if let Some(outage) = lane.outage.take() {
                lane.summary.outages.push(outage.ended(None, self.orders.measured_from_ns));
            }
        }
        let summary = Summary {
            lanes: self.lanes.iter().map(|lane| lane.summary.clone()).collect(),
            paced_by: self.pacer.paced_by(),
            involuntary_switches: self.usage.involuntary_switches_since(),
            absences: self.absence_summary,
            dropped_by_us: self.dropped_by_us,
            panicked: outcome.is_err(),
            stopped_ns: self.stopped_ns.map(|ns| self.measured(ns)),
            finished_ns: measured_ns,
        };
        let recording = std::mem::replace(&mut self.recording, Box::new(self.orders.recording.clone()));
        // A collector that is gone has no use for them.
        let _ = self.links.deltas.send(Dispatch::Delta {
            worker: self.links.worker,
            until_ns: measured_ns,
            recording,
        });
        let _ = self.links.deltas.send(Dispatch::Done { worker: self.links.worker, summary });
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    fn drive(&mut self) {
        loop {
            let now = self.now();
            self.publish(now);
            self.collect(now);
            if self.obey(now) == Obeyed::Ended {
                return;
            }
            self.take_due(now);
            self.place();
            if self.waiting == 0 {
                self.outlet.reached(now);
            }
            self.expire(now);
            if self.is_finished(now) {
                return;
            }
            self.wait();
        }
    }

    /// Run time: ns since the start of the first phase; zero before it.
    #[inline]
    fn now(&self) -> u64 {
        self.run_time(Instant::now())
    }

    /// An instant as run time.
    #[inline]
    fn run_time(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.links.origin).as_nanos() as u64
    }

    /// A run time as time of the measured phase.
    fn measured(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.orders.measured_from_ns)
    }

    /// Where a message that was due then is recorded.
    #[inline]
    fn book(&mut self, due_ns: u64) -> &mut Recording {
        if due_ns >= self.orders.measured_from_ns { &mut self.recording } else { &mut self.warm_up }
    }

    fn obey(&mut self, now: u64) -> Obeyed {
        let command = self.links.shared.command();
        if command == Command::Run {
            return Obeyed::GoOn;
        }
        if self.stopped_ns.is_none() {
            // An end at once is an end at the last look: what fell due since could only be dropped.
            if command == Command::Stop {
                self.take_due(now);
            }
            if !self.nothing_more_is_due() {
                self.stopped_ns = Some(now);
                let measured = self.measured(now);
                self.recording.end_measured_phase(measured);
                self.let_nothing_more_be_due();
            } else if command == Command::Abort {
                self.stopped_ns = Some(now);
            }
        }
        if command == Command::Abort {
            self.abandon(now);
            return Obeyed::Ended;
        }
        Obeyed::GoOn
    }

    fn nothing_more_is_due(&self) -> bool {
        self.next_slot == self.slots.len() && self.phase == self.orders.phases.len()
    }

    fn let_nothing_more_be_due(&mut self) {
        self.phase = self.orders.phases.len();
        self.slots.clear();
        self.next_slot = 0;
    }

    /// Takes from the clock what is due, and queues it on its lane.
    fn take_due(&mut self, now: u64) {
        if self.stopped_ns.is_some() {
            return;
        }
        loop {
            while let Some(&slot) = self.slots.get(self.next_slot) {
                let due_ns = slot.due_ns();
                if due_ns > now {
                    return;
                }
                self.next_slot += 1;
                self.last_due_ns = due_ns;
                if self.orders.counting == Counting::Messages {
                    self.book(due_ns).on_due(1);
                }
                let lane_index = self.orders.lane_of_shard[usize::from(slot.shard())];
                let lane = &mut self.lanes[lane_index as usize];
                lane.backlog.push_back(slot);
                self.waiting += 1;
                if !lane.is_busy {
                    lane.is_busy = true;
                    self.busy.push(lane_index);
                }
            }
            if !self.draw(now) {
                return;
            }
        }
    }

    /// Draws cells from the clock until there is a slot or the horizon is passed; whether there is a slot.
    fn draw(&mut self, horizon_ns: u64) -> bool {
        if self.next_slot < self.slots.len() {
            return true;
        }
        while self.drawn_until_ns <= horizon_ns {
            let Some((clock, offset_ns)) = self.orders.phases.get_mut(self.phase) else { return false };
            self.slots.clear();
            self.next_slot = 0;
            match clock.next_cell(&mut self.slots) {
                Some(end_ns) => self.drawn_until_ns = *offset_ns + end_ns,
                None => {
                    self.phase += 1;
                    continue;
                }
            }
            if *offset_ns > 0 {
                for slot in &mut self.slots {
                    *slot = Slot::new(slot.due_ns() + *offset_ns, slot.shard());
                }
            }
            if !self.slots.is_empty() {
                return true;
            }
        }
        false
    }

    /// Places what waits on every lane that takes it, and flushes by the rule.
    fn place(&mut self) {
        self.share_room();
        let mut i = 0;
        while i < self.busy.len() {
            let index = self.busy[i] as usize;
            self.place_on(index);
            let lane = &mut self.lanes[index];
            if lane.backlog.is_empty() && lane.placed.is_empty() {
                lane.is_busy = false;
                self.busy.swap_remove(i);
            } else {
                i += 1;
            }
        }
        let placed: usize = self.busy.iter().map(|&index| self.lanes[index as usize].placed.len()).sum();
        self.links.shared.in_flight.store(self.outstanding - placed as u64, Ordering::Relaxed);
        self.links.shared.waiting.store(self.waiting + placed as u64, Ordering::Relaxed);
    }

    /// Shares out what room the limit leaves, where that is too little: who was due first goes first, on whatever lane.
    fn share_room(&mut self) {
        let Some(limit) = self.orders.max_concurrent else { return };
        let mut room = limit.saturating_sub(self.outstanding);
        self.room_is_short = room < self.waiting;
        if !self.room_is_short {
            return;
        }
        for &index in &self.busy {
            let lane = &mut self.lanes[index as usize];
            lane.share = 0;
            if let Some(first) = lane.backlog.front()
                && self.outlet.state(index as usize) == LaneState::Open
            {
                self.queue.push(Reverse((first.due_ns(), index)));
            }
        }
        while room > 0
            && let Some(mut top) = self.queue.peek_mut()
        {
            room -= 1;
            let Reverse((due_ns, index)) = &mut *top;
            let lane = &mut self.lanes[*index as usize];
            lane.share += 1;
            match lane.backlog.get(lane.share) {
                Some(next) => *due_ns = next.due_ns(),
                None => drop(PeekMut::pop(top)),
            }
        }
        self.queue.clear();
    }

    fn place_on(&mut self, index: usize) {
        let mut left = MOST_A_TURN;
        loop {
            let mut is_at_limit = false;
            while !self.lanes[index].backlog.is_empty() {
                let is_full = self.orders.max_concurrent.is_some_and(|limit| self.outstanding >= limit);
                let is_open = self.outlet.state(index) == LaneState::Open;
                let room = if self.room_is_short { self.lanes[index].share } else { usize::MAX };
                if is_full || (is_open && room == 0) {
                    is_at_limit = true;
                    break;
                }
                if left == 0 || !is_open {
                    break;
                }
                left -= 1;
                self.place_frame(index, room.min(self.orders.batch));
                if self.orders.flush == Flush::Each {
                    break;
                }
            }
            if is_at_limit && self.orders.at_limit == AtLimit::Drop {
                self.drop_backlog(index, Dropped::ConcurrencyLimit, u64::MAX);
            }
            // At the limit nothing more is coming that a flush could wait for: the replies are.
            let blocked = self.flush(index, if is_at_limit { Urgency::Now } else { Urgency::ByTheRule });
            if is_at_limit && !self.lanes[index].backlog.is_empty() {
                let now = self.now();
                self.lanes[index].block(now, &self.absences);
            }
            let lane = &mut self.lanes[index];
            if lane.backlog.is_empty()
                || left == 0
                || is_at_limit
                || blocked
                || self.outlet.state(index) != LaneState::Open
            {
                return;
            }
        }
    }

    /// Places up to `most` messages as one frame.
    fn place_frame(&mut self, index: usize, most: usize) {
        if self.lanes[index].stalls.is_blocked() && self.lanes[index].placed.is_empty() {
            // It was at the limit, and is no longer. (An unwritable lane is unblocked by a flush that succeeds.)
            let now = self.now();
            self.notice_absence(now);
            self.lanes[index].stalls.unblock(now);
        }
        let lane = &mut self.lanes[index];
        if lane.placed.is_empty() && matches!(self.orders.flush, Flush::Every(_) | Flush::Bytes(_)) {
            lane.placed_since_ns =
                Instant::now().saturating_duration_since(self.links.origin).as_nanos() as u64;
        }
        self.outlet.begin(index);
        for _ in 0..most {
            let Some(slot) = lane.backlog.pop_front() else { break };
            let market = self.orders.markets[usize::from(slot.shard())]
                .as_mut()
                .expect("a worker owns the shards it is due");
            let ordinal = lane.base + (lane.flights.len() + lane.placed.len()) as u64;
            // A slot carries the next message that the venue tells.
            let kind = loop {
                let message = market.next(slot.due_ns());
                if self.outlet.add(index, ordinal, message) {
                    break message.body.kind();
                }
            };
            lane.placed.push_back(Placed { due_ns: slot.due_ns(), kind });
            lane.share = lane.share.saturating_sub(1);
            self.waiting -= 1;
            self.outstanding += 1;
        }
        self.outlet.end(index);
    }

    /// Flushes a lane if its rule says so, and books what was taken; whether the lane is blocked.
    fn flush(&mut self, index: usize, urgency: Urgency) -> bool {
        let lane = &mut self.lanes[index];
        // What lies in the buffer of a lane without placed messages was booked as never sent.
        if lane.placed.is_empty() {
            return lane.stalls.is_blocked();
        }
        let is_time = match self.orders.flush {
            Flush::Slot | Flush::Each => true,
            _ if urgency == Urgency::Now || self.outlet.state(index) != LaneState::Open => true,
            rule => {
                let now = Instant::now().saturating_duration_since(self.links.origin).as_nanos() as u64;
                let placed_for_ns = now.saturating_sub(lane.placed_since_ns);
                match rule {
                    Flush::Bytes(size) => {
                        self.outlet.buffered(index) >= size || placed_for_ns >= BYTES_RULE_WAITS_NS
                    }
                    Flush::Every(time) => u128::from(placed_for_ns) >= time.as_nanos(),
                    Flush::Slot | Flush::Each => true,
                }
            }
        };
        if !is_time {
            return false;
        }
        let taken = self.outlet.flush(index);
        let now = self.now();
        self.notice_absence(now);
        let lane = &mut self.lanes[index];
        if taken.messages > 0 || !taken.blocked {
            lane.stalls.unblock(now);
        }
        if self.orders.counting == Counting::ByTheOutlet {
            lane.placed.drain(..taken.messages);
            lane.base += taken.messages as u64;
            self.outstanding -= taken.messages as u64;
            return taken.blocked;
        }
        if taken.bytes > 0 && now >= self.orders.measured_from_ns {
            self.recording.on_write(taken.bytes);
        }
        let measured_from_ns = self.orders.measured_from_ns;
        for placed in lane.placed.drain(..taken.messages) {
            let sent_ns = match self.outlet.taken_at(index) {
                Some(at) => at.saturating_duration_since(self.links.origin).as_nanos() as u64,
                None => now,
            };
            let done_ns = sent_ns.saturating_sub(measured_from_ns);
            let lag_ns = sent_ns.saturating_sub(placed.due_ns);
            let stall_ns = lane.stalls.stall_ns(placed.due_ns, sent_ns, &self.absences);
            let is_measured = placed.due_ns >= measured_from_ns;
            let book = if is_measured { &mut self.recording } else { &mut self.warm_up };
            let pacing_ns = book.on_sent(placed.kind as usize, done_ns, lag_ns, stall_ns);
            lane.summary.sent += u64::from(is_measured);
            if self.orders.taken_is_processed {
                let due_ns = placed.due_ns.saturating_sub(measured_from_ns);
                book.on_processed(&Timing { due_ns, sent_ns: done_ns, done_ns, ours_ns: pacing_ns });
                lane.base += 1;
                self.outstanding -= 1;
            } else {
                lane.flights.push_back(Flight { due_ns: placed.due_ns, sent_ns, pacing_ns, answered: false });
            }
        }
        if taken.blocked {
            lane.block(now, &self.absences);
        }
        taken.blocked
    }

    /// Books what came back. `now` was read after the wait, so it is when we learnt of it.
    fn collect(&mut self, now: u64) {
        let mut notices = std::mem::take(&mut self.notices);
        self.outlet.collect(&self.orders.markets, &mut notices);
        for notice in notices.drain(..) {
            match notice {
                Notice::Reply { lane, answer, failure } => {
                    self.answered(lane, answer, failure, now, Seen::Now)
                }
                Notice::Returned { lane, ordinal, at, failure } => {
                    let at_ns = self.run_time(at);
                    self.answered(lane, Answer::Ordinal(ordinal), failure, at_ns, Seen::ByTheCallee);
                }
                Notice::Nonsense { sample } => {
                    let at_ns = self.measured(now);
                    self.book(now).on_unexpected_reply(at_ns, &sample);
                }
                Notice::Lost { lane, reason } => self.lost(lane, reason, now),
                Notice::Up { lane } => self.is_back(lane, now),
            }
        }
        self.notices = notices;
        self.looked_ns = now;
    }

    /// How long before `now` a reply that was found now may have lain there: the time since the last look, and since the
    /// message was sent, in which we were kept from looking.
    #[inline]
    fn unseen_ns(&self, sent_ns: u64, now: u64) -> u64 {
        if self.absences.end_ns().is_none_or(|end_ns| end_ns <= self.looked_ns) {
            return 0;
        }
        self.absences.within(sent_ns.max(self.looked_ns), now)
    }

    fn answered(
        &mut self,
        index: usize,
        answer: Answer,
        failure: Option<(Failure, Option<String>)>,
        now: u64,
        seen: Seen,
    ) {
        let at_ns = self.measured(now);
        let lane = &mut self.lanes[index];
        let position = match answer {
            Answer::Oldest if lane.overtaken > 0 => {
                lane.overtaken -= 1;
                self.book(now).on_late_reply();
                return;
            }
            Answer::Oldest => 0,
            Answer::Ordinal(ordinal) => match ordinal.checked_sub(lane.base) {
                Some(position) => position as usize,
                None if lane.given_up.remove(&ordinal) => {
                    self.book(now).on_late_reply();
                    return;
                }
                None => {
                    let sample = format!("a reply to message {ordinal}, which is no longer awaited");
                    self.book(now).on_unexpected_reply(at_ns, &sample);
                    return;
                }
            },
        };
        let Some(flight) = lane.flights.get_mut(position).filter(|flight| !flight.answered) else {
            let sample = match answer {
                Answer::Oldest => "a reply while nothing was unanswered".to_owned(),
                Answer::Ordinal(ordinal) if position < lane.flights.len() => {
                    format!("message {ordinal} was answered twice")
                }
                Answer::Ordinal(ordinal) => format!("a reply to message {ordinal}, which was not sent"),
            };
            self.book(now).on_unexpected_reply(at_ns, &sample);
            return;
        };
        flight.answered = true;
        let flight = *flight;
        while lane.flights.front().is_some_and(|flight| flight.answered) {
            lane.flights.pop_front();
            lane.base += 1;
        }
        self.outstanding -= 1;
        let timing = self.timing(&flight, now, seen);
        let book = self.book(flight.due_ns);
        match failure {
            None => book.on_processed(&timing),
            Some((failure, sample)) => book.on_failed(&failure, &timing, sample.as_deref()),
        }
    }

    fn timing(&self, flight: &Flight, done_ns: u64, seen: Seen) -> Timing {
        let unseen_ns = match seen {
            Seen::Now => self.unseen_ns(flight.sent_ns, done_ns),
            Seen::ByTheCallee => 0,
        };
        Timing {
            due_ns: self.measured(flight.due_ns),
            sent_ns: self.measured(flight.sent_ns),
            done_ns: self.measured(done_ns),
            ours_ns: flight.pacing_ns + unseen_ns,
        }
    }

    /// The connection is gone: what was in flight on it has failed, what was placed was never sent.
    fn lost(&mut self, index: usize, reason: String, now: u64) {
        let mut flights = std::mem::take(&mut self.lanes[index].flights);
        let mut lost = 0;
        for flight in flights.drain(..).filter(|flight| !flight.answered) {
            lost += 1;
            self.outstanding -= 1;
            let timing = self.timing(&flight, now, Seen::Now);
            self.book(flight.due_ns).on_failed(&Failure::ConnectionLost, &timing, Some(&reason));
        }
        self.lanes[index].flights = flights;
        self.drop_placed(index, Dropped::NotConnected);
        let lane = &mut self.lanes[index];
        lane.base = 0;
        lane.overtaken = 0;
        lane.given_up.clear();
        lane.block(now, &self.absences);
        if !lane.is_down {
            lane.is_down = true;
            lane.outage = Some(OpenOutage { started_ns: now, reason, lost });
            self.links.shared.lanes_up.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_back(&mut self, index: usize, now: u64) {
        self.notice_absence(now);
        let lane = &mut self.lanes[index];
        lane.stalls.unblock(now);
        if lane.is_down {
            lane.is_down = false;
            self.links.shared.lanes_up.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(outage) = lane.outage.take() {
            lane.summary.outages.push(outage.ended(Some(now), self.orders.measured_from_ns));
        }
    }

    /// Gives up what has waited for its answer, or for a connection, longer than the timeout. An answer must have failed to
    /// come before the last look began: what came in time, but while we were kept from looking, is no timeout.
    fn expire(&mut self, now: u64) {
        if now < self.next_expiry_ns {
            return;
        }
        // What is sent from now on expires no earlier than this.
        let mut next_ns = now + self.orders.timeout_ns;
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            while let Some(&flight) = lane.flights.front() {
                let expires_ns = flight.sent_ns + self.orders.timeout_ns;
                if !flight.answered && expires_ns > self.look_began_ns {
                    next_ns = next_ns.min(expires_ns);
                    break;
                }
                let ordinal = lane.base;
                lane.flights.pop_front();
                lane.base += 1;
                if flight.answered {
                    continue;
                }
                self.outlet.give_up(index, ordinal);
                if !self.orders.replies_have_ids {
                    lane.overtaken += 1;
                } else if lane.given_up.len() < MOST_GIVEN_UP {
                    lane.given_up.insert(ordinal);
                }
                self.outstanding -= 1;
                let timing = Timing {
                    due_ns: flight.due_ns.saturating_sub(self.orders.measured_from_ns),
                    sent_ns: flight.sent_ns.saturating_sub(self.orders.measured_from_ns),
                    done_ns: now.saturating_sub(self.orders.measured_from_ns),
                    ours_ns: flight.pacing_ns,
                };
                let is_measured = flight.due_ns >= self.orders.measured_from_ns;
                let book = if is_measured { &mut self.recording } else { &mut self.warm_up };
                book.on_failed(&Failure::Timeout, &timing, None);
            }
            if lane.is_down {
                let before_ns = now.saturating_sub(self.orders.timeout_ns);
                self.drop_backlog(index, Dropped::NotConnected, before_ns);
                next_ns = now;
            }
        }
        self.next_expiry_ns = next_ns.max(now + EXPIRE_EVERY_NS);
    }

    /// Drops what waits on a lane and was due before an instant. The market goes on: what was dropped was said.
    fn drop_backlog(&mut self, index: usize, reason: Dropped, before_ns: u64) {
        while let Some(&slot) = self.lanes[index].backlog.front() {
            if slot.due_ns() >= before_ns {
                break;
            }
            self.lanes[index].backlog.pop_front();
            self.waiting -= 1;
            let market = self.orders.markets[usize::from(slot.shard())]
                .as_mut()
                .expect("a worker owns the shards it is due");
            while !self.outlet.pass(index, market.next(slot.due_ns())) {}
            self.dropped(index, slot.due_ns(), reason);
        }
    }

    fn drop_placed(&mut self, index: usize, reason: Dropped) {
        let withdrawn = self.outlet.withdraw(index);
        let placed = &mut self.lanes[index].placed;
        let taken = placed.len().saturating_sub(withdrawn);
        for placed in placed.split_off(taken) {
            self.outstanding -= 1;
            if self.orders.counting == Counting::ByTheOutlet {
                continue;
            }
            self.dropped(index, placed.due_ns, reason);
        }
    }

    /// Books a message that is dropped now, and whether it had waited mostly for us: of one that was never sent, all that is
    /// no stall; of one that found the limit reached or the connection down, only what we were not there for.
    fn dropped(&mut self, index: usize, due_ns: u64, reason: Dropped) {
        let now = self.now();
        let at_ns = self.measured(now);
        if reason == Dropped::Aborted {
            self.book(due_ns).on_dropped(reason, at_ns, 1);
            return;
        }
        self.notice_absence(now);
        let stalls = &mut self.lanes[index].stalls;
        // What is still blocked has been so until now.
        if stalls.is_blocked() {
            stalls.exclude(now, now);
        }
        let waited_ns = now.saturating_sub(due_ns);
        let ours_ns = match reason {
            Dropped::Unsent => waited_ns.saturating_sub(stalls.stall_ns(due_ns, now, &self.absences)),
            _ => self.absences.within(due_ns, now),
        };
        if due_ns >= self.orders.measured_from_ns {
            self.dropped_by_us += u64::from(ours_ns > waited_ns / 2);
        }
        let book = self.book(due_ns);
        match reason {
            Dropped::Unsent | Dropped::NotConnected => book.on_given_up(reason, at_ns, waited_ns, ours_ns),
            _ => book.on_dropped(reason, at_ns, 1),
        }
    }

    /// Whether every message that fell due has an outcome. Once nothing more falls due, what could not be sent for
    /// the length of the timeout is dropped.
    fn is_finished(&mut self, now: u64) -> bool {
        if !self.nothing_more_is_due() {
            return false;
        }
        if self.waiting == 0 && self.outstanding == 0 {
            // The last interval of the measured phase is a whole one, whatever was due at its end.
            return self.stopped_ns.is_some() || now >= self.orders.end_ns;
        }
        let end_ns = self.stopped_ns.unwrap_or(self.last_due_ns);
        if now >= end_ns.saturating_add(self.orders.timeout_ns) {
            for index in 0..self.lanes.len() {
                self.drop_backlog(index, Dropped::Unsent, u64::MAX);
                self.drop_placed(index, Dropped::Unsent);
            }
        }
        false
    }

    /// Gives everything up at once: nobody will know what would have become of what is in flight, nor of what waits.
    fn abandon(&mut self, now: u64) {
        self.let_nothing_more_be_due();
        let measured = self.measured(now);
        self.recording.end_measured_phase(measured);
        for index in 0..self.lanes.len() {
            self.drop_placed(index, Dropped::Aborted);
            // What the target has taken by itself in the meantime is in flight.
            self.flush(index, Urgency::Now);
            let flights = std::mem::take(&mut self.lanes[index].flights);
            for flight in flights.iter().filter(|flight| !flight.answered) {
                self.outstanding -= 1;
                self.book(flight.due_ns).on_aborted(1);
            }
            let backlog = std::mem::take(&mut self.lanes[index].backlog);
            for slot in backlog {
                self.waiting -= 1;
                if self.orders.counting == Counting::Messages {
                    self.book(slot.due_ns()).on_dropped(Dropped::Aborted, measured, 1);
                }
            }
        }
    }

    /// Hands the recording over when a second or an interval of the timeline is over.
    fn publish(&mut self, now: u64) {
        let measured = self.measured(now);
        let mut made = 0;
        while measured >= self.next_publish_ns {
            let boundary_ns = self.next_publish_ns;
            let next =
                self.orders.publish_every_ns.iter().map(|every| (boundary_ns / every + 1) * every).min();
            self.next_publish_ns = next.expect("there are two rules");
            // What was due by the boundary belongs before it, whenever we come to it.
            self.take_due(boundary_ns + self.orders.measured_from_ns);
            // After a long absence the collector need not be sent a recording for each interval that was missed.
            let spare = self.links.spares.try_recv().ok();
            let spare =
                spare.or_else(|| (made < MOST_SPARES_MADE).then(|| Box::new(self.orders.recording.clone())));
            let Some(mut spare) = spare else { continue };
            made += 1;
            self.outlet.settle(&mut self.recording);
            if let Some(stopped_ns) = self.stopped_ns {
                spare.end_measured_phase(self.measured(stopped_ns));
            }
            let recording = std::mem::replace(&mut self.recording, spare);
            let worker = self.links.worker;
            let _ = self.links.deltas.send(Dispatch::Delta { worker, until_ns: boundary_ns, recording });
        }
    }

    /// Waits for the next thing to do.
    fn wait(&mut self) {
        let now = self.now();
        self.look_began_ns = now;
        let due_ns = if self.stopped_ns.is_some() {
            u64::MAX
        } else if self.draw(now + LOOK_AHEAD_NS) {
            self.slots[self.next_slot].due_ns()
        } else if self.phase < self.orders.phases.len() {
            self.drawn_until_ns
        } else if now < self.orders.end_ns {
            self.orders.end_ns
        } else {
            u64::MAX
        };
        let mut other_ns = (self.next_publish_ns + self.orders.measured_from_ns).min(now + LONGEST_WAIT_NS);
        let is_blocked = self.busy.iter().any(|&lane| self.lanes[lane as usize].stalls.is_blocked());
        if is_blocked {
            other_ns = other_ns.min(now + BLOCKED_WAIT_NS);
        }
        for &index in &self.busy {
            let lane = &self.lanes[index as usize];
            if lane.stalls.is_blocked() {
                continue;
            }
            if !lane.backlog.is_empty() {
                other_ns = now;
            } else if !lane.placed.is_empty() {
                other_ns = other_ns.min(match self.orders.flush {
                    Flush::Every(time) => lane.placed_since_ns + time.as_nanos() as u64,
                    Flush::Bytes(_) => lane.placed_since_ns + BYTES_RULE_WAITS_NS,
                    Flush::Slot | Flush::Each => now,
                });
            }
        }
        if self.outstanding > 0 || self.waiting > 0 {
            other_ns = other_ns.min(self.next_expiry_ns);
        }
        let origin = self.links.origin;
        let clock = || Instant::now().saturating_duration_since(origin).as_nanos() as u64;
        // Before its first phase a run time of zero hides the time that is left.
        if now == 0 {
            let early = origin.saturating_duration_since(Instant::now());
            self.outlet.wait(early);
            return;
        }
        match self.pacer.wait(now, due_ns, other_ns, &mut self.outlet, clock) {
            Some((from_ns, to_ns)) => self.was_away(from_ns, to_ns),
            None => self.notice_absence(clock()),
        }
    }

    /// Learns whether the kernel kept us from running. To be called before a stall ends or is read: an absence noticed
    /// only afterwards would have become the target's doing.
    fn notice_absence(&mut self, now: u64) {
        if let Some((from_ns, to_ns)) = self.usage.absence(now, self.pacer.waited_ns()) {
            self.was_away(from_ns, to_ns);
        }
    }

    fn was_away(&mut self, from_ns: u64, to_ns: u64) {
        self.absences.add(from_ns, to_ns);
        self.absence_summary.count += 1;
        self.absence_summary.total_ns += to_ns - from_ns;
        self.absence_summary.max_ns = self.absence_summary.max_ns.max(to_ns - from_ns);
        for lane in &mut self.lanes {
            lane.stalls.exclude(from_ns, to_ns);
        }
        self.outlet.was_away(from_ns, to_ns);
    }
}

impl Lane {
    fn block(&mut self, now: u64, absences: &Intervals) {
        let placed = self.placed.front().map(|placed| placed.due_ns);
        let oldest_due_ns = placed.or_else(|| self.backlog.front().map(|slot| slot.due_ns()));
        self.stalls.block(now, oldest_due_ns, absences);
    }
}

impl OpenOutage {
    fn ended(self, at_ns: Option<u64>, measured_from_ns: u64) -> Outage {
        Outage {
            started_s: Duration::from_nanos(self.started_ns.saturating_sub(measured_from_ns)).as_secs_f64(),
            length_s: at_ns.map(|at_ns| Duration::from_nanos(at_ns - self.started_ns).as_secs_f64()),
            reason: self.reason,
            messages_lost: self.lost,
        }
    }
}

/// Frames placed on a lane before the rest of the loop has its turn: some milliseconds of work.
const MOST_A_TURN: usize = 16_384;

/// Recordings made at one go when none came back from the collector; each is some megabytes.
const MOST_SPARES_MADE: u32 = 4;

/// How long the target is waited for at the end of a run, when all is answered, and of one that was aborted.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_ABORTED: Duration = Duration::from_millis(100);

/// How far ahead the clock is read while there is nothing to do.
const LOOK_AHEAD_NS: u64 = 5_000_000;

/// A blocked lane is looked at this often, so that time in which the worker itself was away shows.
const BLOCKED_WAIT_NS: u64 = 2_000_000;

/// Longest wait: an order to stop is obeyed within it.
const LONGEST_WAIT_NS: u64 = 20_000_000;

/// Time-outs are looked for at most this often; they are that late at most.
const EXPIRE_EVERY_NS: u64 = 1_000_000;

/// Placed bytes that do not reach the size of their rule are written after this.
const BYTES_RULE_WAITS_NS: u64 = 1_000_000;

/// Timed-out messages of a lane that are remembered by ordinal, to tell a late reply from a wrong one.
const MOST_GIVEN_UP: usize = 65_536;

#[cfg(test)]
mod tests;
