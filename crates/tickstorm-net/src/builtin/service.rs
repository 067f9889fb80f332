//! When the built-in target has done with a message.

use std::collections::VecDeque;

use tickstorm_load::{Freeze, departure};
use tickstorm_random::{Seed, Stream};

use super::spec::{BuiltinSpec, Distribution};

/// First come, first served by one or more servers, on a clock that is given to it. Messages that are served wait
/// here until their answer is due.
#[derive(Debug)]
pub(super) struct Service {
    service_ns: u64,
    distribution: Distribution,
    fail: f64,
    freeze: Option<Freeze>,
    /// When the clock of the freeze windows stands at zero; before, nothing freezes.
    origin_ns: i64,
    service_times: Stream,
    failures: Stream,
    servers: Vec<Server>,
    arrived: u64,
    queued: usize,
}

/// One server and what it has taken. It answers in the order in which it took.
#[derive(Debug, Default)]
struct Server {
    free_at_ns: u64,
    answers: VecDeque<Answer>,
}

/// An answer and when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) due_ns: u64,
    /// Place of the message among all.
    arrival: u64,
    /// The connection's key.
    pub(super) connection: usize,
    /// Place of the message on its connection, from 0.
    pub(super) ordinal: u64,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Processed,
    Rejected,
    /// It could not be read.
    Malformed,
}

impl Service {
    pub(super) fn new(spec: &BuiltinSpec) -> Self {
        let seed = Seed::new(spec.seed);
        Self {
            service_ns: spec.service.as_nanos() as u64,
            distribution: spec.distribution,
            fail: spec.fail,
            freeze: spec.freeze,
            origin_ns: NO_ORIGIN,
            service_times: seed.stream("service", 0),
            failures: seed.stream("fail", 0),
            servers: (0..spec.servers).map(|_| Server::default()).collect(),
            arrived: 0,
            queued: 0,
        }
    }

    pub(super) fn set_origin(&mut self, origin_ns: i64) {
        self.origin_ns = origin_ns;
    }

    /// Takes a message that arrives no earlier than those before. What is drawn for it depends on the seed and its
    /// place alone.
    pub(super) fn take(&mut self, arrival_ns: u64, connection: usize, ordinal: u64, outcome: Outcome) {
        let service_ns = match self.distribution {
            Distribution::Fixed => self.service_ns,
            Distribution::Exponential => {
                (self.service_ns as f64 * -libm::log(self.service_times.open_unit())) as u64
            }
        };
        let rejected = self.failures.unit() < self.fail;
        let outcome = if rejected && outcome == Outcome::Processed { Outcome::Rejected } else { outcome };
        let server = self
            .servers
            .iter_mut()
            .min_by_key(|server| server.free_at_ns)
            .expect("a spec has at least one server");
        let on_run_clock = |at_ns: u64| at_ns.checked_sub_signed(self.origin_ns);
        server.free_at_ns = match on_run_clock(arrival_ns) {
            None => departure(arrival_ns, server.free_at_ns, service_ns, None),
            Some(arrival_ns) => {
                let free_at_ns = on_run_clock(server.free_at_ns).unwrap_or(0);
                departure(arrival_ns, free_at_ns, service_ns, self.freeze)
                    .saturating_add_signed(self.origin_ns)
            }
        };
        let due_ns = server.free_at_ns;
        server.answers.push_back(Answer { due_ns, arrival: self.arrived, connection, ordinal, outcome });
        self.arrived += 1;
        self.queued += 1;
    }

    /// When the next answer is due.
    pub(super) fn next_due_ns(&self) -> Option<u64> {
        self.servers.iter().filter_map(|server| server.answers.front()).map(|answer| answer.due_ns).min()
    }

    /// The next answer that is due by now, in order of due time and then of arrival.
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<Answer> {
        let key = |server: &&mut Server| {
            server.answers.front().map_or((u64::MAX, u64::MAX), |answer| (answer.due_ns, answer.arrival))
        };
        let server = self.servers.iter_mut().min_by_key(key)?;
        let answer = server.answers.pop_front_if(|answer| answer.due_ns <= now_ns)?;
        self.queued -= 1;
        Some(answer)
    }

    /// Answers that wait.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }
}

/// An origin that is never reached.
pub(super) const NO_ORIGIN: i64 = i64::MAX;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tickstorm_load::lindley_with_freeze;

    use super::*;

    fn spec(text: &str) -> BuiltinSpec {
        text.parse().unwrap()
    }

    /// Due times in order of arrival.
    fn due_times(service: &mut Service) -> Vec<u64> {
        let mut answers: Vec<Answer> = std::iter::from_fn(|| service.pop_due(u64::MAX)).collect();
        assert!(answers.is_sorted_by_key(|answer| answer.due_ns));
        assert_eq!(service.queued(), 0);
        answers.sort_by_key(|answer| answer.arrival);
        answers.iter().map(|answer| answer.due_ns).collect()
    }

    #[test]
    fn messages_queue_behind_each_other() {
        let mut service = Service::new(&spec("builtin:?service=10ns"));
        for (ordinal, arrival_ns) in [100, 101, 150].into_iter().enumerate() {
            service.take(arrival_ns, 0, ordinal as u64, Outcome::Processed);
        }
        assert_eq!(service.next_due_ns(), Some(110));
        assert_eq!(service.pop_due(109), None);
        assert_eq!(service.pop_due(110).unwrap().due_ns, 110);
        assert_eq!(service.queued(), 2);
        assert_eq!(due_times(&mut service), [120, 160]);
        assert_eq!(service.next_due_ns(), None);
    }

    #[test]
    fn freeze_windows_count_from_the_origin_and_not_before_it() {
        let mut service = Service::new(&spec("builtin:?service=10ns&freeze=100ns/1us"));
        service.take(995, 0, 0, Outcome::Processed);
        service.set_origin(2000);
        service.take(1999, 0, 1, Outcome::Processed);
        service.take(2500, 0, 2, Outcome::Processed);
        service.take(2995, 0, 3, Outcome::Processed);
        service.take(3050, 0, 4, Outcome::Processed);
        assert_eq!(due_times(&mut service), [1005, 2009, 2510, 3105, 3115]);
    }

    #[test]
    fn rejections_follow_the_seed_exactly() {
        let rejected = |text: &str| {
            let mut service = Service::new(&spec(text));
            (0..10_000).for_each(|ordinal| service.take(ordinal, 0, ordinal, Outcome::Processed));
            std::iter::from_fn(|| service.pop_due(u64::MAX))
                .filter(|answer| answer.outcome == Outcome::Rejected)
                .map(|answer| answer.ordinal)
                .collect::<Vec<u64>>()
        };
        let mut stream = Seed::new(7).stream("fail", 0);
        let expected: Vec<u64> = (0..10_000).filter(|_| stream.unit() < 0.01).collect();
        assert_eq!(rejected("builtin:?fail=0.01&seed=7"), expected);
        assert!((50..150).contains(&expected.len()), "{}", expected.len());
        assert_ne!(rejected("builtin:?fail=0.01&seed=8"), expected);
        assert_eq!(rejected("builtin:?fail=1").len(), 10_000);
        assert_eq!(rejected("builtin").len(), 0);
    }

    #[test]
    fn exponential_service_has_its_mean_and_its_spread() {
        let mut service = Service::new(&spec("builtin:?service=1ms&dist=exp"));
        let n = 100_000;
        for ordinal in 0..n {
            // Far apart, so that nobody waits.
            service.take(ordinal * 1_000_000_000, 0, ordinal, Outcome::Processed);
        }
        let times: Vec<f64> = due_times(&mut service)
            .into_iter()
            .enumerate()
            .map(|(i, due_ns)| (due_ns - i as u64 * 1_000_000_000) as f64 / 1e6)
            .collect();
        let mean = times.iter().sum::<f64>() / n as f64;
        let above = times.iter().filter(|&&time| time > 2.0).count() as f64 / n as f64;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((above - (-2f64).exp()).abs() < 0.005, "{above}");
    }

    proptest! {
        #[test]
        fn departures_are_those_of_the_recursion(
            gaps in prop::collection::vec(0u64..300, 1..200),
            service_ns in 0u64..1000,
            servers in 1usize..5,
            freeze in prop::option::of((0u64..500, 500u64..2000)),
        ) {
            let freeze = freeze.map(|(length, period)| {
                Freeze::new(Duration::from_nanos(length), Duration::from_nanos(period)).unwrap()
            });
            let service = Duration::from_nanos(service_ns);
            let mut queue = Service::new(&BuiltinSpec { service, servers, freeze, ..BuiltinSpec::default() });
            let origin_ns = 12_345;
            queue.set_origin(origin_ns as i64);
            let arrivals: Vec<u64> =
                gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            for (ordinal, at_ns) in arrivals.iter().enumerate() {
                queue.take(origin_ns + at_ns, 0, ordinal as u64, Outcome::Processed);
            }
            let truth = lindley_with_freeze(&arrivals, &vec![service_ns; arrivals.len()], servers, freeze);
            let due: Vec<u64> = due_times(&mut queue).iter().map(|due_ns| due_ns - origin_ns).collect();
            prop_assert_eq!(due, truth);
        }
    }
}
