//! `tickstorm ruler`: how far figures taken here and now may be trusted.

use std::fmt::Write as _;

use tickstorm::ruler::{
    HighestRate, Latencies, PacingRow, RulerReport, RulerSpec, Surroundings, TruthRow, measure,
};
use tickstorm_report::{PacingMode, format};

use crate::{
    arguments::{Extent, RulerArguments, RulerRendering},
    exit::{Exit, Refusal},
    interrupt::Interrupt,
    terminal::{print, say},
};

pub(crate) fn ruler(arguments: RulerArguments) -> Result<Exit, Refusal> {
    let spec = match arguments.extent {
        Extent::Full => RulerSpec::default(),
        Extent::Quick => RulerSpec::quick(),
    };
    let _interrupt = Interrupt::exit_at_once()?;
    let report = measure(&spec, &mut |step| say(&format!("{step}\n")))
        .map_err(|error| Refusal::new(Exit::Failure, super::run::chain(&error)))?;
    match arguments.rendering {
        RulerRendering::Text => print(&text(&report)),
        RulerRendering::Json => print(&report.to_json_pretty()),
    }
}

fn text(report: &RulerReport) -> String {
    let mut page = String::new();
    pacing(&mut page, &report.pacing);
    truth(&mut page, &report.truth);
    highest_rate(&mut page, &report.highest_rate);
    machine(&mut page, &report.machine);
    page.push('\n');
    for sentence in &report.conclusion.sentences {
        wrapped(&mut page, sentence);
    }
    page
}

fn pacing(page: &mut String, rows: &[PacingRow]) {
    page.push_str("Pacing: sent less due at the sender, arrived less due at a plain receiver\n");
    let mut table =
        vec![["rate", "pacing", "sent p50", "p99", "arrived p50", "p99", "CPU"].map(str::to_owned)];
    for row in rows {
        let pacing = match (&*row.pacing, row.paced_by) {
            ("auto", PacingMode::Sleep) => "auto (slept)".to_owned(),
            ("auto", PacingMode::Spin) => "auto (spun)".to_owned(),
            ("auto", PacingMode::Mixed) => "auto (spun, then slept)".to_owned(),
            (told, _) => told.to_owned(),
        };
        table.push([
            format::rate(row.rate),
            pacing,
            format::duration_ms(row.pacing_lag_p50_ms),
            format::duration_ms(row.pacing_lag_p99_ms),
            format::duration_ms(row.lateness_p50_ms),
            format::duration_ms(row.lateness_p99_ms),
            row.cpu_percent.map_or_else(|| "?".to_owned(), |percent| format::percent(percent / 100.0)),
        ]);
    }
    columns(page, &table, 2);
}

fn truth(page: &mut String, rows: &[TruthRow]) {
    page.push_str(
        "\nTruth: latencies as measured, without our own lateness (net), and as computed (exact)\n",
    );
    let mut table = vec![["target", "", "p50", "p90", "p99", "p99.9", "max", "mean"].map(str::to_owned)];
    for row in rows {
        let load = format!("{}, {} load", row.target, format::percent(row.load));
        let how = format!("{}, {} messages", row.arrivals, format::count(row.messages));
        for (label, name, of) in
            [(load, "measured", &row.measured), (how, "net", &row.net), (String::new(), "exact", &row.exact)]
        {
            table.push(latencies(label, name, of));
        }
    }
    columns(page, &table, 2);
}

fn latencies(label: String, name: &str, of: &Latencies) -> [String; 8] {
    let ms = format::duration_ms;
    [
        label,
        name.to_owned(),
        ms(of.p50_ms),
        ms(of.p90_ms),
        ms(of.p99_ms),
        ms(of.p99_9_ms),
        ms(of.max_ms),
        ms(of.mean_ms),
    ]
}

fn highest_rate(page: &mut String, found: &HighestRate) {
    page.push_str("\nHighest rate on time\n");
    let mut lines = Vec::new();
    lines.push(match found.rate {
        Some(rate) => format!("{} left with pacing lag and stall below 1 ms at p99", format::rate(rate)),
        None => "none left with pacing lag and stall below 1 ms at p99".to_owned(),
    });
    let limit = match found.limited_by.as_deref() {
        Some("stall") => "the receiver, or the kernel between, took no more",
        _ => "the sender fell behind",
    };
    lines.push(match found.too_high {
        Some(rate) => format!("{} was too much: {limit}", format::rate(rate)),
        None => "the search ended before a rate was too high".to_owned(),
    });
    lines.push(
        "assumed: one worker, one connection, equal gaps, no acknowledgements, a receiver that reads and forgets"
            .to_owned(),
    );
    for line in lines {
        let _ = writeln!(page, "  {line}");
    }
}

fn machine(page: &mut String, machine: &Surroundings) {
    page.push_str("\nMachine\n");
    let unknown = || "unknown".to_owned();
    let seconds = |time: Option<f64>| time.map_or_else(unknown, |time| format::duration_ms(time * 1e3));
    let percent = |share: Option<f64>| share.map_or_else(unknown, format::percent);
    let quota = match machine.quota_cores {
        Some(cores) => {
            format!("{} cores, throttled for {}", format::number(cores), seconds(machine.throttled_s))
        }
        None => "none".to_owned(),
    };
    let table: Vec<[String; 2]> = [
        ("cores", machine.cores.to_string()),
        ("processor quota", quota),
        ("stolen by the hypervisor", percent(machine.steal)),
        ("load average before", machine.load_average.map_or_else(unknown, format::number)),
        (
            "involuntary context switches",
            machine.involuntary_context_switches.map_or_else(unknown, format::count),
        ),
        ("generator and target on one core", percent(machine.shared_core)),
        ("measured for", format::duration_ms(machine.elapsed_s * 1e3)),
    ]
    .map(|(name, value)| [name.to_owned(), value])
    .into();
    columns(page, &table, 1);
}

/// Rows with the first `left` columns set left and the others right, two spaces in.
fn columns<const N: usize>(page: &mut String, rows: &[[String; N]], left: usize) {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column < left {
                write!(line, "  {cell:<width$}")
            } else {
                write!(line, "  {cell:>width$}")
            };
        }
        let _ = writeln!(page, "{}", line.trim_end());
    }
}

fn wrapped(page: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > COLUMNS {
            page.push('\n');
            width = 0;
        }
        if width > 0 {
            page.push(' ');
            width += 1;
        }
        page.push_str(word);
        width += length;
    }
    page.push('\n');
}

const COLUMNS: usize = 100;

#[cfg(test)]
mod tests {
    use tickstorm::ruler::{Conclusion, RateAttempt};
    use tickstorm_report::Environment;

    use super::*;

    #[test]
    fn the_page_shows_every_figure() {
        insta::assert_snapshot!(text(&report()));
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let mut report = report();
        report.pacing[0].cpu_percent = None;
        report.machine.steal = None;
        report.machine.involuntary_context_switches = None;
        report.highest_rate =
            HighestRate { rate: None, too_high: None, limited_by: None, attempts: Vec::new() };
        let page = text(&report);
        assert_eq!(page.matches("unknown").count(), 2, "{page}");
        assert!(page.contains("none left with") && page.contains("ended before"), "{page}");
    }

    #[test]
    fn long_sentences_are_wrapped_between_words() {
        let mut page = String::new();
        let text = "word ".repeat(60);
        wrapped(&mut page, text.trim());
        assert!(page.lines().count() == 3 && page.lines().all(|line| line.len() <= COLUMNS), "{page}");
        assert_eq!(page.split_whitespace().count(), 60);
    }

    fn report() -> RulerReport {
        let latencies = |ms: f64| Latencies {
            mean_ms: ms * 1.1,
            p50_ms: ms,
            p90_ms: ms * 2.0,
            p99_ms: ms * 3.0,
            p99_9_ms: ms * 4.0,
            max_ms: ms * 5.0,
        };
        let pacing = |told: &str, paced_by, lag_ms: f64| PacingRow {
            rate: 100_000.0,
            pacing: told.into(),
            paced_by,
            messages: 200_000,
            pacing_lag_p50_ms: lag_ms,
            pacing_lag_p99_ms: lag_ms * 10.0,
            lateness_p50_ms: lag_ms * 2.0,
            lateness_p99_ms: lag_ms * 20.0,
            cpu_percent: Some(31.24),
        };
        RulerReport {
            conclusion: Conclusion {
                typical_error_ms: 0.1,
                tail_error_ms: 0.2,
                trustworthy_from_ms: 1.0,
                trustworthy_p99_from_ms: 2.0,
                trustworthy_rate: Some(400_000.0),
                sentences: vec![
                    "Here, today, figures are as good as the two sentences of this made-up conclusion say, which is long \
                     enough to need a second line."
                        .into(),
                    "The second is short.".into(),
                ],
            },
            pacing: vec![
                pacing("sleep", PacingMode::Sleep, 0.05),
                pacing("spin", PacingMode::Spin, 0.0005),
                pacing("auto", PacingMode::Mixed, 0.0004),
            ],
            truth: vec![TruthRow {
                target: "builtin:?service=1ms".into(),
                arrivals: "poisson".into(),
                rate: 800.0,
                load: 0.8,
                messages: 3_200,
                messages_failed: 0,
                exact: latencies(1.0),
                net: latencies(1.1),
                measured: latencies(1.15),
                pacing_lag_p99_ms: 0.12,
            }],
            highest_rate: HighestRate {
                rate: Some(400_000.0),
                too_high: Some(480_000.0),
                limited_by: Some("stall".into()),
                attempts: vec![RateAttempt {
                    rate: 400_000.0,
                    achieved: 400_000.0,
                    pacing_lag_p99_ms: 0.4,
                    stall_p99_ms: 0.0,
                    is_on_time: true,
                }],
            },
            machine: Surroundings {
                cores: 2,
                quota_cores: Some(1.5),
                throttled_s: Some(0.25),
                steal: Some(0.002),
                load_average: Some(0.31),
                involuntary_context_switches: Some(1_234),
                shared_core: Some(0.25),
                elapsed_s: 45.3,
                running_s: 44.0,
            },
            environment: Environment {
                version: "0.1.0".into(),
                os: "an os".into(),
                kernel: None,
                cpu: None,
                cores: Some(2),
                available_parallelism: Some(2),
            },
            started_at: "2026-01-01T00:00:00.000Z".into(),
        }
    }
}
