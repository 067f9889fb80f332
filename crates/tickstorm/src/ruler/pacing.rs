//! How punctually messages leave the sender and reach a receiver.

use std::time::{Instant, SystemTime};

use tickstorm_load::Histogram;
use tickstorm_net::SinkMode;

use super::{PacingRow, RulerError, RulerSpec, Watched, ms, rounded, run, sink, spec_at};
use crate::{AckMode, Pacing, Plan, Rate, Spec};

pub(super) fn rows(
    spec: &RulerSpec,
    watched: &mut Watched,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PacingRow>, RulerError> {
    let mut rows = Vec::new();
    for &rate in &spec.pacing_rates {
        for pacing in [Pacing::Sleep, Pacing::Spin, Pacing::Auto] {
            progress(&format!("pacing: {rate}, {pacing}"));
            rows.push(row(rate, pacing, spec, watched)?);
        }
    }
    Ok(rows)
}

fn row(rate: Rate, pacing: Pacing, spec: &RulerSpec, watched: &mut Watched) -> Result<PacingRow, RulerError> {
    // One instant on both clocks: the run tells its start by the clock on the wall.
    let (sink_origin, sink_origin_wall) = (Instant::now(), SystemTime::now());
    let (sink, target) = sink(SinkMode::Timestamps { origin: sink_origin })?;
    let spec = Spec { ack: Some(AckMode::None), ..spec_at(rate, spec.pacing_duration, pacing) };
    let plan = Plan::new(&spec, &target)?;
    let mut clock = plan.schedule().clock(|_| true);

    let (finished, seen) = run(plan, &target, watched)?;
    let received = sink.stop().map_err(RulerError::Received)?;

    let run_origin = finished.started.duration_since(sink_origin_wall).unwrap_or_default();
    let run_origin_ns = run_origin.as_nanos() as u64;
    let mut slots = Vec::new();
    while clock.next_cell(&mut slots).is_some() {}
    let mut lateness = Histogram::new();
    // There is one connection, so messages arrive in the order in which they are due.
    for (slot, arrival_ns) in slots.iter().zip(received.arrivals_ns.iter().flatten()) {
        lateness.record(arrival_ns.saturating_sub(run_origin_ns + slot.due_ns()));
    }

    let report = &finished.report;
    Ok(PacingRow {
        rate: rate.as_per_second(),
        pacing: pacing.to_string(),
        paced_by: report.generator.pacing_mode,
        messages: report.ledger.sent,
        pacing_lag_p50_ms: rounded(report.pacing_lag.p50_ms.unwrap_or_default()),
        pacing_lag_p99_ms: rounded(report.pacing_lag.p99_ms.unwrap_or_default()),
        lateness_p50_ms: ms(lateness.percentile_ns(50.0)),
        lateness_p99_ms: ms(lateness.percentile_ns(99.0)),
        cpu_percent: seen.worker_cpu_percent,
    })
}
