//! Pacing and truth, by the ruler.

use std::time::Duration;

use tickstorm::ruler::{Latencies, PacingRow, RulerReport, RulerSpec, TruthRow, measure};
use tickstorm_load::{Freeze, Rate};
use tickstorm_report::format;

use super::{Extent, Row, progress, row};

pub(crate) fn rows(extent: Extent) -> (RulerReport, Vec<Row>) {
    let spec = if extent == Extent::Full { RulerSpec::thorough() } else { tiny() };
    let report = measure(&spec, &mut |step| progress(step)).expect("loopback is there");
    let mut rows: Vec<Row> = report.pacing.iter().map(pacing).collect();
    rows.push(row(
        "highest rate on time: one worker, one connection, paced, no acknowledgements",
        report.highest_rate.rate.map_or_else(|| "none".to_owned(), format::rate),
        "",
    ));
    rows.extend(report.truth.iter().map(truth));
    (report, rows)
}

fn tiny() -> RulerSpec {
    let tenth = Duration::from_millis(100);
    RulerSpec {
        pacing_rates: vec![Rate::per_second(1_000).expect("it is a rate")],
        pacing_duration: tenth,
        truth_duration: tenth,
        freeze_duration: 3 * tenth,
        freeze: Freeze::new(tenth / 2, tenth).expect("the freeze is the shorter"),
        search_duration: tenth,
        search_from: Rate::per_second(1_000).expect("it is a rate"),
        search_to: Rate::per_second(2_000).expect("it is a rate"),
    }
}

fn pacing(found: &PacingRow) -> Row {
    let ms = format::duration_ms;
    row(
        format!("pacing at {}, {}", format::rate(found.rate), found.pacing),
        format!(
            "late by {} (p50), {} (p99) when sent; {}, {} when received; {}",
            ms(found.pacing_lag_p50_ms),
            ms(found.pacing_lag_p99_ms),
            ms(found.lateness_p50_ms),
            ms(found.lateness_p99_ms),
            found.cpu_percent.map_or_else(
                || "CPU unknown".to_owned(),
                |percent| format!("{} of a core", format::percent(percent / 100.0))
            ),
        ),
        "",
    )
}

fn truth(found: &TruthRow) -> Row {
    row(
        format!(
            "latency p50 / p90 / p99 / p99.9 / max of `{}`, {}, {} load",
            found.target,
            found.arrivals,
            format::percent(found.load)
        ),
        format!("{}; net {}", five(&found.measured), five(&found.net)),
        format!("exactly {}", five(&found.exact)),
    )
}

fn five(of: &Latencies) -> String {
    [of.p50_ms, of.p90_ms, of.p99_ms, of.p99_9_ms, of.max_ms].map(format::duration_ms).join(" / ")
}
