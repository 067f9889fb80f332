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

/// The value below which a share `u` of draws from the symmetric Beta(a, a) lies, for `a >= 0.5`: bisection on the
/// integral of its density, which Simpson's rule over an arcsine substitution makes smooth at both ends.
pub fn beta_symmetric_quantile(a: f64, u: f64) -> f64 {
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
    fn beta_quantiles_match_closed_forms() {
        for u in [0.01, 0.2, 0.5, 0.77, 0.999] {
            assert!((beta_symmetric_quantile(1.0, u) - u).abs() < 1e-6, "uniform at {u}");
            let arcsine = libm::pow(libm::sin(std::f64::consts::FRAC_PI_2 * u), 2.0);
            assert!((beta_symmetric_quantile(0.5, u) - arcsine).abs() < 1e-6, "arcsine at {u}");
            let x = beta_symmetric_quantile(2.0, u);
            assert!((x * x * (3.0 - 2.0 * x) - u).abs() < 1e-6, "Beta(2, 2) at {u}");
        }
    }

    #[test]
    fn a_table_draws_each_entry_equally_often() {
        let table = QuantileTable::new(8, |u| u);
        let mut stream = crate::Seed::new(5).stream("test", 0);
        let mean = (0..8000).map(|_| table.draw(&mut stream)).sum::<f64>() / 8000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
