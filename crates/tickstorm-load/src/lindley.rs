//! What a queue does to the messages that go through it, computed instead of measured: the truth against which the
//! instrument is tested, and the rule by which the built-in target delays its answers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// When each message leaves a first-come-first-served queue with `servers` servers: the `i`-th arrives at
/// `arrivals[i]` (in ascending order) and needs `services[i]` of one server.
///
/// For one server `departure = max(arrival, previous departure) + service`, Lindley's recursion (D. V. Lindley, "The
/// theory of queues with a single server", Mathematical Proceedings of the Cambridge Philosophical Society 48, 1952,
/// pages 277-289), written for departures instead of waiting times. For more, the server that is free first takes
/// the place of the previous departure. No servers serve like one. If the slices differ in length, the surplus of
/// the longer one is left out.
pub fn lindley(arrivals: &[u64], services: &[u64], servers: usize) -> Vec<u64> {
    lindley_with_freeze(arrivals, services, servers, None)
}

/// The same with servers that stand still in every window of `freeze`.
pub fn lindley_with_freeze(
    arrivals: &[u64],
    services: &[u64],
    servers: usize,
    freeze: Option<Freeze>,
) -> Vec<u64> {
    let mut servers = Servers::new(servers, freeze);
    arrivals
        .iter()
        .zip(services)
        .map(|(&arrival_ns, &service_ns)| servers.take(arrival_ns, service_ns))
        .collect()
}

/// The servers of a queue, for departures one at a time.
#[derive(Debug, Clone)]
pub struct Servers {
    /// When each server has done what it took so far; the one free first is on top.
    free_at_ns: BinaryHeap<Reverse<u64>>,
    freeze: Option<Freeze>,
}

impl Servers {
    /// `count` idle servers, at least one.
    pub fn new(count: usize, freeze: Option<Freeze>) -> Self {
        Self { free_at_ns: vec![Reverse(0); count.max(1)].into(), freeze }
    }

    /// Takes a message that arrives no earlier than those before it and says when it leaves. Costs the logarithm
    /// of the number of servers.
    pub fn take(&mut self, arrival_ns: u64, service_ns: u64) -> u64 {
        let mut first = self.free_at_ns.peek_mut().expect("there is at least one server");
        let departure_ns = departure(arrival_ns, first.0, service_ns, self.freeze);
        *first = Reverse(departure_ns);
        departure_ns
    }
}

/// When a message that arrives at `arrival_ns` leaves a server that is free from `free_at_ns` on and needs
/// `service_ns` for it: `max(arrival, free) + service`, where no time passes in a frozen window. Times beyond
/// `u64::MAX` are `u64::MAX`.
///
/// ```
/// use std::time::Duration;
/// use tickstorm_load::{Freeze, departure};
///
/// assert_eq!(departure(10, 25, 5, None), 30);
/// let freeze = Freeze::new(Duration::from_nanos(20), Duration::from_nanos(100))?;
/// // 3 ns before the window, 2 ns after it.
/// assert_eq!(departure(97, 0, 5, Some(freeze)), 122);
/// # Ok::<(), tickstorm_load::FreezeError>(())
/// ```
pub fn departure(arrival_ns: u64, free_at_ns: u64, service_ns: u64, freeze: Option<Freeze>) -> u64 {
    let start_ns = arrival_ns.max(free_at_ns);
    match freeze {
        None => start_ns.saturating_add(service_ns),
        Some(freeze) => freeze.after(start_ns, service_ns),
    }
}

/// Windows in which no service progresses, and one that is under way is suspended: from `k * period` on for
/// `length`, for k = 1, 2, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freeze {
    length_ns: u64,
    period_ns: u64,
}

/// Windows that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// Windows would touch, and nothing would ever be served.
    #[error("freeze must be shorter than its period, got {length:?} every {period:?}")]
    NotShorter {
        /// The length asked for.
        length: Duration,
        /// The period asked for.
        period: Duration,
    },
    /// Run time is counted in 64 bits of nanoseconds.
    #[error("freeze period must be at most 584 years, got {period:?}")]
    TooLong {
        /// The period asked for.
        period: Duration,
    },
}

impl Freeze {
    /// Windows of `length`, one every `period`; `length` must be the shorter.
    pub fn new(length: Duration, period: Duration) -> Result<Self, FreezeError> {
        if length >= period {
            return Err(FreezeError::NotShorter { length, period });
        }
        let ns = |duration: Duration| {
            u64::try_from(duration.as_nanos()).map_err(|_| FreezeError::TooLong { period })
        };
        Ok(Self { length_ns: ns(length)?, period_ns: ns(period)? })
    }

    /// How long each window is.
    pub fn length(self) -> Duration {
        Duration::from_nanos(self.length_ns)
    }

    /// The time from the beginning of a window to that of the next.
    pub fn period(self) -> Duration {
        Duration::from_nanos(self.period_ns)
    }

    /// The instant at which `service_ns` of unfrozen time have passed since `start_ns`. What needs no time at all
    /// still waits for the end of the window it starts in.
    fn after(self, start_ns: u64, service_ns: u64) -> u64 {
        let start_ns = self.thawed(start_ns);
        let next_window_ns = (start_ns / self.period_ns + 1).saturating_mul(self.period_ns);
        let before_window_ns = next_window_ns - start_ns;
        if service_ns <= before_window_ns {
            return start_ns.saturating_add(service_ns);
        }
        // The rest fills whole periods, each less its window, and ends in the last one, at its end at the latest.
        let rest_ns = service_ns - before_window_ns;
        let open_ns = self.period_ns - self.length_ns;
        let whole_periods = (rest_ns - 1) / open_ns;
        next_window_ns
            .saturating_add(whole_periods.saturating_mul(self.period_ns))
            .saturating_add(self.length_ns)
            .saturating_add(rest_ns - whole_periods * open_ns)
    }

    /// `at_ns`, or the end of the window that it lies in.
    fn thawed(self, at_ns: u64) -> u64 {
        let into_period_ns = at_ns % self.period_ns;
        if at_ns >= self.period_ns && into_period_ns < self.length_ns {
            (at_ns - into_period_ns).saturating_add(self.length_ns)
        } else {
            at_ns
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_waits_for_the_one_before_it() {
        // By hand: the server is idle at 0; busy until 10 and 20 when the next two come; idle again from 25 to 40.
        assert_eq!(lindley(&[0, 2, 4, 40], &[10, 10, 5, 1], 1), [10, 20, 25, 41]);
    }

    #[test]
    fn an_idle_server_adds_only_its_service() {
        assert_eq!(lindley(&[0, 100, 200], &[7, 8, 9], 1), [7, 108, 209]);
    }

    #[test]
    fn the_server_that_is_free_first_takes_the_next_message() {
        // Server A: 0-10, then the third 10-13, then the fourth 13-14. Server B: 1-21, then the fifth 21-26.
        assert_eq!(lindley(&[0, 1, 2, 3, 15], &[10, 20, 3, 1, 5], 2), [10, 21, 13, 14, 20]);
        assert_eq!(lindley(&[0, 1, 2, 3, 4], &[10, 20, 3, 1, 5], 5), [10, 21, 5, 4, 9]);
    }

    #[test]
    fn no_servers_serve_like_one() {
        assert_eq!(lindley(&[0, 1], &[5, 5], 0), [5, 10]);
    }

    #[test]
    fn surplus_arrivals_or_services_are_left_out() {
        assert_eq!(lindley(&[0, 1], &[5], 1), [5]);
        assert_eq!(lindley(&[0], &[5, 6], 1), [5]);
    }

    #[test]
    fn a_window_suspends_the_service_under_way() {
        let freeze = freeze(20, 100);
        for (start, service, end) in [
            (0, 50, 50),     // before the first window: there is none at the origin
            (90, 10, 100),   // done as the window begins
            (90, 11, 121),   // the last nanosecond waits
            (100, 5, 125),   // starts in the window
            (119, 5, 125),   //
            (120, 5, 125),   // starts at its end
            (110, 0, 120),   // nothing leaves a frozen server
            (50, 131, 221),  // 50 to the window, 80 between windows, 1 after the second
            (50, 130, 200),  // just done at the second
            (50, 210, 300),  // 50, 80 and 80: just done at the third
            (0, 1000, 1240), // 100 and eleven times 80 make 980 by 1200; the last 20 follow the window
        ] {
            assert_eq!(departure(start, 0, service, Some(freeze)), end, "{service} ns from {start}");
            assert_eq!(departure(0, start, service, Some(freeze)), end, "{service} ns, free from {start}");
        }
    }

    #[test]
    fn a_freeze_delays_all_who_queue_behind_it() {
        let departures = lindley_with_freeze(&[95, 105, 115, 125], &[10, 1, 1, 1], 1, Some(freeze(20, 100)));
        assert_eq!(departures, [125, 126, 127, 128]);
    }

    #[test]
    fn windows_that_would_touch_are_refused() {
        let nanos = Duration::from_nanos;
        let error = Freeze::new(nanos(100), nanos(100)).unwrap_err();
        assert_eq!(error, FreezeError::NotShorter { length: nanos(100), period: nanos(100) });
        assert_eq!(error.to_string(), "freeze must be shorter than its period, got 100ns every 100ns");
        assert!(Freeze::new(nanos(0), nanos(0)).is_err());
        let period = Duration::MAX;
        assert_eq!(Freeze::new(nanos(1), period), Err(FreezeError::TooLong { period }));
        let freeze = Freeze::new(nanos(0), nanos(100)).unwrap();
        assert_eq!((freeze.length(), freeze.period()), (nanos(0), nanos(100)));
    }

    proptest! {
        /// Nanosecond by nanosecond, without arithmetic to be wrong about.
        #[test]
        fn departures_are_those_of_a_server_stepped_by_hand(
            start in 0..500u64, service in 0..500u64, (length, period) in (0..30u64, 1..60u64),
        ) {
            prop_assume!(length < period);
            let frozen = |at: u64| at >= period && at % period < length;
            let (mut now, mut left) = (start, service);
            while left > 0 || service == 0 && frozen(now) {
                left -= u64::from(!frozen(now));
                now += 1;
            }
            prop_assert_eq!(departure(start, 0, service, Some(freeze(length, period))), now);
        }

        #[test]
        fn messages_leave_one_server_in_order_and_never_before_they_could(
            mut arrivals in prop::collection::vec(0..10_000u64, 1..100),
            services in prop::collection::vec(0..300u64, 100),
            servers in 1..5usize,
        ) {
            arrivals.sort_unstable();
            let one = lindley(&arrivals, &services, 1);
            let many = lindley(&arrivals, &services, servers);
            prop_assert!(one.is_sorted());
            for (index, arrival) in arrivals.iter().enumerate() {
                prop_assert!(many[index] >= arrival + services[index]);
                prop_assert!(many[index] <= one[index], "more servers make nobody wait longer");
            }
        }

        #[test]
        fn no_time_is_too_large(
            arrival in any::<u64>(), free in any::<u64>(), service in any::<u64>(),
            length in any::<u64>(), period in any::<u64>(),
        ) {
            let freeze = Freeze::new(Duration::from_nanos(length), Duration::from_nanos(period)).ok();
            let leaves = departure(arrival, free, service, freeze);
            prop_assert!(leaves >= arrival.max(free).saturating_add(service));
        }
    }

    fn freeze(length_ns: u64, period_ns: u64) -> Freeze {
        Freeze::new(Duration::from_nanos(length_ns), Duration::from_nanos(period_ns)).unwrap()
    }
}
