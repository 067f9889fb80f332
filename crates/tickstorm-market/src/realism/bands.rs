//! Where each figure should lie, and what real markets show.

use super::{Band, Expectation, Mood};
use crate::regime::TickProfile;

/// A row of the table before anything was measured.
pub(crate) struct Expected {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) figures: Vec<(&'static str, Band)>,
    pub(crate) reference: &'static str,
}

/// The rows, in the order in which [`measure`](super::measures::measure) gives their values. The bands have room
/// for the differences between seeds, and are narrow enough to miss a market that lacks the mechanism behind the
/// figure.
pub(crate) fn bands(expectation: Expectation) -> Vec<Expected> {
    let volatile = expectation.mood == Mood::Volatile;
    let small = expectation.ticks == TickProfile::Small;
    let pick = |normal: Band, in_news: Band| if volatile { in_news } else { normal };
    let row = |id, name, figures, reference| Expected { id, name, figures, reference };
    vec![
        row(
            "M1",
            "burst size",
            vec![
                ("B(1 ms)", pick(between(2.0, 12.0), between(5.0, 30.0))),
                ("B(10 ms)", pick(between(1.0, 5.0), between(2.0, 10.0))),
                ("largest / mean at 1 ms", pick(at_least(10.0), ANY)),
            ],
            "five crypto feeds together 9.3, 3.9 and 177; United States feeds burst to 10 times the mean at 1 ms",
        ),
        row(
            "M2",
            "self-excitation",
            vec![("1 - sqrt(mean / Var)", pick(between(0.65, 0.97), between(0.70, 0.98)))],
            "0.84 to 0.94 at 1 s; literature 0.6 to 1",
        ),
        row(
            "M3",
            "gaps",
            vec![("standard deviation / mean", pick(between(1.4, 8.0), between(1.4, 10.0)))],
            "1.5 to 2.6 on single feeds; 1 is Poisson",
        ),
        row(
            "M4",
            "mix",
            vec![
                ("book changes per trade", pick(between(10.0, 60.0), between(5.0, 40.0))),
                ("additions per reduction", between(0.75, 1.25)),
            ],
            "Nasdaq 37.7 messages and 20 orders per execution; additions per reduction 1.002",
        ),
        if small {
            row(
                "M5s",
                "spread where ticks are small",
                vec![
                    ("share at one tick", pick(between(0.2, 0.85), ANY)),
                    ("mean, ticks", pick(between(1.3, 6.0), between(1.5, 10.0))),
                    ("moves of the middle per message", pick(between(0.01, 0.15), between(0.02, 0.3))),
                ],
                "varies from instrument to instrument",
            )
        } else {
            row(
                "M5",
                "spread where ticks are large",
                vec![
                    ("share at one tick", pick(at_least(0.90), at_least(0.75))),
                    ("mean, ticks", pick(at_most(1.3), at_most(2.0))),
                    ("moves of the middle per message", pick(between(0.005, 0.08), between(0.01, 0.15))),
                ],
                "0.991 to 0.997 at one tick; mean 1.04 to 1.8",
            )
        },
        row(
            "M6",
            "book shape",
            vec![
                ("distance of the most lots, ticks", between(1.0, 40.0)),
                ("at the touch / most", between(0.2, 0.9)),
                ("at 39 ticks / most", at_most(0.7)),
            ],
            "a hump away from the touch",
        ),
        row(
            "M7",
            "tails of returns",
            vec![("Hill index of the largest 5 %", between(2.0, 5.0)), ("excess kurtosis", at_least(2.5))],
            "index 2 to 5, near 3; live 1 s returns 2.0 to 4.1",
        ),
        row(
            "M8",
            "no memory in returns",
            vec![
                ("autocorrelation, lag 1", between(-0.15, 0.15)),
                ("largest at lags 2 to 10", pick(at_most(0.15), at_most(0.10))),
                ("variance ratio 1024 / 16", pick(between(0.6, 1.5), between(0.6, 1.6))),
            ],
            "about 0 beyond the smallest scale",
        ),
        row(
            "M9",
            "clustered volatility",
            vec![
                ("autocorrelation, lag 1", pick(at_least(0.08), at_least(0.12))),
                ("mean of lags 2 to 10", at_least(0.03)),
            ],
            "positive, decays as the lag to the power -0.2 to -0.4",
        ),
        row(
            "M10",
            "memory of trade signs",
            vec![
                ("autocorrelation, lag 1", between(0.06, 0.6)),
                ("lag 20", at_least(0.02)),
                ("slope on the lag, logarithms", between(-1.0, -0.2)),
            ],
            "0.20 to 0.57 at lag 1; slope -0.6 to -0.95, London -0.6",
        ),
        row(
            "M11",
            "sizes of market orders",
            vec![
                ("Hill index of the largest 1 %", between(0.9, 2.5)),
                ("99 % quantile / median", at_least(5.0)),
            ],
            "1.2 to 1.44; Nasdaq 1.4",
        ),
        row(
            "M12",
            "impact of market orders",
            vec![
                ("mean after 50 messages, ticks", pick(between(0.05, 2.0), between(0.08, 4.0))),
                ("exponent of size", between(0.15, 0.75)),
            ],
            "positive and concave, exponent 0.2 to 0.5",
        ),
        row(
            "M13",
            "imbalance predicts the next move",
            vec![("difference of probabilities", pick(between(0.30, 0.85), between(0.28, 0.85)))],
            "0.55 to 0.71",
        ),
        row(
            "M14",
            "concentration on few symbols",
            vec![("slope on the rank, negated", between(expectation.zipf - 0.3, expectation.zipf + 0.3))],
            "a power law, exponent near one",
        ),
    ]
}

const ANY: Band = Band { low: f64::NEG_INFINITY, high: f64::INFINITY };

const fn between(low: f64, high: f64) -> Band {
    Band { low, high }
}

pub(super) const fn at_least(low: f64) -> Band {
    Band { low, ..ANY }
}

pub(super) const fn at_most(high: f64) -> Band {
    Band { high, ..ANY }
}
