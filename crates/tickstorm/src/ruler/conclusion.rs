//! What the ruler's figures come to, in words.

use tickstorm_report::format;

use super::{Conclusion, HighestRate, Latencies, Surroundings, TruthRow, rounded};

pub(super) fn draw(truth: &[TruthRow], highest: &HighestRate, machine: &Surroundings) -> Conclusion {
    let worst = |figures: &[fn(&Latencies) -> f64]| {
        let errors = truth
            .iter()
            .flat_map(|row| figures.iter().map(|figure| (figure(&row.measured) - figure(&row.exact)).abs()));
        rounded(errors.fold(0.0, f64::max))
    };
    let typical_error_ms = worst(&[|of| of.p50_ms, |of| of.p90_ms]);
    let tail_error_ms = worst(&[|of| of.p99_ms]);
    let trustworthy_from_ms = rounded(typical_error_ms * SAFETY);
    let trustworthy_p99_from_ms = rounded(typical_error_ms.max(tail_error_ms) * SAFETY);

    let ms = format::duration_ms;
    let rates = match highest.rate {
        Some(rate) => format!("rates up to {} leave on time over one connection", format::rate(rate)),
        None => "no rate left on time".to_owned(),
    };
    let mut sentences = vec![
        format!(
            "Here, today, a median or p90 latency above {} and a p99 above {} are right to a tenth; {rates}.",
            ms(trustworthy_from_ms),
            ms(trustworthy_p99_from_ms)
        ),
        format!(
            "Where the exact latency is known, what was measured differed from it by at most {} at p50 and p90, and by {} \
             at p99; the transport's own cost is part of that.",
            ms(typical_error_ms),
            ms(tail_error_ms)
        ),
    ];
    let failed: u64 = truth.iter().map(|row| row.messages_failed).sum();
    if failed > 0 {
        sentences.push(format!(
            "{failed} messages of the runs against known queues failed, so their rows prove nothing."
        ));
    }
    sentences.extend(lateness(truth, machine));
    sentences.extend(dangers(machine));
    Conclusion {
        typical_error_ms,
        tail_error_ms,
        trustworthy_from_ms,
        trustworthy_p99_from_ms,
        trustworthy_rate: highest.rate,
        sentences,
    }
}

/// What is to be said where the generator itself was late although little was asked of it.
fn lateness(truth: &[TruthRow], machine: &Surroundings) -> Option<String> {
    let worst_ms = truth.iter().map(|row| row.pacing_lag_p99_ms).fold(0.0, f64::max);
    let switches = match machine.involuntary_context_switches {
        Some(switches) => format!(", which happened {} times in all", format::count(switches)),
        None => String::new(),
    };
    (worst_ms > LATE_MS).then(|| {
        format!(
            "The generator itself was late by {} at p99 at the low rates of these runs: others took its core{switches}.",
            format::duration_ms(worst_ms)
        )
    })
}

/// A sentence for each thing that endangers figures here.
fn dangers(machine: &Surroundings) -> Vec<String> {
    let mut dangers = Vec::new();
    if let Some(throttled_s) = machine.throttled_s.filter(|&time| time > 0.0) {
        dangers.push(format!(
            "The control group's processor quota stopped tickstorm for {} meanwhile: raise it, or take figures elsewhere.",
            format::duration_ms(throttled_s * 1e3)
        ));
    } else if let Some(quota) = machine.quota_cores {
        dangers.push(format!(
            "A processor quota of {} cores is set; it did not bite, but a run that needs more will be stopped by it.",
            format::number(quota)
        ));
    }
    if let Some(steal) = machine.steal.filter(|&steal| steal > MUCH_STEAL) {
        dangers.push(format!(
            "The hypervisor gave {} of the processors' time to other machines.",
            format::percent(steal)
        ));
    }
    if let Some(load) = machine.load_average.filter(|&load| load > f64::from(machine.cores) * MUCH_LOAD) {
        dangers.push(format!(
            "Other programs kept the machine busy before the ruler began: load average {} on {} cores.",
            format::number(load),
            machine.cores
        ));
    }
    if machine.cores < 2 {
        dangers.push(
            "There is one core: generator and built-in target take turns on it, and each is late for the other."
                .to_owned(),
        );
    }
    dangers
}

/// A figure is trustworthy when it is this many times the error.
const SAFETY: f64 = 10.0;

/// Less is the ordinary noise of a shared machine.
const MUCH_STEAL: f64 = 0.01;

/// Of the cores: half of them busy leave room for a generator and its target only by luck.
const MUCH_LOAD: f64 = 0.5;

/// Sleeping is late by a tenth of this on a calm machine.
const LATE_MS: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_row_decides() {
        let conclusion = draw(&[row(1.0, 1.1), row(10.0, 10.4)], &highest(Some(400_000.0)), &calm());
        assert_eq!(conclusion.typical_error_ms, 0.4);
        assert_eq!(conclusion.trustworthy_from_ms, 4.0);
        assert_eq!(conclusion.tail_error_ms, 0.8);
        assert_eq!(conclusion.trustworthy_p99_from_ms, 8.0);
        assert_eq!(
            conclusion.sentences,
            [
                "Here, today, a median or p90 latency above 4.00 ms and a p99 above 8.00 ms are right to a tenth; rates up \
                 to 400,000/s leave on time over one connection.",
                "Where the exact latency is known, what was measured differed from it by at most 400 us at p50 and p90, and \
                 by 800 us at p99; the transport's own cost is part of that."
            ]
        );
    }

    #[test]
    fn measuring_too_little_is_an_error_as_well() {
        assert_eq!(draw(&[row(2.0, 1.5)], &highest(None), &calm()).typical_error_ms, 0.5);
        let conclusion = draw(&[], &highest(None), &calm());
        assert!(conclusion.sentences[0].ends_with("; no rate left on time."), "{:?}", conclusion.sentences);
    }

    #[test]
    fn each_danger_has_its_sentence() {
        assert_eq!(dangers(&calm()), [""; 0]);
        let cases = [
            (
                Surroundings { throttled_s: Some(0.2), quota_cores: Some(1.5), ..calm() },
                "stopped tickstorm for 200 ms",
            ),
            (Surroundings { quota_cores: Some(1.5), ..calm() }, "quota of 1.5 cores"),
            (Surroundings { steal: Some(0.05), ..calm() }, "gave 5 %"),
            (Surroundings { load_average: Some(3.0), ..calm() }, "load average 3 on 2 cores"),
            (Surroundings { cores: 1, ..calm() }, "one core"),
        ];
        for (machine, expected) in cases {
            let said = dangers(&machine);
            assert!(said.len() == 1 && said[0].contains(expected), "{expected}: {said:?}");
        }
    }

    #[test]
    fn a_late_generator_is_told_with_its_evidence() {
        let late = TruthRow { pacing_lag_p99_ms: 4.0, ..row(1.0, 1.0) };
        let said = lateness(&[row(1.0, 1.0), late.clone()], &calm()).unwrap();
        assert!(said.contains("late by 4.00 ms at p99") && said.contains("30 times"), "{said}");
        let said = lateness(&[late], &Surroundings { involuntary_context_switches: None, ..calm() }).unwrap();
        assert!(said.ends_with("others took its core."), "{said}");
        assert_eq!(lateness(&[row(1.0, 1.0)], &calm()), None);
    }

    #[test]
    fn failed_messages_spoil_the_proof() {
        let spoilt = TruthRow { messages_failed: 3, ..row(1.0, 1.0) };
        let sentences = draw(&[spoilt], &highest(None), &calm()).sentences;
        assert!(sentences.iter().any(|sentence| sentence.starts_with("3 messages")), "{sentences:?}");
    }

    /// The p99 is twice the median.
    fn row(exact_ms: f64, measured_ms: f64) -> TruthRow {
        let latencies = |ms: f64| Latencies {
            mean_ms: ms,
            p50_ms: ms,
            p90_ms: ms,
            p99_ms: 2.0 * ms,
            p99_9_ms: 100.0 * ms,
            max_ms: 100.0 * ms,
        };
        TruthRow {
            target: "builtin".into(),
            arrivals: "paced".into(),
            rate: 100.0,
            load: 0.5,
            messages: 100,
            messages_failed: 0,
            exact: latencies(exact_ms),
            net: latencies(exact_ms),
            measured: latencies(measured_ms),
            pacing_lag_p99_ms: 0.0,
        }
    }

    fn highest(rate: Option<f64>) -> HighestRate {
        HighestRate { rate, too_high: None, limited_by: None, attempts: Vec::new() }
    }

    fn calm() -> Surroundings {
        Surroundings {
            cores: 2,
            quota_cores: None,
            throttled_s: Some(0.0),
            steal: Some(0.001),
            load_average: Some(0.3),
            involuntary_context_switches: Some(30),
            shared_core: Some(0.1),
            elapsed_s: 42.0,
            running_s: 40.0,
        }
    }
}
