//! Pictures of a stream, in which those who know markets recognise one.
//!
//! A [`Portrait`] reads the messages, whoever made them; [`page`] arranges what it saw for
//! [`plot_html`](tickstorm_report::plot::plot_html).

use tickstorm_market::realism::{RealismTable, Verdict};
use tickstorm_market::{Instrument, Listing, UNITS_PER_WHOLE};
use tickstorm_report::plot::{Axis, Chart, Heat, Ink, Layer, Mark, Page, Row, Section, Table, Width};

pub use tickstorm_market::portrait::{Bins, Depth, Exceedance, Moment, Picture, Portrait, Returns, Sitting};

mod statistics;
mod symbol;

/// Arranges a picture as a page. The listing must be the one that the picture's symbols are from.
pub fn page(title: &str, subtitle: &str, picture: &Picture, listing: &Listing) -> Page {
    let sitters: Vec<Sitter<'_>> = picture
        .sittings
        .iter()
        .zip([Ink::First, Ink::Second, Ink::Third])
        .filter_map(|(sitting, ink)| {
            let instrument = listing.instruments.get(sitting.symbol.0 as usize)?;
            Some(Sitter { sitting, instrument, ink })
        })
        .collect();
    let time = TimeUnit::of(picture.length_ns);
    let mut sections = vec![Section { heading: "Activity".to_owned(), charts: activity(picture, time) }];
    sections.extend(sitters.iter().map(|sitter| Section {
        heading: sitter.instrument.symbol.clone(),
        charts: symbol::charts(sitter, time, picture.length_ns, listing),
    }));
    sections
        .push(Section { heading: "Statistics".to_owned(), charts: statistics::charts(picture, &sitters) });
    Page { title: title.to_owned(), subtitle: subtitle.to_owned(), table: None, sections }
}

/// The realism table for [`Page::table`]: a row for each figure.
pub fn realism_rows(realism: &RealismTable) -> Table {
    let rows = realism.rows.iter().flat_map(|row| {
        row.figures.iter().enumerate().map(|(index, figure)| Row {
            cells: vec![
                once(index, row.id),
                once(index, row.name),
                figure.name.to_owned(),
                figure.value.map_or_else(|| "not observable".to_owned(), |value| format!("{value:.3}")),
                figure.band.to_string(),
                once(index, row.reference),
            ],
            mark: match figure.verdict() {
                Verdict::Met => Mark::Good,
                Verdict::NotObservable => Mark::Unknown,
                Verdict::Missed => Mark::Bad,
            },
        })
    });
    let headings = ["", "metric", "figure", "here", "band", "real venues"];
    Table { headings: headings.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// What is said once for all figures of a row.
fn once(index: usize, text: &str) -> String {
    if index == 0 { text.to_owned() } else { String::new() }
}

/// A symbol that is shown, what it is called, and its colour where several are compared.
struct Sitter<'a> {
    sitting: &'a Sitting,
    instrument: &'a Instrument,
    ink: Ink,
}

impl Sitter<'_> {
    /// Prices in the quote asset.
    fn price(&self, ticks: f64) -> f64 {
        ticks * self.instrument.tick as f64 / UNITS_PER_WHOLE as f64
    }
}

/// What times are counted in along an axis.
#[derive(Clone, Copy)]
struct TimeUnit {
    name: &'static str,
    ns: f64,
}

impl TimeUnit {
    /// The largest that a stretch has a few of.
    fn of(length_ns: u64) -> Self {
        let units = [("h", 3.6e12), ("min", 6e10), ("s", 1e9), ("ms", 1e6)];
        let fits = units.into_iter().find(|(_, ns)| length_ns as f64 >= 3.0 * ns);
        let (name, ns) = fits.unwrap_or(("µs", 1e3));
        Self { name, ns }
    }

    fn count(self, ns: u64) -> f64 {
        ns as f64 / self.ns
    }

    /// Of a whole stream.
    fn axis(self, length_ns: u64) -> Axis {
        Axis::linear(format!("time since the first message, {}", self.name)).over(0.0, self.count(length_ns))
    }
}

fn activity(picture: &Picture, time: TimeUnit) -> Vec<Chart> {
    let mut charts = vec![Chart {
        title: "Message rate".to_owned(),
        note: format!("All symbols, in bins of {}.", shown_ns(picture.rate.width)),
        width: Width::Full,
        x: time.axis(picture.length_ns),
        y: Axis::linear("messages a second"),
        layers: vec![rate(&picture.rate, time)],
    }];
    charts.extend(picture.closeups.iter().map(|bins| {
        let length_ns = bins.counts.len() as u64 * bins.width;
        Chart {
            title: format!("{} around the fullest {}", shown_ns(length_ns), shown_ns(bins.width)),
            note: format!("In bins of {}.", shown_ns(bins.width)),
            width: Width::Third,
            x: Axis::linear(format!("time since the first message, {}", time.name))
                .over(time.count(bins.from), time.count(bins.from + length_ns)),
            y: Axis::linear("messages a second"),
            layers: vec![rate(bins, time)],
        }
    }));
    charts
}

fn rate(bins: &Bins, time: TimeUnit) -> Layer {
    let per_second = 1e9 / bins.width as f64;
    // The last bin had not ended yet.
    let ended = if bins.counts.len() > 20 { bins.counts.len() - 1 } else { bins.counts.len() };
    let bars = bins.iter().take(ended);
    Layer::bars(
        "",
        Ink::First,
        bars.map(|(from, until, count)| (time.count(from), time.count(until), count as f64 * per_second)),
    )
}

/// As `10 ms`, `1.5 s`.
fn shown_ns(ns: u64) -> String {
    let units = [("h", 3.6e12), ("min", 6e10), ("s", 1e9), ("ms", 1e6), ("µs", 1e3)];
    let (name, unit_ns) = units.into_iter().find(|&(_, unit_ns)| ns as f64 >= unit_ns).unwrap_or(("ns", 1.0));
    let count = ns as f64 / unit_ns;
    let decimals = usize::from(count < 100.0 && count.fract() > 0.0);
    format!("{count:.decimals$} {name}")
}

#[cfg(test)]
mod tests;
