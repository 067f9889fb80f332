//! Whose fault a message's lag is: the time its lane could not take it, less the time we were not there to see.

use std::collections::VecDeque;

/// The total length of disjoint intervals, askable for any recent stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    closed: VecDeque<Interval>,
    /// Length of all that were ever added.
    total_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    start_ns: u64,
    end_ns: u64,
    /// Length of all intervals before this one.
    before_ns: u64,
}

impl Intervals {
    /// Adds an interval that does not end before the last one does; what they share counts once.
    pub(crate) fn add(&mut self, start_ns: u64, end_ns: u64) {
        // Two ways of noticing an absence may overlap.
        let start_ns = start_ns.max(self.end_ns().unwrap_or(0));
        if end_ns <= start_ns {
            return;
        }
        match self.closed.back_mut() {
            Some(last) if last.end_ns == start_ns => last.end_ns = end_ns,
            _ => self.closed.push_back(Interval { start_ns, end_ns, before_ns: self.total_ns }),
        }
        self.total_ns += end_ns - start_ns;
        if self.closed.len() > MOST {
            self.closed.pop_front();
        }
    }

    /// Whether nothing was ever added.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.closed.is_empty()
    }

    /// Length of the intervals inside `from_ns..to_ns`.
    pub(crate) fn within(&self, from_ns: u64, to_ns: u64) -> u64 {
        self.until(to_ns).saturating_sub(self.until(from_ns))
    }

    /// The parts of `from_ns..to_ns` that lie in no interval.
    fn gaps(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.closed.partition_point(|interval| interval.end_ns <= from_ns);
        let inside = self.closed.range(first..).take_while(move |interval| interval.start_ns < to_ns);
        let starts = std::iter::once(from_ns).chain(inside.clone().map(|interval| interval.end_ns));
        let ends = inside.map(|interval| interval.start_ns).chain(std::iter::once(to_ns));
        starts.zip(ends).filter(|(start, end)| start < end)
    }

    /// End of the last interval.
    #[inline]
    pub(crate) fn end_ns(&self) -> Option<u64> {
        self.closed.back().map(|interval| interval.end_ns)
    }

    /// Length of the intervals before `at_ns`.
    fn until(&self, at_ns: u64) -> u64 {
        match self.closed.partition_point(|interval| interval.start_ns < at_ns).checked_sub(1) {
            Some(index) => {
                let interval = self.closed[index];
                interval.before_ns + at_ns.min(interval.end_ns) - interval.start_ns
            }
            None => self.closed.front().map_or(self.total_ns, |first| first.before_ns),
        }
    }
}

/// When a lane could not take messages for reasons that are not ours.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    blocked: Intervals,
    since_ns: Option<u64>,
    /// Length of the last block, as it was.
    last_block_ns: u64,
}

impl Stalls {
    /// The lane cannot take messages from now on. `oldest_due_ns` is that of the messages that wait.
    ///
    /// A slow target that takes a message now and then blocks the lane again and again while the same messages wait.
    /// The moments in between are its doing too, as long as the lane was blocked for most of the time; if not, it is we
    /// who do not come along.
    pub(crate) fn block(&mut self, now_ns: u64, oldest_due_ns: Option<u64>, absences: &Intervals) {
        if self.since_ns.is_some() {
            return;
        }
        self.since_ns = Some(now_ns);
        let Some(end_ns) = self.blocked.end_ns().filter(|&end_ns| end_ns < now_ns) else { return };
        let between_ns = now_ns - end_ns - absences.within(end_ns, now_ns);
        if oldest_due_ns.is_some_and(|due_ns| due_ns < end_ns) && between_ns <= self.last_block_ns {
            for (from_ns, to_ns) in absences.gaps(end_ns, now_ns) {
                self.blocked.add(from_ns, to_ns);
            }
        }
    }

    /// The lane takes messages again.
    pub(crate) fn unblock(&mut self, now_ns: u64) {
        if let Some(since_ns) = self.since_ns.take() {
            self.last_block_ns = now_ns.saturating_sub(since_ns);
            self.blocked.add(since_ns, now_ns);
        }
    }

    /// Whether the lane is blocked.
    pub(crate) fn is_blocked(&self) -> bool {
        self.since_ns.is_some()
    }

    /// The worker was not there between these instants: what a blocked lane would have done then, nobody knows, so
    /// the time does not count as the target's doing.
    pub(crate) fn exclude(&mut self, from_ns: u64, to_ns: u64) {
        if let Some(since_ns) = self.since_ns {
            self.blocked.add(since_ns, from_ns);
            self.since_ns = Some(to_ns.max(since_ns));
        }
    }

    /// How much of the lag of a message that was due and sent at these instants was a stall. Messages that had piled
    /// up during a block also count the time it then took to send those before them as a stall, less the worker's
    /// own `absences`: they wait behind a queue that the target caused.
    #[inline]
    pub(crate) fn stall_ns(&self, due_ns: u64, sent_ns: u64, absences: &Intervals) -> u64 {
        if self.blocked.is_empty() {
            return 0;
        }
        let blocked = self.blocked.within(due_ns, sent_ns);
        let catching_up = match self.blocked.end_ns() {
            Some(end_ns) if due_ns < end_ns && end_ns < sent_ns => {
                (sent_ns - end_ns).saturating_sub(absences.within(end_ns, sent_ns))
            }
            _ => 0,
        };
        blocked + catching_up
    }
}

/// Intervals kept: at one a millisecond, a minute's worth; what is older is longer ago than any timeout.
const MOST: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_inside_any_stretch_is_exact() {
        let mut intervals = Intervals::default();
        intervals.add(10, 20);
        intervals.add(30, 35);
        intervals.add(35, 40);
        for (from, to, length) in
            [(0, 100, 20), (0, 10, 0), (12, 18, 6), (15, 33, 8), (20, 30, 0), (39, 50, 1), (50, 60, 0)]
        {
            assert_eq!(intervals.within(from, to), length, "{from}..{to}");
        }
    }

    #[test]
    fn a_message_due_during_a_block_stalls_until_it_is_sent() {
        let mut stalls = Stalls::default();
        stalls.block(100, None, &Intervals::default());
        stalls.unblock(200);
        let nobody_was_away = Intervals::default();
        assert_eq!(stalls.stall_ns(150, 230, &nobody_was_away), 80);
        assert_eq!(stalls.stall_ns(50, 230, &nobody_was_away), 130, "the first 50 are ours");
        assert_eq!(stalls.stall_ns(210, 230, &nobody_was_away), 0, "due after the block");
    }

    #[test]
    fn time_in_which_the_worker_was_away_is_never_a_stall() {
        let mut stalls = Stalls::default();
        let mut absences = Intervals::default();
        stalls.block(100, None, &Intervals::default());
        stalls.exclude(120, 180);
        absences.add(120, 180);
        stalls.unblock(200);
        assert_eq!(stalls.stall_ns(100, 200, &absences), 40);
        stalls.block(300, None, &absences);
        stalls.unblock(310);
        absences.add(320, 390);
        assert_eq!(stalls.stall_ns(305, 400, &absences), 25, "5 blocked, 20 catching up, 70 away");
    }

    #[test]
    fn a_target_that_takes_one_message_at_a_time_stalls_all_that_wait() {
        let nobody_was_away = Intervals::default();
        let mut stalls = Stalls::default();
        // Blocked for 90 of each 100, and the same messages wait throughout.
        for start_ns in (0..1_000).step_by(100) {
            stalls.block(start_ns, Some(0), &nobody_was_away);
            stalls.unblock(start_ns + 90);
        }
        assert_eq!(stalls.stall_ns(0, 990, &nobody_was_away), 990);
    }

    #[test]
    fn a_generator_that_does_not_come_along_is_not_excused_by_short_blocks() {
        let nobody_was_away = Intervals::default();
        let mut stalls = Stalls::default();
        for start_ns in (0..1_000).step_by(100) {
            stalls.block(start_ns, Some(0), &nobody_was_away);
            stalls.unblock(start_ns + 10);
        }
        assert_eq!(stalls.stall_ns(0, 910, &nobody_was_away), 100);
    }

    #[test]
    fn absences_that_overlap_count_once() {
        let mut intervals = Intervals::default();
        intervals.add(10, 20);
        intervals.add(15, 25);
        intervals.add(18, 22);
        assert_eq!(intervals.within(0, 100), 15);
        assert_eq!(intervals.gaps(5, 30).collect::<Vec<_>>(), [(5, 10), (25, 30)]);
    }

    #[test]
    fn only_so_many_intervals_are_kept() {
        let mut intervals = Intervals::default();
        for i in 0..(MOST as u64 + 100) {
            intervals.add(i * 10, i * 10 + 5);
        }
        assert_eq!(intervals.closed.len(), MOST);
        assert_eq!(intervals.within(1_000, 2_000), 500);
    }
}
