//! The probe against clients whose every move is known.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

/// What a simulated process did: stretches on a CPU, each of which ends with going to sleep.
#[derive(Debug, Clone, Default)]
struct Process {
    stretches: Vec<(u64, u64)>,
    waits: Vec<(u64, u64)>,
}

impl Process {
    /// Does something for `run_ns` each `period_ns`, in `from_ns..to_ns`.
    fn every(mut self, period_ns: u64, run_ns: u64, from_ns: u64, to_ns: u64) -> Self {
        let mut at_ns = from_ns;
        while at_ns + run_ns <= to_ns {
            self.stretches.push((at_ns, at_ns + run_ns));
            at_ns += period_ns;
        }
        self
    }

    /// Does something for about `run_ns` about each `period_ns`, by half as much more or less.
    fn about_every(mut self, period_ns: u64, run_ns: u64, from_ns: u64, to_ns: u64, seed: u64) -> Self {
        let mut stream = tickstorm_random::Seed::new(seed).stream("noise", period_ns);
        let mut vary = |ns: u64| ns / 2 + stream.word() % ns.max(1);
        let mut at_ns = from_ns + vary(period_ns) / 2;
        while at_ns < to_ns {
            let end_ns = at_ns + vary(run_ns);
            self.stretches.push((at_ns, end_ns));
            at_ns = end_ns + vary(period_ns);
        }
        self
    }

    fn runs(mut self, from_ns: u64, to_ns: u64) -> Self {
        self.stretches.push((from_ns, to_ns));
        self
    }

    /// Computes, but gets a CPU for 4 ms of 20 ms only.
    fn starves(mut self, from_ns: u64, to_ns: u64) -> Self {
        let mut at_ns = from_ns;
        while at_ns + 20 * MS <= to_ns {
            self.waits.push((at_ns, at_ns + 16 * MS));
            self.stretches.push((at_ns + 16 * MS, at_ns + 20 * MS));
            at_ns += 20 * MS;
        }
        self
    }

    /// What the kernel says at an instant; run time is counted up each 4 ms of a stretch.
    fn activity(&self, at_ns: u64) -> Activity {
        let mut activity = Activity { threads: 1, ..Activity::default() };
        for &(from, to) in &self.stretches {
            if to <= at_ns {
                activity.run_ns += to - from;
                activity.voluntary_switches += 1;
            } else if from < at_ns {
                activity.run_ns += (at_ns - from) / (4 * MS) * (4 * MS);
            }
        }
        let over = self.waits.iter().filter(|(_, to)| *to <= at_ns);
        activity.wait_ns = over.map(|(from, to)| to - from).sum();
        activity
    }
}

/// The calm phase is from 0 to here, the feed from here to `STOP`.
const CALM_END: u64 = 2_000 * MS;
const STOP: u64 = 5_000 * MS;
const END: u64 = STOP + 12_000 * MS;
const LONG_END: u64 = STOP + 31_000 * MS;

/// When each queue is empty, after the stop.
#[derive(Debug, Clone, Copy, Default)]
struct Drained {
    ours: u64,
    kernel: u64,
    read: u64,
}

struct Probe {
    calm: bool,
    calm_ends: u64,
    longest: u64,
    seen: bool,
    drained: Drained,
    /// Looks come this much too late, by turns.
    late: [u64; 4],
}

impl Default for Probe {
    fn default() -> Self {
        let longest = SilenceLimits::default().longest.as_nanos() as u64;
        Self {
            calm: true,
            calm_ends: CALM_END,
            longest,
            seen: true,
            drained: Drained::default(),
            late: [0, MS, 3 * MS, 0],
        }
    }
}

impl Probe {
    fn run(&self, process: &Process) -> Finding {
        let looks = |from: u64, to: u64| {
            (0..)
                .map(move |n: u64| from + n * 5 * MS + self.late[n as usize % 4])
                .take_while(move |at| *at < to)
        };
        let mut idle = Idle::new();
        for at_ns in looks(0, self.calm_ends) {
            idle.on_sample(at_ns, process.activity(at_ns));
        }
        let limits =
            SilenceLimits { longest: Duration::from_nanos(self.longest), ..SilenceLimits::default() };
        let mut silence = Silence::new(STOP, self.calm.then_some(&idle), limits);
        for at_ns in looks(STOP, STOP + self.longest + 1_000 * MS) {
            let bytes = |drained_ns: u64| if at_ns < STOP + drained_ns { 1000 } else { 0 };
            let over = silence.on_sample(&Sample {
                at_ns,
                our_queue: bytes(self.drained.ours),
                our_kernel: Some(bytes(self.drained.kernel)),
                client_queue: self.seen.then(|| bytes(self.drained.read)),
                activity: self.seen.then(|| process.activity(at_ns)),
            });
            if over {
                return silence.finding();
            }
        }
        panic!("a silence ends by itself");
    }
}

/// Idling of several kinds, in which nothing is wrong.
fn idling(kind: usize, seed: u64) -> Process {
    let quiet = Process::default();
    match kind {
        0 => quiet,
        1 => quiet.every(5 * MS, MS / 5, 0, END),
        2 => quiet.about_every(50 * MS, MS / 2, 0, END, seed),
        3 => quiet.about_every(20 * MS, MS, 0, END, seed).about_every(400 * MS, 30 * MS, 0, END, seed),
        4 => quiet.every(100 * MS, MS / 10, 0, END).about_every(10 * MS, MS / 10, 0, END, seed),
        _ => quiet.every(1000 * MS, MS, 0, END),
    }
}

const KINDS_OF_IDLING: usize = 6;

fn interpreter(seed: u64) -> Process {
    let mut stream = tickstorm_random::Seed::new(seed).stream("noise", 0);
    let mut between = |from: u64, to: u64| from + stream.word() % (to - from);
    let mut process = Process::default().every(100 * MS, MS / 10, 0, LONG_END);
    let mut at_ns = between(0, 500 * MS);
    while at_ns < LONG_END {
        at_ns += between(300 * MS, 800 * MS);
        let run_ns = between(10 * MS, 30 * MS);
        // Each time another thread wants the lock it is gone for a moment.
        process = process.every(5 * MS, 5 * MS - MS / 10, at_ns, at_ns + run_ns);
        at_ns += run_ns;
    }
    for (least, most) in [(5, 20), (5, 50)] {
        let mut at_ns = 0;
        while at_ns < LONG_END {
            process = process.runs(at_ns, at_ns + MS / 10);
            at_ns += between(least * MS, most * MS);
        }
    }
    process
}

/// A backlog that is worked off until `age` after the stop.
fn working(kind: usize, idle: Process, age: u64, seed: u64) -> Process {
    let end = STOP + age;
    match kind {
        0 => idle.runs(CALM_END, end),
        1 => idle.every(1060 * MS / 1000, MS / 20, CALM_END, end),
        2 => idle.every(5 * MS, MS / 10, CALM_END, end).runs(end - MS / 10, end),
        // Reads at once with all it has, then works by waiting.
        3 => idle.runs(CALM_END, STOP + 30 * MS).about_every(2 * MS, MS / 20, CALM_END, end, seed),
        // Batches: much at once, then a wait.
        _ => idle.every(30 * MS, 10 * MS, CALM_END, end).runs(end - 10 * MS, end),
    }
}

const KINDS_OF_WORK: usize = 5;

fn check_age(finding: &Finding, age: u64, what: &str) {
    assert_eq!(finding.basis, Basis::Exact, "{what}: {finding:?}");
    let told = finding.age_ns.unwrap();
    let allowed = (age / 20).max(20 * MS) + finding.resolution_ns;
    assert!(told.abs_diff(age) <= allowed, "{what}: {} ms of {}: {finding:?}", told / MS, age / MS);
}

#[test]
fn a_client_that_keeps_up_is_never_accused_however_it_idles() {
    for kind in 0..KINDS_OF_IDLING {
        for seed in 0..40 {
            let feed = idling(kind, seed).every(2 * MS, MS / 5, CALM_END, STOP);
            let finding = Probe::default().run(&feed);
            let what = format!("idling {kind}, seed {seed}");
            check_age(&finding, 0, &what);
            assert_eq!(finding.place, None, "{what}");
        }
    }
}

/// An interpreter with timers, a log and a collector of garbage.
#[test]
fn what_an_interpreter_does_by_itself_is_told_from_work() {
    let mut unknown = 0;
    for seed in 0..400 {
        let process = interpreter(seed);
        let finding = Probe { calm_ends: 4_000 * MS, longest: 30_000 * MS, ..Probe::default() }.run(&process);
        if finding.basis == Basis::Unknown {
            eprintln!("seed {seed}: {:?}", finding.reason);
            unknown += 1;
        } else {
            check_age(&finding, 0, &format!("seed {seed}"));
            assert_eq!(finding.place, None, "seed {seed}");
        }
    }
    assert!(unknown == 0, "{unknown} unknown");
}

#[test]
fn a_backlog_after_the_read_is_as_old_as_the_work_on_it_lasts() {
    let mut unknown = 0;
    let mut all = 0;
    for (work, idle) in (0..KINDS_OF_WORK).flat_map(|work| (0..KINDS_OF_IDLING).map(move |idle| (work, idle)))
    {
        for (seed, age) in [200, 350, 800, 1_500, 3_000, 6_000].into_iter().enumerate() {
            let process = working(work, idling(idle, seed as u64), age * MS, seed as u64);
            let finding = Probe::default().run(&process);
            all += 1;
            if finding.basis == Basis::Unknown {
                eprintln!("work {work}, idling {idle}, {age} ms: {:?}", finding.reason);
                unknown += 1;
                continue;
            }
            check_age(&finding, age * MS, &format!("work {work}, idling {idle}"));
            assert_eq!(finding.place, Some(Place::ClientProcess));
        }
    }
    eprintln!("{unknown} of {all} unknown");
    assert!(unknown * 20 <= all, "{unknown} of {all} unknown");
}

#[test]
fn without_a_calm_phase_what_is_left_at_the_end_speaks_for_itself() {
    let probe = Probe { calm: false, ..Probe::default() };
    for work in 0..KINDS_OF_WORK {
        for age in [300, 1_000, 3_000] {
            let finding = probe.run(&working(work, idling(0, 1), age * MS, 1));
            check_age(&finding, age * MS, &format!("work {work}"));
        }
    }
    check_age(&probe.run(&idling(0, 1)), 0, "a quiet client");
    // Steady activity may be work or not.
    let finding = probe.run(&idling(1, 1));
    assert_eq!((finding.basis, finding.age_ns, finding.reason), (Basis::Unknown, None, Some(NO_CHANGE)));
}

#[test]
fn a_client_that_never_rests_is_unknown_and_it_is_known_soon() {
    let spinning = Process::default().runs(0, END);
    let polling = Process::default().every(MS, MS / 20, 0, END);
    for process in [spinning, polling] {
        for calm in [true, false] {
            let finding = Probe { calm, ..Probe::default() }.run(&process);
            assert_eq!((finding.basis, finding.age_ns, finding.place), (Basis::Unknown, None, None));
            assert_eq!(finding.reason, Some(NEVER_RESTS));
            assert!(finding.read_at_ns.is_some());
        }
    }
}

#[test]
fn the_place_is_where_the_last_message_spent_most_of_its_time() {
    let cases = [
        (Drained { ours: 900, kernel: 1_000, read: 1_100 }, 1_200, Place::OurQueue),
        (Drained { ours: 0, kernel: 700, read: 1_000 }, 1_050, Place::OurKernel),
        (Drained { ours: 0, kernel: 0, read: 1_000 }, 1_064, Place::ClientKernel),
        (Drained { ours: 100, kernel: 200, read: 300 }, 1_000, Place::ClientProcess),
    ];
    for (drained, age, place) in cases {
        let Drained { ours, kernel, read } = drained;
        let drained = Drained { ours: ours * MS, kernel: kernel * MS, read: read * MS };
        for work in 0..KINDS_OF_WORK {
            let process = working(work, idling(2, 7), age * MS, 7);
            let finding = Probe { drained, ..Probe::default() }.run(&process);
            check_age(&finding, age * MS, &format!("{place:?}, work {work}"));
            assert_eq!(finding.place, Some(place));
            let read_at = finding.read_at_ns.unwrap() - STOP;
            assert!(read_at.abs_diff(drained.read) < 5 * MS);
        }
    }
}

#[test]
fn what_is_never_read_has_an_age_of_at_least_the_silence() {
    let drained = Drained { ours: 0, kernel: 100 * MS, read: u64::MAX - STOP };
    let finding = Probe { drained, ..Probe::default() }.run(&idling(0, 0));
    assert_eq!((finding.basis, finding.place), (Basis::LowerBound, Some(Place::ClientKernel)));
    let age = finding.age_ns.unwrap();
    assert!((10_000 * MS..10_020 * MS).contains(&age), "{age}");
}

#[test]
fn what_comes_after_the_last_message_was_read_is_no_backlog() {
    for (process, basis) in
        [(idling(0, 0), Basis::Exact), (Process::default().every(MS, MS / 20, 0, END), Basis::Unknown)]
    {
        let mut silence = Silence::new(STOP, None, SilenceLimits::default());
        let finding = (0..).map(|n| STOP + n * 5 * MS).find_map(|at_ns| {
            // An answer to a ping of the client's own, say.
            let later = u64::from(at_ns > STOP + 100 * MS) * 100;
            let over = silence.on_sample(&Sample {
                at_ns,
                our_queue: 0,
                our_kernel: Some(later),
                client_queue: Some(later),
                activity: Some(process.activity(at_ns)),
            });
            over.then(|| silence.finding())
        });
        let finding = finding.unwrap();
        assert_eq!((finding.basis, finding.place), (basis, None), "{finding:?}");
        assert!(finding.read_at_ns < Some(STOP + 10 * MS));
    }
}

#[test]
fn a_client_on_another_host_has_a_lower_bound() {
    let drained = Drained { ours: 100 * MS, kernel: 400 * MS, read: 0 };
    let finding = Probe { drained, seen: false, ..Probe::default() }.run(&idling(0, 0));
    assert_eq!((finding.basis, finding.place, finding.read_at_ns), (Basis::LowerBound, None, None));
    assert!(finding.age_ns.unwrap().abs_diff(400 * MS) < 10 * MS);
    assert_eq!(finding.reason, Some(NOT_SEEN));
}

#[test]
fn a_client_that_ends_leaves_no_age() {
    let mut silence = Silence::new(STOP, None, SilenceLimits::default());
    let sample = Sample {
        at_ns: STOP,
        our_queue: 0,
        our_kernel: Some(0),
        client_queue: Some(0),
        activity: Some(Activity::default()),
    };
    assert!(!silence.on_sample(&sample));
    assert!(silence.on_sample(&Sample { at_ns: STOP + 5 * MS, activity: None, ..sample }));
    let finding = silence.finding();
    assert_eq!((finding.basis, finding.age_ns, finding.reason), (Basis::Unknown, None, Some(GONE)));
}

#[test]
fn a_burst_after_a_rest_is_no_backlog() {
    let burst = Process::default().runs(STOP + 400 * MS, STOP + 480 * MS);
    let finding = Probe::default().run(&burst);
    assert_eq!((finding.basis, finding.reason), (Basis::Unknown, Some(NOT_CONTINUOUS)));
}

#[test]
fn a_worker_that_waits_for_a_cpu_has_not_rested() {
    // Starved for 300 ms in the middle: the kernel tells when it is over.
    let mut silence = Silence::new(STOP, None, SilenceLimits::default());
    let finding = (0..).map(|n| STOP + n * 5 * MS).find_map(|at_ns| {
        let since = (at_ns - STOP) / MS;
        let run_ms = since.min(200) + since.saturating_sub(500).min(300);
        let activity = Activity {
            run_ns: run_ms * MS,
            wait_ns: if since >= 500 { 300 * MS } else { 0 },
            voluntary_switches: u64::from(since >= 800),
            ..Activity::default()
        };
        let sample = Sample {
            at_ns,
            our_queue: 0,
            our_kernel: Some(0),
            client_queue: Some(0),
            activity: Some(activity),
        };
        silence.on_sample(&sample).then(|| silence.finding())
    });
    check_age(&finding.unwrap(), 800 * MS, "starved");
}

#[test]
fn a_worker_that_gets_little_of_a_cpu_in_the_end_is_still_at_work() {
    for seed in 0..20 {
        let process =
            idling(3, seed).runs(CALM_END, STOP + 1_000 * MS).starves(STOP + 1_000 * MS, STOP + 1_400 * MS);
        let finding = Probe::default().run(&process);
        if finding.basis == Basis::Exact {
            check_age(&finding, 1_400 * MS, &format!("seed {seed}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_exact_age_is_true(
        work in 0..KINDS_OF_WORK,
        idle in 0..KINDS_OF_IDLING,
        age in 150u64..4_000,
        seed in 0u64..1_000,
        calm in any::<bool>(),
    ) {
        // Batches do not show among bursts of their own size.
        prop_assume!((work, idle) != (4, 3));
        let process = working(work, idling(idle, seed), age * MS, seed);
        let finding = Probe { calm, ..Probe::default() }.run(&process);
        if finding.basis == Basis::Exact {
            check_age(&finding, age * MS, "any");
        }
    }

    #[test]
    fn any_record_is_judged(
        looks in prop::collection::vec((0u64..30 * MS, 0u64..2000, 0u64..40 * MS, 0u64..40), 1..400),
    ) {
        let mut silence = Silence::new(STOP, None, SilenceLimits::default());
        let (mut at_ns, mut activity) = (STOP, Activity::default());
        for (step, bytes, run, switches) in looks {
            at_ns += step;
            activity.run_ns += run;
            activity.voluntary_switches += switches;
            let bytes = bytes.saturating_sub(1_900);
            silence.on_sample(&Sample {
                at_ns,
                our_queue: bytes / 2,
                our_kernel: Some(bytes),
                client_queue: Some(bytes / 3),
                activity: Some(activity),
            });
            let finding = silence.finding();
            prop_assert_eq!(finding.age_ns.is_none(), finding.basis == Basis::Unknown);
            prop_assert_eq!(finding.reason.is_none(), finding.basis == Basis::Exact);
        }
    }
}
