//! The Python package `tickstorm`: the private module `_tickstorm`, around which `python/tickstorm` is a thin shell.
//!
//! Nothing here measures or decides: [`tickstorm`] does. What is added is how its messages look in Python, how an event
//! loop is woken by an engine that never attaches to the interpreter, and how coroutines are started there.

mod check;
mod engine;
mod exchange;
mod host;
mod message;
mod stream;
mod wake;

use std::ffi::OsString;

use pyo3::prelude::*;

#[pymodule]
mod _tickstorm {
    #[pymodule_export]
    use crate::check::check;
    #[pymodule_export]
    use crate::engine::{Engine, Metrics, Running, parse_profile, settings};
    #[pymodule_export]
    use crate::exchange::{Exchange, Serving, venues};
    #[pymodule_export]
    use crate::host::Host;
    #[pymodule_export]
    use crate::run_program;
    #[pymodule_export]
    use crate::stream::Messages;
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}

/// The program, with these arguments, the first of which is its name; what it exits with. The interpreter is free
/// meanwhile.
#[pyfunction]
fn run_program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| tickstorm_cli::run(arguments).code())
}
