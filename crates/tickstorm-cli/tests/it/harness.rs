//! Runs the real program and keeps all that it said.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use tempfile::TempDir;

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The report on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{self:#?}"))
    }

    /// Checks the exit code, and that the program did not panic on its way there.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// Runs `tickstorm` with these arguments.
#[track_caller]
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    finish(command().args(arguments))
}

/// The program, ready for more arguments or variables: without a terminal, and with none of our own variables that may
/// be set where the tests run.
pub(crate) fn command() -> Command {
    command_of(env!("CARGO_BIN_EXE_tickstorm"))
}

/// The same for a program that runs ours in its turn.
pub(crate) fn command_of(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TICKSTORM_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs a prepared command to its end.
#[track_caller]
pub(crate) fn finish(command: &mut Command) -> Output {
    Started::new(command).finish()
}

/// The program under way.
pub(crate) struct Started {
    child: Child,
    stdout: Reader,
    stderr: BufReader<ChildStderr>,
    said: String,
    ended: Sender<()>,
}

type Reader = JoinHandle<io::Result<String>>;

impl Started {
    #[track_caller]
    pub(crate) fn new(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it was asked for");
        let stderr = BufReader::new(child.stderr.take().expect("it was asked for"));
        let (ended, end) = mpsc::channel();
        let id = child.id();
        // A program that hangs is killed, so that the test fails instead of hanging too.
        thread::spawn(move || {
            if end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                signal(id, "KILL");
            }
        });
        Self {
            child,
            stdout: thread::spawn(|| io::read_to_string(stdout)),
            stderr,
            said: String::new(),
            ended,
        }
    }

    /// Waits until the program says a line with this in it on standard error.
    #[track_caller]
    pub(crate) fn await_line(&mut self, part: &str) {
        loop {
            let before = self.said.len();
            let count = self.stderr.read_line(&mut self.said).expect("standard error is text");
            assert!(count > 0, "the program ended without saying `{part}`: {}", self.said);
            if self.said[before..].contains(part) {
                return;
            }
        }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its short name, as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    #[track_caller]
    pub(crate) fn finish(mut self) -> Output {
        self.stderr.read_to_string(&mut self.said).expect("standard error is text");
        let stdout = self.stdout.join().expect("the reader does not panic").expect("standard output is text");
        let status = self.child.wait().expect("the program can be waited for");
        let _ = self.ended.send(());
        Output { code: status.code().unwrap_or(-1), stdout, stderr: self.said }
    }
}

fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(status.expect("there is a kill").success(), "kill -{name} {id}");
}

/// Far more than any test needs, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A folder of its own for a test's files, gone at the end.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the folder can be written to");
        path
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(self.0.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
