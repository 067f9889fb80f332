//! The factor over run time: what a profile comes to once its duration and seed are known.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::decimal::Decimal;
use crate::rate::Factor;

/// The longest run, in nanoseconds: just over 52 days. A due time and its shard share one 64-bit word.
pub const MAX_RUN_NS: u64 = (1 << 52) - 1;

/// A stretch of run time over which the factor changes linearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts.
    pub start_ns: u64,
    /// Where it ends; the next segment starts there.
    pub end_ns: u64,
    /// The factor at its start.
    pub from: Factor,
    /// The factor at its end.
    pub to: Factor,
}

impl Segment {
    pub(crate) fn len_ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }

    pub(crate) fn is_constant(&self) -> bool {
        self.from == self.to
    }

    /// The factor at `t_ns` in millionths, as a sum of positive terms: no digits are lost where a ramp nears zero.
    pub(crate) fn millionths_at(&self, t_ns: u64) -> f64 {
        if self.is_constant() {
            return self.from.millionths() as f64;
        }
        let (from, to) = (self.from.millionths() as f64, self.to.millionths() as f64);
        let (gone, left) = ((t_ns - self.start_ns) as f64, (self.end_ns - t_ns) as f64);
        (from * left + to * gone) / self.len_ns() as f64
    }

    /// Twice the area below the factor, in millionths times nanoseconds: a whole number.
    pub(crate) fn twice_area(&self) -> u128 {
        u128::from(self.from.millionths() + self.to.millionths()) * u128::from(self.len_ns())
    }
}

/// A piecewise-linear factor over run time, from 0 to the end of the run. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use tickstorm_load::LoadProfile;
/// use tickstorm_random::Seed;
///
/// let path = LoadProfile::RAMP_UP.path(Duration::from_secs(60), Seed::new(1))?;
/// assert_eq!(path.average(), 2.5);
/// assert_eq!(path.to_csv(), "time_s,factor\n0,0\n60,5\n");
/// # Ok::<(), tickstorm_load::ProfileError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    segments: Arc<[Segment]>,
}

impl Path {
    /// The path of these segments, which must begin at 0, each where the one before ends.
    pub fn new(segments: Vec<Segment>) -> Result<Path, PathError> {
        let mut end_ns = 0;
        for segment in &segments {
            if segment.start_ns != end_ns {
                return Err(PathError::Gap { expected_ns: end_ns, start_ns: segment.start_ns });
            }
            if segment.end_ns <= segment.start_ns {
                return Err(PathError::Backwards { start_ns: segment.start_ns, end_ns: segment.end_ns });
            }
            end_ns = segment.end_ns;
        }
        match end_ns {
            0 => Err(PathError::Empty),
            _ if end_ns > MAX_RUN_NS => Err(PathError::TooLong { duration: Duration::from_nanos(end_ns) }),
            _ => Ok(Path { segments: segments.into() }),
        }
    }

    /// The same factor from the start to the end.
    pub fn constant(factor: Factor, duration: Duration) -> Result<Path, PathError> {
        Self::new(vec![Segment { start_ns: 0, end_ns: run_ns(duration)?, from: factor, to: factor }])
    }

    /// The segments, without gaps, from 0 to [`Path::duration_ns`].
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Where the path ends.
    pub fn duration_ns(&self) -> u64 {
        self.segments.last().expect("a path has a segment").end_ns
    }

    /// The factor at a time; at a step the one behind it, beyond the end the last one.
    pub fn factor_at(&self, t_ns: u64) -> f64 {
        let t_ns = t_ns.min(self.duration_ns());
        self.segments[self.segment_from(t_ns)].millionths_at(t_ns) / 1e6
    }

    /// The mean of the factor over the run.
    pub fn average(&self) -> f64 {
        let twice_area: u128 = self.segments.iter().map(Segment::twice_area).sum();
        twice_area as f64 / (2e6 * self.duration_ns() as f64)
    }

    /// The largest factor of the run.
    pub fn peak(&self) -> Factor {
        self.segments.iter().map(|s| s.from.max(s.to)).max().expect("a path has a segment")
    }

    /// The path as `time_s,factor` rows with exact decimals, linear between rows; a step is a time given twice.
    /// [`LoadProfile::parse_stages_csv`](crate::LoadProfile::parse_stages_csv) reads it back to the same path.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("time_s,factor\n");
        let mut row = |t_ns: u64, factor: Factor| {
            let time = Decimal { value: t_ns.into(), places: 9 };
            let factor = Decimal { value: factor.millionths().into(), places: 6 };
            writeln!(csv, "{time},{factor}").expect("writing to a string cannot fail");
        };
        let mut before = None;
        for segment in self.segments.iter() {
            if before != Some(segment.from) {
                row(segment.start_ns, segment.from);
            }
            row(segment.end_ns, segment.to);
            before = Some(segment.to);
        }
        csv
    }

    /// The index of the segment that rules from `t_ns` on: the later one at a joint, the last at the end.
    pub(crate) fn segment_from(&self, t_ns: u64) -> usize {
        let ended = self.segments.partition_point(|segment| segment.end_ns <= t_ns);
        ended.min(self.segments.len() - 1)
    }
}

/// Why segments do not make a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// There is nothing to run.
    #[error("a run must last longer than 0s")]
    Empty,
    /// Longer than [`MAX_RUN_NS`].
    #[error("a run lasts at most 52 days, got {duration:?}")]
    TooLong {
        /// What was given.
        duration: Duration,
    },
    /// A segment does not start where the one before ends.
    #[error("a segment must start at {expected_ns} ns, where the one before ends, got {start_ns} ns")]
    Gap {
        /// Where it has to start.
        expected_ns: u64,
        /// Where it starts.
        start_ns: u64,
    },
    /// A segment is empty or runs backwards.
    #[error("a segment must end after its start at {start_ns} ns, got {end_ns} ns")]
    Backwards {
        /// Where it starts.
        start_ns: u64,
        /// Where it ends.
        end_ns: u64,
    },
}

/// The duration of a run in nanoseconds, if a run can last that long.
pub(crate) fn run_ns(duration: Duration) -> Result<u64, PathError> {
    match u64::try_from(duration.as_nanos()) {
        Ok(0) => Err(PathError::Empty),
        Ok(ns) if ns <= MAX_RUN_NS => Ok(ns),
        _ => Err(PathError::TooLong { duration }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(text: &str) -> Factor {
        text.parse().unwrap()
    }

    fn segment(start_ns: u64, end_ns: u64, from: &str, to: &str) -> Segment {
        Segment { start_ns, end_ns, from: factor(from), to: factor(to) }
    }

    #[test]
    fn the_factor_is_linear_within_a_segment_and_the_later_one_at_a_step() {
        let path = Path::new(vec![segment(0, 10, "0", "5"), segment(10, 30, "2", "2")]).unwrap();
        let factors: Vec<f64> = [0, 4, 10, 29, 30, 99].map(|t_ns| path.factor_at(t_ns)).into();
        assert_eq!(factors, [0.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(path.peak(), factor("5"));
        assert_eq!(path.average(), (25.0 + 40.0) / 30.0);
    }

    #[test]
    fn segments_that_make_no_path_are_refused() {
        assert_eq!(Path::new(vec![]), Err(PathError::Empty));
        assert_eq!(
            Path::new(vec![segment(0, 10, "1", "1"), segment(11, 20, "1", "1")]),
            Err(PathError::Gap { expected_ns: 10, start_ns: 11 })
        );
        assert_eq!(
            Path::new(vec![segment(0, 0, "1", "1")]),
            Err(PathError::Backwards { start_ns: 0, end_ns: 0 })
        );
        let days = |days: u64| Duration::from_secs(days * 86_400);
        assert!(Path::constant(Factor::ONE, days(52)).is_ok());
        assert_eq!(Path::constant(Factor::ONE, days(53)), Err(PathError::TooLong { duration: days(53) }));
        assert_eq!(Path::constant(Factor::ONE, Duration::ZERO), Err(PathError::Empty));
    }

    #[test]
    fn the_csv_shows_steps_as_a_time_given_twice() {
        let path = Path::new(vec![
            segment(0, 500_000_000, "1", "1"),
            segment(500_000_000, 1_000_000_001, "10", "0.5"),
            segment(1_000_000_001, 2_000_000_000, "0.5", "0.5"),
        ]);
        assert_eq!(path.unwrap().to_csv(), "time_s,factor\n0,1\n0.5,1\n0.5,10\n1.000000001,0.5\n2,0.5\n");
    }
}
