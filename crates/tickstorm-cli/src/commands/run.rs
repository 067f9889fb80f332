//! `tickstorm run`: storms a target, shows how it goes, writes the report, and exits with the verdict.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf, absolute},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tickstorm::{Finished, Run};
use tickstorm_report::{Outcome, Report, StopReason, Style, summary, to_json_pretty};

use crate::{
    arguments::{Progress, RunArguments, Task},
    exit::{Exit, Refusal},
    live::{Role, Stage},
    output::Output,
    plan_table::plan_table,
    resolve::resolve,
    terminal::{has_color, print, say, width},
    watch::Watch,
};

pub(crate) fn run(arguments: RunArguments) -> Result<Exit, Refusal> {
    let resolved = resolve(arguments.settings, arguments.config.as_deref(), env::vars_os())?;
    let plan = resolved.plan_of_run()?;
    if arguments.progress != Progress::Quiet {
        plan.warnings().iter().for_each(|warning| say(&format!("warning: {warning}\n")));
    }
    if arguments.task == Task::PrintPlan {
        return print(&plan_table(&plan, &resolved.origins, |_| true));
    }
    let outputs = Outputs::open(arguments.output, arguments.hlog)?;
    let mut watch = Watch::new(arguments.progress, Role::Client, &resolved.target.to_string(), &plan);
    // Before anything is said: whoever reads it may answer with Ctrl-C.
    let inbox = Inbox::open()?;
    watch.connecting();
    let start = move || Run::start(plan, &resolved.target).map_err(|error| chain(&error));
    storm(inbox, start, TOO_EARLY, || watch, outputs, arguments.progress)
}

/// What is said to who interrupts before there is a run.
const TOO_EARLY: &str = "interrupted before the target was connected, nothing was measured";

/// Where the results go.
pub(super) struct Outputs {
    report: Output,
    hlog: Option<Output>,
}

impl Outputs {
    pub(super) fn open(report: Option<PathBuf>, hlog: Option<PathBuf>) -> Result<Self, Refusal> {
        let report = report.unwrap_or_else(|| STANDARD_OUTPUT.into());
        if hlog.as_deref().is_some_and(|hlog| same(hlog, &report)) {
            let place =
                if report == Path::new(STANDARD_OUTPUT) { "standard output" } else { "the same file" };
            let complaint =
                format!("--hlog: the report goes to {place} already, give another with --output or --hlog");
            return Err(Refusal::new(Exit::Usage, complaint));
        }
        let open = |flag: &str, path: &Path| {
            Output::open(path).map_err(|error| Refusal::new(Exit::Failure, format!("{flag}: {error}")))
        };
        Ok(Self {
            report: open("--output", &report)?,
            hlog: hlog.map(|path| open("--hlog", &path)).transpose()?,
        })
    }

    /// Writes what there is to write; what went wrong is said when all was tried.
    fn write(self, finished: &Finished) -> Result<(), Refusal> {
        let json = to_json_pretty(&finished.report) + "\n";
        let mut complaints = Vec::new();
        let to_file = !matches!(self.report, Output::Stdout);
        if let Err(error) = self.report.write(json.as_bytes()) {
            complaints.push(error.to_string());
            // The measurement took its time: better in the wrong place than lost.
            if to_file && Output::Stdout.write(json.as_bytes()).is_ok() {
                complaints.push("the report went to standard output instead".into());
            }
        }
        if let Some(Err(error)) = self.hlog.map(|output| output.write(&hlog(finished))) {
            complaints.push(error.to_string());
        }
        match complaints.is_empty() {
            true => Ok(()),
            false => Err(Refusal { exit: Exit::Failure, complaints }),
        }
    }
}

pub(super) fn same(one: &Path, other: &Path) -> bool {
    one == other || absolute(one).ok().zip(absolute(other).ok()).is_some_and(|(one, other)| one == other)
}

fn hlog(finished: &Finished) -> Vec<u8> {
    let mut bytes = Vec::new();
    finished.write_hlog(&mut bytes).expect("memory takes every byte");
    bytes
}

const STANDARD_OUTPUT: &str = "-";

/// Starts a run in a thread of its own, so that Ctrl-C is heard while a target does not answer, and sees it through.
pub(super) fn storm(
    inbox: Inbox,
    start: impl FnOnce() -> Result<Run, String> + Send + 'static,
    too_early: &str,
    watch: impl FnOnce() -> Watch,
    outputs: Outputs,
    progress: Progress,
) -> Result<Exit, Refusal> {
    let Inbox { sender, events, _signals } = inbox;
    thread::spawn(move || {
        let started = catch_unwind(AssertUnwindSafe(start));
        // Nobody listens any more when the person had enough of waiting.
        let _ = sender.send(Event::Started(started));
    });
    let run = await_start(&events, too_early)?;
    let mut watch = watch();
    follow(&run, &events, &mut watch);
    // From here on the terminal is an ordinary one again.
    drop(watch);
    let finished = run.wait();

    let written = outputs.write(&finished);
    if progress != Progress::Quiet {
        // After the report, which may go to the same terminal and would push the summary away.
        say(&summary(
            &finished.report,
            Style { color: has_color(std::io::stderr()), width: width(std::io::stderr()).unwrap_or(COLUMNS) },
        ));
    }
    written.map(|()| exit(&finished.report))
}

/// Where standard error is no terminal.
const COLUMNS: usize = 100;

/// What a run is to hear of comes in here: signals, from when it is opened, and that the run has started.
pub(super) struct Inbox {
    sender: Sender<Event>,
    events: Receiver<Event>,
    _signals: SignalGuard,
}

impl Inbox {
    pub(super) fn open() -> Result<Self, Refusal> {
        let (sender, events) = mpsc::channel();
        let signals = forward_signals(sender.clone())
            .map_err(|error| Refusal::new(Exit::Failure, format!("cannot watch for Ctrl-C: {error}")))?;
        Ok(Self { sender, events, _signals: signals })
    }
}

enum Event {
    /// Ctrl-C, or a polite kill.
    Interrupt,
    Started(thread::Result<Result<Run, String>>),
}

/// Stops listening when dropped.
struct SignalGuard(signal_hook::iterator::Handle);

impl Drop for SignalGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn forward_signals(events: Sender<Event>) -> std::io::Result<SignalGuard> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let guard = SignalGuard(signals.handle());
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if events.send(Event::Interrupt).is_err() {
                return;
            }
        }
    })?;
    Ok(guard)
}

fn await_start(events: &Receiver<Event>, too_early: &str) -> Result<Run, Refusal> {
    match events.recv() {
        Ok(Event::Started(Ok(Ok(run)))) => Ok(run),
        Ok(Event::Started(Ok(Err(error)))) => Err(Refusal::new(Exit::Failure, error)),
        Ok(Event::Started(Err(panic))) => resume_unwind(panic),
        Ok(Event::Interrupt) => Err(Refusal::new(Exit::Interrupted, too_early)),
        Err(_) => Err(Refusal::new(Exit::Failure, "internal error: the run was lost while it started")),
    }
}

/// Watches the run until it has finished, and hands on what the person wants.
fn follow(run: &Run, events: &Receiver<Event>, watch: &mut Watch) {
    let mut interrupts = 0;
    let mut next_look = Instant::now();
    while !run.is_finished() {
        match events.recv_timeout(POLL) {
            Ok(Event::Interrupt) => {
                interrupts += 1;
                match interrupts {
                    1 => run.stop(StopReason::Interrupted),
                    _ => run.abort(StopReason::Interrupted),
                }
                next_look = Instant::now();
            }
            Ok(Event::Started(_)) | Err(RecvTimeoutError::Timeout) => {}
            // The signals' thread is gone; the run still ends by itself.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
        }
        if Instant::now() >= next_look {
            next_look = Instant::now() + LOOK;
            watch.look(&run.snapshot(), stage(interrupts));
        }
    }
    watch.look(&run.snapshot(), stage(interrupts));
}

/// How soon the end of the run is noticed.
const POLL: Duration = Duration::from_millis(20);
/// Five pictures a second: quick enough to look alive, slow enough to be read and to cost nothing.
const LOOK: Duration = Duration::from_millis(200);

fn stage(interrupts: usize) -> Stage {
    match interrupts {
        0 => Stage::Running,
        1 => Stage::Stopping,
        _ => Stage::Aborting,
    }
}

fn exit(report: &Report) -> Exit {
    match (report.stopped.as_ref().map(|stopped| stopped.reason), report.verdict.outcome) {
        (Some(StopReason::Interrupted | StopReason::Requested), _) => Exit::Interrupted,
        (Some(StopReason::InternalError), _) => Exit::Failure,
        (_, Outcome::Pass) => Exit::Pass,
        (_, Outcome::Fail) => Exit::Fail,
        (_, Outcome::Inconclusive) => Exit::Inconclusive,
    }
}

/// An error with its causes, each of which says its own part.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
