//! The report as a page of text for people.

mod clients;

use std::fmt::Write;

use crate::format;
use crate::model::{
    Evidence, LatencyBasis, Outcome, PacingMode, Report, StopReason, Summary, ThresholdOutcome, total,
};

/// How the page is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours may be used. The page says the same without them.
    pub color: bool,
    /// Columns to fill, 72 to 100; other values count as the nearer of these. Only the command to repeat the run may be
    /// longer, as it must survive copying.
    pub width: usize,
}

impl Default for Style {
    /// No colour, 100 columns: right for a file or a log.
    fn default() -> Self {
        Self { color: false, width: *WIDTHS.end() }
    }
}

/// The page, newline at the end: the verdict with its reasons first, the command that repeats the run last. Texts that
/// came from outside (error samples, addresses) cannot move the cursor or change colours.
pub fn summary(report: &Report, style: Style) -> String {
    let mut page = Page::new(style);
    verdict(&mut page, report);
    thresholds(&mut page, report);
    what_ran(&mut page, report);
    throughput(&mut page, report);
    clients::served(&mut page, report);
    latency(&mut page, report);
    messages(&mut page, report);
    errors(&mut page, report);
    outages(&mut page, report);
    resources(&mut page, report);
    what_next(&mut page, report);
    page.text
}

fn verdict(page: &mut Page, report: &Report) {
    let paint = match report.verdict.outcome {
        Outcome::Pass => Paint::Good,
        Outcome::Fail => Paint::Bad,
        Outcome::Inconclusive => Paint::Doubtful,
    };
    page.section(report.verdict.outcome.name(), paint);
    if report.verdict.reasons.is_empty() {
        page.wrapped(match report.verdict.outcome {
            Outcome::Pass if report.thresholds.is_empty() => "no threshold was set",
            Outcome::Pass => "every threshold held",
            Outcome::Fail | Outcome::Inconclusive => "no reason was recorded",
        });
    }
    for reason in &report.verdict.reasons {
        page.wrapped(&reason.text);
        if !reason.evidence.is_empty() {
            let figures: Vec<String> = reason.evidence.iter().map(figure).collect();
            page.painted(&format!("{INDENT}({})", list(&figures)), Paint::Faint);
        }
    }
    if let Some(stopped) = &report.stopped {
        let why = match stopped.reason {
            StopReason::Interrupted => "it was interrupted",
            StopReason::Requested => "its caller stopped it",
            StopReason::LostTarget => "the target was lost",
            StopReason::InternalError => "tickstorm itself failed",
        };
        let detail = stopped.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let planned = format::seconds(report.plan.duration_s);
        let after = format::seconds(stopped.at_s);
        page.painted(&format!("the run ended after {after} of {planned}: {why}{detail}"), Paint::Doubtful);
    }
}

fn figure(evidence: &Evidence) -> String {
    format!("{} {}", evidence.name, format::value(evidence.value, evidence.unit))
}

fn thresholds(page: &mut Page, report: &Report) {
    if report.thresholds.is_empty() {
        return;
    }
    page.section("Thresholds", Paint::Plain);
    let rows: Vec<Vec<String>> = report
        .thresholds
        .iter()
        .map(|threshold| {
            let value = threshold.value.map(|value| format::value(value, threshold.unit));
            let net = threshold.net_value.map(|value| format::value(value, threshold.unit));
            let net = net.filter(|net| Some(net) != value.as_ref()).map(|net| format!("net {net}"));
            vec![
                threshold.metric.clone(),
                threshold.limit_text.clone(),
                value.unwrap_or_else(|| "not measured".to_owned()),
                net.unwrap_or_default(),
            ]
        })
        .collect();
    let lines = columns(&rows, &[Side::Left, Side::Left, Side::Right, Side::Left]);
    for (threshold, line) in report.thresholds.iter().zip(lines) {
        let (word, paint) = match threshold.outcome {
            ThresholdOutcome::Met => ("met", Paint::Good),
            ThresholdOutcome::Crossed => ("crossed", Paint::Bad),
            ThresholdOutcome::Undecided => ("undecided", Paint::Doubtful),
        };
        page.line(&[(&line, Paint::Plain), (GAP, Paint::Plain), (word, paint)]);
    }
}

fn what_ran(page: &mut Page, report: &Report) {
    let plan = &report.plan;
    page.section("Run", Paint::Plain);
    let mut load = format!(
        "{} at {} x {} for {}",
        plan.profile,
        format::rate(plan.base_rate),
        format::number(plan.multiplier),
        format::seconds(plan.duration_s),
    );
    let peak = format::rate(plan.peak_rate);
    if peak != format::rate(plan.average_rate) {
        load += &format!(", {peak} at its peak");
    }
    let mut parts = vec![load, plan.arrivals.clone()];
    parts.extend(plan.venue.clone().filter(|_| report.served.is_none()));
    parts.push(counted(u64::from(plan.symbols), "symbol"));
    if report.served.is_none() {
        parts.push(counted(u64::from(plan.connections), "connection"));
        parts.push(counted(u64::from(plan.workers), "worker"));
    }
    parts.push(format!("seed {}", plan.seed));
    page.wrapped(&list(&parts));

    let target = &report.target;
    let what =
        if report.served.is_some() { "served to clients".into() } else { format!("against {}", target.kind) };
    let mut parts = vec![what];
    parts.extend(target.address.clone());
    parts.extend(target.pid.map(|pid| format!("process {pid}")));
    page.wrapped(&list(&parts));

    let machine = &report.environment;
    let kernel = machine.kernel.as_ref().map(|kernel| format!(" {kernel}")).unwrap_or_default();
    let mut parts = vec![format!("on {}{kernel}", machine.os)];
    parts.extend(machine.cpu.clone());
    parts.extend(machine.cores.map(|cores| counted(u64::from(cores), "core")));
    parts.push(format!("tickstorm {}", machine.version));
    parts.push(format!("started {}", report.started_at));
    page.painted(&list(&parts), Paint::Faint);
}

fn throughput(page: &mut Page, report: &Report) {
    page.section("Throughput", Paint::Plain);
    page.wrapped(&list(&[
        format!("offered {}", format::rate(report.generator.offered)),
        format!("achieved {}", format::rate(report.generator.achieved)),
        format!("processed {}", format::rate(report.avg_throughput)),
        format!("{} in the best second", format::rate(report.peak_throughput)),
    ]));
}

fn latency(page: &mut Page, report: &Report) {
    page.section("Latency", Paint::Plain);
    if report.latency.count == 0 {
        page.wrapped("nothing was measured");
    } else {
        let mut measures = vec![
            ("lag", &report.lag),
            ("service", &report.service_time),
            ("latency", &report.latency),
            ("net latency", &report.net_latency),
        ];
        if ROWS.iter().all(|(_, at)| time(at(&report.latency)) == time(at(&report.net_latency))) {
            measures.pop();
        }
        for (index, line) in latency_table(&measures).iter().enumerate() {
            page.line(&[(line, if index == 0 { Paint::Faint } else { Paint::Plain })]);
        }
        for (name, part) in [
            ("stall, the target's part of the lag", &report.stall),
            ("pacing lag, tickstorm's part", &report.pacing_lag),
        ] {
            if part.max_ms.is_some_and(|max| max > 0.0) {
                let (p99, max) = (time(part.p99_ms), time(part.max_ms));
                page.painted(
                    &format!("{name}: {}", list(&[format!("p99 {p99}"), format!("max {max}")])),
                    Paint::Faint,
                );
            }
        }
        if report.latency.beyond_range > 0 {
            let beyond = format::count(report.latency.beyond_range);
            page.painted(
                &format!("{beyond} were beyond one hour, the longest that percentiles tell"),
                Paint::Faint,
            );
        }
    }
    if report.failed_latency.count > 0 {
        let (count, failed) = (format::count(report.failed_latency.count), &report.failed_latency);
        let (p50, p99) = (time(failed.p50_ms), time(failed.p99_ms));
        let figures = list(&[format!("p50 {p50}"), format!("p99 {p99}")]);
        page.painted(&format!("not in the table, {count} answered with a failure: {figures}"), Paint::Faint);
    }
    match report.latency_basis {
        LatencyBasis::Acknowledged => {}
        LatencyBasis::Returned => page.painted("a message is answered when the call returns", Paint::Faint),
        LatencyBasis::Kernel => page.painted(
            "a message counts as answered once the kernel took it: this says nothing of the target's processing",
            Paint::Doubtful,
        ),
    }
}

/// One row for each of [`ROWS`] below a heading. Numbers end in one column and units begin in the next, so that 9.81 ms
/// and 12.4 us cannot be taken for neighbours.
fn latency_table(measures: &[(&str, &Summary)]) -> Vec<String> {
    let heading = measures.iter().fold(format!("{:<LATENCY_NAME$}", ""), |mut line, (name, _)| {
        // Right-aligned above the units too.
        let _ = write!(line, "{name:>LATENCY_COLUMN$}");
        line
    });
    let rows = ROWS.iter().map(|(name, at)| {
        measures.iter().fold(format!("{name:<LATENCY_NAME$}"), |mut line, (_, measure)| {
            let (number, unit) = at(measure).map_or_else(|| ("-".to_owned(), ""), format::duration_parts);
            let _ = write!(line, "{number:>0$} {unit:<2}", LATENCY_COLUMN - 3);
            line
        })
    });
    std::iter::once(heading).chain(rows).map(|line| line.trim_end().to_owned()).collect()
}

fn messages(page: &mut Page, report: &Report) {
    let ledger = &report.ledger;
    page.section("Messages", Paint::Plain);
    let count = format::count;
    let (dropped, failed) = (ledger.dropped_total(), ledger.failed_total());
    // Books that do not balance are tickstorm's own fault, and must not look as if they did.
    let sign = |balances| if balances { "=" } else { "!=" };
    let due_sign = sign(total([ledger.sent, dropped]) == ledger.due);
    let sent_sign = sign(total([ledger.processed, failed, ledger.aborted]) == ledger.sent);
    let width = count(ledger.due.max(ledger.sent)).len();
    let part = |figure: u64, name: &str| whole(&format!("{} {name}", count(figure)));
    let [due, sent] = [("due", ledger.due), ("sent", ledger.sent)]
        .map(|(name, figure)| whole(&format!("{name:<4} {:>width$}", count(figure))));
    page.wrapped(&format!("{due} {due_sign} {} + {}", part(ledger.sent, "sent"), part(dropped, "dropped")));
    page.wrapped(&format!(
        "{sent} {sent_sign} {} + {} + {}",
        part(ledger.processed, "processed"),
        part(failed, "failed"),
        part(ledger.aborted, "aborted"),
    ));
    let mut kinds: Vec<_> = report.messages.iter().filter(|(_, sent)| **sent > 0).collect();
    kinds.sort_by_key(|(_, sent)| std::cmp::Reverse(**sent));
    if !kinds.is_empty() {
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, sent)| format!("{kind} {}", count(**sent))).collect();
        page.painted(&list(&kinds), Paint::Faint);
    }
    if ledger.late_replies > 0 || ledger.unexpected_replies > 0 {
        let (late, unexpected) = (count(ledger.late_replies), count(ledger.unexpected_replies));
        page.painted(
            &format!("replies after the timeout: {late}, replies to no message: {unexpected}"),
            Paint::Faint,
        );
    }
}

fn errors(page: &mut Page, report: &Report) {
    if report.errors.is_empty() {
        return;
    }
    page.section("Errors", Paint::Plain);
    let (shown, rest) = report.errors.split_at(report.errors.len().min(MOST_ROWS));
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|error| {
            let share = error.share.map(format::percent).unwrap_or_default();
            vec![shortened(&clean(&error.kind), LONGEST_KIND), format::count(error.count), share]
        })
        .collect();
    for (error, line) in shown.iter().zip(columns(&rows, &[Side::Left, Side::Right, Side::Right])) {
        page.line(&[(line.trim_end(), Paint::Plain)]);
        // The kind of an error may be its whole text; the sample is then worth showing only where that was cut.
        let sample = error.samples.first().map(|sample| clean(sample)).unwrap_or_default();
        if !sample.is_empty() && !line.starts_with(&sample) {
            let sample = shortened(&sample, page.text_width() - GAP.len());
            page.line(&[(GAP, Paint::Plain), (&sample, Paint::Faint)]);
        }
    }
    if !rest.is_empty() {
        let count = total(rest.iter().map(|error| error.count));
        let kinds = counted(rest.len() as u64, "more kind");
        page.painted(&format!("and {kinds}, {} in all", format::count(count)), Paint::Faint);
    }
}

fn outages(page: &mut Page, report: &Report) {
    let outages: Vec<_> = report
        .connections
        .iter()
        .flat_map(|connection| connection.outages.iter().map(move |outage| (connection.id, outage)))
        .collect();
    if outages.is_empty() {
        return;
    }
    page.section("Outages", Paint::Plain);
    let (shown, rest) = outages.split_at(outages.len().min(MOST_ROWS));
    for (id, outage) in shown {
        let length = match outage.length_s {
            Some(length_s) => format!("for {}", format::duration_ms(length_s * 1e3)),
            None => "and never came back".to_owned(),
        };
        page.wrapped(&format!(
            "connection {id} went down at {} {length}, {} lost: {}",
            format::seconds(outage.started_s),
            counted(outage.messages_lost, "message"),
            outage.reason,
        ));
    }
    if !rest.is_empty() {
        let lost = total(rest.iter().map(|(_, outage)| outage.messages_lost));
        let (more, lost) = (counted(rest.len() as u64, "more outage"), counted(lost, "message"));
        page.painted(&format!("and {more}, {lost} lost"), Paint::Faint);
    }
}

fn resources(page: &mut Page, report: &Report) {
    let generator = &report.generator;
    page.section("Generator", Paint::Plain);
    let mut used = Vec::new();
    used.extend(
        generator.cpu_percent.map(|percent| format!("{} of a core", format::percent(percent / 100.0))),
    );
    used.extend(generator.peak_memory_mb.map(|memory| format!("{} of memory", format::megabytes(memory))));
    used.extend(generator.bytes_sent.map(|bytes| format!("{} sent", format::bytes(bytes))));
    used.extend(
        generator.messages_per_write.map(|messages| format!("{} messages a write", format::number(messages))),
    );
    used.push(
        match generator.pacing_mode {
            PacingMode::Sleep => "paced by sleeping",
            PacingMode::Spin => "paced by spinning",
            PacingMode::Mixed => "paced by spinning, then sleeping",
        }
        .to_owned(),
    );
    page.wrapped(&list(&used));

    let mut trouble = Vec::new();
    if generator.overdue > 0 {
        let limit = format::duration_ms(generator.max_pacing_lag_ms);
        trouble.push(format!("{} over {limit} late by its own fault", counted(generator.overdue, "message")));
    }
    if generator.absences.count > 0 {
        let longest =
            generator.absences.max_ms.map(|max| format!(", the longest {}", format::duration_ms(max)));
        let total = format::duration_ms(generator.absences.total_ms);
        let times = counted(generator.absences.count, "time");
        trouble.push(format!("kept from running {times} ({total} in all{})", longest.unwrap_or_default()));
    }
    if let Some(switches) = generator.involuntary_context_switches.filter(|switches| *switches > 0) {
        trouble.push(format!("{} involuntary context switches", format::count(switches)));
    }
    for (what, seconds) in [("throttled", generator.throttled_s), ("steal", generator.steal_s)] {
        if let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0) {
            trouble.push(format!("{what} {}", format::duration_ms(seconds * 1e3)));
        }
    }
    if !trouble.is_empty() {
        page.painted(&list(&trouble), Paint::Faint);
    }

    let target = &report.target;
    let mut used = Vec::new();
    used.extend(target.cpu_percent.map(|percent| format!("{} of a core", format::percent(percent / 100.0))));
    used.extend(target.peak_memory_mb.map(|memory| format!("{} of memory", format::megabytes(memory))));
    if let Some(findings) = &target.builtin {
        used.push(format!("{} received", counted(findings.messages, "message")));
        let errors = counted(findings.decode_errors, "decode error");
        if findings.faults.is_empty() {
            used.extend([errors, "no fault in the books".to_owned()]);
        } else {
            let faults: Vec<String> = findings
                .faults
                .iter()
                .map(|(kind, count)| format!("{kind} {}", format::count(*count)))
                .collect();
            used.extend([errors, format!("faults: {}", faults.join(", "))]);
        }
    }
    if !used.is_empty() {
        page.label("Target", Paint::Plain);
        page.wrapped(&list(&used));
        if let Some(sample) = target.builtin.as_ref().and_then(|findings| findings.samples.first()) {
            page.painted(sample, Paint::Faint);
        }
    }
}

fn what_next(page: &mut Page, report: &Report) {
    for (label, paint, texts) in [
        ("Warnings", Paint::Doubtful, &report.verdict.warnings),
        ("Advice", Paint::Plain, &report.verdict.advice),
    ] {
        if !texts.is_empty() {
            page.section(label, paint);
        }
        for text in texts {
            page.wrapped(text);
        }
    }
    page.section("Reproduce", Paint::Plain);
    page.line(&[(&report.plan.command, Paint::Plain)]);
    if report.target.kind == "call" {
        page.wrapped("(the same load, on the built-in target instead of your code, which no command calls)");
    }
}

/// A page of paragraphs, each with its label in the left column.
struct Page {
    text: String,
    style: Style,
    label: Option<(&'static str, Paint)>,
}

impl Page {
    fn new(style: Style) -> Self {
        let width = style.width.clamp(*WIDTHS.start(), *WIDTHS.end());
        Self { text: String::with_capacity(4096), style: Style { width, ..style }, label: None }
    }

    /// Columns right of the labels.
    fn text_width(&self) -> usize {
        self.style.width - LABEL
    }

    /// Starts a paragraph after an empty line.
    fn section(&mut self, label: &'static str, paint: Paint) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.label(label, paint);
    }

    /// Labels the next line.
    fn label(&mut self, label: &'static str, paint: Paint) {
        self.label = Some((label, paint));
    }

    fn wrapped(&mut self, text: &str) {
        self.painted(text, Paint::Plain);
    }

    fn painted(&mut self, text: &str, paint: Paint) {
        for (index, line) in wrap(&clean(text), self.text_width()).iter().enumerate() {
            let indent = if index == 0 { "" } else { GAP };
            self.line(&[(indent, Paint::Plain), (line, paint)]);
        }
    }

    /// A line as it is, however long.
    fn line(&mut self, spans: &[(&str, Paint)]) {
        let (label, paint) = self.label.take().unwrap_or(("", Paint::Plain));
        let paint = if paint == Paint::Plain { Paint::Strong } else { paint };
        self.span(label, if label.is_empty() { Paint::Plain } else { paint });
        self.text.extend(std::iter::repeat_n(' ', LABEL.saturating_sub(label.len())));
        for (text, paint) in spans {
            self.span(&clean(text), *paint);
        }
        self.text.push('\n');
    }

    fn span(&mut self, text: &str, paint: Paint) {
        let code = match paint {
            _ if !self.style.color || text.is_empty() => "",
            Paint::Plain => "",
            Paint::Strong => "1",
            Paint::Faint => "2",
            Paint::Good => "1;32",
            Paint::Bad => "1;31",
            Paint::Doubtful => "1;33",
        };
        if code.is_empty() {
            self.text.push_str(text);
        } else {
            let _ = write!(self.text, "\x1b[{code}m{text}\x1b[0m");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Doubtful,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Rows of equally many cells as lines of aligned columns.
fn columns(rows: &[Vec<String>], sides: &[Side]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..sides.len()).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(sides.iter().zip(&widths)).filter(|(_, (_, width))| **width > 0);
            let cells: Vec<String> = cells
                .map(|(cell, (side, &width))| match side {
                    Side::Left => format!("{cell:<width$}"),
                    Side::Right => format!("{cell:>width$}"),
                })
                .collect();
            cells.join(GAP)
        })
        .collect()
}

/// Items as text that is broken between them.
fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| whole(item)).collect();
    items.join(", ")
}

/// Text that [`wrap`] keeps on one line if it fits there.
fn whole(text: &str) -> String {
    text.replace(' ', UNBROKEN)
}

/// Breaks at spaces, at [`UNBROKEN`] ones only in what is longer than a line; a word that is longer is broken where the
/// line ends. Lines after the first leave room for an indent of [`GAP`].
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    let fits = |word: &str| word.chars().count() + GAP.len() <= width;
    let words = text.split(' ').flat_map(|word| word.split(if fits(word) { " " } else { UNBROKEN }));
    for word in words.filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = GAP.len();
        } else if used > 0 && lines.last().is_some_and(|line| !line.is_empty()) {
            lines.last_mut().expect("never empty").push(' ');
            used += 1;
        }
        for character in word.chars() {
            if used == width {
                lines.push(String::new());
                used = GAP.len();
            }
            lines.last_mut().expect("never empty").push(character);
            used += 1;
        }
    }
    for line in &mut lines {
        *line = line.replace(UNBROKEN, " ");
    }
    lines
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(ELLIPSIS.len())).collect();
    kept + ELLIPSIS
}

/// Replaces what could move the cursor, colour the page or reorder it: a peer chooses some of these texts.
fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => cleaned.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                cleaned.extend(character.escape_unicode());
            }
            control if control.is_control() => cleaned.extend(control.escape_unicode()),
            visible => cleaned.push(visible),
        }
    }
    cleaned
}

fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", format::count(count), if count == 1 { "" } else { "s" })
}

fn time(value_ms: Option<f64>) -> String {
    value_ms.map_or_else(|| "-".to_owned(), format::duration_ms)
}

type Row = (&'static str, fn(&Summary) -> Option<f64>);

/// The rows of the latency table. The report has more.
const ROWS: [Row; 7] = [
    ("mean", |summary| summary.mean_ms),
    ("p50", |summary| summary.p50_ms),
    ("p90", |summary| summary.p90_ms),
    ("p95", |summary| summary.p95_ms),
    ("p99", |summary| summary.p99_ms),
    ("p99.9", |summary| summary.p99_9_ms),
    ("max", |summary| summary.max_ms),
];

/// The latency table with four measures takes the narrowest page; lines beyond 100 columns are hard to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 72..=100;

/// Width of the labels: `INCONCLUSIVE` and two spaces.
const LABEL: usize = 14;

/// Between columns, and in front of continued lines.
const GAP: &str = "  ";

/// A space at which no line ends, while text is on its way to [`wrap`].
const UNBROKEN: &str = "\u{a0}";

/// In front of what belongs to the line above.
const INDENT: &str = "\u{a0}\u{a0}";

const LATENCY_NAME: usize = 6;
const LATENCY_COLUMN: usize = 13;

/// Rows of errors and of outages; all of them are in the report.
const MOST_ROWS: usize = 8;

/// Kinds of our own are shorter; one that is an error's whole text must leave room for the figures.
const LONGEST_KIND: usize = 40;

const ELLIPSIS: &str = "...";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_peer_cannot_draw_on_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\r\nc\u{202e}d\u{9b}"), "a\\u{1b}[31mb  c\\u{202e}d\\u{9b}");
    }

    #[test]
    fn a_word_longer_than_the_line_is_broken() {
        assert_eq!(wrap("ab abcdefghijkl c", 8), ["ab", "abcdef", "ghijkl", "c"]);
    }

    #[test]
    fn what_belongs_together_is_parted_only_when_no_line_could_hold_it() {
        assert_eq!(wrap(&list(&["1 core".into(), "31.5 MB".into()]), 14), ["1 core,", "31.5 MB"]);
        assert_eq!(
            wrap(&list(&["1 core".into(), "31.5 MB in all".into()]), 10),
            ["1 core,", "31.5 MB", "in all"]
        );
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(shortened("connection reset by peer", 13), "connection...");
        assert_eq!(shortened("timeout", 7), "timeout");
    }

    proptest! {
        #[test]
        fn wrapping_loses_nothing_and_fits(text in "[a-z ]{0,200}", width in 10_usize..40) {
            let lines = wrap(&text, width);
            for (index, line) in lines.iter().enumerate() {
                let indent = if index == 0 { 0 } else { GAP.len() };
                prop_assert!(line.len() + indent <= width, "`{line}` is wider than {width}");
            }
            prop_assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
