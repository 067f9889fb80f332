//! Measured latencies beside exact ones.

use std::time::Duration;

use tickstorm_load::{Arrivals, Histogram, lindley_with_freeze};
use tickstorm_net::{BuiltinSpec, Distribution};
use tickstorm_random::Seed;
use tickstorm_report::format;

use super::{Latencies, RulerError, RulerSpec, TruthRow, Watched, rate, rounded, run, spec_at};
use crate::{Pacing, Plan, Spec, Target};

pub(super) fn rows(
    spec: &RulerSpec,
    watched: &mut Watched,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<TruthRow>, RulerError> {
    cases(spec)
        .into_iter()
        .map(|case| {
            let load = format::percent(case.load());
            progress(&format!("truth: {} at {load} load, {}", case.target, case.arrivals));
            case.measure(watched)
        })
        .collect()
}

/// A queue whose latencies can be computed.
struct Case {
    target: BuiltinSpec,
    arrivals: Arrivals,
    per_second: u64,
    duration: Duration,
}

fn cases(spec: &RulerSpec) -> Vec<Case> {
    let fixed = BuiltinSpec { service: Duration::from_millis(1), ..BuiltinSpec::default() };
    let exponential = BuiltinSpec { distribution: Distribution::Exponential, ..fixed };
    let freezing = BuiltinSpec { service: Duration::from_micros(500), freeze: Some(spec.freeze), ..fixed };
    let poisson = |target, per_second| Case {
        target,
        arrivals: Arrivals::Poisson,
        per_second,
        duration: spec.truth_duration,
    };
    vec![
        poisson(fixed, 500),
        poisson(fixed, 800),
        poisson(fixed, 950),
        poisson(exponential, 800),
        Case {
            target: freezing,
            arrivals: Arrivals::Paced,
            per_second: 1_000,
            duration: spec.freeze_duration,
        },
    ]
}

impl Case {
    fn load(&self) -> f64 {
        self.per_second as f64 * self.target.service.as_secs_f64()
    }

    fn measure(&self, watched: &mut Watched) -> Result<TruthRow, RulerError> {
        let spec = Spec {
            arrivals: Some(self.arrivals),
            // Neither limit is to touch a queue that is itself the thing measured.
            max_concurrent: 1_000_000,
            timeout: Duration::from_secs(60),
            ..spec_at(rate(self.per_second), self.duration, Pacing::Auto)
        };
        let target = Target::Builtin(self.target);
        let plan = Plan::new(&spec, &target)?;
        let exact = self.exact(&plan);
        let (finished, seen) = run(plan, &target, watched)?;
        watched.add_looks(seen);
        let report = finished.report;
        Ok(TruthRow {
            target: self.target.to_string(),
            arrivals: self.arrivals.to_string(),
            rate: self.per_second as f64,
            load: rounded(self.load()),
            messages: report.total_messages,
            messages_failed: report.messages_failed,
            exact: Latencies::from(&exact),
            net: Latencies::from(&report.net_latency),
            measured: Latencies::from(&report.latency),
            pacing_lag_p99_ms: rounded(report.pacing_lag.p99_ms.unwrap_or_default()),
        })
    }

    /// The latencies if nothing but the queue took time: messages arrive when they are due.
    fn exact(&self, plan: &Plan) -> Histogram {
        let mut slots = Vec::new();
        let mut clock = plan.schedule().clock(|_| true);
        while clock.next_cell(&mut slots).is_some() {}
        let due_ns: Vec<u64> = slots.iter().map(|slot| slot.due_ns()).collect();
        let services_ns = service_times(&self.target, due_ns.len());
        let left_ns = lindley_with_freeze(&due_ns, &services_ns, self.target.servers, self.target.freeze);
        let mut latencies = Histogram::new();
        for (due_ns, left_ns) in due_ns.iter().zip(left_ns) {
            latencies.record(left_ns - due_ns);
        }
        latencies
    }
}

/// What the built-in target draws for its first `count` messages: its own rule, which a test holds this to.
fn service_times(spec: &BuiltinSpec, count: usize) -> Vec<u64> {
    let service_ns = spec.service.as_nanos() as u64;
    let mut draws = Seed::new(spec.seed).stream("service", 0);
    let draw = |_| match spec.distribution {
        Distribution::Fixed => service_ns,
        Distribution::Exponential => (service_ns as f64 * -libm::log(draws.open_unit())) as u64,
    };
    (0..count).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use tickstorm_market::Listing;
    use tickstorm_net::{Builtin, Connection, Events, Poller};
    use tickstorm_venue::Venue;

    use super::*;

    #[test]
    fn service_times_are_those_of_the_built_in_target() {
        let spec: BuiltinSpec = "builtin:?service=40ms&dist=exp&seed=7".parse().unwrap();
        let expected: Duration = service_times(&spec, MESSAGES).into_iter().map(Duration::from_nanos).sum();
        let fixed = service_times(&BuiltinSpec { distribution: Distribution::Fixed, ..spec }, 2);
        assert_eq!(fixed, [40_000_000; 2]);

        let listing = Listing::synthetic(1, Seed::new(1));
        let builtin = Builtin::start(&spec, Venue::Binance, &listing, &[]).unwrap();
        let mut connection = Connection::connect(builtin.endpoint(), PATIENCE).unwrap();
        let poller = Arc::new(Poller::new().unwrap());
        connection.register(&poller, 0).unwrap();
        // What it cannot read takes its service time all the same.
        (0..MESSAGES).for_each(|_| connection.push_frame(|out| out.extend_from_slice(b"{}")));
        let sent = Instant::now();
        connection.flush().unwrap();
        let (mut events, mut answers) = (Events::new(), 0);
        while answers < MESSAGES {
            assert!(sent.elapsed() < PATIENCE, "{answers} answers");
            poller.wait(Duration::from_millis(100), &mut events).unwrap();
            connection.read(|_| answers += 1).unwrap();
        }
        let elapsed = sent.elapsed();
        builtin.stop();
        // Never early; a busy machine may be late. Draws of another seed or rule are off by hundreds of milliseconds.
        assert!(elapsed >= expected, "{elapsed:?}, expected {expected:?}");
        assert!(elapsed < expected + Duration::from_millis(200), "{elapsed:?}, expected {expected:?}");
    }

    #[test]
    fn exact_latencies_are_those_of_queueing_theory() {
        // An M/D/1 queue at load r with service s waits r s / (2 (1 - r)) on average.
        let spec = RulerSpec { truth_duration: Duration::from_secs(2_000), ..RulerSpec::default() };
        for case in &cases(&spec)[..2] {
            let plan_spec = Spec {
                arrivals: Some(case.arrivals),
                ..spec_at(rate(case.per_second), case.duration, Pacing::Auto)
            };
            let plan = Plan::new(&plan_spec, &Target::Builtin(case.target)).unwrap();
            let exact = case.exact(&plan);
            let service_ms = case.target.service.as_secs_f64() * 1e3;
            let theory_ms = service_ms * (1.0 + case.load() / (2.0 * (1.0 - case.load())));
            let mean_ms = exact.mean_ns() / 1e6;
            assert!((mean_ms / theory_ms - 1.0).abs() < 0.03, "{mean_ms} ms, theory {theory_ms} ms");
            assert!(exact.min_ns() >= case.target.service.as_nanos() as u64);
        }
    }

    const MESSAGES: usize = 20;
    const PATIENCE: Duration = Duration::from_secs(20);
}
