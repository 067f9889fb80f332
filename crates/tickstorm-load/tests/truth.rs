//! The instrument against the truth: a sender and a target are stepped through a simulated clock, microsecond by
//! microsecond, and what the recording says is compared with what Lindley's recursion gives for the same messages.
//!
//! The simulation and the recursion share no code: one moves queues by hand, the other is arithmetic.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use tickstorm_load::{
    Failure, Freeze, Histogram, Outstanding, Recording, RecordingSpec, Timing, lindley, lindley_with_freeze,
};
use tickstorm_random::Seed;

#[test]
fn a_busy_server_is_measured_as_it_is() {
    let plan = Plan::poisson(10_000, 200, 160);
    let run = simulate(&plan);
    let exact = latencies(&plan, lindley(&ns(&plan.due), &ns(&plan.services), 1));

    assert_measured(run.recording.latency(), &exact);
    assert_measured(run.recording.net_latency(), &exact);
    assert_measured(run.recording.service_time(), &exact);
    assert_eq!((run.recording.lag().count(), run.recording.lag().max_ns()), (10_000, 0));
    // The mean time in a queue at load 0.8 with one server is service / (1 - load).
    let mean_us = run.recording.latency().mean_ns() / 1_000.0;
    assert!((500.0..1_300.0).contains(&mean_us), "{mean_us} us should be around 800");
}

#[test]
fn several_servers_are_measured_as_they_are() {
    let plan = Plan { servers: 3, ..Plan::poisson(10_000, 200, 540) };
    let run = simulate(&plan);
    let exact = latencies(&plan, lindley(&ns(&plan.due), &ns(&plan.services), 3));
    assert_measured(run.recording.latency(), &exact);
}

#[test]
fn a_freeze_of_the_target_shows_in_the_latencies() {
    let plan = frozen(Plan::paced(10_000, 1_000, 100));
    let run = simulate(&plan);
    let departures = lindley_with_freeze(&ns(&plan.due), &ns(&plan.services), 1, plan.freeze());
    let latency = run.recording.latency();

    assert_measured(latency, &latencies(&plan, departures));
    assert_measured(run.recording.net_latency(), &run.exact(|message| message.latency() - message.pacing()));
    assert_eq!(latency.percentile_ns(50.0) / 1_000, 100);
    assert!(
        latency.percentile_ns(99.0) > 90_000_000,
        "one message in fifty came while the target stood still"
    );
    assert!((200_000_000..=201_000_000).contains(&latency.max_ns()));
}

/// Coordinated omission: a sender that waits for each reply sends nothing while the target stands still, so the
/// service times hold one slow message. The latencies, from the due times, do not depend on where the messages
/// queued: with one in flight they are still those of Lindley's recursion over the due times.
#[test]
fn a_freeze_shows_in_the_latencies_also_when_the_sender_has_to_wait() {
    let plan = Plan { max_concurrent: 1, ..frozen(Plan::paced(10_000, 1_000, 100)) };
    let run = simulate(&plan);
    let departures = lindley_with_freeze(&ns(&plan.due), &ns(&plan.services), 1, plan.freeze());
    let recording = &run.recording;

    assert_eq!(
        recording.service_time().percentile_ns(99.9) / 1_000,
        100,
        "service times alone would hide the freeze"
    );
    assert_measured(recording.latency(), &latencies(&plan, departures));
    assert!(recording.latency().percentile_ns(99.0) > 90_000_000);

    // The messages waited for the target, not for us.
    assert_eq!(recording.net_latency(), recording.latency());
    assert_eq!(recording.stall(), recording.lag());
    assert_eq!((recording.pacing_lag().max_ns(), recording.overdue()), (0, 0));
}

#[test]
fn a_pause_of_our_own_is_in_the_latency_and_not_in_the_net_latency() {
    let plan = Plan { own_pause: 3_000_000..3_200_000, servers: 1_000, ..Plan::paced(10_000, 1_000, 100) };
    let run = simulate(&plan);
    let recording = &run.recording;

    assert_measured(recording.latency(), &run.exact(Message::latency));
    assert_measured(recording.pacing_lag(), &run.exact(Message::lag));
    assert!(recording.latency().percentile_ns(99.0) > 90_000_000);
    assert_eq!(recording.latency().max_ns(), 200_100_000);
    // Without a queue in the target, a message that left late was served as fast as any other.
    assert_eq!((recording.net_latency().min_ns(), recording.net_latency().max_ns()), (100_000, 100_000));
    assert_eq!(recording.stall().max_ns(), 0);
    // Due in each of the first 150 ms of the pause, a message left more than 50 ms late.
    assert_eq!(recording.overdue(), 150);
}

#[test]
fn a_burst_that_our_pause_caused_is_measured_as_it_happened() {
    let plan = Plan { own_pause: 1_000_000..1_050_000, ..Plan::poisson(10_000, 200, 150) };
    let run = simulate(&plan);
    let sent: Vec<u64> = run.messages.iter().map(|message| message.sent_us).collect();
    let departures = lindley(&ns(&sent), &ns(&plan.services), 1);

    assert_measured(run.recording.latency(), &latencies(&plan, departures));
    assert_measured(run.recording.service_time(), &run.exact(Message::service));
    assert_measured(run.recording.net_latency(), &run.exact(|message| message.latency() - message.pacing()));
}

#[test]
fn a_connection_that_takes_nothing_is_the_targets_doing() {
    let plan = Plan { stall: 2_000_000..2_100_000, ..Plan::poisson(10_000, 200, 150) };
    let run = simulate(&plan);
    let recording = &run.recording;

    assert_measured(recording.stall(), &run.exact(Message::lag));
    assert!((99_000_000..=100_000_000).contains(&recording.stall().max_ns()));
    assert_eq!(recording.net_latency(), recording.latency());
    assert_measured(recording.latency(), &run.exact(Message::latency));
    assert_eq!((recording.pacing_lag().max_ns(), recording.overdue()), (0, 0));
}

/// The connection cannot take anything from 2.0 to 2.1 s, and we are away from 2.05 to 2.3 s: the first half is
/// the target's doing, also where we would not have sent; the rest is ours.
#[test]
fn of_a_stall_and_a_pause_each_has_its_part() {
    let (stall, pause) = (2_000_000..2_100_000, 2_050_000..2_300_000);
    let plan = Plan {
        stall: stall.clone(),
        own_pause: pause.clone(),
        servers: 1_000,
        ..Plan::paced(10_000, 1_000, 100)
    };
    let run = simulate(&plan);
    let recording = &run.recording;

    let stalls: Vec<u64> =
        plan.due.iter().map(|due| if stall.contains(due) { (stall.end - due) * 1_000 } else { 0 }).collect();
    let pacing: Vec<u64> = plan
        .due
        .iter()
        .map(|due| {
            if (stall.start..pause.end).contains(due) { (pause.end - due.max(&stall.end)) * 1_000 } else { 0 }
        })
        .collect();
    assert_measured(recording.stall(), &stalls);
    assert_measured(recording.pacing_lag(), &pacing);
    let net: Vec<u64> = stalls.iter().map(|stall| stall + 100_000).collect();
    assert_measured(recording.net_latency(), &net);
}

/// With a timeout of 50 ms the messages caught in a freeze of 200 ms fail. They stay in the histogram with the age
/// at which they were given up, and their replies, which come in the end, change nothing.
#[test]
fn failing_does_not_hide_the_tail() {
    let plan = Plan { timeout_us: 50_000, ..frozen(Plan::paced(10_000, 1_000, 100)) };
    let run = simulate(&plan);
    let recording = &run.recording;

    let timeouts = recording.ledger().failed.count(&Failure::Timeout);
    assert!((150..=180).contains(&timeouts), "{timeouts} of the 200 that came in the freeze");
    assert_eq!(recording.ledger().late_replies, timeouts);
    assert_eq!(recording.latency().count(), 10_000);
    assert_eq!(
        (recording.latency().max_ns(), recording.latency().percentile_ns(99.0)),
        (50_000_000, 50_000_000)
    );
    let exact: Vec<u64> = lindley_with_freeze(&ns(&plan.due), &ns(&plan.services), 1, plan.freeze())
        .iter()
        .zip(&plan.due)
        .map(|(departure, due)| (departure - due * 1_000).min(50_000_000))
        .collect();
    assert_measured(recording.latency(), &exact);
}

/// What happens in a simulated run; times are microseconds of run time.
struct Plan {
    due: Vec<u64>,
    services: Vec<u64>,
    servers: usize,
    freeze: Option<(u64, u64)>,
    max_concurrent: usize,
    timeout_us: u64,
    /// When the sender is away.
    own_pause: Range<u64>,
    /// When the connection takes nothing.
    stall: Range<u64>,
}

impl Plan {
    /// `count` messages at equal gaps, each served in the same time by one server.
    fn paced(count: u64, gap_us: u64, service_us: u64) -> Self {
        Self {
            due: (0..count).map(|n| n * gap_us).collect(),
            services: vec![service_us; count as usize],
            servers: 1,
            freeze: None,
            max_concurrent: usize::MAX,
            timeout_us: u64::MAX,
            own_pause: 0..0,
            stall: 0..0,
        }
    }

    /// `count` messages with exponential gaps and services of these means.
    fn poisson(count: u64, gap_us: u64, service_us: u64) -> Self {
        let mut stream = Seed::new(1).stream("truth", 0);
        let mut exponential = |mean_us: u64| (-(1.0 - stream.unit()).ln() * mean_us as f64).ceil() as u64;
        let mut due_us = 0;
        let mut plan = Self::paced(count, 0, 0);
        for (due, service) in plan.due.iter_mut().zip(&mut plan.services) {
            due_us += exponential(gap_us);
            *due = due_us;
            *service = exponential(service_us).max(1);
        }
        plan
    }

    fn freeze(&self) -> Option<Freeze> {
        let micros = Duration::from_micros;
        self.freeze.map(|(length, period)| {
            Freeze::new(micros(length), micros(period)).expect("the plan's freeze is shorter than its period")
        })
    }
}

/// The plan with a target that stands still for 200 ms at 6 s, and next at 12 s.
fn frozen(plan: Plan) -> Plan {
    Plan { freeze: Some((200_000, 6_000_000)), ..plan }
}

/// What became of the messages, and what was recorded about it.
struct Run {
    messages: Vec<Message>,
    recording: Recording,
}

impl Run {
    /// A quantity of each message in nanoseconds, from the simulation's own notes.
    fn exact(&self, quantity: impl Fn(&Message) -> u64) -> Vec<u64> {
        self.messages.iter().map(|message| quantity(message) * 1_000).collect()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Message {
    due_us: u64,
    stall_us: u64,
    sent_us: u64,
    done_us: u64,
    pacing_ns: u64,
    is_given_up: bool,
}

impl Message {
    fn lag(&self) -> u64 {
        self.sent_us - self.due_us
    }

    fn pacing(&self) -> u64 {
        self.lag() - self.stall_us
    }

    fn service(&self) -> u64 {
        self.done_us - self.sent_us
    }

    fn latency(&self) -> u64 {
        self.done_us - self.due_us
    }

    fn timing(&self) -> Timing {
        Timing {
            due_ns: self.due_us * 1_000,
            sent_ns: self.sent_us * 1_000,
            done_ns: self.done_us * 1_000,
            ours_ns: self.pacing_ns,
        }
    }
}

/// Steps the plan through its microseconds. Each second's notes go into a recording of their own, which is then
/// merged, as in a run.
fn simulate(plan: &Plan) -> Run {
    let mut messages: Vec<Message> =
        plan.due.iter().map(|&due_us| Message { due_us, ..Message::default() }).collect();
    let mut total = Recording::new(RecordingSpec::default());
    let mut interval = total.clone();
    let mut backlog = VecDeque::new();
    let mut in_flight: VecDeque<usize> = VecDeque::new();
    let mut queue = VecDeque::new();
    let mut serving: Vec<(usize, u64)> = Vec::new();
    let mut next_due = 0;
    let mut answered = 0;
    // Microseconds so far in which the connection could not take a message.
    let mut blocked_us = 0;

    for now in 0.. {
        serving.retain(|&(index, left_us)| {
            if left_us == 0 {
                answered += 1;
                let message = &mut messages[index];
                if message.is_given_up {
                    interval.on_late_reply();
                } else {
                    message.done_us = now;
                    interval.on_processed(&message.timing());
                    in_flight.retain(|&other| other != index);
                }
            }
            left_us > 0
        });
        if answered == messages.len() {
            break;
        }
        while let Some(oldest) =
            in_flight.pop_front_if(|oldest| now - messages[*oldest].sent_us >= plan.timeout_us)
        {
            let message = &mut messages[oldest];
            message.is_given_up = true;
            message.done_us = now;
            interval.on_failed(&Failure::Timeout, &message.timing(), None);
        }
        while next_due < messages.len() && messages[next_due].due_us == now {
            interval.on_due(1);
            messages[next_due].stall_us = blocked_us;
            backlog.push_back(next_due);
            next_due += 1;
        }
        let is_away = plan.own_pause.contains(&now);
        let is_stalled = plan.stall.contains(&now);
        while !is_away && !is_stalled && in_flight.len() < plan.max_concurrent {
            let Some(index) = backlog.pop_front() else { break };
            let message = &mut messages[index];
            message.sent_us = now;
            message.stall_us = blocked_us - message.stall_us;
            message.pacing_ns =
                interval.on_sent(0, now * 1_000, message.lag() * 1_000, message.stall_us * 1_000);
            in_flight.push_back(index);
            queue.push_back(index);
        }
        blocked_us += u64::from(is_stalled || in_flight.len() >= plan.max_concurrent);
        while serving.len() < plan.servers {
            let Some(index) = queue.pop_front() else { break };
            serving.push((index, plan.services[index]));
        }
        let is_frozen = plan.freeze.is_some_and(|(length, period)| now >= period && now % period < length);
        if !is_frozen {
            serving.iter_mut().for_each(|(_, left_us)| *left_us -= 1);
        }
        if now % 1_000_000 == 999_999 {
            assert_balance(&interval, &mut total, &backlog, &in_flight);
            interval.clear();
        }
    }
    assert_balance(&interval, &mut total, &backlog, &in_flight);
    Run { messages, recording: total }
}

fn assert_balance(
    interval: &Recording,
    total: &mut Recording,
    backlog: &VecDeque<usize>,
    in_flight: &VecDeque<usize>,
) {
    total.merge(interval);
    let outstanding = Outstanding { waiting: backlog.len() as u64, in_flight: in_flight.len() as u64 };
    assert_eq!(total.ledger().balances(outstanding), Ok(()));
}

fn latencies(plan: &Plan, departures_ns: Vec<u64>) -> Vec<u64> {
    departures_ns.iter().zip(&plan.due).map(|(departure, due)| departure - due * 1_000).collect()
}

fn ns(us: &[u64]) -> Vec<u64> {
    us.iter().map(|us| us * 1_000).collect()
}

/// The histogram is that of the exact values, to its precision of a thousandth.
fn assert_measured(histogram: &Histogram, exact: &[u64]) {
    let mut sorted = exact.to_vec();
    sorted.sort_unstable();
    let sum: u128 = sorted.iter().map(|&value| u128::from(value)).sum();
    assert_eq!(histogram.count(), sorted.len() as u64);
    assert_eq!(histogram.sum_ns(), sum);
    assert_eq!(histogram.max_ns(), sorted[sorted.len() - 1]);
    for per_mille in [500, 900, 950, 990, 999] {
        let truth = sorted[(sorted.len() * per_mille).div_ceil(1_000) - 1];
        let measured = histogram.percentile_ns(per_mille as f64 / 10.0);
        assert!(
            measured >= truth && measured - truth <= truth / 1_000,
            "p{}: {measured} ns instead of {truth} ns",
            per_mille as f64 / 10.0
        );
    }
}
