//! What each subcommand does, one file a command.

pub(crate) mod check;
pub(crate) mod consume;
pub(crate) mod generate;
pub(crate) mod profile;
pub(crate) mod ruler;
pub(crate) mod run;
pub(crate) mod serve;
mod stream;
