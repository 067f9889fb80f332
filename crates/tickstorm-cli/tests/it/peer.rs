//! A target of independent make: the Python server of `testdata/peers`, with the ways it can misbehave.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::harness::Folder;

/// The server under way. Dropping it ends it.
pub(crate) struct Peer {
    python: OsString,
    arguments: Vec<String>,
    folder: Folder,
    port: u16,
    child: Child,
    /// The server stops when this ends, so that none outlives its test, however that ends.
    _lifeline: ChildStdin,
}

impl Peer {
    /// Starts a server with these options on a port of its own. Without a Python to run it there is none: the test
    /// that asked says so and is skipped, except on CI, where nobody would see that.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let Some(python) = env::var_os(PYTHON) else {
            let reason = format!(
                "{PYTHON} names no Python with the package websockets, as `cargo xtask test` sets it"
            );
            skip(&reason, Ci::Fails);
            return None;
        };
        let folder = Folder::new();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let (child, port, lifeline) = launch(&python, &arguments, &folder, 0);
        Some(Self { python, arguments, folder, port, child, _lifeline: lifeline })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/feed", self.port)
    }

    /// Kills it without warning, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Starts it again on the same port, after it was killed. It goes on counting where it ended.
    pub(crate) fn restart(&mut self) {
        (self.child, self.port, self._lifeline) =
            launch(&self.python, &self.arguments, &self.folder, self.port);
    }

    /// Messages that it received so far, over all connections and starts.
    pub(crate) fn received(&self) -> u64 {
        let counts = fs::read_to_string(self.folder.path(COUNTS)).expect("it makes the file when it starts");
        counts.lines().count() as u64
    }

    /// Waits until it has received so many messages; then it should receive no more.
    #[track_caller]
    pub(crate) fn await_received(&self, count: u64) {
        let start = Instant::now();
        while self.received() < count && start.elapsed() < PATIENCE {
            thread::sleep(POLL);
        }
        assert_eq!(self.received(), count);
    }

    /// Every message that it recorded, with the number of its connection, in the order of arrival. The server must have
    /// been started with [`RECORD`].
    pub(crate) fn recorded(&self, count: usize) -> Vec<(u32, String)> {
        let path = self.folder.path(RECORDING);
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(&path).expect("it makes the file when it starts");
            if text.lines().count() < count && start.elapsed() < PATIENCE {
                thread::sleep(POLL);
                continue;
            }
            let line = |line: &str| {
                let (connection, message) = line.split_once(' ').expect("a connection and a message");
                (connection.parse().expect("a number"), message.to_owned())
            };
            return text.lines().map(line).collect();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a skipped test means on CI, where nobody would see that it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ci {
    Fails,
    SkipsToo,
}

/// Says that a test cannot run here.
#[track_caller]
#[expect(clippy::print_stderr, reason = "a test that was skipped must not look like one that ran")]
pub(crate) fn skip(reason: &str, ci: Ci) {
    assert!(ci == Ci::SkipsToo || env::var("CI").as_deref() != Ok("true"), "{reason}");
    eprintln!("skipped: {reason}");
}

/// An option that has the server keep every message.
pub(crate) const RECORD: &str = "--record";

/// Names the Python that plays peers.
pub(crate) const PYTHON: &str = "TICKSTORM_TEST_PYTHON";
const COUNTS: &str = "counts";
const RECORDING: &str = "recording";

const POLL: Duration = Duration::from_millis(20);
/// Far more than a server needs to read what is on its way, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn launch(python: &OsString, arguments: &[String], folder: &Folder, port: u16) -> (Child, u16, ChildStdin) {
    let mut command = Command::new(python);
    command.arg(server()).args(["--exit-with-stdin", "--port", &port.to_string()]);
    command.arg("--counts").arg(folder.path(COUNTS));
    for argument in arguments {
        command.arg(argument);
        if argument == RECORD {
            command.arg(folder.path(RECORDING));
        }
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{PYTHON}={python:?} cannot be started: {error}"));
    let lifeline = child.stdin.take().expect("it was asked for");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
    stdout.read_line(&mut line).expect("it prints text");
    let port = line.trim().parse().unwrap_or_else(|_| panic!("the server named no port: {line:?}"));
    (child, port, lifeline)
}

fn server() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers/echo_server.py")
}
