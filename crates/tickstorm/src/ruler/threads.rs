//! What the kernel shows of the threads of a run: processor time, and on which core they are.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::{Phase, Run};

/// What looks at a run's threads have shown. Nothing where the system has no `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Seen {
    /// Processor time of the first worker as per cent of one core, from the first look in the measured phase to the last.
    pub worker_cpu_percent: Option<f64>,
    /// Looks at the first worker and the built-in target.
    pub looks: u64,
    /// Looks that found both on the same core.
    pub on_one_core: u64,
}

/// Looks at the threads of a run until it has finished.
pub(super) fn watch(run: &Run) -> Seen {
    let mut seen = Seen::default();
    let mut threads: Option<(Option<Task>, Option<Task>)> = None;
    let mut first = None;
    while !run.is_finished() {
        thread::sleep(LOOK_EVERY);
        if run.snapshot().phase != Phase::Measured {
            continue;
        }
        let (worker, target) = threads.get_or_insert_with(|| (Task::find(WORKER), Task::find(BUILTIN)));
        let (Some(worker), at) = (worker, Instant::now()) else { continue };
        if let Some(cpu) = worker.cpu() {
            let (first_at, first_cpu) = *first.get_or_insert((at, cpu));
            let elapsed = (at - first_at).as_secs_f64();
            if elapsed > 0.0 {
                let used = cpu.saturating_sub(first_cpu).as_secs_f64();
                seen.worker_cpu_percent = Some(super::rounded(used / elapsed * 100.0));
            }
        }
        if let (Some(one), Some(other)) = (worker.core(), target.as_ref().and_then(Task::core)) {
            seen.looks += 1;
            seen.on_one_core += u64::from(one == other);
        }
    }
    seen
}

/// A thread of this process, as a folder of files.
struct Task(PathBuf);

impl Task {
    /// The youngest whose name begins like this: an earlier run's may not have been cleared away yet.
    fn find(name: &str) -> Option<Self> {
        let tasks = fs::read_dir("/proc/self/task").ok()?.flatten().map(|task| task.path());
        let id = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        tasks
            .filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.starts_with(name)))
            .max_by_key(id)
            .map(Self)
    }

    fn cpu(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.0.join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }

    fn core(&self) -> Option<u32> {
        core_in(&fs::read_to_string(self.0.join("stat")).ok()?)
    }
}

/// Field 39 of the `stat` of a thread; the name, which may hold anything, is field 2 in parentheses.
fn core_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(39 - 3)?.parse().ok()
}

/// The names of the threads, of which the kernel keeps 15 letters.
const WORKER: &str = "tickstorm-0";
const BUILTIN: &str = "tickstorm-built";

/// Often enough for a run of tenths of a second, and next to no work.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a b) 9) ) {}", fields.join(" "));
        assert_eq!(core_in(&stat), Some(39));
        assert_eq!(core_in("7 (a"), None);
        assert_eq!(core_in("7 (a) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_found_by_name_with_its_processor_time() {
        let handle = thread::Builder::new().name("ruler-finds-me".into()).spawn(|| {
            let task = Task::find("ruler-finds-me").unwrap();
            let start = Instant::now();
            while task.cpu().unwrap() < Duration::from_millis(20) {
                assert!(start.elapsed() < Duration::from_secs(20), "the processor time stands still");
            }
            assert!(task.core().is_some());
        });
        handle.unwrap().join().unwrap();
        assert!(Task::find("no-such-thread").is_none());
    }
}
