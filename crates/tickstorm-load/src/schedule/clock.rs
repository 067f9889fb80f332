//! Handing out the slots of a schedule, cell by cell.

use super::cascade::Cascade;
use super::paced::Paced;
use super::{Inner, SECOND_NS, Schedule, Slot};
use crate::arrivals::Arrivals;

/// Hands out the slots of some shards of a [`Schedule`], from the start of the run to its end.
///
/// The k-th slot of a shard carries the k-th message of that shard. Clones go on independently from where they are.
///
/// ```
/// use std::time::Duration;
/// use tickstorm_load::{Factor, Path, Rate, Schedule, ScheduleSpec};
///
/// let path = Path::constant(Factor::ONE, Duration::from_secs(2))?;
/// let schedule = Schedule::new(ScheduleSpec::new(Rate::per_second(1000)?, path))?;
/// let mut clock = schedule.clock(|_shard| true);
/// let mut slots = Vec::new();
/// while let Some(_end_ns) = clock.next_cell(&mut slots) {}
/// assert_eq!(slots.len(), 2000);
/// assert_eq!(slots[0].due_ns(), 500_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Clock {
    schedule: Schedule,
    pattern: Pattern,
}

#[derive(Debug, Clone)]
enum Pattern {
    Paced(Paced),
    Cascade(Cascade),
}

impl Clock {
    pub(super) fn new(schedule: Schedule, owned: impl Fn(u16) -> bool) -> Clock {
        let inner = &*schedule.0;
        let pattern = match inner.arrivals {
            Arrivals::Paced => Pattern::Paced(Paced::new(inner, owned)),
            Arrivals::Poisson => Pattern::Cascade(Cascade::new(inner, owned, schedule.duration_ns(), None)),
            Arrivals::Bursty(burst) => {
                Pattern::Cascade(Cascade::new(inner, owned, inner.exact_window_ns, burst.cap()))
            }
        };
        Clock { schedule, pattern }
    }

    /// Appends the owned slots of the next cell in their order, and returns where the cell ends: every slot that comes
    /// later is due then or after. A cell is about 1/1024 s or less; cells in which nothing is due may be passed over
    /// on the way to it. Returns none, and appends nothing, at the end of the run.
    ///
    /// Allocates only while `out` or the clock's own scratch space is still growing.
    pub fn next_cell(&mut self, out: &mut Vec<Slot>) -> Option<u64> {
        let inner: &Inner = &self.schedule.0;
        match &mut self.pattern {
            Pattern::Paced(paced) => paced.next_cell(inner, out),
            Pattern::Cascade(cascade) => cascade.next_cell(inner, out),
        }
    }
}

/// The cell that begins at or before `t_ns`.
pub(super) fn cell_of(t_ns: u64) -> u64 {
    // The start of cell k is floor(k · 1953125 / 2), so t is in it while 2t + 1 is below (k + 1) · 1953125.
    (2 * t_ns + 1) / TWO_CELLS_NS
}

/// Where cell `cell` of the grid of 1/1024 s begins, rounded down to the nanosecond.
pub(super) fn cell_start_ns(cell: u64) -> u64 {
    cell * TWO_CELLS_NS / 2
}

/// A power of two, so that a second is halved into whole cells.
pub(super) const CELLS_PER_SECOND: u64 = 1024;
const TWO_CELLS_NS: u64 = 2 * SECOND_NS / CELLS_PER_SECOND;
