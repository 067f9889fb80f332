//! Which messages the bytes of a connection belong to: from a place in the stream to the age of what lies there.

use std::collections::VecDeque;

/// A stretch of a connection's bytes and the messages in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Where it ends: bytes since the connection began.
    pub end: u64,
    /// When the oldest of its messages was due, ns of run time.
    pub due_ns: u64,
    /// When it was first offered to the kernel, ns of run time.
    pub offered_ns: u64,
    /// Frames that end in it; of a mark with messages only those that tell them.
    pub frames: u32,
    /// Market messages that these tell.
    pub messages: u32,
    /// As the link was told: marks of different epochs stay apart.
    pub epoch: u8,
}

/// The marks of all bytes that the peer may not have read yet, in order.
///
/// Memory is bounded: beyond some ten thousand marks neighbours become one, which is as old as the older of them. So an
/// age that is read from it may be too large by the time between neighbours, and is never too small.
#[derive(Debug, Clone)]
pub(super) struct Trail {
    /// Not taken by the kernel, or not wholly.
    waiting: VecDeque<Mark>,
    /// So many marks that are pushed become one of those that wait; more than one only while very many do.
    grain: u32,
    /// Of these, how many the last one holds.
    in_last: u32,
    /// Taken by the kernel.
    taken: VecDeque<Mark>,
}

impl Default for Trail {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), grain: 1, in_last: 0, taken: VecDeque::new() }
    }
}

impl Trail {
    pub(super) fn push(&mut self, mark: Mark) {
        match self.waiting.back_mut() {
            None => (self.grain, self.in_last) = (1, 0),
            Some(last) if self.in_last < self.grain && last.epoch == mark.epoch => {
                *last = last.and(&mark);
                self.in_last += 1;
                return;
            }
            Some(_) => self.in_last = 0,
        }
        self.waiting.push_back(mark);
        self.in_last += 1;
        if self.waiting.len() > MOST_MARKS {
            coarsen(&mut self.waiting);
            self.grain *= 2;
        }
    }

    /// The kernel has taken everything up to this place: hands over the marks that are whole now.
    pub(super) fn take(&mut self, until: u64, mut on_taken: impl FnMut(&Mark)) {
        while let Some(&mark) = self.waiting.front().filter(|mark| mark.end <= until) {
            self.waiting.pop_front();
            on_taken(&mark);
            self.taken.push_back(mark);
        }
        if self.taken.len() > MOST_MARKS {
            coarsen(&mut self.taken);
        }
    }

    /// The peer has everything up to this place.
    pub(super) fn forget(&mut self, until: u64) {
        while self.taken.front().is_some_and(|mark| mark.end <= until) {
            self.taken.pop_front();
        }
    }

    /// When the oldest message was due of which a byte lies beyond this place.
    pub(super) fn oldest_due_beyond(&self, place: u64) -> Option<u64> {
        let beyond = |marks: &VecDeque<Mark>| marks.partition_point(|mark| mark.end <= place)..marks.len();
        let beyond = self.taken.range(beyond(&self.taken)).chain(self.waiting.range(beyond(&self.waiting)));
        beyond.filter(|mark| mark.messages > 0).map(|mark| mark.due_ns).next()
    }

    /// When the oldest message was due that the kernel has not taken whole.
    pub(super) fn oldest_due_waiting(&self) -> Option<u64> {
        self.waiting.iter().find(|mark| mark.messages > 0).map(|mark| mark.due_ns)
    }

    /// Those that the kernel has not taken whole.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Mark> {
        self.waiting.iter()
    }

    /// Those that the kernel has taken and that end beyond a place.
    pub(super) fn taken_beyond(&self, place: u64) -> impl Iterator<Item = &Mark> {
        let first = self.taken.partition_point(|mark| mark.end <= place);
        self.taken.range(first..)
    }

    /// Keeps of what the kernel has not taken whole only the first.
    pub(super) fn keep_first_waiting(&mut self, on_cut: impl FnMut(&Mark)) {
        self.waiting.range(1.min(self.waiting.len())..).for_each(on_cut);
        self.waiting.truncate(1);
    }
}

impl Mark {
    /// This mark and the next as one.
    fn and(&self, next: &Mark) -> Mark {
        // Frames that tell nothing of the market have no age of their own, and are none of those that do.
        let (due_ns, offered_ns, frames) = match (self.messages, next.messages) {
            (0, 1..) => (next.due_ns, next.offered_ns, next.frames),
            (1.., 0) => (self.due_ns, self.offered_ns, self.frames),
            _ => (
                self.due_ns.min(next.due_ns),
                self.offered_ns.min(next.offered_ns),
                self.frames.saturating_add(next.frames),
            ),
        };
        Mark {
            end: next.end,
            due_ns,
            offered_ns,
            frames,
            messages: self.messages.saturating_add(next.messages),
            epoch: self.epoch,
        }
    }
}

/// Makes one mark of every two.
fn coarsen(marks: &mut VecDeque<Mark>) {
    let old = std::mem::take(marks);
    let mut pairs = old.into_iter().peekable();
    while let Some(first) = pairs.next() {
        match pairs.next_if(|second| second.epoch == first.epoch) {
            Some(second) => marks.push_back(first.and(&second)),
            None => marks.push_back(first),
        }
    }
}

/// A megabyte and a half of marks a connection.
const MOST_MARKS: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(end: u64, due_ns: u64) -> Mark {
        Mark { end, due_ns, offered_ns: due_ns, frames: 1, messages: 1, epoch: 0 }
    }

    fn trail(marks: impl IntoIterator<Item = Mark>) -> Trail {
        let mut trail = Trail::default();
        marks.into_iter().for_each(|mark| trail.push(mark));
        trail
    }

    #[test]
    fn a_place_in_the_stream_has_the_age_of_the_first_message_beyond_it() {
        let mut trail = trail((1..=10).map(|n| mark(n * 100, n)));
        let mut whole = Vec::new();
        trail.take(450, |mark| whole.push(mark.end));
        assert_eq!(whole, [100, 200, 300, 400]);
        assert_eq!(trail.oldest_due_waiting(), Some(5));
        assert_eq!(trail.oldest_due_beyond(0), Some(1));
        assert_eq!(trail.oldest_due_beyond(199), Some(2));
        assert_eq!(trail.oldest_due_beyond(200), Some(3));
        assert_eq!(trail.oldest_due_beyond(400), Some(5));
        assert_eq!(trail.oldest_due_beyond(1_000), None);
        trail.forget(250);
        assert_eq!(trail.oldest_due_beyond(0), Some(3));
    }

    #[test]
    fn frames_that_tell_nothing_have_no_age() {
        let empty = Mark { messages: 0, ..mark(100, 1) };
        let trail = trail([empty, mark(200, 7)]);
        assert_eq!((trail.oldest_due_waiting(), trail.oldest_due_beyond(0)), (Some(7), Some(7)));
    }

    #[test]
    fn frames_that_tell_nothing_are_not_counted_with_those_that_do() {
        let count = 4 * MOST_MARKS as u64;
        let of = |n: u64| Mark { messages: if n.is_multiple_of(2) { 3 } else { 0 }, ..mark(n * 10, n) };
        let mut trail = trail((1..=count).map(of));
        let (mut frames, mut messages) = (0, 0);
        trail.take(count * 10, |mark| {
            frames += u64::from(mark.frames);
            messages += u64::from(mark.messages);
        });
        assert_eq!((frames, messages), (count / 2, count / 2 * 3));
    }

    #[test]
    fn many_marks_become_fewer_that_are_no_younger_and_count_the_same() {
        let count = 5 * MOST_MARKS as u64;
        let trail = trail((1..=count).map(|n| mark(n * 10, n)));
        assert!(trail.waiting.len() <= MOST_MARKS + 1);
        assert_eq!(trail.waiting().map(|mark| u64::from(mark.messages)).sum::<u64>(), count);
        for place in (0..count * 10).step_by(997) {
            let due_ns = trail.oldest_due_beyond(place).unwrap();
            assert!(due_ns <= place / 10 + 1 && place / 10 + 1 - due_ns <= 16, "{place}: {due_ns}");
        }
    }
}
