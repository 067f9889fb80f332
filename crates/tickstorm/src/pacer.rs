//! How a worker waits for the next due instant: against absolute deadlines, in the worker's own thread.

use std::time::Duration;

use crate::{Pacing, machine::ThreadUsage, outlet::Outlet};

/// Waits for deadlines by sleeping, or by sleeping most of the time and spinning the rest.
#[derive(Debug)]
pub(crate) struct Pacer {
    spins: bool,
    /// Shortest time between two wake-ups of a sleeper for due instants.
    slot_ns: u64,
    /// Whether it may stop spinning when the processor turns out to be contended.
    may_fall_back: bool,
    fell_back: bool,
    /// When it last woke for a due instant.
    last_slot_ns: u64,
    /// Time spent asleep.
    waited_ns: u64,
    next_check_ns: u64,
    switches_at_check: Option<u64>,
    contended_checks: u32,
}

/// How the waiting was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacedBy {
    Sleep,
    Spin,
    /// It span until other processes wanted the core.
    SpinThenSleep,
}

impl Pacer {
    /// `has_own_core` says whether there are cores enough for every busy thread; `rate` is the worker's own, msg/s.
    pub(crate) fn new(pacing: Pacing, rate: f64, has_own_core: bool) -> Self {
        let spins = match pacing {
            Pacing::Sleep => false,
            Pacing::Spin => true,
            Pacing::Auto => rate > SPIN_ABOVE_RATE && has_own_core,
        };
        Self {
            spins,
            slot_ns: SLOT_NS,
            may_fall_back: pacing == Pacing::Auto,
            fell_back: false,
            last_slot_ns: 0,
            waited_ns: 0,
            next_check_ns: 0,
            switches_at_check: None,
            contended_checks: 0,
        }
    }

    /// Of a worker that only wakes a host: each wake-up costs the host more than a call, and spinning would take a core
    /// for a precision that the host does not have.
    pub(crate) fn of_host() -> Self {
        Self { slot_ns: HOST_SLOT_NS, ..Self::new(Pacing::Sleep, 0.0, false) }
    }

    pub(crate) fn paced_by(&self) -> PacedBy {
        match (self.spins, self.fell_back) {
            (true, _) => PacedBy::Spin,
            (false, true) => PacedBy::SpinThenSleep,
            (false, false) => PacedBy::Sleep,
        }
    }

    /// Time spent asleep so far.
    pub(crate) fn waited_ns(&self) -> u64 {
        self.waited_ns
    }

    /// Waits until `due_ns`, `other_ns` or something on the outlet, whichever comes first. All times are run time, which
    /// `clock` reads. Returns from when to when the thread slept on although it was to wake.
    pub(crate) fn wait(
        &mut self,
        now_ns: u64,
        due_ns: u64,
        other_ns: u64,
        outlet: &mut impl Outlet,
        clock: impl Fn() -> u64,
    ) -> Option<(u64, u64)> {
        // At high rates a sleeper wakes once a slot, and serves all that is due with one write.
        let slot_ns = if self.spins { due_ns } else { due_ns.max(self.last_slot_ns + self.slot_ns) };
        let until_ns = slot_ns.min(other_ns);
        if until_ns <= now_ns {
            outlet.wait(Duration::ZERO);
            self.last_slot_ns = now_ns;
            return None;
        }
        let sleep_until_ns = if self.spins { until_ns.saturating_sub(SPIN_NS) } else { until_ns };
        let mut woke_ns = now_ns;
        let mut absence = None;
        if sleep_until_ns > now_ns {
            let something_happened = outlet.wait(Duration::from_nanos(sleep_until_ns - now_ns));
            woke_ns = clock();
            self.waited_ns += woke_ns.saturating_sub(now_ns);
            if woke_ns > sleep_until_ns + OVERSLEPT_NS {
                absence = Some((sleep_until_ns, woke_ns));
            }
            if something_happened {
                return absence;
            }
        }
        if self.spins {
            while woke_ns < until_ns && !outlet.wait(Duration::ZERO) {
                woke_ns = clock();
            }
            if self.may_fall_back {
                self.look_for_contention(woke_ns);
            }
        }
        if woke_ns >= slot_ns {
            self.last_slot_ns = woke_ns;
        }
        absence
    }

    /// A spinner that the kernel keeps putting off shares its core: then sleeping serves everybody better.
    fn look_for_contention(&mut self, now_ns: u64) {
        if now_ns < self.next_check_ns {
            return;
        }
        self.next_check_ns = now_ns + CHECK_EVERY_NS;
        let Some(switches) = ThreadUsage::involuntary_switches() else { return };
        let before = self.switches_at_check.replace(switches);
        let is_contended = before.is_some_and(|before| switches - before >= CONTENDED_SWITCHES);
        self.contended_checks = if is_contended { self.contended_checks + 1 } else { 0 };
        if self.contended_checks >= 2 {
            self.spins = false;
            self.fell_back = true;
        }
    }
}

/// A spinning worker is worth its core above this rate.
const SPIN_ABOVE_RATE: f64 = 10_000.0;

/// One write serves this much.
const SLOT_NS: u64 = 100_000;

const HOST_SLOT_NS: u64 = 250_000;

/// Sleeping is late by less than this nearly always, so the last stretch is spun.
const SPIN_NS: u64 = 60_000;

/// Waking later than this is an absence; a busy machine is late by less.
const OVERSLEPT_NS: u64 = 1_000_000;

const CHECK_EVERY_NS: u64 = 100_000_000;

/// The kernel lets two spinners of a core take turns every 3 to 4 ms: about 15 switches each in a check.
const CONTENDED_SWITCHES: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::{LaneState, Markets, Notice, Taken};
    use std::cell::Cell;
    use tickstorm_market::Message;

    /// An outlet on which nothing happens; time passes as it is told to.
    struct Quiet<'a> {
        clock: &'a Cell<u64>,
        oversleeps_by_ns: u64,
    }

    impl Outlet for Quiet<'_> {
        fn state(&self, _: usize) -> LaneState {
            LaneState::Open
        }
        fn begin(&mut self, _: usize) {}
        fn add(&mut self, _: usize, _: u64, _: &Message) -> bool {
            true
        }
        fn pass(&mut self, _: usize, _: &Message) -> bool {
            true
        }
        fn end(&mut self, _: usize) {}
        fn buffered(&self, _: usize) -> usize {
            0
        }
        fn flush(&mut self, _: usize) -> Taken {
            Taken::default()
        }
        fn collect(&mut self, _: &Markets, _: &mut Vec<Notice>) {}
        fn give_up(&mut self, _: usize, _: u64) {}
        fn wait(&mut self, timeout: Duration) -> bool {
            let slept = timeout.as_nanos() as u64;
            self.clock.set(self.clock.get() + if slept > 0 { slept + self.oversleeps_by_ns } else { 300 });
            false
        }
        fn finish(&mut self, _: Duration, _: &dyn Fn() -> bool) {}
    }

    #[test]
    fn a_sleeper_wakes_at_the_due_instant_but_at_most_once_a_slot() {
        let clock = Cell::new(1_000_000);
        let mut outlet = Quiet { clock: &clock, oversleeps_by_ns: 0 };
        let mut pacer = Pacer::new(Pacing::Sleep, 1e6, true);
        assert_eq!(pacer.wait(1_000_000, 1_500_000, u64::MAX, &mut outlet, || clock.get()), None);
        assert_eq!(clock.get(), 1_500_000);
        pacer.wait(1_500_000, 1_501_000, u64::MAX, &mut outlet, || clock.get());
        assert_eq!(clock.get(), 1_600_000, "the next slot, not 1 us later");
        pacer.wait(1_600_000, 1_601_000, 1_610_000, &mut outlet, || clock.get());
        assert_eq!(clock.get(), 1_610_000, "other business is not put off to the slot");
    }

    #[test]
    fn a_spinner_is_there_when_it_is_due() {
        let clock = Cell::new(1_000_000);
        let mut outlet = Quiet { clock: &clock, oversleeps_by_ns: 40_000 };
        let mut pacer = Pacer::new(Pacing::Spin, 1e6, true);
        assert_eq!(pacer.wait(1_000_000, 1_500_000, u64::MAX, &mut outlet, || clock.get()), None);
        assert!((1_500_000..1_500_301).contains(&clock.get()), "{}", clock.get());
        assert_eq!(pacer.paced_by(), PacedBy::Spin);
    }

    #[test]
    fn oversleeping_is_an_absence() {
        let clock = Cell::new(1_000_000);
        let mut outlet = Quiet { clock: &clock, oversleeps_by_ns: 5_000_000 };
        let mut pacer = Pacer::new(Pacing::Sleep, 100.0, true);
        let absence = pacer.wait(1_000_000, 2_000_000, u64::MAX, &mut outlet, || clock.get());
        assert_eq!(absence, Some((2_000_000, 7_000_000)));
    }

    #[test]
    fn auto_spins_only_at_high_rates_on_a_core_of_its_own() {
        for (rate, has_own_core, paced_by) in
            [(1e3, true, PacedBy::Sleep), (1e5, true, PacedBy::Spin), (1e5, false, PacedBy::Sleep)]
        {
            assert_eq!(Pacer::new(Pacing::Auto, rate, has_own_core).paced_by(), paced_by);
        }
    }
}
