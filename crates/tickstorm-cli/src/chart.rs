//! The rate over time as a drawing of block characters.

use std::fmt::{self, Write as _};

use tickstorm_load::{Path, Segment};
use tickstorm_report::format;

/// A filled curve of the rate that a path asks for. Where the rate swings within one column, the column is solid up to
/// what it is half of that time and shaded up to its greatest value.
pub(crate) struct Chart<'a> {
    pub(crate) path: &'a Path,
    /// Messages per second at factor 1.
    pub(crate) unit_rate: f64,
    /// Columns to fill, labels included.
    pub(crate) width: usize,
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = self.path.peak().as_f64();
        let labels = [top, top / 2.0, 0.0].map(|factor| format::rate(factor * self.unit_rate));
        let margin = labels.iter().map(String::len).max().unwrap_or(0);
        let columns = self.width.saturating_sub(margin + TICK.len()).max(MIN_COLUMNS);
        let heights: Vec<Heights> = (0..columns)
            .map(|column| {
                let span = Span::new(self.path, column, columns);
                Heights { usual: eighths(span.median(), top), most: eighths(span.greatest(), top) }
            })
            .collect();

        for row in (0..ROWS).rev() {
            let label = match row {
                _ if row == ROWS - 1 => &labels[0],
                _ if row == ROWS / 2 - 1 => &labels[1],
                _ => "",
            };
            let tick = if label.is_empty() { BARE_TICK } else { TICK };
            let cells: String = heights.iter().map(|heights| heights.cell(row)).collect();
            writeln!(f, "{label:>margin$}{tick}{}", cells.trim_end())?;
        }
        writeln!(f, "{:>margin$}{ZERO_TICK}{}", labels[2], "─".repeat(columns - 1))?;
        writeln!(f, "{:margin$} {}", "", time_axis(self.path.duration_ns(), columns))
    }
}

/// Enough to see a shape; a label is then read with the curve wrapped, which is better than none.
const MIN_COLUMNS: usize = 20;
const ROWS: usize = 10;
const TICK: &str = " ┤";
const BARE_TICK: &str = " │";
const ZERO_TICK: &str = " ┼";

/// How far one column is filled, in eighths of a row.
struct Heights {
    usual: usize,
    most: usize,
}

impl Heights {
    fn cell(&self, row: usize) -> char {
        // A swing within one row cannot be seen: without this, a ramp would have a ragged edge.
        let solid = if self.most - self.usual > 8 { self.usual } else { self.most };
        let filled = |height: usize| height.saturating_sub(row * 8).min(8);
        match (filled(solid), filled(self.most)) {
            (0, shade) if shade >= 4 => '░',
            (eighths, _) => BLOCKS[eighths],
        }
    }
}

const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A rate above zero is never drawn as none.
fn eighths(factor: f64, top: f64) -> usize {
    match factor > 0.0 {
        true => ((factor / top * (ROWS * 8) as f64).round() as usize).max(1),
        false => 0,
    }
}

/// The stretch of run time that one column stands for.
struct Span<'a> {
    path: &'a Path,
    start_ns: u64,
    end_ns: u64,
}

impl<'a> Span<'a> {
    fn new(path: &'a Path, column: usize, columns: usize) -> Self {
        let edge = |column: usize| (u128::from(path.duration_ns()) * column as u128 / columns as u128) as u64;
        Self { path, start_ns: edge(column), end_ns: edge(column + 1).max(edge(column) + 1) }
    }

    /// What the factor stays below for half of the time, as well as a drawing needs it.
    fn median(&self) -> f64 {
        let mut samples = [0.0; SAMPLES];
        for (index, sample) in (0..).zip(&mut samples) {
            let length_ns = u128::from(self.end_ns - self.start_ns);
            let offset_ns = length_ns * (2 * index + 1) / (2 * SAMPLES as u128);
            *sample = self.path.factor_at(self.start_ns + offset_ns as u64);
        }
        samples.sort_by(f64::total_cmp);
        samples[SAMPLES / 2]
    }

    /// The greatest factor, exact: no burst is too short to be seen.
    fn greatest(&self) -> f64 {
        let first = self.path.segments().partition_point(|segment| segment.end_ns <= self.start_ns);
        self.path.segments()[first..]
            .iter()
            .take_while(|segment| segment.start_ns < self.end_ns)
            .flat_map(|segment| [at(segment, self.start_ns), at(segment, self.end_ns)])
            .fold(0.0, f64::max)
    }
}

/// Odd, so that one of them is in the middle.
const SAMPLES: usize = 31;

/// The segment's factor at the nearest time that it has.
fn at(segment: &Segment, t_ns: u64) -> f64 {
    let t_ns = t_ns.clamp(segment.start_ns, segment.end_ns);
    let share = (t_ns - segment.start_ns) as f64 / (segment.end_ns - segment.start_ns) as f64;
    segment.from.as_f64() + (segment.to.as_f64() - segment.from.as_f64()) * share
}

/// Start, end and what fits between, each beginning or ending at its place.
fn time_axis(duration_ns: u64, columns: usize) -> String {
    let parts = if columns >= 60 { 4 } else { 2 };
    let mut axis = String::new();
    for part in 0..=parts {
        let label = format::seconds(duration_ns as f64 / 1e9 * part as f64 / parts as f64);
        let place = columns * part / parts;
        let start = match part {
            0 => 1,
            _ if part == parts => place.saturating_sub(label.len() - 1),
            _ => (place + 1).saturating_sub(label.len() / 2),
        };
        let used = axis.chars().count();
        if part > 0 && start <= used {
            continue;
        }
        let _ = write!(axis, "{:gap$}{label}", "", gap = start - used);
    }
    axis
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tickstorm_load::LoadProfile;
    use tickstorm_load::Seed;

    use super::*;

    #[test]
    fn each_profile_has_its_shape() {
        for name in ["NORMAL", "VOLATILE", "SPIKE", "RAMP_UP", "RAMP_DOWN"] {
            insta::assert_snapshot!(format!("chart_{name}"), drawn(name, 60, 80));
        }
    }

    #[test]
    fn steps_and_slopes_of_stages_are_drawn_where_they_are() {
        let path = LoadProfile::parse_stages("30s:1x, 10s:1x..8x, 5s:20x, 15s:0x")
            .and_then(|profile| profile.path(Duration::from_secs(60), Seed::new(1)));
        insta::assert_snapshot!(Chart { path: &path.unwrap(), unit_rate: 1000.0, width: 80 });
    }

    #[test]
    fn bursts_narrower_than_a_column_are_shaded_to_their_height() {
        insta::assert_snapshot!(drawn("SPIKE", 600, 60));
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_and_tiny_ones_are_survived() {
        for (width, most) in [(200, 200), (80, 80), (40, 40), (3, 40), (0, 40)] {
            for line in drawn("VOLATILE", 60, width).lines() {
                assert!(line.chars().count() <= most, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_run_shorter_than_the_columns_is_drawn_too() {
        let path = Path::new(vec![Segment {
            start_ns: 0,
            end_ns: 7,
            from: "1".parse().unwrap(),
            to: "1".parse().unwrap(),
        }]);
        let text = Chart { path: &path.unwrap(), unit_rate: 1.0, width: 80 }.to_string();
        assert!(text.contains("████"), "{text}");
    }

    fn drawn(name: &str, seconds: u64, width: usize) -> String {
        let profile: LoadProfile = name.parse().unwrap();
        let path = profile.path(Duration::from_secs(seconds), Seed::new(1)).unwrap();
        Chart { path: &path, unit_rate: 1000.0, width }.to_string()
    }
}
