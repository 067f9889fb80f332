//! The library from outside, as its users see it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod call;
mod check;
mod clients;
mod consume;
mod examples;
mod frozen;
mod generator;
mod hosted;
mod push;
mod realism;
mod stream;
mod totals;
