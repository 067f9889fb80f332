//! The program from outside: exit codes, what goes to which stream, and how mistakes are answered.

mod bad_input;
mod harness;
mod output;
mod print_plan;
mod profile;
mod storm;
