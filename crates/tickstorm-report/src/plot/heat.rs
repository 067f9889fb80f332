//! Surfaces: cells in a few shades, drawn as one shape a shade.

use std::fmt::{self, Write};

use super::ink::HEAT;
use super::ruler::plain;
use super::{Heat, escaped};

/// The least value of each shade but the palest: equal ratios from what most cells exceed to what few do.
fn thresholds(heat: &Heat) -> [f32; HEAT.len() - 1] {
    let mut positive: Vec<f32> =
        heat.values.iter().copied().filter(|it| it.is_finite() && *it > 0.0).collect();
    positive.sort_by(f32::total_cmp);
    let quantile =
        |share: f64| positive.get((positive.len() as f64 * share) as usize).copied().unwrap_or(1.0);
    let (low, high) = (quantile(0.1), quantile(0.98));
    let steps = HEAT.len() - 2;
    std::array::from_fn(|step| low * (high / low).powf(step as f32 / steps as f32))
}

/// The shapes as SVG paths. `x` and `y` say where on the drawing an edge lies, counted in columns and rows.
pub(super) fn paths(heat: &Heat, x: impl Fn(usize) -> i32, y: impl Fn(usize) -> i32) -> String {
    let thresholds = thresholds(heat);
    let columns = heat.values.len().checked_div(heat.rows).unwrap_or(0);
    let shade = |column: usize, row: usize| {
        let value = heat.values[column * heat.rows + row];
        (value > 0.0).then(|| thresholds.partition_point(|&least| least <= value))
    };
    let mut shapes: [String; HEAT.len()] = Default::default();
    for row in 0..heat.rows {
        let (bottom, top) = (y(row), y(row + 1));
        let mut column = 0;
        while column < columns {
            let from = column;
            let of_run = shade(from, row);
            while column < columns && shade(column, row) == of_run {
                column += 1;
            }
            let (left, right) = (x(from), x(column));
            if let Some(shade) = of_run
                && left < right
                && top < bottom
            {
                let (width, height) = (right - left, bottom - top);
                write!(shapes[shade], "M{left} {top}h{width}v{height}h-{width}z")
                    .expect("a string takes all that is written");
            }
        }
    }
    shapes
        .iter()
        .zip(HEAT)
        .filter(|(shape, _)| !shape.is_empty())
        .map(|(shape, (light, _))| {
            format!("<path shape-rendering=\"crispEdges\" fill=\"#{light:06X}\" d=\"{shape}\"/>\n")
        })
        .collect()
}

/// What the shades mean, for the legend.
pub(super) fn write_key(html: &mut String, heat: &Heat) -> fmt::Result {
    let thresholds = thresholds(heat);
    let text = |value: f32| plain(f64::from(value), if value < 10.0 { 1 } else { 0 });
    write!(html, "<span>{} ", text(thresholds[0]))?;
    for level in 0..HEAT.len() {
        write!(html, "<i class=\"heat\" style=\"background: var(--heat{level})\"></i>")?;
    }
    write!(html, " {} {}</span> ", text(thresholds[thresholds.len() - 1]), escaped(&heat.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat(values: Vec<f32>) -> Heat {
        Heat { name: "lots".to_owned(), x: (0.0, 1.0), y: (0.0, 1.0), rows: 2, values }
    }

    #[test]
    fn equal_neighbours_are_one_shape_and_blanks_none() {
        let heat = heat(vec![5.0, 0.0, 5.0, f32::NAN, 5.0, 80.0]);
        let paths = paths(&heat, |column| column as i32 * 10, |row| 40 - row as i32 * 10);
        assert_eq!(paths.matches("<path").count(), 2);
        assert!(paths.contains("d=\"M0 30h30v10h-30z\""), "{paths}");
        assert!(paths.contains("d=\"M20 20h10v10h-10z\""), "{paths}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        for values in [vec![], vec![0.0; 6]] {
            assert_eq!(paths(&heat(values), |_| 0, |_| 0), "");
        }
        let rowless = Heat { rows: 0, ..heat(vec![]) };
        assert_eq!(paths(&rowless, |_| 0, |_| 0), "");
    }
}
