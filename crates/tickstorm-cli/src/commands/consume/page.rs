//! What a consumer found as a page of text for people.

use std::fmt::Write as _;

use tickstorm::consume::{Books, ConsumeEnd, ConsumeReport, ConsumeVerdict, SymbolReport};
use tickstorm_report::{Style, format};

/// The page, newline at the end; the verdict comes last, where a terminal shows it. Texts from the server cannot move
/// the cursor or change colours.
pub(super) fn text(report: &ConsumeReport, style: Style) -> String {
    let mut page = String::new();
    source(&mut page, report);
    amounts(&mut page, report);
    ages(&mut page, report);
    conversation(&mut page, report);
    symbols(&mut page, report);
    faults(&mut page, report);
    verdict(&mut page, report, style);
    page
}

fn source(page: &mut String, report: &ConsumeReport) {
    let channels: Vec<&str> = report.channels.iter().map(|channel| channel.name()).collect();
    let depth = match (report.books, report.depth) {
        (Books::Ignored, _) => ", no books kept".to_owned(),
        (Books::Kept, 0) => ", whole books".to_owned(),
        (Books::Kept, depth) => format!(", books of {depth} levels a side"),
    };
    let _ = writeln!(page, "{} at {}", report.venue, clean(&report.socket));
    let _ = writeln!(
        page,
        "  {} of {} for {}{depth}",
        channels.join(", "),
        counted(report.symbols.len() as u64, "instrument"),
        format::seconds(report.elapsed_s),
    );
}

fn amounts(page: &mut String, report: &ConsumeReport) {
    let rate = |count: u64| format::rate(report.per_second(count));
    let bytes_per_s = format!("{}/s", format::bytes(report.per_second(report.bytes) as u64));
    page.push_str("\nReceived\n");
    let told = format!("{} with events", format::count(report.market_frames));
    let wire = format!("{} on the wire", format::bytes(report.wire_bytes));
    for (name, count, rate, more) in [
        ("events", format::count(report.events), rate(report.events), ""),
        ("frames", format::count(report.frames), rate(report.frames), &told),
        ("bytes", format::bytes(report.bytes), bytes_per_s, &wire),
    ] {
        let line = format!("  {name:<8}{count:>12}  {rate:>12}    {more}");
        let _ = writeln!(page, "{}", line.trim_end());
    }
    let counts = &report.counts;
    let kinds = [
        ("trades", counts.trades),
        ("book updates", counts.book_updates),
        ("tickers", counts.tickers),
        ("quotes", counts.quotes),
        ("others", counts.others),
        ("book snapshots", counts.book_snapshots),
        ("other first states", counts.first_states),
        ("repeats", counts.repeats),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{} {name}", format::count(*count)))
        .collect();
    if !kinds.is_empty() {
        let _ = writeln!(page, "  {}; {} levels in books", kinds.join(", "), format::count(counts.levels));
    }
}

fn ages(page: &mut String, report: &ConsumeReport) {
    let age = &report.age;
    page.push_str("\nAge when decoded, by the times in the messages\n");
    if age.count == 0 {
        page.push_str("  no message tells when it was made\n");
        return;
    }
    let [p50, p99, max] = [age.p50_ms, age.p99_ms, age.max_ms].map(format::duration_ms);
    let _ = writeln!(page, "  p50 {p50}  p99 {p99}  max {max}");
    if report.ahead > 0 {
        let _ = writeln!(
            page,
            "  {} made after they came: the clocks differ, and ages are wrong by as much",
            counted(report.ahead, "message"),
        );
    }
    if let Some(limit_ms) = report.max_age_ms {
        let _ = writeln!(
            page,
            "  {} older than {}",
            counted(report.older, "message"),
            format::duration_ms(limit_ms),
        );
    }
}

fn conversation(page: &mut String, report: &ConsumeReport) {
    page.push_str("\nConversation\n");
    let mut parts = vec![
        counted(report.connections, "connection"),
        format!("{} lost", format::count(report.losses)),
        format!("{} closed by the server", format::count(report.closes)),
        counted(report.acknowledged, "acknowledgement"),
        counted(report.heartbeats, "heartbeat"),
        counted(report.pongs, "pong"),
        format!("{} answered", counted(report.pings_answered, "ping")),
    ];
    if report.snapshots_fetched + report.fetches_failed > 0 {
        parts.push(format!(
            "{} by http ({} failed, {} too old)",
            counted(report.snapshots_fetched, "book"),
            format::count(report.fetches_failed),
            format::count(report.snapshots_too_old),
        ));
    }
    let _ = writeln!(page, "  {}", parts.join(", "));
    for closing in report.closings.iter().take(FAULTS_SHOWN) {
        let at = format::seconds(closing.at_ms as f64 / 1e3);
        let _ = writeln!(page, "  after {at} the server {}", clean(&closing.text));
    }
    if report.books == Books::Kept && report.books_wanted > 0 {
        let _ = writeln!(
            page,
            "  books: {} of {} whole at the end, begun anew {}",
            format::count(report.books_whole as u64),
            format::count(report.books_wanted as u64),
            counted(report.resyncs, "time"),
        );
    }
}

/// The busiest ones, and those with faults before all others.
fn symbols(page: &mut String, report: &ConsumeReport) {
    let mut shown: Vec<&SymbolReport> = report.symbols.iter().collect();
    shown.sort_by_key(|it| (it.faults == 0, std::cmp::Reverse(it.counts.events())));
    let width =
        shown.iter().take(SYMBOLS_SHOWN).map(|it| it.symbol.chars().count()).max().unwrap_or(0).max(10);
    let _ = writeln!(
        page,
        "\n{:<width$}{:>11}{:>11}{:>11}{:>10}{:>8}{:>9}  book",
        "Instrument", "trades", "updates", "levels", "others", "faults", "resyncs"
    );
    for it in shown.iter().take(SYMBOLS_SHOWN) {
        let counts = &it.counts;
        let others = counts.events() + counts.states() - counts.trades - counts.book_updates;
        let book = match it.book_is_whole {
            None => "-",
            Some(true) => "whole",
            Some(false) => "not whole",
        };
        let _ = writeln!(
            page,
            "{:<width$}{:>11}{:>11}{:>11}{:>10}{:>8}{:>9}  {book}",
            clean(&it.symbol),
            format::count(counts.trades),
            format::count(counts.book_updates),
            format::count(counts.levels),
            format::count(others),
            format::count(it.faults),
            format::count(it.resyncs),
        );
    }
    if shown.len() > SYMBOLS_SHOWN {
        let _ = writeln!(page, "and {} more", format::count((shown.len() - SYMBOLS_SHOWN) as u64));
    }
}

fn faults(page: &mut String, report: &ConsumeReport) {
    let faults = &report.faults;
    if faults.is_clean() {
        return;
    }
    let kinds: Vec<String> =
        faults.kinds.iter().map(|(kind, count)| format!("{} {kind}", format::count(*count))).collect();
    let _ = writeln!(page, "\nFaults: {}", kinds.join(", "));
    for fault in faults.first.iter().take(FAULTS_SHOWN) {
        let at = format::seconds(fault.at_ms as f64 / 1e3);
        let symbol = fault.symbol.as_ref().map_or_else(String::new, |symbol| format!("{symbol}: "));
        let _ = writeln!(page, "  {at:>8}  {}{}", clean(&symbol), clean(&fault.text));
    }
    let more = faults.total().saturating_sub(faults.first.len().min(FAULTS_SHOWN) as u64);
    if more > 0 {
        let _ = writeln!(page, "  and {} more", format::count(more));
    }
}

fn verdict(page: &mut String, report: &ConsumeReport, style: Style) {
    let verdict = report.verdict();
    let mut reasons = Vec::new();
    if !report.faults.is_clean() {
        reasons.push(counted(report.faults.total(), "fault"));
    }
    if let Some(limit_ms) = report.max_age_ms.filter(|_| report.older > 0) {
        reasons.push(format!(
            "{} older than {}",
            counted(report.older, "message"),
            format::duration_ms(limit_ms)
        ));
    }
    if report.events + report.counts.states() == 0 {
        reasons.push("nothing came".to_owned());
    }
    if report.books_whole < report.books_wanted {
        reasons.push(format!(
            "{} not whole at the end",
            counted((report.books_wanted - report.books_whole) as u64, "book")
        ));
    }
    match &report.end {
        ConsumeEnd::Duration | ConsumeEnd::Closed(_) => {}
        ConsumeEnd::Stopped => reasons.push("stopped by hand".to_owned()),
        ConsumeEnd::Lost(why) => reasons.push(format!("ended: {}", clean(why))),
    }
    if reasons.is_empty() {
        reasons.push(match report.books {
            Books::Kept => "no gap, no wrong checksum, no lost connection".to_owned(),
            Books::Ignored => "every message could be read; books were not kept".to_owned(),
        });
    }
    if let ConsumeEnd::Closed(said) = &report.end {
        reasons.push(format!("the server has {}", clean(said)));
    }
    let code = match verdict {
        ConsumeVerdict::Clean => "32",
        ConsumeVerdict::Faulty => "1;31",
        ConsumeVerdict::Unproved => "33",
    };
    let word = verdict.name();
    let word = if style.color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
    let _ = writeln!(page, "\n{word}: {}", reasons.join("; "));
}

/// Without what moves the cursor or changes colours.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", format::count(count))
}

/// As many as fit a terminal together with the rest.
const SYMBOLS_SHOWN: usize = 20;
const FAULTS_SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use tickstorm::Venue;
    use tickstorm::consume::{
        Ages, ConsumeChannel, ConsumeClosing, ConsumeCounts, ConsumeFault, ConsumeFaults,
    };

    use super::*;

    fn counts(trades: u64) -> ConsumeCounts {
        ConsumeCounts {
            trades,
            book_updates: 9 * trades,
            book_snapshots: 1,
            levels: 20 * trades,
            tickers: trades / 10,
            quotes: 0,
            first_states: 0,
            repeats: 0,
            others: 0,
        }
    }

    fn report() -> ConsumeReport {
        let symbol = |name: &str, trades| SymbolReport {
            symbol: name.to_owned(),
            counts: counts(trades),
            faults: 0,
            resyncs: 0,
            book_is_whole: Some(true),
        };
        let mut all = counts(1_000);
        all.add(&counts(300));
        ConsumeReport {
            venue: Venue::Kraken,
            socket: "ws://127.0.0.1:9443/v2".to_owned(),
            rest: "http://127.0.0.1:9443/".to_owned(),
            channels: vec![ConsumeChannel::Book, ConsumeChannel::Trades],
            depth: 10,
            books: Books::Kept,
            elapsed_s: 10.0,
            end: ConsumeEnd::Duration,
            counts: all,
            events: all.events(),
            frames: all.events() + 12,
            market_frames: all.events(),
            bytes: 3_100_000,
            wire_bytes: 3_152_000,
            age: Ages { count: 13_000, p50_ms: 0.6, p99_ms: 2.1, max_ms: 12.0 },
            ahead: 0,
            max_age_ms: None,
            older: 0,
            faults: ConsumeFaults::default(),
            resyncs: 0,
            connections: 1,
            losses: 0,
            closes: 0,
            closings: Vec::new(),
            snapshots_fetched: 0,
            fetches_failed: 0,
            snapshots_too_old: 0,
            acknowledged: 4,
            heartbeats: 0,
            pongs: 1,
            pings_answered: 0,
            books_wanted: 2,
            books_whole: 2,
            symbols: vec![symbol("ETH/USD", 300), symbol("BTC/USD", 1_000)],
        }
    }

    #[test]
    fn the_page_of_a_clean_session() {
        insta::assert_snapshot!(text(&report(), Style { color: false, width: 100 }));
    }

    #[test]
    fn the_page_of_a_session_that_the_server_ended() {
        let said = "closed: code 1001, \"bye\"";
        let mut report = report();
        report.end = ConsumeEnd::Closed(said.to_owned());
        report.closes = 1;
        report.closings = vec![ConsumeClosing { at_ms: 9_800, text: said.to_owned() }];
        insta::assert_snapshot!(text(&report, Style { color: false, width: 100 }));
    }

    #[test]
    fn the_page_of_a_session_with_faults_is_painted() {
        let mut report = report();
        report.faults = ConsumeFaults {
            kinds: [("checksum", 1), ("connection_lost", 1)].into(),
            first: vec![ConsumeFault {
                at_ms: 4_321,
                symbol: Some("ETH/USD".to_owned()),
                kind: "checksum",
                text: "checksum 7 where 8 was expected\x1b[2J".to_owned(),
            }],
        };
        report.symbols[0].faults = 1;
        report.symbols[0].resyncs = 1;
        report.symbols[0].book_is_whole = Some(false);
        (report.resyncs, report.books_whole, report.losses) = (1, 1, 1);
        (report.max_age_ms, report.older, report.ahead) = (Some(10.0), 3, 2);
        report.end = ConsumeEnd::Lost("peer closed the connection without a close frame".to_owned());
        insta::assert_snapshot!(text(&report, Style { color: true, width: 100 }));
    }
}
