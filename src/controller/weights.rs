//! The latency weights that one controller serves.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// A range of latency weights, in score per token of critical path. The scale is logarithmic, because doubling the weight
/// matters as much at the low end as at the high end. Written as `LOW..HIGH`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LatencyWeights {
    low: f64,
    high: f64,
}

impl LatencyWeights {
    /// # Errors
    /// The bounds are not `0 < low < high`.
    pub fn new(low: f64, high: f64) -> Result<Self> {
        let usable = low > 0.0 && low < high && high.is_finite();
        ensure!(usable, "expected latency weights from above 0 to a higher number, found `{low}..{high}`");
        Ok(LatencyWeights { low, high })
    }

    /// The weight at `share` of the range, `share` in [0, 1].
    pub fn at(&self, share: f64) -> f64 {
        self.low * (self.high / self.low).powf(share)
    }

    /// Position of a weight in the range, from -1 (lowest) to 1 (highest). Weights outside count as the nearest bound; a weight of
    /// 0 counts as the lowest.
    pub fn position(&self, weight: f64) -> f32 {
        let share = (weight.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        (2.0 * share.min(1.0) - 1.0) as f32
    }

    /// A weight drawn log-uniformly.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        self.at(rng.random())
    }

    /// `count` weights at equal steps, from the lowest to the highest.
    pub fn grid(&self, count: usize) -> impl Iterator<Item = f64> {
        let steps = count.saturating_sub(1).max(1) as f64;
        let range = *self;
        (0..count).map(move |step| range.at(step as f64 / steps))
    }
}

impl fmt::Display for LatencyWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.low, self.high)
    }
}

impl FromStr for LatencyWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bounds = text
            .split_once("..")
            .and_then(|(low, high)| Some((low.trim().parse::<f64>().ok()?, high.trim().parse::<f64>().ok()?)));
        let (low, high) = bounds.with_context(|| format!("expected latency weights as `LOW..HIGH`, found `{text}`"))?;
        Self::new(low, high)
    }
}

impl TryFrom<String> for LatencyWeights {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<LatencyWeights> for String {
    fn from(weights: LatencyWeights) -> Self {
        weights.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn the_scale_is_logarithmic_and_ends_at_its_bounds() -> Result<()> {
        let weights: LatencyWeights = "0.0001 .. 0.01".parse()?;
        let check = |weight: f64, expected: f32| {
            let found = weights.position(weight);
            assert!((found - expected).abs() < 1e-6, "{weight}: {found}, expected {expected}");
        };
        check(0.0, -1.0);
        check(0.00001, -1.0);
        check(0.0001, -1.0);
        check(0.001, 0.0);
        check(0.01, 1.0);
        check(5.0, 1.0);
        let grid: Vec<f32> = weights.grid(5).map(|weight| weights.position(weight)).collect();
        assert!(grid.iter().zip([-1.0, -0.5, 0.0, 0.5, 1.0]).all(|(found, step)| (found - step).abs() < 1e-6));
        let mut rng = random::stream(1, &[&"weights"]);
        let below = (0..4000).filter(|_| weights.draw(&mut rng) < 0.001).count();
        assert!((1900..2100).contains(&below), "{below} of 4000 in the lower half of the scale");
        assert_eq!(weights.to_string().parse::<LatencyWeights>()?, weights);
        Ok(())
    }

    #[test]
    fn other_ranges_are_refused() {
        for (text, message) in [
            ("0.1", "`LOW..HIGH`, found `0.1`"),
            ("a..1", "`LOW..HIGH`"),
            ("0..1", "above 0"),
            ("2..1", "found `2..1`"),
            ("1..inf", "higher number"),
        ] {
            let error =
                text.parse::<LatencyWeights>().map_or_else(|error| error.to_string(), |found| found.to_string());
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
