//! Streams that say again what they have said when nothing has changed for long.

use std::collections::BTreeSet;

use super::StreamId;

/// When which stream is to be looked at. A stream that has told something since is looked at again later, so that telling
/// something costs nothing here.
#[derive(Debug, Clone)]
pub(super) struct Repeats {
    due: BTreeSet<(u64, StreamId)>,
    next_ns: u64,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { due: BTreeSet::new(), next_ns: u64::MAX }
    }
}

impl Repeats {
    /// When the first of them is to be looked at; the end of time if there is none.
    #[inline]
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Has a stream looked at then.
    pub(super) fn add(&mut self, due_ns: u64, id: StreamId) {
        self.due.insert((due_ns, id));
        self.find_next();
    }

    /// Does not have it looked at any more: the time is what it was added with.
    pub(super) fn remove(&mut self, due_ns: u64, id: StreamId) {
        self.due.remove(&(due_ns, id));
        self.find_next();
    }

    /// The first that is to be looked at by now, and is no more.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<StreamId> {
        if self.next_ns > now_ns || self.next_ns == u64::MAX {
            return None;
        }
        let first = self.due.pop_first();
        self.find_next();
        first.map(|(_, id)| id)
    }

    fn find_next(&mut self) {
        self.next_ns = self.due.first().map_or(u64::MAX, |(due_ns, _)| *due_ns);
    }
}
