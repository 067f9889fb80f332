//! The few estimators that the metrics are made of. Each says `None` where its sample is too small to tell.

/// Mean, and variance about it.
pub(crate) fn moments(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let count = values.clone().count();
    if count < 2 {
        return None;
    }
    let mean = values.clone().sum::<f64>() / count as f64;
    let variance = values.map(|value| (value - mean) * (value - mean)).sum::<f64>() / count as f64;
    Some((mean, variance))
}

/// Autocorrelation at a lag: of each series about its own mean, then averaged by length.
pub(crate) fn autocorrelation(series: &[Vec<f64>], lag: usize) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for values in series.iter().filter(|values| values.len() > lag + 10) {
        let Some((mean, variance)) = moments(values.iter().copied()) else { continue };
        if variance > 0.0 {
            let length = values.len() as f64;
            let together: f64 = values.iter().zip(&values[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum();
            sum += together / variance;
            weight += length;
        }
    }
    (weight > 0.0).then(|| sum / weight)
}

/// Hill's estimate of a tail's index: the inverse of the mean logarithm by which the largest `share` of the values
/// exceed the next one. `descending` must be sorted so and positive.
pub(crate) fn hill(descending: &[f64], share: f64) -> Option<f64> {
    let largest = (descending.len() as f64 * share) as usize;
    let threshold = *descending.get(largest)?;
    if largest < LEAST_OF_A_TAIL || threshold <= 0.0 {
        return None;
    }
    let logarithms: f64 = descending[..largest].iter().map(|value| libm::log(value / threshold)).sum();
    // A tail of equal values has no index that could be told from infinity.
    Some(if logarithms > 0.0 { largest as f64 / logarithms } else { f64::INFINITY })
}

/// The largest values that a tail is estimated from are at least so many.
const LEAST_OF_A_TAIL: usize = 20;

/// Slope of the weighted least-squares line through points `(x, y, weight)`.
pub(crate) fn slope(points: &[(f64, f64, f64)]) -> Option<f64> {
    let weight: f64 = points.iter().map(|point| point.2).sum();
    let x_mean = points.iter().map(|point| point.0 * point.2).sum::<f64>() / weight;
    let y_mean = points.iter().map(|point| point.1 * point.2).sum::<f64>() / weight;
    let along: f64 = points.iter().map(|(x, y, w)| w * (x - x_mean) * (y - y_mean)).sum();
    let across: f64 = points.iter().map(|(x, _, w)| w * (x - x_mean) * (x - x_mean)).sum();
    (points.len() >= 3 && across > 0.0).then(|| along / across)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pareto_tail_has_its_own_index() {
        let values: Vec<f64> =
            (0..100_000).map(|rank| libm::pow((f64::from(rank) + 0.5) / 100_000.0, -1.0 / 1.5)).collect();
        let index = hill(&values, 0.05).unwrap();
        assert!((index - 1.5).abs() < 0.01, "{index}");
        assert_eq!(hill(&values[..100], 0.05), None);
        assert_eq!(hill(&[1.0; 1000], 0.05), Some(f64::INFINITY));
    }

    #[test]
    fn an_alternating_series_is_its_own_opposite_one_step_later() {
        let series = vec![(0..1000).map(|step| f64::from(step % 2)).collect::<Vec<_>>()];
        assert!((autocorrelation(&series, 1).unwrap() + 1.0).abs() < 0.01);
        assert!((autocorrelation(&series, 2).unwrap() - 1.0).abs() < 0.01);
        assert_eq!(autocorrelation(&series, 1_000), None);
        assert_eq!(autocorrelation(&[vec![1.0; 100]], 1), None);
    }

    #[test]
    fn the_slope_of_a_line_is_found_and_two_points_are_no_evidence() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 - 0.5 * f64::from(x), 1.0)).collect();
        assert!((slope(&points).unwrap() + 0.5).abs() < 1e-12);
        assert_eq!(slope(&points[..2]), None);
    }
}
