//! Means with intervals and paired differences, without distributional assumptions and with fixed seeds.
//!
//! One value stands for one problem. With several training seeds, the value of a problem is its mean over them. So resampling
//! values resamples problems, and repeated answers to one question never count as independent evidence.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::random;

const RESAMPLES: usize = 4000;

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// Half the width of the interval.
    pub fn margin(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// A mean paired difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub estimate: Estimate,
    /// Two-sided, under the null hypothesis that the two methods are interchangeable on every problem.
    pub p_value: f64,
}

/// Arithmetic mean; 0 for no values.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Sample standard deviation (divisor `n - 1`); none for fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The `share` quantile, `share` in [0, 1], linear between the neighbouring values; 0 for no values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = share.clamp(0.0, 1.0) * sorted.len().saturating_sub(1) as f64;
    let below = sorted.get(position.floor() as usize).copied().unwrap_or_default();
    let above = sorted.get(position.ceil() as usize).copied().unwrap_or_default();
    below + (above - below) * position.fract()
}

/// Mean with a percentile-bootstrap interval; equal values give an interval of zero width.
pub fn interval(values: &[f64], seed: u64) -> Estimate {
    let mut rng = random::stream(seed, &[&"bootstrap"]);
    let resample = |_| (0..values.len()).map(|_| values[rng.random_range(0..values.len())]).sum::<f64>();
    let count = values.len().max(1) as f64;
    let means: Vec<f64> = (0..RESAMPLES).map(resample).map(|sum| sum / count).collect();
    Estimate { mean: mean(values), low: quantile(&means, 0.025), high: quantile(&means, 0.975) }
}

/// Interval and sign-flip test of differences paired by problem.
pub fn paired(differences: &[f64], seed: u64) -> Difference {
    let mut rng = random::stream(seed, &[&"sign flip"]);
    let observed = differences.iter().sum::<f64>().abs();
    // Flipped sums equal to the observed one must count despite rounding.
    let bound = observed * (1.0 - 1e-9);
    let mut flip = |difference: &f64| if rng.random() { *difference } else { -difference };
    let extreme = (0..RESAMPLES).filter(|_| differences.iter().map(&mut flip).sum::<f64>().abs() >= bound).count();
    Difference { estimate: interval(differences, seed), p_value: (extreme + 1) as f64 / (RESAMPLES + 1) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let check = |values: &[f64], share: f64, expected: f64| {
            assert!((quantile(values, share) - expected).abs() < 1e-12, "{values:?} {share}");
        };
        check(&[], 0.5, 0.0);
        check(&[7.0], 0.95, 7.0);
        check(&[4.0, 1.0, 3.0, 2.0], 0.5, 2.5);
        check(&[4.0, 1.0, 3.0, 2.0], 0.95, 3.85);
        check(&[5.0, 1.0], 2.0, 5.0);
    }

    #[test]
    fn moments_match_hand_computed_values() {
        assert_eq!((mean(&[]), mean(&[1.0, 2.0, 6.0])), (0.0, 3.0));
        assert_eq!((standard_deviation(&[1.0]), standard_deviation(&[1.0, 3.0])), (None, Some(2.0_f64.sqrt())));
        assert_eq!(interval(&[], 0), Estimate::default());
        assert_eq!(interval(&[0.5; 9], 0), Estimate { mean: 0.5, low: 0.5, high: 0.5 });
    }

    #[test]
    fn the_interval_has_the_width_of_the_normal_one() {
        let values: Vec<f64> = (0..1000).map(|index| f64::from(index % 10 < 3)).collect();
        let estimate = interval(&values, 1);
        let margin = 1.96 * (0.3_f64 * 0.7 / 1000.0).sqrt();
        assert!((estimate.margin() / margin - 1.0).abs() < 0.06, "{estimate:?} {margin}");
        assert_eq!(estimate, interval(&values, 1));
    }

    #[test]
    fn intervals_cover_the_true_mean() {
        let skewed = |uniform: f64| -(1.0 - uniform).ln();
        let binary = |uniform: f64| f64::from(uniform < 0.8);
        let check = |name: &str, draw: &dyn Fn(f64) -> f64, truth: f64| {
            let mut rng = random::stream(5, &[&name]);
            let mut covers = |trial| {
                let values: Vec<f64> = (0..80).map(|_| draw(rng.random())).collect();
                let Estimate { low, high, .. } = interval(&values, trial);
                low <= truth && truth <= high
            };
            let covered = (0..200).filter(|&trial| covers(trial)).count();
            assert!((180..=199).contains(&covered), "{name}: {covered} of 200");
        };
        check("exponential", &skewed, 1.0);
        check("binary", &binary, 0.8);
    }

    #[test]
    fn p_values_match_enumeration() {
        let check = |differences: &[f64], expected: f64| {
            let found = paired(differences, 3).p_value;
            assert!((found - expected).abs() < 0.02, "{differences:?}: {found}, expected {expected}");
        };
        check(&[], 1.0);
        check(&[0.0, 0.0, 0.0], 1.0);
        check(&[1.0, 1.0, 1.0, 1.0], 2.0 / 16.0);
        check(&[1.0, 1.0, 1.0, -1.0], 10.0 / 16.0);
        check(&[0.3; 40], 0.0);
    }
}
