//! The program from outside: exit codes, what goes to which stream, how mistakes are answered, and what it finds at targets
//! that behave and that do not.

mod bad_input;
mod check;
mod consume;
mod generate;
mod harness;
mod outage;
mod output;
mod peer;
mod print_plan;
mod profile;
mod profiles;
mod promises;
mod report;
mod reproduce;
mod ruler;
mod scenario;
#[cfg(target_os = "linux")]
mod starved;
mod stop;
mod storm;
mod targets;
