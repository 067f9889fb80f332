//! How much a process does.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use super::owner::numbers_in;

/// What processes have done since a watch of them began, summed over all their threads, those that have ended
/// included. Each figure but the last only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Time on a CPU. The kernel counts it up at each switch and at each tick, every 1 to 10 ms.
    pub run_ns: u64,
    /// Time spent runnable while other threads had the CPU; counted up when the wait is over.
    pub wait_ns: u64,
    /// How often a thread went to sleep.
    pub voluntary_switches: u64,
    /// How often a thread was made to give way.
    pub involuntary_switches: u64,
    /// Threads at the moment.
    pub threads: u32,
}

/// Reads the [`Activity`] of one or several processes of this host from `/proc`.
///
/// A sample takes some 10 us and 5 us for each thread, 15 us more for each that has run in between: fit for some
/// hundred samples a second, though not on the thread that sends. Of our own process, threads of ours, named
/// `tickstorm-...`, are left out: the others may be a client's.
#[derive(Debug)]
pub struct ProcessWatch {
    proc: PathBuf,
    processes: Vec<Process>,
    /// What threads that have ended did, as far as it was seen.
    ended: Activity,
    /// What processes had done when their watch began.
    before: Activity,
    text: String,
}

#[derive(Debug)]
struct Process {
    pid: u32,
    /// Held open: it goes on meaning this process when another one gets its number.
    alive: File,
    threads: HashMap<u32, Thread>,
}

#[derive(Debug, Default)]
struct Thread {
    /// Whether it is one of ours.
    is_ours: bool,
    /// How often it was put on a CPU.
    times_run: u64,
    seen: Activity,
}

impl ProcessWatch {
    /// Watches these processes. `None` if none of them exists, may be seen, or tells.
    pub fn new(pids: &[u32]) -> Option<Self> {
        let mut watch = Self {
            proc: PathBuf::from("/proc"),
            processes: Vec::new(),
            ended: Activity::default(),
            before: Activity::default(),
            text: String::new(),
        };
        watch.add(pids);
        (!watch.processes.is_empty()).then_some(watch)
    }

    /// Watches these processes, too; those that it watches already stay as they are.
    pub fn add(&mut self, pids: &[u32]) {
        for &pid in pids {
            if self.pids().all(|watched| watched != pid)
                && let Ok(alive) = File::open(self.proc.join(format!("{pid}/schedstat")))
            {
                let mut process = Process { pid, alive, threads: HashMap::new() };
                process.sample(&self.proc, &mut self.ended, &mut self.text);
                self.before.absorb(&process.done());
                self.processes.push(process);
            }
        }
    }

    /// The processes that are watched and had not ended at the last sample.
    pub fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.processes.iter().map(|process| process.pid)
    }

    /// What they have done since the watch began. `None` once all of them have ended.
    pub fn sample(&mut self) -> Option<Activity> {
        let Self { proc, processes, ended, text, .. } = self;
        processes.retain_mut(|process| {
            let alive = process.is_alive(text);
            if alive {
                process.sample(proc, ended, text);
            } else {
                ended.absorb(&process.done());
            }
            alive
        });
        if processes.is_empty() {
            return None;
        }
        let mut sum = *ended;
        for process in processes {
            sum.absorb(&process.done());
            sum.threads += process.threads.len() as u32;
        }
        Some(sum.since(&self.before))
    }

    /// Memory in use by all of them, in bytes. Not for every sample: the kernel adds it up on request.
    pub fn resident_bytes(&self) -> u64 {
        let kibibytes = |pid: u32| {
            let status = fs::read_to_string(self.proc.join(format!("{pid}/status"))).ok()?;
            field(&status, "VmRSS:")
        };
        self.pids().filter_map(kibibytes).sum::<u64>() * 1024
    }
}

impl Process {
    fn is_alive(&mut self, text: &mut String) -> bool {
        text.clear();
        self.alive.rewind().and_then(|()| self.alive.read_to_string(text)).is_ok_and(|count| count > 0)
    }

    fn sample(&mut self, proc: &Path, ended: &mut Activity, text: &mut String) {
        let folder = proc.join(format!("{}/task", self.pid));
        let tids = numbers_in(&folder);
        self.threads.retain(|tid, thread| {
            let stays = tids.contains(tid);
            if !stays {
                ended.absorb(&thread.seen);
            }
            stays
        });
        for tid in tids {
            let folder = folder.join(tid.to_string());
            let thread = self.threads.entry(tid).or_insert_with(|| Thread {
                is_ours: self.pid == std::process::id() && is_ours(&folder, text),
                ..Thread::default()
            });
            // A thread that ends right now keeps what was seen of it.
            let _ = thread.sample(&folder, text);
        }
    }

    fn done(&self) -> Activity {
        let mut sum = Activity::default();
        self.threads.values().for_each(|thread| sum.absorb(&thread.seen));
        sum
    }
}

impl Thread {
    fn sample(&mut self, folder: &Path, text: &mut String) -> io::Result<()> {
        if self.is_ours {
            return Ok(());
        }
        read(&folder.join("schedstat"), text)?;
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let (run_ns, wait_ns, times_run) = (next(), next(), next());
        // A thread that has not run has not switched.
        if (times_run, run_ns) != (self.times_run, self.seen.run_ns) {
            read(&folder.join("status"), text)?;
            self.seen.voluntary_switches = field(text, "voluntary_ctxt_switches:").unwrap_or(0);
            self.seen.involuntary_switches = field(text, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        self.times_run = times_run;
        self.seen.run_ns = run_ns;
        self.seen.wait_ns = wait_ns;
        Ok(())
    }
}

impl Activity {
    /// Adds up what only grows.
    fn absorb(&mut self, other: &Activity) {
        self.run_ns += other.run_ns;
        self.wait_ns += other.wait_ns;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
    }

    fn since(&self, before: &Activity) -> Activity {
        Activity {
            run_ns: self.run_ns.saturating_sub(before.run_ns),
            wait_ns: self.wait_ns.saturating_sub(before.wait_ns),
            voluntary_switches: self.voluntary_switches.saturating_sub(before.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(before.involuntary_switches),
            threads: self.threads,
        }
    }
}

fn is_ours(folder: &Path, text: &mut String) -> bool {
    read(&folder.join("comm"), text).is_ok_and(|()| text.starts_with("tickstorm-"))
}

fn read(path: &Path, text: &mut String) -> io::Result<()> {
    text.clear();
    File::open(path)?.read_to_string(text).map(|_| ())
}

/// The number behind a name at the beginning of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status =
            "Name:\tx\nVmRSS:\t  5124 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(field(status, "VmRSS:"), Some(5124));
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(7));
        assert_eq!(field(status, "nonvoluntary_ctxt_switches:"), Some(3));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    mod on_linux {
        use std::process::{Command, Stdio};
        use std::sync::mpsc;
        use std::time::{Duration, Instant};

        use super::*;

        #[test]
        fn a_thread_counts_while_it_works_and_after_it_has_ended() {
            let mut watch = ProcessWatch::new(&[std::process::id()]).unwrap();
            let before = watch.sample().unwrap();
            let ((go, begun), (done, over)) = (mpsc::channel::<()>(), mpsc::channel());
            let thread = std::thread::spawn(move || {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(60) {
                    std::hint::spin_loop();
                }
                done.send(()).unwrap();
                begun.recv().unwrap();
            });
            over.recv().unwrap();
            let during = watch.sample().unwrap();
            assert!(during.threads > before.threads, "{before:?} {during:?}");
            let worked = |activity: Activity| activity.run_ns + activity.wait_ns;
            assert!(worked(during) - worked(before) >= 50_000_000, "{before:?} {during:?}");
            go.send(()).unwrap();
            thread.join().unwrap();
            let after = watch.sample().unwrap();
            assert!(worked(after) >= worked(during) && after.voluntary_switches > before.voluntary_switches);
            assert!(watch.resident_bytes() > 100_000);
        }

        #[test]
        fn what_a_process_did_before_its_watch_does_not_count() {
            let mut watch = ProcessWatch::new(&[std::process::id()]).unwrap();
            assert_eq!(ProcessWatch::new(&[0]).map(|_| ()), None);
            let first = watch.sample().unwrap();
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            watch.add(&[child.id(), std::process::id()]);
            assert_eq!(watch.pids().collect::<Vec<_>>(), [std::process::id(), child.id()]);
            let second = watch.sample().unwrap();
            assert!(second.run_ns >= first.run_ns && second.threads > 1);
            drop(child.stdin.take());
            child.wait().unwrap();
            assert!(watch.sample().unwrap().run_ns >= second.run_ns);
            assert_eq!(watch.pids().collect::<Vec<_>>(), [std::process::id()]);
        }

        #[test]
        fn a_process_that_has_ended_has_no_activity() {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let mut watch = ProcessWatch::new(&[child.id()]).unwrap();
            assert!(watch.sample().is_some());
            drop(child.stdin.take());
            child.wait().unwrap();
            assert_eq!(watch.sample(), None);
            assert!(ProcessWatch::new(&[child.id()]).is_none());
        }
    }
}
