//! What is known about the terminal, and printing that cannot panic.

use std::{
    env,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use crate::{
    exit::{Exit, Refusal},
    output::Output,
};

/// Prints a command's result to standard output.
pub(crate) fn print(text: &str) -> Result<Exit, Refusal> {
    match Output::Stdout.write(text.as_bytes()) {
        Ok(()) => Ok(Exit::Pass),
        Err(error) => Err(Refusal::new(Exit::Failure, error.to_string())),
    }
}

/// Says something to the person watching. If nobody can hear it there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Columns of the terminal behind `stream`; `None` where there is none.
pub(crate) fn width(stream: impl AsFd) -> Option<usize> {
    size(stream).map(|(columns, _)| columns.into())
}

/// Columns and rows.
pub(crate) fn size(stream: impl AsFd) -> Option<(u16, u16)> {
    // A serial console does not know its size and says 0.
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Whether a picture can be drawn on standard error again and again at one place.
pub(crate) fn can_draw() -> bool {
    io::stderr().is_terminal() && size(io::stderr()).is_some() && !is_dumb()
}

/// Whether text on `stream` may have colours.
pub(crate) fn has_color(stream: impl IsTerminal) -> bool {
    // https://no-color.org: present and not empty, whatever its value.
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_dumb() && !refused
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term == "dumb")
}
