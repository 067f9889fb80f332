//! What endangers figures on this machine: limits, other programs, a hypervisor.

use std::{
    fs,
    time::{Duration, Instant},
};

use tickstorm_report::Report;

use super::{Surroundings, rounded, threads::Seen};
use crate::machine::{self, Withheld};

/// What is watched from the ruler's first run to its last.
pub(super) struct Watched {
    started: Instant,
    withheld: Withheld,
    load_average: Option<f64>,
    running: Duration,
    involuntary_switches: Option<u64>,
    looks: u64,
    on_one_core: u64,
}

impl Watched {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            withheld: Withheld::read(),
            load_average: fs::read_to_string("/proc/loadavg").ok().and_then(|text| first_number(&text)),
            running: Duration::ZERO,
            involuntary_switches: Some(0),
            looks: 0,
            on_one_core: 0,
        }
    }

    /// Adds what a run of the ruler's tells.
    pub(super) fn add(&mut self, report: &Report, took: Duration) {
        self.running += took;
        let more = report.generator.involuntary_context_switches;
        self.involuntary_switches = self.involuntary_switches.zip(more).map(|(sum, more)| sum + more);
    }

    /// Adds where the threads of a run with the built-in target were seen.
    pub(super) fn add_looks(&mut self, seen: Seen) {
        self.looks += seen.looks;
        self.on_one_core += seen.on_one_core;
    }

    pub(super) fn finish(self) -> Surroundings {
        let elapsed = self.started.elapsed();
        let withheld = Withheld::read().since(self.withheld);
        let cores = machine::cores();
        let all_processors = environment_cores().unwrap_or(cores);
        let processor_time = elapsed.as_secs_f64() * f64::from(all_processors);
        Surroundings {
            cores,
            quota_cores: quota_cores(|path| fs::read_to_string(path).ok()),
            throttled_s: withheld.throttled.map(|time| time.as_secs_f64()),
            steal: withheld.stolen.map(|time| rounded(time.as_secs_f64() / processor_time)),
            load_average: self.load_average,
            involuntary_context_switches: self.involuntary_switches,
            shared_core: (self.looks > 0).then(|| rounded(self.on_one_core as f64 / self.looks as f64)),
            elapsed_s: rounded(elapsed.as_secs_f64()),
            running_s: rounded(self.running.as_secs_f64()),
        }
    }
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The machine's processors, over which stolen time is counted; more than a process may be allowed.
fn environment_cores() -> Option<u32> {
    machine::environment().cores
}

/// The tightest limit on processor time of our control group and those around it, in processors; none without a limit.
/// Reads both versions of control groups.
fn quota_cores(read: impl Fn(&str) -> Option<String>) -> Option<f64> {
    let groups = read("/proc/self/cgroup")?;
    let mut tightest = f64::INFINITY;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let is_second_version = controllers.is_empty();
        if !is_second_version && !controllers.split(',').any(|name| name == "cpu") {
            continue;
        }
        // Inside a container the paths may be the host's: then only the root's files are there, and they are ours.
        for group in ancestors(path) {
            let quota = if is_second_version {
                read(&format!("/sys/fs/cgroup{group}/cpu.max")).and_then(|text| {
                    let (quota, period) = text.trim().split_once(' ')?;
                    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
                })
            } else {
                let number = |file: &str| {
                    read(&format!("/sys/fs/cgroup/cpu{group}/{file}"))?.trim().parse::<f64>().ok()
                };
                // -1 is no limit.
                number("cpu.cfs_quota_us")
                    .filter(|&quota| quota > 0.0)
                    .zip(number("cpu.cfs_period_us"))
                    .map(|(quota, period)| quota / period)
            };
            tightest = quota.filter(|quota| quota.is_finite()).map_or(tightest, |quota| tightest.min(quota));
        }
    }
    tightest.is_finite().then_some(tightest)
}

/// `/a/b`, `/a` and the root, which is empty.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let path = path.trim_end_matches('/');
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(parent, _)| parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(files: &[(&str, &str)]) -> Option<f64> {
        let find = |path: &str| files.iter().find(|(name, _)| *name == path);
        quota_cores(|path| find(path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn the_tightest_quota_of_all_groups_around_us_counts() {
        let groups = ("/proc/self/cgroup", "0::/a/b\n");
        assert_eq!(quota(&[groups]), None);
        assert_eq!(quota(&[groups, ("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")]), None);
        let outer = ("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
        assert_eq!(quota(&[groups, outer, ("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")]), Some(1.5));
        assert_eq!(quota(&[groups, outer, ("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n")]), Some(0.5));
        assert_eq!(quota(&[groups, outer, ("/sys/fs/cgroup/cpu.max", "20000 100000\n")]), Some(0.2));
    }

    #[test]
    fn quotas_of_the_first_version_are_read_too() {
        let groups = ("/proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/host/path\n");
        let period = ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
        assert_eq!(quota(&[groups, period, ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")]), None);
        assert_eq!(quota(&[groups, period, ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n")]), Some(2.0));
    }

    #[test]
    fn what_is_not_a_control_group_is_no_limit() {
        assert_eq!(quota(&[]), None);
        let groups = ("/proc/self/cgroup", "nonsense\n0::/\n");
        assert_eq!(quota(&[groups, ("/sys/fs/cgroup/cpu.max", "1 0\n")]), None);
        assert_eq!(quota(&[groups, ("/sys/fs/cgroup/cpu.max", "x")]), None);
    }

    #[test]
    fn a_group_lies_in_all_those_around_it() {
        assert_eq!(ancestors("/a/b").collect::<Vec<_>>(), ["/a/b", "/a", ""]);
        assert_eq!(ancestors("/").collect::<Vec<_>>(), [""]);
    }
}
