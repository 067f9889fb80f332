//! The search for the highest rate that is offered on time.

use std::time::Duration;

use tickstorm_net::SinkMode;
use tickstorm_report::Outcome;

use super::{HighestRate, RateAttempt, RulerError, RulerSpec, Watched, rate, rounded, run, sink, spec_at};
use crate::{AckMode, Pacing, Plan, Rate, Spec};

pub(super) fn search(
    spec: &RulerSpec,
    watched: &mut Watched,
    progress: &mut dyn FnMut(&str),
) -> Result<HighestRate, RulerError> {
    let mut attempts = Vec::new();
    let (from, to) = (whole(spec.search_from), whole(spec.search_to));
    let bounds = bracket(from, to, |per_second| -> Result<bool, RulerError> {
        for _ in 0..ATTEMPTS_EACH {
            progress(&format!("highest rate: {}", rate(per_second)));
            let attempt = attempt(per_second, spec.search_duration, watched)?;
            let is_on_time = attempt.is_on_time;
            attempts.push(attempt);
            if is_on_time {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    let limited_by = bounds.too_high.and_then(|too_high| {
        let last = attempts.iter().rfind(|attempt| attempt.rate == too_high as f64)?;
        Some(if last.stall_p99_ms > last.pacing_lag_p99_ms { "stall" } else { "pacing_lag" }.to_owned())
    });
    Ok(HighestRate {
        rate: bounds.on_time.map(|per_second| per_second as f64),
        too_high: bounds.too_high.map(|per_second| per_second as f64),
        limited_by,
        attempts,
    })
}

fn whole(rate: Rate) -> u64 {
    (rate.as_per_second() as u64).max(1)
}

fn attempt(per_second: u64, duration: Duration, watched: &mut Watched) -> Result<RateAttempt, RulerError> {
    let (sink, target) = sink(SinkMode::WebSocket)?;
    let spec = Spec {
        ack: Some(AckMode::None),
        // What is still waiting after this shows well enough that the rate is too high.
        timeout: duration,
        ..spec_at(rate(per_second), duration, Pacing::Auto)
    };
    let (finished, _) = run(Plan::new(&spec, &target)?, &target, watched)?;
    sink.stop().map_err(RulerError::Received)?;
    let report = finished.report;
    let p99 = |summary: &tickstorm_report::Summary| rounded(summary.p99_ms.unwrap_or(f64::MAX));
    let (pacing_lag_p99_ms, stall_p99_ms) = (p99(&report.pacing_lag), p99(&report.stall));
    Ok(RateAttempt {
        rate: per_second as f64,
        achieved: rounded(report.avg_throughput),
        pacing_lag_p99_ms,
        stall_p99_ms,
        is_on_time: pacing_lag_p99_ms < ON_TIME_MS
            && stall_p99_ms < ON_TIME_MS
            && report.verdict.outcome != Outcome::Inconclusive,
    })
}

/// The highest rate found on time, and the lowest found too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    on_time: Option<u64>,
    too_high: Option<u64>,
}

/// Doubles from `from` while rates are on time, `to` at most, or halves until one is; then halves the ratio that is left.
fn bracket<E>(from: u64, to: u64, mut is_on_time: impl FnMut(u64) -> Result<bool, E>) -> Result<Bounds, E> {
    let mut bounds = Bounds { on_time: None, too_high: None };
    let mut next = from.min(to);
    loop {
        if is_on_time(next)? {
            bounds.on_time = Some(next);
            if bounds.too_high.is_some() || next == to {
                break;
            }
            next = next.saturating_mul(2).min(to);
        } else {
            bounds.too_high = Some(next);
            if bounds.on_time.is_some() || next <= LOWEST {
                break;
            }
            next = (next / 2).max(LOWEST);
        }
    }
    for _ in 0..REFINEMENTS {
        let (Some(on_time), Some(too_high)) = (bounds.on_time, bounds.too_high) else { break };
        let middle = two_digits((on_time as f64 * too_high as f64).sqrt());
        if middle <= on_time || middle >= too_high {
            break;
        }
        if is_on_time(middle)? {
            bounds.on_time = Some(middle);
        } else {
            bounds.too_high = Some(middle);
        }
    }
    Ok(bounds)
}

/// Rounded to two digits, as exact as the search.
fn two_digits(value: f64) -> u64 {
    let unit = 10f64.powi(value.max(1.0).log10() as i32 - 1).max(1.0);
    ((value / unit).round() * unit) as u64
}

/// p99 of pacing lag and of stall of a rate that counts as offered on time.
const ON_TIME_MS: f64 = 1.0;

/// A machine that does not manage this is not worth a search below.
const LOWEST: u64 = 100;

/// Another program's burst may spoil one.
const ATTEMPTS_EACH: u32 = 2;

/// After three the bounds are a tenth apart, closer than two searches come to each other.
const REFINEMENTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(from: u64, to: u64, highest: u64) -> (Bounds, usize) {
        let mut tried = 0;
        let bounds = bracket(from, to, |rate| {
            tried += 1;
            Ok::<_, ()>(rate <= highest)
        });
        (bounds.unwrap(), tried)
    }

    #[test]
    fn the_bounds_close_in_on_the_highest_rate_from_both_sides() {
        for highest in [150, 999, 50_000, 50_001, 777_777, 3_200_000, 19_000_000] {
            let (Bounds { on_time, too_high }, tried) = found(50_000, 20_000_000, highest);
            let (on_time, too_high) = (on_time.unwrap(), too_high.unwrap());
            assert!(on_time <= highest && highest < too_high, "{highest}: {on_time} to {too_high}");
            assert!(too_high as f64 <= on_time as f64 * 1.2, "{highest}: {on_time} to {too_high}");
            assert!(tried <= 16, "{highest}: {tried} rates tried");
        }
    }

    #[test]
    fn a_search_ends_at_its_limits() {
        let (bounds, _) = found(50_000, 200_000, u64::MAX);
        assert_eq!(bounds, Bounds { on_time: Some(200_000), too_high: None });
        let (bounds, _) = found(50_000, 200_000, 0);
        assert_eq!(bounds, Bounds { on_time: None, too_high: Some(LOWEST) });
    }
}
