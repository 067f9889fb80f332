//! The distributions of the order flow, tabulated once for the process.

use std::sync::LazyLock;

use tickstorm_random::{QuantileTable, normal_quantile};

/// Shared by every market; a function of the constants in this file only.
pub(crate) struct Tables {
    /// Lots of a trade. 8,192 entries.
    pub(crate) trade_lots: QuantileTable<u16>,
    /// Lots of a resting order. 4,096 entries.
    pub(crate) limit_lots: QuantileTable<u16>,
    /// Ticks from the best price at which an order is added or cancelled. 4,096 entries.
    pub(crate) distance: QuantileTable<u8>,
    /// The same for those that are scattered.
    pub(crate) scattered_distance: QuantileTable<u8>,
    /// Standard normal. 1,024 entries.
    pub(crate) normal: QuantileTable<f64>,
    /// Lots that a level at this distance rests at, in a calm market of depth one.
    pub(crate) resting_lots: [f64; DISTANCES],
    /// Volatility by the number of its components that are high.
    pub(crate) volatility: [f64; 8],
    /// How strongly a trade of so many lots surprises: concave, so that impact is.
    pub(crate) surprise: Box<[f32]>,
}

impl Tables {
    pub(crate) fn shared() -> &'static Tables {
        static SHARED: LazyLock<Tables> = LazyLock::new(Tables::new);
        &SHARED
    }

    fn new() -> Self {
        Self {
            trade_lots: rounded_pareto(8_192, 1.4, 4_000.0, 1),
            limit_lots: rounded_pareto(4_096, 1.6, 2_000.0, 5),
            distance: distances(2.0),
            scattered_distance: distances(6.0),
            normal: QuantileTable::new(1_024, normal_quantile),
            resting_lots: std::array::from_fn(|distance| RESTING_LOTS * hump(distance as f64)),
            volatility: std::array::from_fn(|high| {
                libm::sqrt(libm::pow(1.55, high as f64) * libm::pow(0.45, 7.0 - high as f64))
            }),
            surprise: (0..=MAX_TRADE_LOTS)
                .map(|lots| (SURPRISE * libm::pow(f64::from(lots), 0.35)) as f32)
                .collect(),
        }
    }
}

/// The reach of additions and cancellations from the best price, in ticks.
pub(crate) const DISTANCES: usize = 128;

/// More lots than the largest trade has.
const MAX_TRADE_LOTS: u32 = 4_000;

/// Lots of a level at the scale of one; some thirty times the median trade at the touch, so that sweeps stay rare.
const RESTING_LOTS: f64 = 140.0;

/// Weight of a trade's surprise beside the news.
const SURPRISE: f64 = 3.0 * 0.6;

/// A Pareto law from one up to `cap`, two thirds of it on the round numbers that people trade, times `unit`.
fn rounded_pareto(len: usize, exponent: f64, cap: f64, unit: u16) -> QuantileTable<u16> {
    let mut entry = 0;
    QuantileTable::new(len, |u| {
        let exact = libm::pow(1.0 - u, -1.0 / exponent).min(cap);
        entry += 1;
        let lots = if entry % 3 == 0 { libm::floor(exact) } else { nearest_round_number(exact) };
        lots as u16 * unit
    })
}

/// The nearest of 1, 2, 5, 10, 20, 50 ... by ratio.
fn nearest_round_number(value: f64) -> f64 {
    let distance = |round: f64| if round > value { round / value } else { value / round };
    let mut nearest = 1.0;
    for decade in [1.0, 10.0, 100.0, 1_000.0] {
        for digit in [1.0, 2.0, 5.0] {
            if distance(decade * digit) < distance(nearest) {
                nearest = decade * digit;
            }
        }
    }
    nearest
}

/// Distance `d` in proportion to `(near + d)^-1.6`.
fn distances(near: f64) -> QuantileTable<u8> {
    let weight = |distance: usize| libm::pow(near + distance as f64, -1.6);
    let total: f64 = (0..DISTANCES).map(weight).sum();
    let (mut distance, mut below) = (0, weight(0) / total);
    QuantileTable::new(4_096, |u| {
        while u > below && distance + 1 < DISTANCES {
            distance += 1;
            below += weight(distance) / total;
        }
        distance as u8
    })
}

/// The shape of the book: most rests some ticks behind the best price.
fn hump(distance: f64) -> f64 {
    let y = (distance + 1.0) / 6.0;
    (0.25 + libm::pow(y, 0.9) * libm::exp(0.9 - 0.9 * y)).max(0.12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_start_at_one_unit_and_are_mostly_round() {
        let tables = Tables::shared();
        let lots = tables.trade_lots.values();
        assert_eq!(lots.iter().min(), Some(&1));
        assert!(lots.iter().max().is_some_and(|&most| most >= 500));
        let limits = tables.limit_lots.values();
        assert!(limits.iter().all(|&lots| lots % 5 == 0 && (5..=10_000).contains(&lots)));
        let round = lots.iter().filter(|&&lots| [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].contains(&lots));
        assert!(round.count() * 3 >= lots.len() * 2);
    }

    #[test]
    fn distances_favour_the_touch_and_reach_the_far_end() {
        let values = Tables::shared().distance.values();
        let at = |distance| values.iter().filter(|&&value| value == distance).count();
        assert!(at(0) > at(1) && at(1) > at(5) && at(5) > at(50));
        assert!(at(127) > 0);
    }

    #[test]
    fn the_book_is_deepest_some_ticks_behind_its_best_price() {
        let resting = &Tables::shared().resting_lots;
        let deepest = (0..DISTANCES).max_by(|&a, &b| resting[a].total_cmp(&resting[b]));
        assert_eq!(deepest, Some(5));
        assert!(resting[0] > 90.0 && resting[0] < 100.0);
    }
}
