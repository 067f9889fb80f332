//! The windows of a venue's cadence, and who waits for the end of each.

use super::{Stream, StreamId};

/// One window for each length, aligned to the start of the run.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    all: Vec<Window>,
    next_end_ns: u64,
    /// Room for those that are due.
    due: Vec<StreamId>,
}

#[derive(Debug, Clone)]
struct Window {
    length_ns: u64,
    /// Of the window in which something happened, if something did.
    end_ns: u64,
    waiting: Vec<StreamId>,
}

impl Default for Windows {
    fn default() -> Self {
        Self { all: Vec::new(), next_end_ns: u64::MAX, due: Vec::new() }
    }
}

impl Windows {
    /// The window of a length; none if that is zero.
    pub(super) fn of(&mut self, length_ns: u64) -> Option<usize> {
        if length_ns == 0 {
            return None;
        }
        let known = self.all.iter().position(|window| window.length_ns == length_ns);
        Some(known.unwrap_or_else(|| {
            self.all.push(Window { length_ns, end_ns: 0, waiting: Vec::new() });
            self.all.len() - 1
        }))
    }

    /// The end of the earliest window that somebody waits for; the end of time if there is none.
    #[inline]
    pub(super) fn next_end_ns(&self) -> u64 {
        self.next_end_ns
    }

    /// Lets a stream wait for the end of its window. Windows that end by `now_ns` must have been emptied.
    #[inline]
    pub(super) fn wait(&mut self, id: StreamId, stream: &mut Stream, now_ns: u64) {
        let Some(window) = stream.window.map(|index| &mut self.all[index]) else { return };
        if stream.is_due {
            return;
        }
        stream.is_due = true;
        if window.waiting.is_empty() {
            window.end_ns = (now_ns / window.length_ns + 1).saturating_mul(window.length_ns);
            self.next_end_ns = self.next_end_ns.min(window.end_ns);
        }
        window.waiting.push(id);
    }

    /// Those that wait for this time, and wait no longer.
    pub(super) fn take_due(&mut self, end_ns: u64) -> Vec<StreamId> {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        for window in self.all.iter_mut().filter(|window| window.end_ns == end_ns) {
            due.append(&mut window.waiting);
        }
        self.find_next();
        due
    }

    /// The room of [`Windows::take_due`], for the next time.
    pub(super) fn give_back(&mut self, due: Vec<StreamId>) {
        self.due = due;
    }

    /// Does not let a stream wait any longer.
    pub(super) fn forget(&mut self, id: StreamId) {
        for window in &mut self.all {
            window.waiting.retain(|&waiting| waiting != id);
        }
        self.find_next();
    }

    fn find_next(&mut self) {
        let busy = self.all.iter().filter(|window| !window.waiting.is_empty());
        self.next_end_ns = busy.map(|window| window.end_ns).min().unwrap_or(u64::MAX);
    }
}
