//! What the process says to whoever called it, and how a refusal is worded.

use std::{fmt, process::ExitCode};

/// How the program ended. The numbers are part of its interface: scripts and CI jobs read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The target held, or a command without a verdict did its work.
    Pass = 0,
    /// The run could not start or finish: target unreachable, output not writable, internal error.
    Failure = 1,
    /// A wrong flag, or a wrong value of one.
    Usage = 2,
    /// The run does not prove anything; its report says why.
    Inconclusive = 96,
    /// A threshold was crossed.
    Fail = 99,
    /// A wrong configuration file, input file or environment variable.
    Configuration = 104,
    /// Stopped by hand; the report of what was measured is still written.
    Interrupted = 105,
}

impl Exit {
    /// The number as the shell shows it.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do its work: what is printed, and what the process exits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) exit: Exit,
    /// One complaint a line, so that everything wrong is said at once.
    pub(crate) complaints: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(exit: Exit, complaint: impl Into<String>) -> Self {
        Self { exit, complaints: vec![complaint.into()] }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.complaints.iter().try_for_each(|complaint| writeln!(f, "error: {complaint}"))
    }
}
