//! The progress of a run where there is no terminal: a line each report interval, for logs.

use tickstorm::ClientFigures;
use tickstorm_report::{Interval, format};

use crate::live::{clock, whereabouts, worst};

/// One finished interval. The last one also holds what was sent and answered when nothing more fell due, after so many
/// seconds of the `measured` phase.
pub(crate) fn line(interval: &Interval, measured: f64) -> String {
    let rate = |count: u64, until_s: f64| {
        let seconds = until_s - interval.start_s;
        format::rate(if seconds > 0.0 { count as f64 / seconds } else { 0.0 })
    };
    let latency = |value_ms: Option<f64>| value_ms.map_or("-".into(), format::duration_ms);
    let failed = interval.failed + interval.dropped;
    let ended = failed + interval.processed;
    let errors = if ended > 0 { failed as f64 / ended as f64 } else { 0.0 };
    format!(
        "{:>5}  offered {:>9}  achieved {:>9}  processed {:>9}  errors {:>7}  mean {:>7}  p99 {:>7}  active {:>5}  memory {}\n",
        clock(interval.end_s),
        rate(interval.due, interval.end_s.min(measured)),
        rate(interval.sent, interval.end_s),
        rate(interval.processed, interval.end_s),
        format::percent(errors),
        latency(interval.mean_ms),
        latency(interval.p99_ms),
        format::count(interval.in_flight),
        interval.memory_mb.map_or("-".into(), format::megabytes),
    )
}

/// One finished interval of a served run, and its clients as they are now.
pub(crate) fn served_line(interval: &Interval, clients: &[ClientFigures]) -> String {
    let seconds = interval.end_s - interval.start_s;
    let rate = |count: u64| format::rate(if seconds > 0.0 { count as f64 / seconds } else { 0.0 });
    let lag = |value_ms: Option<f64>| value_ms.map_or("-".into(), format::duration_ms);
    let oldest = match worst(clients) {
        None => "-".to_owned(),
        Some(client) => {
            let age = format::duration_ms(client.age_ns as f64 / 1e6);
            let of = format!("{age} of client {} ({})", client.number, client.venue);
            client.place.map_or(age, |place| format!("{of}, {}", whereabouts(place)))
        }
    };
    format!(
        "{:>5}  owed {:>9}  delivered {:>9}  dropped {:>7}  lag mean {:>7}  p99 {:>7}  clients {:>4}  memory {}  oldest waiting {oldest}\n",
        clock(interval.end_s),
        rate(interval.due),
        rate(interval.processed),
        format::count(interval.failed + interval.dropped),
        lag(interval.mean_ms),
        lag(interval.p99_ms),
        format::count(clients.len() as u64),
        interval.memory_mb.map_or("-".into(), format::megabytes),
    )
}

#[cfg(test)]
mod tests {
    use tickstorm::Venue;
    use tickstorm_report::Place;

    use super::*;

    #[test]
    fn a_line_of_a_served_run_names_who_is_furthest_behind() {
        let client = |number, age_ns, place| ClientFigures { number, venue: Venue::Okx, age_ns, place };
        let slow = [client(1, 300_000, None), client(2, 2_500_000_000, Some(Place::OurQueue))];
        let lines = [&[][..], &slow[..1], &slow].map(|clients| served_line(&ordinary(), clients)).concat();
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn a_line_says_what_the_interval_was_like() {
        insta::assert_snapshot!(
            [ordinary(), failing(), Interval { due: 0, sent: 0, ..silent() }, hour()]
                .iter()
                .map(|interval| line(interval, 3_600.0 * 2.0))
                .collect::<String>()
        );
    }

    #[test]
    fn the_last_line_offers_what_the_phase_offered_however_long_the_rest_takes() {
        let last = Interval { start_s: 10.0, end_s: 15.0, due: 4_000, ..ordinary() };
        assert!(line(&last, 12.0).contains("offered   2,000/s"), "{}", line(&last, 12.0));
    }

    fn ordinary() -> Interval {
        Interval {
            start_s: 10.0,
            end_s: 20.0,
            due: 10_000,
            sent: 10_000,
            processed: 9_998,
            failed: 0,
            dropped: 0,
            in_flight: 2,
            mean_ms: Some(0.412),
            p50_ms: Some(0.4),
            p90_ms: Some(0.6),
            p99_ms: Some(1.2),
            max_ms: Some(3.0),
            pacing_lag_p99_ms: Some(0.1),
            cpu_percent: Some(12.0),
            memory_mb: Some(24.4),
        }
    }

    fn failing() -> Interval {
        Interval {
            start_s: 20.0,
            end_s: 27.5,
            due: 3_750_000,
            sent: 3_700_000,
            processed: 3_000_000,
            failed: 650_000,
            dropped: 50_000,
            in_flight: 1_000,
            mean_ms: Some(1_234.0),
            p99_ms: Some(5_000.0),
            memory_mb: Some(1_240.0),
            ..ordinary()
        }
    }

    fn silent() -> Interval {
        Interval { processed: 0, in_flight: 0, mean_ms: None, p99_ms: None, memory_mb: None, ..ordinary() }
    }

    fn hour() -> Interval {
        Interval { start_s: 3_600.0, end_s: 3_610.0, ..ordinary() }
    }
}
