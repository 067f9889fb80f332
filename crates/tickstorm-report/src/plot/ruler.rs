//! An axis with its marks, linear or logarithmic.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::{Axis, Scale};

/// An axis whose ends are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ruler {
    scale: Scale,
    from: f64,
    until: f64,
}

impl Ruler {
    /// As long as the axis says, or as far as the values reach; linear ones end at whole marks.
    pub(super) fn of(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let allowed = |value: f64| value.is_finite() && (axis.scale == Scale::Linear || value > 0.0);
        if let Some((from, until)) =
            axis.range.filter(|&(from, until)| allowed(from) && allowed(until) && from < until)
        {
            return Self { scale: axis.scale, from, until };
        }
        let (from, until) = values
            .filter(|&value| allowed(value))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(from, until), value| {
                (from.min(value), until.max(value))
            });
        match axis.scale {
            // Nothing to show still has an axis.
            _ if from > until => Self { scale: axis.scale, from: 1.0, until: 10.0 },
            Scale::Log if until < from * 1.001 => {
                Self { scale: axis.scale, from: from / 2.0, until: until * 2.0 }
            }
            Scale::Log => Self { scale: axis.scale, from, until },
            Scale::Linear if until - from <= from.abs() * 1e-12 => {
                Self { scale: axis.scale, from: from - 1.0, until: until + 1.0 }
            }
            Scale::Linear => {
                let step = step(until - from, MARKS);
                let (first, last) =
                    ((from / step + 1e-9).floor() * step, (until / step - 1e-9).ceil() * step);
                Self { scale: axis.scale, from: first, until: last }
            }
        }
    }

    /// Where a bar of the axis stands.
    pub(super) fn foot(&self) -> f64 {
        match self.scale {
            Scale::Linear => 0.0_f64.clamp(self.from, self.until),
            Scale::Log => self.from,
        }
    }

    /// Whether the value has a place on the axis, or beyond its ends.
    pub(super) fn places(&self, value: f64) -> bool {
        value.is_finite() && (self.scale == Scale::Linear || value > 0.0)
    }

    /// Whether the value lies between the ends of the axis.
    pub(super) fn shows(&self, value: f64) -> bool {
        self.places(value) && (self.from..=self.until).contains(&value)
    }

    /// How far along the axis a value lies, 0 to 1; one beyond an end counts as the end.
    fn share(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.until - self.from),
            Scale::Log => (value / self.from).ln() / (self.until / self.from).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// Values to be marked, so many at most or a few more.
    fn marks(&self, most: usize) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.until - self.from, most);
                let first = (self.from / step - 1e-9).ceil();
                let count = ((self.until / step + 1e-9).floor() - first).max(0.0) as usize;
                (0..=count).map(|index| (first + index as f64) * step).collect()
            }
            Scale::Log => {
                let (low, high) = (self.from.log10(), self.until.log10());
                let decades = high - low;
                let within: &[f64] = match decades {
                    ..1.2 => &[1.0, 2.0, 3.0, 5.0, 7.0],
                    ..2.5 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let every = (decades / most as f64).ceil().max(1.0) as usize;
                (low.floor() as i32..=high.ceil() as i32)
                    .step_by(every)
                    .flat_map(|decade| within.iter().map(move |factor| factor * 10_f64.powi(decade)))
                    .filter(|&mark| mark >= self.from * (1.0 - 1e-9) && mark <= self.until * (1.0 + 1e-9))
                    .collect()
            }
        }
    }

    /// The marks as they are written.
    pub(super) fn texts(&self, most: usize) -> Vec<String> {
        self.marks(most).into_iter().map(|mark| self.text(mark)).collect()
    }

    /// A marked value as text.
    fn text(&self, value: f64) -> String {
        let decimals = match self.scale {
            Scale::Linear => -step(self.until - self.from, MARKS).log10().floor(),
            Scale::Log => -value.log10().floor(),
        };
        plain(value, decimals.clamp(0.0, 12.0) as usize)
    }
}

/// Marks of an axis, about.
pub(super) const MARKS: usize = 7;

/// The least of 1, 2, 5, 10, 20 ... that cuts a length into so many parts at most.
fn step(length: f64, parts: usize) -> f64 {
    let least = length / parts.max(1) as f64;
    let decade = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * decade
}

/// As `1,250,000`, `0.05`, `2e-6`.
pub(super) fn plain(value: f64, decimals: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() < 9.99e-4 || value.abs() >= 1e9 {
        return format!("{value:.0e}");
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

impl Ranged for Ruler {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.share(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        self.marks(hint.bold_points())
    }

    fn range(&self) -> Range<f64> {
        self.from..self.until
    }
}

impl ValueFormatter<f64> for Ruler {
    fn format_ext(&self, value: &f64) -> String {
        self.text(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruler(axis: &Axis, values: &[f64]) -> Ruler {
        Ruler::of(axis, values.iter().copied())
    }

    fn marks(ruler: &Ruler) -> Vec<String> {
        ruler.texts(MARKS)
    }

    #[test]
    fn a_linear_axis_ends_at_whole_marks_and_counts_in_ones_twos_or_fives() {
        assert_eq!(marks(&ruler(&Axis::linear(""), &[3.0, 97.0])), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(
            marks(&ruler(&Axis::linear(""), &[-0.11, 0.25])),
            ["−0.2", "−0.1", "0", "0.1", "0.2", "0.3"]
        );
        let prices = marks(&ruler(&Axis::linear(""), &[66_012.0, 66_118.0]));
        assert_eq!(prices.first().map(String::as_str), Some("66,000"));
    }

    #[test]
    fn a_logarithmic_axis_counts_in_decades_or_within_them() {
        assert_eq!(marks(&ruler(&Axis::log(""), &[0.0, 0.0001, 0.1])), ["1e-4", "0.001", "0.01", "0.1"]);
        assert_eq!(marks(&ruler(&Axis::log(""), &[10.0, 100.0])), ["10", "20", "30", "50", "70", "100"]);
        assert!(marks(&ruler(&Axis::log(""), &[1e-12, 1e12])).len() <= 9);
    }

    #[test]
    fn nothing_one_value_and_nonsense_still_have_an_axis() {
        for axis in [
            Axis::linear(""),
            Axis::log(""),
            Axis::linear("").over(5.0, f64::NAN),
            Axis::log("").over(-1.0, 1.0),
        ] {
            for values in
                [&[][..], &[7.0], &[f64::NAN, f64::INFINITY], &[0.0], &[1e300, 2.0], &[1e15, 1e15 + 0.5]]
            {
                let ruler = ruler(&axis, values);
                assert!(ruler.from < ruler.until, "{ruler:?}");
                let count = ruler.marks(MARKS).len();
                assert!(count < 20, "{ruler:?} has {count} marks");
                assert!((0..=500).contains(&ruler.map(&7.0, (0, 500))));
            }
        }
    }

    #[test]
    fn values_lie_where_their_scale_puts_them() {
        let log = ruler(&Axis::log("").over(1.0, 10_000.0), &[]);
        assert_eq!([1.0, 100.0, 10_000.0, 1e9].map(|value| log.map(&value, (0, 400))), [0, 200, 400, 400]);
        let downwards = ruler(&Axis::linear("").over(0.0, 10.0), &[]);
        assert_eq!(downwards.map(&2.5, (400, 0)), 300);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(plain(1_250_000.0, 0), "1,250,000");
        assert_eq!(plain(-1234.5, 1), "−1,234.5");
        assert_eq!(plain(0.000_002, 6), "2e-6");
    }
}
