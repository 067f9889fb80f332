//! What each subcommand does, one file a command.

pub(crate) mod profile;
pub(crate) mod run;
