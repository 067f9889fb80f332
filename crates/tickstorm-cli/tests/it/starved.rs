//! Whose fault it is: a generator that gets too little of the processor proves nothing and says so; a busy machine is no
//! excuse; and a target that does not read is not our lateness.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    harness::{Output, Started, command, finish},
    peer::{Ci, Peer, skip},
    report::Report,
};

#[test]
fn a_generator_that_is_starved_of_the_processor_is_always_found_out() {
    let _alone = alone();
    // Per mille of one core, for a rate that takes a hundred times as much.
    let quotas = [10, 20, 20];
    let outputs = thread::scope(|scope| {
        let runs = quotas.map(|quota| scope.spawn(move || starve(quota)));
        runs.map(|run| run.join().expect("a run that failed has said why"))
    });
    for output in outputs.into_iter().flatten() {
        let report = Report::of(output, 96);
        assert_eq!(report.outcome(), "INCONCLUSIVE");
        assert!(report.reasons().contains("the generator itself fell behind"), "{}", report.reasons());
        let evidence = report.list("/verdict/reasons/0/evidence");
        let named =
            |name: &str| evidence.iter().any(|one| one["name"] == name && one["value"].as_f64() > Some(0.0));
        for name in ["messages overdue", "pacing lag p99", "throttled by the processor quota"] {
            assert!(named(name), "no {name} in {evidence:?}");
        }
        assert!(!report.list("/verdict/advice").is_empty());
    }
}

#[test]
fn a_busy_neighbour_makes_no_run_inconclusive() {
    let _alone = alone();
    let _spinner = Spinner::start();
    for _ in 0..3 {
        // Four times the default, because other tests may be busy neighbours too.
        let report = Report::of(finish(command().args(["--duration", "5", "--max-pacing-lag", "200ms"])), 0);
        assert_eq!(report.count("/total_messages"), 5_000);
        assert_eq!(report.outcome(), "PASS", "{}", report.reasons());
    }
}

#[test]
fn what_was_answered_while_we_were_stopped_is_not_held_against_the_target() {
    let _alone = alone();
    let Some(peer) = Peer::start(&["--delay", "0.02"]) else { return };
    // Each pause is longer than the timeout and the limit, and leaves the target all its time to answer.
    let strict = ["--timeout", "2s", "--threshold", "max<1500ms", "--error-threshold", "0"];
    let mut started = Started::new(
        command()
            .args(["--target", &peer.url(), "--ack", "fifo", "--base-rate", "200", "--multiplier", "1"])
            .args(["--duration", "12", "--report-interval", "1s"])
            .args(strict),
    );
    started.await_line("offered");
    for _ in 0..2 {
        started.signal("STOP");
        thread::sleep(Duration::from_secs(3));
        started.signal("CONT");
        thread::sleep(Duration::from_millis(700));
    }
    let report = Report::of(started.finish(), 96);
    assert_eq!(report.outcome(), "INCONCLUSIVE", "{}", report.reasons());
    assert!(report.losses().is_empty(), "{}", report.at("/ledger"));
    let (measured_ms, net_ms) = (report.number("/latency/max_ms"), report.number("/net_latency/max_ms"));
    assert!(measured_ms > 2_900.0, "max {measured_ms} ms: it hides the pause");
    assert!(net_ms < 1_500.0, "net max {net_ms} ms of {measured_ms} ms");
}

#[test]
fn a_target_that_stops_reading_shows_as_stall_and_not_as_our_lateness() {
    let _alone = alone();
    let Some(peer) = Peer::start(&["--never-reply", "--stall-after", "100", "--stall-for", "2"]) else {
        return;
    };
    // Fast enough to fill what the kernel holds for a connection within a fraction of the two seconds.
    let fast =
        ["--base-rate", "10k", "--batch", "50", "--duration", "3", "--timeout", "30s", "--pacing", "sleep"];
    let lenient = ["--target", &peer.url(), "--ack", "none", "--max-pacing-lag", "1s"];
    let report = Report::of(finish(command().args(fast).args(lenient)), 0);
    assert_eq!(report.count("/messages_processed"), 300_000);
    let (stall_ms, pacing_ms) = (report.number("/stall/p99_ms"), report.number("/pacing_lag/p99_ms"));
    assert!(stall_ms > 500.0, "stall p99 {stall_ms} ms");
    assert!(pacing_ms < stall_ms / 2.0, "stall p99 {stall_ms} ms, pacing lag p99 {pacing_ms} ms");
}

/// These tests watch how time passes, so they run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run with at most so many thousandths of a core, where this machine lets us set such a limit.
fn starve(per_mille: u32) -> Option<Output> {
    let quota = match Quota::new(per_mille) {
        Ok(quota) => quota,
        Err(error) => {
            let reason = format!("cannot make a control group with a quota, which takes root: {error}");
            skip(&reason, if is_root() { Ci::Fails } else { Ci::SkipsToo });
            return None;
        }
    };
    Some(finish(&mut quota.around(command().args(["--duration", "5", "--base-rate", "2k"]))))
}

/// A control group with a quota; gone when dropped.
struct Quota(PathBuf);

impl Quota {
    fn new(per_mille: u32) -> io::Result<Self> {
        static MADE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("tickstorm-test-{}-{number}", std::process::id());
        let quota_us = per_mille * PERIOD_US / 1_000;
        let root = Path::new("/sys/fs/cgroup");
        let first_version = [root.join("cpu"), root.join("cpu,cpuacct")];
        let (folder, limits) =
            match first_version.into_iter().find(|root| root.join("cpu.cfs_quota_us").exists()) {
                Some(root) => {
                    let limits = [
                        ("cpu.cfs_period_us", PERIOD_US.to_string()),
                        ("cpu.cfs_quota_us", quota_us.to_string()),
                    ];
                    (root.join(name), limits.to_vec())
                }
                None => {
                    // Fails where there is no such file, or no controller to hand down.
                    fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
                    (root.join(name), vec![("cpu.max", format!("{quota_us} {PERIOD_US}"))])
                }
            };
        fs::create_dir(&folder)?;
        let quota = Self(folder);
        for (file, limit) in limits {
            fs::write(quota.0.join(file), limit)?;
        }
        Ok(quota)
    }

    /// The same command inside the group.
    fn around(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        shell.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // The kernel lets go of the last process a moment after it was waited for.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The kernel's usual one.
const PERIOD_US: u32 = 100_000;

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// A process that takes all of a core; gone when dropped.
struct Spinner(Child);

impl Spinner {
    fn start() -> Self {
        Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("there is a shell"))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
