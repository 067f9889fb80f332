//! The program `tickstorm`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tickstorm_cli::run(std::env::args_os()).into()
}
