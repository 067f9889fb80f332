//! What a check has found.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tickstorm_market::Listing;
use tickstorm_market::portrait::Picture;
use tickstorm_market::realism::{Band, Figure, RealismTable, Row, Verdict};
use tickstorm_report::plot::Page;
use tickstorm_venue::{Conduct, Venue};

use super::sketch;
use crate::ExportFormat;

/// What a stream turned out to be, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// What it is.
    pub stream: StreamKind,
    /// In what form.
    pub format: ExportFormat,
    /// How many [units](ExportFormat::unit) there are.
    pub lines: u64,
    /// Messages by kind, in the words of reports: `book`, `trade` ...; `control` for those that say nothing of the
    /// market.
    pub messages: BTreeMap<&'static str, u64>,
    /// Instruments known.
    pub instruments: usize,
    /// Seconds from the first message to the last, by their own times.
    pub span_s: f64,
    /// What is wrong.
    pub faults: Faults,
    /// The figures of a market, beside what they should be.
    pub realism: RealismTable,
    /// Whether the bands count for the verdict.
    pub bands_judged: bool,
    /// The figures of a crash, where one is expected.
    pub crash: Option<RealismTable>,
    /// What a person should know to read the rest.
    pub notes: Vec<String>,
    /// What a page of pictures shows, if it was asked for.
    pub picture: Option<Picture>,
    /// The instruments, for the picture.
    pub listing: Listing,
}

/// Whose words a stream is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Messages in a venue's wording.
    Venue(Venue, Conduct),
    /// The market's own messages.
    Normalised,
}

/// Whether a stream is what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckVerdict {
    /// No fault, and no figure outside its band.
    Pass,
    /// Something is wrong.
    Fail,
}

/// Faults by kind, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many of each kind.
    pub kinds: BTreeMap<FaultKind, u64>,
    /// The first ones in full.
    pub first: Vec<LocatedFault>,
}

/// A name of a kind of fault, as `update_gap`.
pub type FaultKind = &'static str;

/// A fault and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedFault {
    /// The [unit](ExportFormat::unit) of the stream, counted from 1.
    pub line: u64,
    /// Its kind.
    pub kind: FaultKind,
    /// What was expected and what was found.
    pub text: String,
}

impl Faults {
    /// Whether there are none.
    pub fn is_clean(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.kinds.values().sum()
    }

    pub(super) fn add(&mut self, line: u64, kind: FaultKind, text: impl FnOnce() -> String) {
        *self.kinds.entry(kind).or_default() += 1;
        if self.first.len() < FAULTS_IN_FULL {
            self.first.push(LocatedFault { line, kind, text: text() });
        }
    }
}

/// A stream that is wrong throughout should still give a report that can be read.
const FAULTS_IN_FULL: usize = 100;

impl CheckReport {
    /// What the findings amount to.
    pub fn verdict(&self) -> CheckVerdict {
        let missed = |table: &RealismTable| table.verdict() == Verdict::Missed;
        let wrong = !self.faults.is_clean()
            || self.bands_judged && missed(&self.realism)
            || self.crash.as_ref().is_some_and(missed);
        if wrong { CheckVerdict::Fail } else { CheckVerdict::Pass }
    }

    /// The picture as a page, with the figures above it; none if it was not asked for.
    pub fn page(&self, title: &str, subtitle: &str) -> Option<Page> {
        let picture = self.picture.as_ref()?;
        Some(sketch::page([title, subtitle], picture, &self.listing, &self.realism, self.bands_judged))
    }

    /// Everything but the picture, as data.
    pub fn to_json(&self) -> Value {
        let (venue, conduct) = match self.stream {
            StreamKind::Venue(venue, conduct) => (Some(venue.name()), Some(conduct_name(conduct))),
            StreamKind::Normalised => (None, None),
        };
        let first = self.faults.first.iter();
        json!({
            "verdict": match self.verdict() {
                CheckVerdict::Pass => "PASS",
                CheckVerdict::Fail => "FAIL",
            },
            "stream": {
                "format": self.format.name(),
                "venue": venue,
                "cadence": conduct,
                "lines": self.lines,
                "messages": self.messages,
                "instruments": self.instruments,
                "span_s": self.span_s,
            },
            "faults": {
                "total": self.faults.total(),
                "by_kind": self.faults.kinds,
                "first": first.map(|it| json!({"line": it.line, "kind": it.kind, "text": it.text})).collect::<Vec<_>>(),
            },
            "realism": { "judged": self.bands_judged, "rows": rows(&self.realism) },
            "crash": self.crash.as_ref().map(rows),
            "notes": self.notes,
        })
    }
}

pub(super) fn conduct_name(conduct: Conduct) -> &'static str {
    match conduct {
        Conduct::Realtime => "realtime",
        Conduct::Batched => "venue",
    }
}

fn rows(table: &RealismTable) -> Value {
    let row = |row: &Row| {
        json!({
            "id": row.id,
            "name": row.name,
            "verdict": row.verdict().to_string(),
            "reference": row.reference,
            "figures": row.figures.iter().map(figure).collect::<Vec<_>>(),
        })
    };
    table.rows.iter().map(row).collect()
}

fn figure(figure: &Figure) -> Value {
    json!({
        "name": figure.name,
        "value": figure.value.filter(|value| value.is_finite()),
        "band": band(figure.band),
        "verdict": figure.verdict().to_string(),
    })
}

/// An end that is not there is null.
fn band(band: Band) -> Value {
    let end = |end: f64| end.is_finite().then_some(end);
    json!({ "low": end(band.low), "high": end(band.high) })
}
