//! The program `tickstorm`: arguments, configuration, live view and exit codes around the library of the same name.
//!
//! Everything that happens between a command line and an exit code is here, and nothing else: what a run is and how it
//! is judged stands in [`tickstorm`], how its result reads in [`tickstorm_report`]. [`run`] is the whole program, so that
//! it can also be started from inside another one.
//!
//! ```
//! use tickstorm_cli::Exit;
//!
//! let exit = tickstorm_cli::run(["tickstorm", "profile", "SPIKE", "--csv"].map(Into::into));
//! assert_eq!(exit, Exit::Pass);
//! ```

mod arguments;
mod chart;
mod commands;
mod config_file;
mod environment;
mod exit;
mod interrupt;
mod lines;
mod live;
mod output;
mod plan_table;
mod resolve;
mod terminal;
mod watch;

use std::{
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind},
};

use arguments::Invocation;
pub use exit::Exit;
use exit::Refusal;

/// Runs the program with these arguments, the first of which is its own name. Results go to standard output, everything
/// else to standard error; the environment is read for `TICKSTORM_*` and `NO_COLOR`. Returns when all is done: nothing
/// here ends the process but a signal.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let invocation = match arguments::parse(arguments) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help that was asked for goes to standard output and is no mistake; a closed pipe is neither.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Pass };
        }
    };
    raise_open_files();
    let done = guarded(|| match invocation {
        Invocation::Run(arguments) => commands::run::run(arguments),
        Invocation::Generate(arguments) => commands::generate::generate(*arguments),
        Invocation::Check(arguments) => commands::check::check(*arguments),
        Invocation::Consume(arguments) => commands::consume::consume(*arguments),
        Invocation::Profile(arguments) => commands::profile::profile(arguments),
        Invocation::Serve(arguments) => commands::serve::serve(*arguments),
        Invocation::Ruler(arguments) => commands::ruler::ruler(arguments),
    });
    done.unwrap_or_else(|refusal| {
        terminal::say(&refusal.to_string());
        refusal.exit
    })
}

/// Each connection is an open file, with the built-in target two, and the usual soft limit of 1024 is for the sake of
/// programs that use `select`. Where it cannot be raised, a run that needs more says so.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Only macOS has no hard limit, and takes so many.
    let current = limit.maximum.or(Some(10_240));
    let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
}

/// Turns a panic, which has said where it happened, into an exit code of ours.
fn guarded(command: impl FnOnce() -> Result<Exit, Refusal>) -> Result<Exit, Refusal> {
    catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(|text| &**text));
        let complaint =
            format!("internal error, please report it: {}", text.unwrap_or("a panic without words"));
        Err(Refusal::new(Exit::Failure, complaint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_in_an_exit_code_and_a_complaint() {
        let refusal = guarded(|| panic!("the tape broke")).unwrap_err();
        assert_eq!(refusal.exit, Exit::Failure);
        assert!(refusal.to_string().contains("the tape broke"), "{refusal}");
    }
}
