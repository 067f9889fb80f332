//! Draws the view at one place on standard error, below what stands there already.

use std::{
    io::{self, Stderr, Write},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    QueueableCommand,
    cursor::{Hide, MoveToColumn, MoveUp, Show},
    style::{Attribute, Attributes, Print, SetAttribute, SetAttributes, SetForegroundColor},
    terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate},
};
use ratatui::{
    backend::IntoCrossterm,
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};

use super::View;
use crate::terminal;

/// The rows of the terminal that the view takes. All movement is relative to the last picture, so that the terminal is
/// never asked where its cursor is: the question would travel on standard output, where the report goes, and the
/// answer on standard input. Nothing but the cursor's visibility is changed, and that is restored when the screen is
/// dropped, and by a panic.
pub(crate) struct Screen<W: Write = Stderr> {
    out: W,
    /// How many cells each row of the last picture filled, to know where it began.
    shown: Vec<usize>,
}

impl Screen {
    pub(crate) fn open() -> Self {
        restore_on_panic();
        DRAWING.store(true, Ordering::Relaxed);
        Self::over(io::stderr())
    }

    /// Replaces the last picture, in the size that the terminal has now.
    pub(crate) fn draw(&mut self, view: &View<'_>) {
        let (columns, rows) = size();
        // The last column stays free: some terminals wrap as soon as it is written.
        self.paint(&view.draw(columns.saturating_sub(1).max(1)), columns, rows);
    }
}

impl<W: Write> Screen<W> {
    fn over(mut out: W) -> Self {
        // A terminal that does not take this does not take the pictures either, and the run goes on without.
        let _ = out.queue(Hide);
        Self { out, shown: Vec::new() }
    }

    fn paint(&mut self, picture: &Buffer, columns: u16, rows: u16) {
        let mut frame = Vec::new();
        let _ = self.queue(&mut frame, picture, columns, rows);
        let _ = self.out.write_all(&frame).and_then(|()| self.out.flush());
    }

    fn queue(&mut self, frame: &mut Vec<u8>, picture: &Buffer, columns: u16, rows: u16) -> io::Result<()> {
        frame.queue(BeginSynchronizedUpdate)?;
        self.queue_return(frame, columns, rows)?;
        // A picture higher than the terminal would scroll at each drawing.
        let height = picture.area.height.min(rows.saturating_sub(1).max(1));
        self.shown.clear();
        for y in 0..height {
            if y > 0 {
                frame.queue(Print("\r\n"))?;
            }
            let row: Vec<&Cell> = (0..picture.area.width).filter_map(|x| picture.cell((x, y))).collect();
            let filled = row.iter().rposition(|cell| cell.symbol() != " ").map_or(0, |last| last + 1);
            queue_row(frame, &row[..filled])?;
            frame.queue(Clear(ClearType::UntilNewLine))?;
            self.shown.push(filled);
        }
        frame.queue(Clear(ClearType::FromCursorDown))?.queue(EndSynchronizedUpdate)?;
        Ok(())
    }

    /// Back to where the last picture began. A terminal that has become narrower has wrapped its rows, each into as
    /// many as it needs now.
    fn queue_return(&self, frame: &mut Vec<u8>, columns: u16, rows: u16) -> io::Result<()> {
        let columns = usize::from(columns.max(1));
        let taken: usize = self.shown.iter().map(|filled| filled.div_ceil(columns).max(1)).sum();
        let up = taken.saturating_sub(1).min(rows.into());
        if up > 0 {
            frame.queue(MoveUp(up as u16))?;
        }
        frame.queue(MoveToColumn(0))?;
        Ok(())
    }

    fn erase(&mut self) -> io::Result<()> {
        let (columns, rows) = size();
        let mut frame = Vec::new();
        self.queue_return(&mut frame, columns, rows)?;
        frame.queue(Clear(ClearType::FromCursorDown))?.queue(Show)?;
        self.out.write_all(&frame)?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    /// Erases the picture: what follows, as the summary, stands in its place.
    fn drop(&mut self) {
        DRAWING.store(false, Ordering::Relaxed);
        let _ = self.erase();
    }
}

fn size() -> (u16, u16) {
    // A terminal that has lost its size is drawn on as the classic one.
    terminal::size(io::stderr()).unwrap_or((80, 24))
}

fn queue_row(frame: &mut Vec<u8>, row: &[&Cell]) -> io::Result<()> {
    const PLAIN: (Color, Modifier) = (Color::Reset, Modifier::empty());
    let mut style = PLAIN;
    for cell in row {
        let wanted = (cell.fg, cell.modifier);
        if wanted != style {
            frame.queue(SetAttribute(Attribute::Reset))?;
            if cell.fg != Color::Reset {
                frame.queue(SetForegroundColor(cell.fg.into_crossterm()))?;
            }
            if !cell.modifier.is_empty() {
                frame.queue(SetAttributes(attributes(cell.modifier)))?;
            }
            style = wanted;
        }
        frame.queue(Print(cell.symbol()))?;
    }
    if style != PLAIN {
        frame.queue(SetAttribute(Attribute::Reset))?;
    }
    Ok(())
}

/// The two that the view uses.
fn attributes(modifier: Modifier) -> Attributes {
    let mut attributes = Attributes::none();
    for (ours, theirs) in [(Modifier::BOLD, Attribute::Bold), (Modifier::DIM, Attribute::Dim)] {
        if modifier.contains(ours) {
            attributes.set(theirs);
        }
    }
    attributes
}

/// Whether a picture is on the terminal now, for the panic hook.
static DRAWING: AtomicBool = AtomicBool::new(false);

/// A panic's message goes below the picture, and the cursor is seen again, whatever becomes of the thread that draws.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DRAWING.swap(false, Ordering::Relaxed) {
                let mut out = io::stderr();
                let _ = out.queue(Show).and_then(|out| out.queue(Print("\r\n"))).and_then(Write::flush);
            }
            previous(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use ratatui::{layout::Rect, style::Style};

    use super::*;

    #[test]
    fn each_picture_takes_the_place_of_the_one_before() {
        let mut bytes = Vec::new();
        {
            let mut screen = Screen::over(&mut bytes);
            screen.paint(&picture(&["one", "two", "three"]), 80, 24);
            screen.paint(&picture(&["four", "", "six"]), 80, 24);
        }
        let text = String::from_utf8(bytes).unwrap();
        let pictures: Vec<&str> = text.split("\x1b[?2026h").collect();
        assert_eq!(pictures.len(), 3, "{text:?}");
        assert_eq!(pictures[0], "\x1b[?25l");
        assert!(pictures[1].starts_with("\x1b[1Gone\x1b[K\r\ntwo\x1b[K\r\nthree\x1b[K\x1b[J"), "{text:?}");
        assert!(pictures[2].starts_with("\x1b[2A\x1b[1Gfour\x1b[K\r\n\x1b[K\r\nsix"), "{text:?}");
        assert!(text.ends_with("\x1b[2A\x1b[1G\x1b[J\x1b[?25h"), "{text:?}");
    }

    #[test]
    fn rows_that_a_narrower_terminal_wrapped_are_gone_back_over() {
        let mut bytes = Vec::new();
        let mut screen = Screen::over(&mut bytes);
        screen.paint(&picture(&["x".repeat(70).as_str(), "short", "y".repeat(41).as_str()]), 80, 24);
        let mut frame = Vec::new();
        screen.queue_return(&mut frame, 40, 24).unwrap();
        assert_eq!(frame, b"\x1b[4A\x1b[1G", "two rows, one, two: five, of which the last holds the cursor");
    }

    #[test]
    fn a_picture_higher_than_the_terminal_is_cut() {
        let mut bytes = Vec::new();
        let mut screen = Screen::over(&mut bytes);
        screen.paint(&picture(&["1", "2", "3", "4"]), 80, 3);
        assert_eq!(screen.shown.len(), 2);
    }

    #[test]
    fn styles_are_set_once_a_run_of_cells_and_taken_back() {
        let mut buffer = picture(&["abcd"]);
        buffer.set_style(Rect::new(1, 0, 2, 1), Style::new().add_modifier(Modifier::BOLD));
        let row: Vec<&Cell> = (0..4).filter_map(|x| buffer.cell((x, 0))).collect();
        let mut frame = Vec::new();
        queue_row(&mut frame, &row).unwrap();
        assert_eq!(String::from_utf8(frame).unwrap(), "a\x1b[0m\x1b[1mbc\x1b[0md");
    }

    fn picture(rows: &[&str]) -> Buffer {
        Buffer::with_lines(rows.iter().copied())
    }
}
