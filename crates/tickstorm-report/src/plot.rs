//! Pictures on a page that stands alone: one HTML file without script, network or fonts of its own, in light and
//! dark, fit for the screen and for paper.
//!
//! A [`Page`] is plain data. Who fills it says what each chart shows; here it is only drawn.
//!
//! ```
//! use tickstorm_report::plot::{Axis, Chart, Ink, Layer, Page, Section, Width, plot_html};
//!
//! let chart = Chart {
//!     title: "Squares".to_owned(),
//!     note: "They grow faster than their roots.".to_owned(),
//!     width: Width::Half,
//!     x: Axis::linear("root, m"),
//!     y: Axis::log("square, m²"),
//!     layers: vec![Layer::line("squares", Ink::First, (1..9).map(|x| (f64::from(x), f64::from(x * x))))],
//! };
//! let page = Page {
//!     title: "Powers".to_owned(),
//!     subtitle: String::new(),
//!     table: None,
//!     sections: vec![Section { heading: "Second".to_owned(), charts: vec![chart] }],
//! };
//! let html = plot_html(&page);
//! assert!(html.contains("<h3>Squares</h3>"));
//! ```

use std::fmt::Write;

mod chart;
mod heat;
mod ink;
mod ruler;

pub use ink::Ink;

/// A page of pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// What it is a picture of.
    pub title: String,
    /// How that came about, in a sentence; may be empty.
    pub subtitle: String,
    /// Figures to show before the pictures.
    pub table: Option<Table>,
    /// The pictures.
    pub sections: Vec<Section>,
}

/// Rows of text under headings.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// One a column.
    pub headings: Vec<String>,
    /// Each with a cell a column.
    pub rows: Vec<Row>,
}

/// A row of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its texts.
    pub cells: Vec<String>,
    /// How it is marked.
    pub mark: Mark,
}

/// What is thought of a row; shown as a sign and a colour before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Nobody can tell.
    Unknown,
}

/// Charts that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// What they have in common.
    pub heading: String,
    /// In the order of reading; those that are not of full width stand side by side.
    pub charts: Vec<Chart>,
}

/// One picture: layers over common axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What is to be seen.
    pub title: String,
    /// How to read it, in a sentence or two; may be empty.
    pub note: String,
    /// Its share of the page.
    pub width: Width,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The lowest first.
    pub layers: Vec<Layer>,
}

/// A chart's share of the page's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// All of it.
    Full,
    /// Two side by side.
    Half,
    /// Three side by side.
    Third,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// How lengths along it relate to values.
    pub scale: Scale,
    /// From where to where; as far as the layers reach if it is not given.
    pub range: Option<(f64, f64)>,
}

/// How lengths along an axis relate to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal lengths are equal differences.
    Linear,
    /// Equal lengths are equal ratios. What is not positive is left out.
    Log,
}

impl Axis {
    /// A linear axis as long as it must be.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// A logarithmic axis as long as it must be.
    pub fn log(label: impl Into<String>) -> Self {
        Self { scale: Scale::Log, ..Self::linear(label) }
    }

    /// The same from here to there. Ends that are not finite, or not in order, leave it as long as it must be.
    pub fn over(self, from: f64, to: f64) -> Self {
        Self { range: Some((from, to)), ..self }
    }
}

/// Something drawn over a chart's axes. Values that are not finite are left out; of lines and dots also those beyond
/// the ends of an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Points joined in their order; one that is left out interrupts the line.
    Line {
        /// For the legend; without one if it is empty.
        name: String,
        /// Its colour.
        ink: Ink,
        /// As x and y.
        points: Vec<(f64, f64)>,
    },
    /// Bars that stand on the axis, side by side without gaps between those that touch. Of bars too narrow to be
    /// told apart the highest is shown.
    Bars {
        /// For the legend; without one if it is empty.
        name: String,
        /// Their colour.
        ink: Ink,
        /// As start, end and height.
        bars: Vec<(f64, f64, f64)>,
    },
    /// Points by themselves.
    Dots {
        /// For the legend; without one if it is empty.
        name: String,
        /// Their colour.
        ink: Ink,
        /// As x and y.
        points: Vec<(f64, f64)>,
    },
    /// A surface, the darker (on dark pages the lighter) the more there is.
    Heat(Heat),
}

impl Layer {
    /// A line through these points.
    pub fn line(name: impl Into<String>, ink: Ink, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self::Line { name: name.into(), ink, points: points.into_iter().collect() }
    }

    /// Bars as start, end and height.
    pub fn bars(name: impl Into<String>, ink: Ink, bars: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        Self::Bars { name: name.into(), ink, bars: bars.into_iter().collect() }
    }

    /// These points.
    pub fn dots(name: impl Into<String>, ink: Ink, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self::Dots { name: name.into(), ink, points: points.into_iter().collect() }
    }
}

/// A surface over equal cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// What is counted, with its unit; for the legend.
    pub name: String,
    /// Left edge of the first column, and how wide each is.
    pub x: (f64, f64),
    /// Lower edge of the lowest row, and how high each is.
    pub y: (f64, f64),
    /// Cells of a column.
    pub rows: usize,
    /// Cell by cell upwards, then to the right. What is not positive is left blank.
    pub values: Vec<f32>,
}

/// The page as HTML, which is also well-formed XML. Texts may come from outside: they stay texts.
pub fn plot_html(page: &Page) -> String {
    let mut html = String::new();
    write_page(&mut html, page).expect("a string takes all that is written");
    html
}

fn write_page(html: &mut String, page: &Page) -> std::fmt::Result {
    let title = escaped(&page.title);
    writeln!(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>")?;
    writeln!(html, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>")?;
    writeln!(html, "<title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>", ink::style())?;
    writeln!(html, "<header><h1>{title}</h1>")?;
    if !page.subtitle.is_empty() {
        writeln!(html, "<p>{}</p>", escaped(&page.subtitle))?;
    }
    writeln!(html, "</header>")?;
    if let Some(table) = &page.table {
        write_table(html, table)?;
    }
    for section in &page.sections {
        writeln!(html, "<section>\n<h2>{}</h2>\n<div class=\"charts\">", escaped(&section.heading))?;
        for chart in &section.charts {
            write_chart(html, chart)?;
        }
        writeln!(html, "</div>\n</section>")?;
    }
    writeln!(html, "</body>\n</html>")
}

fn write_table(html: &mut String, table: &Table) -> std::fmt::Result {
    writeln!(html, "<div class=\"table\"><table>\n<thead><tr><th></th>")?;
    for heading in &table.headings {
        write!(html, "<th>{}</th>", escaped(heading))?;
    }
    writeln!(html, "</tr></thead>\n<tbody>")?;
    for row in &table.rows {
        let (class, sign) = match row.mark {
            Mark::Good => ("good", "✓"),
            Mark::Bad => ("bad", "✗"),
            Mark::Unknown => ("unknown", "?"),
        };
        write!(html, "<tr class=\"{class}\"><td>{sign}</td>")?;
        for cell in &row.cells {
            write!(html, "<td>{}</td>", escaped(cell))?;
        }
        writeln!(html, "</tr>")?;
    }
    writeln!(html, "</tbody>\n</table></div>")
}

fn write_chart(html: &mut String, chart: &Chart) -> std::fmt::Result {
    let class = match chart.width {
        Width::Full => "wide",
        Width::Half => "half-wide",
        Width::Third => "third-wide",
    };
    writeln!(html, "<figure class=\"{class}\">\n<h3>{}</h3>", escaped(&chart.title))?;
    if !chart.note.is_empty() {
        writeln!(html, "<p>{}</p>", escaped(&chart.note))?;
    }
    write!(html, "<p class=\"legend\">")?;
    for layer in &chart.layers {
        match layer {
            Layer::Line { name, ink, .. } => write_key(html, "line", *ink, name)?,
            Layer::Bars { name, ink, .. } => write_key(html, "bars", *ink, name)?,
            Layer::Dots { name, ink, .. } => write_key(html, "dots", *ink, name)?,
            Layer::Heat(heat) => heat::write_key(html, heat)?,
        }
    }
    writeln!(html, "</p>\n{}</figure>", chart::svg(chart))
}

fn write_key(html: &mut String, shape: &str, ink: Ink, name: &str) -> std::fmt::Result {
    if name.is_empty() {
        return Ok(());
    }
    write!(html, "<span><i class=\"{shape} {}\"></i>{}</span> ", ink.name(), escaped(name))
}

/// Text as HTML and XML show it, whatever is in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The text with what no XML document may contain replaced.
fn printable(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() || matches!(it, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { it })
        .collect()
}

/// Paper is white whatever the screen is.
const STYLE: &str = "\
body { margin: 0 auto; padding: 1.5rem; max-width: 1280px; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.25rem; margin: 2rem 0 0.6rem; border-bottom: 1px solid var(--grid); padding-bottom: 0.2rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0.1rem 0; }
header p, figure p { color: var(--reference); }
figure p { font-size: 0.82rem; }
.charts { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 1.4rem 1rem; }
figure { margin: 0; display: flex; flex-direction: column; break-inside: avoid; }
figure > svg { margin-top: auto; width: 100%; height: auto; }
.wide { grid-column: span 6; }
.half-wide { grid-column: span 3; }
.third-wide { grid-column: span 2; }
@media screen and (max-width: 800px) { .half, .third-wide { grid-column: span 6; } }
.legend { min-height: 1.2em; }
.legend span { margin-right: 0.9em; white-space: nowrap; }
.legend i { display: inline-block; margin-right: 0.35em; }
.legend .line { width: 1.4em; height: 0; border-top: 2px solid currentColor; vertical-align: 0.25em; }
.legend .line.reference { border-top-style: dashed; }
.legend .bars { width: 0.8em; height: 0.8em; background: currentColor; vertical-align: -0.05em; }
.legend .dots { width: 0.6em; height: 0.6em; border-radius: 50%; background: currentColor; }
.legend .heat { width: 1.1em; height: 0.8em; margin: 0; vertical-align: -0.05em; print-color-adjust: exact; }
.table { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { text-align: left; padding: 0.15rem 0.8rem 0.15rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
.good td:first-child { color: var(--buy); }
.bad td:first-child { color: var(--sell); }
.bad { font-weight: 600; }
";

#[cfg(test)]
mod tests;
