//! What a check has found as a page of text for people.

use std::fmt::Write as _;

use tickstorm::check::{CheckReport, CheckVerdict, Conduct, Figure, RealismTable, Row, StreamKind, Verdict};
use tickstorm_report::{Style, format};

/// The page, newline at the end: what the stream is, what is wrong with it, how much it is like a market, and last,
/// where a terminal shows it, the verdict. Texts from the stream cannot move the cursor or change colours.
pub(super) fn text(report: &CheckReport, style: Style) -> String {
    let mut page = Page { text: String::new(), style: Style { width: style.width.clamp(72, 120), ..style } };
    stream(&mut page, report);
    faults(&mut page, report);
    realism(&mut page, report);
    if let Some(crash) = &report.crash {
        page.heading("Crash");
        rows(&mut page, crash, Judged::Yes);
    }
    if !report.notes.is_empty() {
        page.heading("Notes");
        report.notes.iter().for_each(|note| page.wrapped(Ink::Plain, 2, note));
    }
    verdict(&mut page, report);
    page.text
}

/// What the stream is, and what is in it, each in a line.
pub(super) fn description(report: &CheckReport) -> [String; 2] {
    let format = report.format;
    let what = match report.stream {
        StreamKind::Venue(venue, Conduct::Realtime) => {
            format!("{venue} messages as {format}, each as it happened")
        }
        StreamKind::Venue(venue, Conduct::Batched) => {
            format!("{venue} messages as {format}, batched in the venue's rhythm")
        }
        StreamKind::Normalised => format!("the market's own messages as {format}"),
    };
    let what = format!(
        "{what}: {}, {}, {}",
        counted(report.lines, format.unit()),
        counted(report.instruments as u64, "instrument"),
        format::duration_ms(report.span_s * 1e3),
    );
    let mut kinds: Vec<_> = report.messages.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let kinds: Vec<_> =
        kinds.iter().map(|(kind, count)| format!("{kind} {}", format::count(**count))).collect();
    [what, kinds.join(", ")]
}

fn stream(page: &mut Page, report: &CheckReport) {
    page.heading("Stream");
    let [what, kinds] = description(report);
    page.wrapped(Ink::Plain, 2, &what);
    page.wrapped(Ink::Faint, 2, &kinds);
}

fn faults(page: &mut Page, report: &CheckReport) {
    page.heading("Faults");
    if report.faults.is_clean() {
        return page.wrapped(Ink::Good, 2, "none");
    }
    let mut kinds: Vec<_> = report.faults.kinds.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let widest = kinds.iter().map(|(_, count)| format::count(**count).len()).max().unwrap_or(0);
    for (kind, count) in kinds {
        page.line(Ink::Bad, &format!("  {:>widest$}  {kind}", format::count(*count)));
    }
    page.text.push('\n');
    let shown = &report.faults.first[..report.faults.first.len().min(SHOWN)];
    let unit = report.format.unit();
    let widest = shown.iter().map(|fault| format::count(fault.line).len()).max().unwrap_or(0);
    for fault in shown {
        let place = format!("  {unit} {:>widest$}  ", format::count(fault.line));
        page.hanging(&place, &fault.text);
    }
    let rest = report.faults.total() - shown.len() as u64;
    if rest > 0 {
        page.wrapped(Ink::Faint, 2, &format!("and {} more", format::count(rest)));
    }
}

/// Faults that are shown in full; more would push the rest off the screen, and what comes after the first few often
/// follows from them.
const SHOWN: usize = 20;

fn realism(page: &mut Page, report: &CheckReport) {
    page.heading("Realism");
    if !report.bands_judged {
        page.wrapped(Ink::Faint, 2, "measured and not judged; the bands are those of an ordinary market");
    }
    rows(page, &report.realism, if report.bands_judged { Judged::Yes } else { Judged::No });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Yes,
    No,
}

/// A block for each metric: what real venues show, and below it each figure with its value, band and verdict.
fn rows(page: &mut Page, table: &RealismTable, judged: Judged) {
    let told = |row: &&Row| row.figures.iter().any(|figure| figure.value.is_some());
    let figures = || table.rows.iter().filter(told).flat_map(|row| &row.figures);
    let widest =
        |text: fn(&Figure) -> String| figures().map(|figure| text(figure).chars().count()).max().unwrap_or(0);
    let names = widest(|figure| figure.name.to_owned());
    let (values, bands) = (widest(value), widest(|figure| figure.band.to_string()));
    for row in &table.rows {
        if !told(&row) {
            page.line(Ink::Faint, &format!("  {:<4}{}: cannot be told", row.id, row.name));
            continue;
        }
        page.hanging(&format!("  {:<4}", row.id), &format!("{} ({})", row.name, row.reference));
        for figure in &row.figures {
            let (ink, word) = match (judged, figure.verdict()) {
                (_, Verdict::NotObservable) => (Ink::Faint, "cannot be told"),
                (Judged::No, _) => (Ink::Plain, ""),
                (Judged::Yes, Verdict::Met) => (Ink::Good, "met"),
                (Judged::Yes, Verdict::Missed) => (Ink::Bad, "missed"),
            };
            let (name, value, band) = (figure.name, value(figure), figure.band.to_string());
            let line = format!("      {name:<names$}  {value:>values$}  {band:<bands$}");
            match word {
                "" => page.line(Ink::Plain, line.trim_end()),
                word => {
                    page.text.push_str(&line);
                    page.line(ink, &format!("  {word}"));
                }
            }
        }
    }
}

/// With three digits or more.
fn value(figure: &Figure) -> String {
    match figure.value {
        Some(value) if value.abs() >= 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.3}"),
        None => "-".to_owned(),
    }
}

fn verdict(page: &mut Page, report: &CheckReport) {
    let tables = || {
        let judged = report.bands_judged.then_some(&report.realism);
        judged.into_iter().chain(&report.crash)
    };
    let of =
        |verdict: Verdict| tables().flat_map(|table| &table.rows).filter(move |row| row.verdict() == verdict);
    let mut reasons = Vec::new();
    let (ink, word) = match report.verdict() {
        CheckVerdict::Pass => (Ink::Good, "PASS"),
        CheckVerdict::Fail => (Ink::Bad, "FAIL"),
    };
    reasons.push(match report.faults.total() {
        0 => "no fault".to_owned(),
        faults => counted(faults, "fault"),
    });
    let missed: Vec<_> = of(Verdict::Missed).map(|row: &Row| format!("{} {}", row.id, row.name)).collect();
    if !missed.is_empty() {
        reasons.push(format!("outside the band: {}", missed.join(", ")));
    } else if report.bands_judged {
        let (met, untold) = (of(Verdict::Met).count(), of(Verdict::NotObservable).count());
        reasons.push(match untold {
            0 => "every figure lies in its band".to_owned(),
            _ => format!("{met} of {} metrics lie in their bands, {untold} cannot be told", met + untold),
        });
    }
    if missed.is_empty() && report.crash.is_some() {
        reasons.push("the crash is what was planned".to_owned());
    }
    page.text.push('\n');
    page.line(ink, word);
    page.wrapped(Ink::Plain, 2, &reasons.join("; "));
}

/// A page under way.
struct Page {
    text: String,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
}

impl Page {
    fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line(Ink::Strong, text);
    }

    fn line(&mut self, ink: Ink, text: &str) {
        let code = match ink {
            Ink::Plain => "",
            Ink::Strong => "1",
            Ink::Faint => "2",
            Ink::Good => "32",
            Ink::Bad => "1;31",
        };
        let text = clean(text);
        let _ = match self.style.color && !code.is_empty() {
            true => writeln!(self.text, "\x1b[{code}m{text}\x1b[0m"),
            false => writeln!(self.text, "{text}"),
        };
    }

    /// A paragraph, set in by so many columns.
    fn wrapped(&mut self, ink: Ink, indent: usize, text: &str) {
        for line in lines(text, self.style.width - indent) {
            self.line(ink, &format!("{:indent$}{line}", ""));
        }
    }

    /// A paragraph whose first line begins with `label`, and the others below its text.
    fn hanging(&mut self, label: &str, text: &str) {
        let indent = label.chars().count();
        for (index, line) in lines(text, self.style.width.saturating_sub(indent).max(20)).iter().enumerate() {
            match index {
                0 => self.line(Ink::Plain, &format!("{label}{line}")),
                _ => self.line(Ink::Plain, &format!("{:indent$}{line}", "")),
            }
        }
    }
}

/// Breaks between words. A word longer than a line has one of its own.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut taken = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if taken + 1 + length <= width => {
                line.push(' ');
                line.push_str(word);
                taken += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                taken = length;
            }
        }
    }
    lines
}

/// Without what moves the cursor or changes colours.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", format::count(count))
}

#[cfg(test)]
mod tests {
    use tickstorm::check::{CheckOptions, check};
    use tickstorm::{Export, ExportFormat, Plan, Spec, Target};

    use super::*;

    fn report(harm: impl FnOnce(&mut Vec<u8>)) -> CheckReport {
        let plan = Plan::new(&Spec { symbols: 3, ..Spec::default() }, &Target::default()).unwrap();
        let mut export = Export::new(&plan, ExportFormat::Jsonl);
        let mut stream = Vec::new();
        export.head(&mut stream);
        for _ in 0..2_000 {
            export.next(&mut stream);
        }
        harm(&mut stream);
        check(stream.as_slice(), &CheckOptions::default()).unwrap()
    }

    #[test]
    fn the_page_of_a_sound_stream() {
        insta::assert_snapshot!(text(&report(|_| {}), Style { color: false, width: 100 }));
    }

    #[test]
    fn the_page_of_a_stream_with_faults_is_painted() {
        let report = report(|stream| {
            let lines: Vec<&[u8]> = stream.split_inclusive(|&byte| byte == b'\n').collect();
            let without = [&lines[..1_000], &[b"{\"e\":\"\x1b[2J\"}\n"], &lines[1_001..]].concat();
            *stream = without.concat();
        });
        insta::assert_snapshot!(text(&report, Style { color: true, width: 80 }));
    }

    #[test]
    fn paragraphs_break_between_words_and_keep_long_ones_whole() {
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("unbreakable a", 4), ["unbreakable", "a"]);
    }
}
