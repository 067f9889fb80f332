//! Quantile tables: a distribution as a list of its equally likely values, so that a draw costs one look-up
//! instead of a logarithm or a power.

use crate::Stream;

/// The values of a distribution at the `N` mid-points of its quantiles. `N` must be a power of two.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileTable<T> {
    values: Box<[T]>,
    shift: u32,
}

impl<T: Copy> QuantileTable<T> {
    /// Tabulates `quantile` at `(i + 1/2) / len`; `len` must be a power of two.
    pub fn new(len: usize, mut quantile: impl FnMut(f64) -> T) -> Self {
        assert!(len.is_power_of_two() && len > 1, "a quantile table's length is a power of two");
        let values = (0..len).map(|i| quantile((i as f64 + 0.5) / len as f64)).collect();
        Self { values, shift: 64 - len.trailing_zeros() }
    }

    /// One draw: the top bits of one random word pick the entry.
    #[inline]
    pub fn draw(&self, stream: &mut Stream) -> T {
        self.at(stream.word())
    }

    /// The entry that the top bits of `word` pick; for callers that split one word among several decisions.
    #[inline]
    pub fn at(&self, word: u64) -> T {
        self.values[(word >> self.shift) as usize]
    }

    /// The tabulated values, in rising order of their quantile.
    pub fn values(&self) -> &[T] {
        &self.values
    }
}

/// The standard normal value below which a share `u` (0 < u < 1) of draws lies. Acklam's rational
/// approximation: relative error below 1.2e-9, and the same bits on every machine.
pub fn normal_quantile(u: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.383_577_518_672_69e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    let tail = |q: f64| {
        (((((C[0] * q + C[1]) * q + C[2]) * q + C[3]) * q + C[4]) * q + C[5])
            / ((((D[0] * q + D[1]) * q + D[2]) * q + D[3]) * q + 1.0)
    };
    if u < 0.02425 {
        tail(libm::sqrt(-2.0 * libm::log(u)))
    } else if u > 1.0 - 0.02425 {
        -tail(libm::sqrt(-2.0 * libm::log(1.0 - u)))
    } else {
        let q = u - 0.5;
        let r = q * q;
        (((((A[0] * r + A[1]) * r + A[2]) * r + A[3]) * r + A[4]) * r + A[5]) * q
            / (((((B[0] * r + B[1]) * r + B[2]) * r + B[3]) * r + B[4]) * r + 1.0)
    }
}

/// The symmetric Beta(a, a) at `len` quantiles, each turned into an entry; for `a >= 0.5`. The table is antisymmetric
/// about 1/2, so that draws are unbiased.
///
/// The integral of the density is summed once and inverted by walking along it, which takes a millisecond.
pub fn beta_symmetric_table<T: Copy>(
    a: f64,
    len: usize,
    mut entry: impl FnMut(f64) -> T,
) -> QuantileTable<T> {
    // x = sin²(θ/2) turns x^(a-1)(1-x)^(a-1) dx into sin(θ)^(2a-1) dθ, finite for a >= 1/2.
    let step = std::f64::consts::FRAC_PI_2 / f64::from(BETA_STEPS);
    let density = |theta: f64| libm::pow(libm::sin(theta).max(0.0), 2.0 * a - 1.0);
    let mut integral = Vec::with_capacity(BETA_STEPS as usize + 1);
    integral.push(0.0);
    let (mut sum, mut left) = (0.0, density(0.0));
    for i in 0..BETA_STEPS {
        let (middle, right) = (density((f64::from(i) + 0.5) * step), density(f64::from(i + 1) * step));
        sum += step / 6.0 * (left + 4.0 * middle + right);
        integral.push(sum);
        left = right;
    }
    let half = integral[BETA_STEPS as usize];
    // The left half of the distribution is x <= 1/2, θ <= π/2; the right half is its mirror image.
    let lower_quantile = |u: f64| {
        let wanted = u * 2.0 * half;
        let i = integral.partition_point(|&below| below < wanted).max(1);
        let part = (wanted - integral[i - 1]) / (integral[i] - integral[i - 1]);
        let sine = libm::sin(((i - 1) as f64 + part) * step / 2.0);
        sine * sine
    };
    QuantileTable::new(len, |u| {
        entry(if u < 0.5 { lower_quantile(u) } else { 1.0 - lower_quantile(1.0 - u) })
    })
}

/// Fine enough that linear interpolation between two points stays within 1e-6 of the quantile for every `a`.
const BETA_STEPS: u32 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_match_published_values() {
        for (u, z) in [(0.5, 0.0), (0.975, 1.959963985), (0.01, -2.326347874), (0.999, 3.090232306)] {
            assert!((normal_quantile(u) - z).abs() < 1e-7, "u {u}");
        }
    }

    #[test]
    fn a_beta_table_agrees_with_bisection() {
        for a in [0.5, 0.8, 2.0, 4.0, 11.0, 1000.0] {
            let table = beta_symmetric_table(a, 1024, |x| x);
            for index in [0, 1, 100, 511, 512, 1000, 1023] {
                let exact = beta_symmetric_quantile(a, (index as f64 + 0.5) / 1024.0);
                assert!(
                    (table.values()[index] - exact).abs() < 2e-6,
                    "a {a}, entry {index}: exactly {exact}"
                );
            }
        }
    }

    #[test]
    fn a_beta_table_has_the_closed_form_variance_and_no_bias() {
        for a in [0.8, 2.0, 11.0] {
            let table = beta_symmetric_table(a, 1024, |x| x);
            let mean = table.values().iter().sum::<f64>() / 1024.0;
            let variance = table.values().iter().map(|x| (x - 0.5) * (x - 0.5)).sum::<f64>() / 1024.0;
            assert!((mean - 0.5).abs() < 1e-12, "a {a}: mean {mean}");
            let expected = 0.25 / (2.0 * a + 1.0);
            assert!((variance / expected - 1.0).abs() < 0.01, "a {a}: {variance} for {expected}");
        }
    }

    #[test]
    fn bisection_agrees_with_closed_forms() {
        for u in [0.01, 0.2, 0.5, 0.77, 0.999] {
            assert!((beta_symmetric_quantile(1.0, u) - u).abs() < 1e-6, "uniform at {u}");
            let arcsine = libm::pow(libm::sin(std::f64::consts::FRAC_PI_2 * u), 2.0);
            assert!((beta_symmetric_quantile(0.5, u) - arcsine).abs() < 1e-6, "arcsine at {u}");
            let x = beta_symmetric_quantile(2.0, u);
            assert!((x * x * (3.0 - 2.0 * x) - u).abs() < 1e-6, "Beta(2, 2) at {u}");
        }
    }

    /// The same one by one, by bisection on the integral of the density: slow and plain.
    fn beta_symmetric_quantile(a: f64, u: f64) -> f64 {
        // x = sin²(θ/2): x^(a-1)(1-x)^(a-1) dx becomes sin(θ)^(2a-1) dθ up to a constant, finite for a >= 1/2.
        let integral = |upper: f64| {
            let steps = 512;
            let h = upper / f64::from(steps);
            let density = |theta: f64| libm::pow(libm::sin(theta).max(0.0), 2.0 * a - 1.0);
            (0..steps).fold(0.0, |sum, i| {
                let left = f64::from(i) * h;
                sum + h / 6.0 * (density(left) + 4.0 * density(left + h / 2.0) + density(left + h))
            })
        };
        let whole = 2.0 * integral(std::f64::consts::FRAC_PI_2);
        let (mut low, mut high) = (0.0, std::f64::consts::PI);
        for _ in 0..48 {
            let middle = (low + high) / 2.0;
            if integral(middle) < u * whole { low = middle } else { high = middle }
        }
        let half = libm::sin((low + high) / 4.0);
        half * half
    }

    #[test]
    fn a_table_draws_each_entry_equally_often() {
        let table = QuantileTable::new(8, |u| u);
        let mut stream = crate::Seed::new(5).stream("test", 0);
        let mean = (0..8000).map(|_| table.draw(&mut stream)).sum::<f64>() / 8000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
