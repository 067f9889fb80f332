//! One chart as an SVG drawing.

use std::fmt::Write;

use plotters::element::{PathElement, Polygon};
use plotters::prelude::{ChartBuilder, IntoDrawingArea, IntoFont, SVGBackend};
use plotters::style::{Color, ShapeStyle};

use super::ink::{Ink, axis, grid};
use super::ruler::{MARKS, Ruler};
use super::{Chart, Layer, Width, escaped, heat, printable};

type DrawingError = plotters::drawing::DrawingAreaErrorKind<
    <SVGBackend<'static> as plotters::prelude::DrawingBackend>::ErrorType,
>;

/// The drawing, to be scaled to any size.
pub(super) fn svg(chart: &Chart) -> String {
    let size = match chart.width {
        Width::Full => (2_400, 760),
        Width::Half => (1_180, 600),
        Width::Third => (780, 600),
    };
    let mut drawn = String::new();
    let extra = draw(&mut drawn, size, chart).expect("a string takes all that is drawn");
    // The library's own opening tag fixes the size and has no room for a name.
    let body = drawn.split_once('\n').map_or("", |(_, body)| body).trim_end();
    let body = body.strip_suffix("</svg>").unwrap_or(body);
    let (width, height) = size;
    let name = escaped(&chart.title);
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{name}\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n{}{body}{}</svg>\n",
        extra.beneath, extra.above
    )
}

/// What the library has no compact element for, to be put beneath and above what it draws.
#[derive(Default)]
struct Extra {
    beneath: String,
    above: String,
}

fn draw(drawn: &mut String, size: (u32, u32), chart: &Chart) -> Result<Extra, DrawingError> {
    let (x, y) = rulers(chart);
    let root = SVGBackend::with_string(drawn, size).into_drawing_area();
    let mut context = ChartBuilder::on(&root)
        .margin_top(12)
        .margin_right(TEXT_SIZE * 2)
        .x_label_area_size(2 * TEXT_SIZE + 22)
        .y_label_area_size(room_for_labels(&y))
        .build_cartesian_2d(x, y)?;
    let text = ("sans-serif", TEXT_SIZE).into_font().color(&Ink::Text.color());
    context
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(grid().stroke_width(2))
        .light_line_style(grid())
        .axis_style(axis().stroke_width(2))
        .x_labels(match chart.width {
            Width::Full => 2 * MARKS,
            Width::Half => MARKS,
            Width::Third => MARKS - 2,
        })
        .y_labels(MARKS)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_desc(printable(&chart.x.label))
        .y_desc(printable(&chart.y.label))
        .draw()?;
    let area = context.plotting_area();
    let place = |point: (f64, f64)| area.map_coordinate(&point);
    let mut extra = Extra::default();
    for layer in &chart.layers {
        match layer {
            Layer::Line { ink, points, .. } => {
                let style = ShapeStyle::from(ink.color()).stroke_width(3);
                let pieces = points.split(|point| !x.shows(point.0) || !y.shows(point.1));
                for piece in pieces.filter(|piece| piece.len() > 1) {
                    area.draw(&PathElement::new(piece, style))?;
                }
            }
            Layer::Bars { ink, bars, .. } => {
                let shown = bars.iter().filter(|bar| x.places(bar.0) && x.places(bar.1) && y.places(bar.2));
                for outline in outlines(&visible(shown.copied(), |x| place((x, y.foot())).0), y.foot()) {
                    area.draw(&Polygon::new(outline, ink.color().filled()))?;
                }
            }
            Layer::Dots { ink, points, .. } => {
                let shown = points.iter().filter(|point| x.shows(point.0) && y.shows(point.1));
                extra.above += &dots(*ink, shown.map(|&point| place(point)));
            }
            Layer::Heat(heat) => {
                let x = |column: usize| place((heat.x.0 + column as f64 * heat.x.1, heat.y.0)).0;
                let y = |row: usize| place((heat.x.0, heat.y.0 + row as f64 * heat.y.1)).1;
                extra.beneath += &heat::paths(heat, x, y);
            }
        }
    }
    root.present()?;
    Ok(extra)
}

/// Height of letters, in units of the drawing; half of it in pixels where the page is as wide as it may be.
const TEXT_SIZE: u32 = 32;

/// The axes, long enough for all layers.
fn rulers(chart: &Chart) -> (Ruler, Ruler) {
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    for layer in &chart.layers {
        match layer {
            Layer::Line { points, .. } | Layer::Dots { points, .. } => {
                xs.extend(points.iter().map(|point| point.0));
                ys.extend(points.iter().map(|point| point.1));
            }
            Layer::Bars { bars, .. } => {
                xs.extend(bars.iter().flat_map(|bar| [bar.0, bar.1]));
                // Bars stand on zero, where there is one.
                ys.extend(bars.iter().flat_map(|bar| [bar.2, 0.0]));
            }
            Layer::Heat(heat) => {
                let columns = heat.values.len().checked_div(heat.rows).unwrap_or(0);
                xs.extend([heat.x.0, heat.x.0 + columns as f64 * heat.x.1]);
                ys.extend([heat.y.0, heat.y.0 + heat.rows as f64 * heat.y.1]);
            }
        }
    }
    (Ruler::of(&chart.x, xs.into_iter()), Ruler::of(&chart.y, ys.into_iter()))
}

/// The vertical axis' own name stands beside its longest number.
fn room_for_labels(ruler: &Ruler) -> u32 {
    let longest = ruler.texts(MARKS).iter().map(|text| text.chars().count()).max().unwrap_or(0);
    TEXT_SIZE * 3 / 2 + 24 + longest as u32 * TEXT_SIZE / 2
}

/// The bars, of which neighbours are joined to one as high as the highest where they would be too narrow to be seen.
fn visible(bars: impl Iterator<Item = (f64, f64, f64)>, place: impl Fn(f64) -> i32) -> Vec<(f64, f64, f64)> {
    let mut visible: Vec<(f64, f64, f64)> = Vec::new();
    for (from, until, height) in bars {
        match visible.last_mut() {
            Some(last) if last.1 == from && place(until) - place(last.0) <= NARROWEST => {
                last.1 = until;
                if height.abs() > last.2.abs() {
                    last.2 = height;
                }
            }
            _ => visible.push((from, until, height)),
        }
    }
    visible
}

/// The narrowest bar, in units of the drawing.
const NARROWEST: i32 = 2;

/// The outlines of bars that touch, standing on the foot.
fn outlines(bars: &[(f64, f64, f64)], foot: f64) -> Vec<Vec<(f64, f64)>> {
    let mut outlines: Vec<Vec<(f64, f64)>> = Vec::new();
    for &(from, until, height) in bars {
        match outlines.last_mut() {
            Some(outline) if outline.last() == Some(&(from, foot)) => {
                outline.pop();
            }
            _ => outlines.push(vec![(from, foot)]),
        }
        if let Some(outline) = outlines.last_mut() {
            outline.extend([(from, height), (until, height), (until, foot)]);
        }
    }
    outlines
}

/// Points as one shape: lines of no length with round ends.
fn dots(ink: Ink, places: impl Iterator<Item = (i32, i32)>) -> String {
    let mut shape = String::new();
    for (x, y) in places {
        write!(shape, "M{x} {y}h0").expect("a string takes all that is written");
    }
    if shape.is_empty() {
        return shape;
    }
    let color = ink.hex();
    format!(
        "<path stroke=\"{color}\" stroke-width=\"6\" stroke-linecap=\"round\" fill=\"none\" d=\"{shape}\"/>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_that_touch_share_an_outline() {
        let bars = [(0.0, 1.0, 5.0), (1.0, 2.0, 3.0), (4.0, 5.0, 1.0)];
        let outlines = outlines(&bars, 0.0);
        assert_eq!(outlines.len(), 2);
        assert_eq!(outlines[0], [(0.0, 0.0), (0.0, 5.0), (1.0, 5.0), (1.0, 3.0), (2.0, 3.0), (2.0, 0.0)]);
    }

    #[test]
    fn of_bars_too_narrow_to_be_seen_the_highest_is() {
        let bars = (0..1_000).map(|index| {
            let from = f64::from(index);
            (from, from + 1.0, if index == 500 { -9.0 } else { 1.0 })
        });
        let visible = visible(bars, |x| (x / 5.0) as i32);
        assert!((50..=100).contains(&visible.len()), "{}", visible.len());
        assert_eq!(visible.iter().filter(|bar| bar.2 == -9.0).count(), 1);
        assert!(visible.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn dots_of_nothing_are_no_shape() {
        assert_eq!(dots(Ink::Buy, std::iter::empty()), "");
        assert!(dots(Ink::Buy, [(1, 2), (3, 4)].into_iter()).contains("d=\"M1 2h0M3 4h0\""));
    }
}
