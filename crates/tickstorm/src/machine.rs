//! What the machine and its kernel say of us: processor time, memory, and what kept us from running.

use std::{fs, time::Duration};

use sysinfo::{CpuRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};
use tickstorm_report::Environment;

/// Memory and processor time of this process over time.
pub(crate) struct ProcessUsage {
    system: Option<System>,
    pid: Option<Pid>,
    peak_bytes: u64,
}

/// A reading of [`ProcessUsage`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub memory_bytes: u64,
    pub peak_bytes: u64,
    /// Since the process started.
    pub cpu: Option<Duration>,
}

impl ProcessUsage {
    pub(crate) fn new() -> Self {
        Self { system: System::new().ok(), pid: sysinfo::get_current_pid().ok(), peak_bytes: 0 }
    }

    pub(crate) fn read(&mut self) -> Usage {
        let (Some(pid), Some(system)) = (self.pid, &mut self.system) else { return Usage::default() };
        let what = ProcessRefreshKind::nothing().with_memory().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        let Some(process) = system.process(pid) else { return Usage::default() };
        self.peak_bytes = self.peak_bytes.max(process.memory());
        Usage {
            memory_bytes: process.memory(),
            peak_bytes: self.peak_bytes,
            cpu: Some(Duration::from_millis(process.accumulated_cpu_time())),
        }
    }
}

/// What this machine is.
pub(crate) fn environment() -> Environment {
    let what = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(what).ok();
    let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
    Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        os: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
        kernel: System::kernel_version().ok(),
        cpu: cpus.first().map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty()),
        cores: u32::try_from(cpus.len()).ok().filter(|&cores| cores > 0),
        available_parallelism: Some(cores()),
    }
}

/// Cores that this process may use, at least one.
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// What the kernel and the hypervisor have withheld from us so far; differences of two readings count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Withheld {
    /// Time for which the processor quota of our control group stopped us, all its threads together.
    pub throttled: Option<Duration>,
    /// Time that the hypervisor gave to others, all processors together.
    pub stolen: Option<Duration>,
}

impl Withheld {
    pub(crate) fn read() -> Self {
        Self { throttled: throttled(), stolen: stolen() }
    }

    pub(crate) fn since(self, earlier: Withheld) -> Withheld {
        let difference = |now: Option<Duration>, then: Option<Duration>| Some(now?.saturating_sub(then?));
        Withheld {
            throttled: difference(self.throttled, earlier.throttled),
            stolen: difference(self.stolen, earlier.stolen),
        }
    }
}

/// From the `cpu.stat` of this process's control group, of either version.
fn throttled() -> Option<Duration> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let roots: &[&str] = match controllers {
            "" => &["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
            _ if controllers.split(',').any(|name| name == "cpu") => {
                &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"]
            }
            _ => return None,
        };
        roots.iter().find_map(|root| {
            let stat = fs::read_to_string(format!("{root}{path}/cpu.stat")).ok()?;
            let value =
                |key: &str| stat.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
            value("throttled_usec ")
                .map(Duration::from_micros)
                .or_else(|| value("throttled_time ").map(Duration::from_nanos))
        })
    })
}

fn stolen() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: u64 = stat.lines().next()?.split_whitespace().nth(8)?.parse().ok()?;
    // The kernel counts in units of 10 ms for user space, whatever its own tick.
    Some(Duration::from_millis(ticks * 10))
}

/// What the calling thread got of the processor.
#[derive(Debug, Default)]
pub(crate) struct ThreadUsage {
    switches_at_start: Option<u64>,
    mark: Option<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at_ns: u64,
    waited_ns: u64,
    cpu: Duration,
}

impl ThreadUsage {
    pub(crate) fn of_this_thread() -> Self {
        Self { switches_at_start: Self::involuntary_switches(), mark: None }
    }

    /// How often the kernel took the processor from this thread while it had work, since the start.
    pub(crate) fn involuntary_switches_since(&self) -> Option<u64> {
        Some(Self::involuntary_switches()?.saturating_sub(self.switches_at_start?))
    }

    /// The same since the thread began; about 10 us of reading.
    pub(crate) fn involuntary_switches() -> Option<u64> {
        let status = fs::read_to_string("/proc/thread-self/status").ok()?;
        status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:")?.trim().parse().ok())
    }

    /// From when to when the thread was neither asleep of its own will nor running: the kernel ran others instead.
    /// Looks at most once a millisecond. `waited_ns` is the time the thread has slept so far.
    pub(crate) fn absence(&mut self, now_ns: u64, waited_ns: u64) -> Option<(u64, u64)> {
        if self.mark.is_some_and(|mark| now_ns < mark.at_ns + LOOK_EVERY_NS) {
            return None;
        }
        let cpu = thread_cpu_time()?;
        let before = self.mark.replace(Mark { at_ns: now_ns, waited_ns, cpu })?;
        let awake_ns = (now_ns - before.at_ns).saturating_sub(waited_ns - before.waited_ns);
        let away_ns = awake_ns.saturating_sub((cpu - before.cpu).as_nanos() as u64);
        (away_ns > AWAY_NS).then(|| (now_ns - away_ns, now_ns))
    }
}

#[cfg(unix)]
fn thread_cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn thread_cpu_time() -> Option<Duration> {
    None
}

const LOOK_EVERY_NS: u64 = 1_000_000;

/// Less is the ordinary noise of a scheduler.
const AWAY_NS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_knows_its_memory_and_processor_time() {
        let usage = ProcessUsage::new().read();
        assert!(usage.memory_bytes > 500_000, "{usage:?}");
        assert!(usage.cpu.is_some());
    }

    #[test]
    fn a_thread_that_only_works_is_never_away() {
        let mut usage = ThreadUsage::of_this_thread();
        assert_eq!(usage.absence(0, 0), None);
        // Claiming that 5 ms passed of which 4 were slept leaves less than what counts.
        assert_eq!(usage.absence(5_000_000, 4_200_000), None);
        // 50 ms passed, none slept, and next to no processor time used: the thread was away.
        assert!(usage.absence(55_000_000, 4_200_000).is_some());
    }
}
