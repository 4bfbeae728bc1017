//! Rotations: how a token's position turns pairs of dimensions of queries and keys, and how that is stretched so that a
//! model reads longer texts than it was first trained on.

use std::f64::consts::TAU;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// What `rope_parameters` (transformers 5) or `rope_scaling` (transformers 4) says.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Settings {
    pub rope_type: Option<String>,
    /// The older name of `rope_type`; some files have both.
    #[serde(rename = "type")]
    kind: Option<String>,
    pub rope_theta: Option<f32>,
    /// The share of a head's dimensions that turn.
    pub partial_rotary_factor: Option<f64>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    pub original_max_position_embeddings: Option<f32>,
    attention_factor: Option<f32>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    short_factor: Option<Vec<f32>>,
    long_factor: Option<Vec<f32>>,
    /// Of layers that attend to everything, where those with a window turn differently.
    pub full_attention: Option<Box<Settings>>,
    /// Of layers with a window.
    pub sliding_attention: Option<Box<Settings>>,
}

impl Settings {
    /// The kind of stretching.
    fn kind(&self) -> &str {
        self.rope_type.as_deref().or(self.kind.as_deref()).unwrap_or("default")
    }
}

/// A rotation, ready for use.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// Angles per position, in radians, of the pairs of dimensions.
    frequencies: Vec<f32>,
    /// Cosines and sines are multiplied by it.
    scale: f32,
    /// What takes the place of the angles if more tokens are allowed than the model was first trained on.
    long: Option<(usize, Vec<f32>)>,
}

impl Rotation {
    /// The rotation of heads with `head` dimensions. `theta` is its base if the settings name none, `context` the most
    /// tokens that the model reads.
    ///
    /// # Errors
    /// The settings are incomplete, do not fit the head, or stretch positions in an unknown way.
    pub fn new(settings: &Settings, theta: f32, head: usize, context: usize) -> Result<Self> {
        let theta = settings.rope_theta.unwrap_or(theta);
        ensure!(theta > 1.0 && theta.is_finite(), "expected a `rope_theta` above 1, found {theta}");
        let share = settings.partial_rotary_factor.unwrap_or(1.0);
        ensure!(share > 0.0 && share <= 1.0, "expected a `partial_rotary_factor` in (0, 1], found {share}");
        // Shares such as 96 / 128 come in both 32 and 64 bits.
        let turned = (head as f64 * share + 1e-4) as usize;
        ensure!(
            turned >= 2 && turned.is_multiple_of(2),
            "expected rotations of an even number of dimensions, found {turned} of {head}"
        );
        let plain: Vec<f32> =
            (0..turned).step_by(2).map(|dimension| theta.powf(-(dimension as f32) / turned as f32)).collect();
        let rotation = |frequencies, scale| Rotation { frequencies, scale, long: None };
        Ok(match settings.kind() {
            "default" => rotation(plain, 1.0),
            "linear" => {
                let factor = settings.factor()?;
                rotation(plain.iter().map(|frequency| frequency / factor).collect(), 1.0)
            }
            "llama3" => rotation(settings.stretch_slow_ones(&plain, context)?, 1.0),
            "yarn" => {
                let (frequencies, scale) = settings.stretch_by_ramp(&plain, theta, context)?;
                rotation(frequencies, scale)
            }
            "longrope" | "su" => settings.stretch_each(&plain, context)?,
            other => bail!(
                "expected positions stretched as `default`, `linear`, `llama3`, `yarn` or `longrope`, found `{other}`"
            ),
        })
    }

    /// Slows each pair of dimensions by its own factor: how a GGUF file stretches positions.
    ///
    /// # Errors
    /// There is not exactly one positive factor for each pair.
    pub fn slow_down(&mut self, factors: &[f32]) -> Result<()> {
        self.frequencies = divided(&self.frequencies, factors)?;
        Ok(())
    }

    /// The most tokens that the angles are meant for, if others exist for more.
    pub fn short_context(&self) -> Option<usize> {
        self.long.as_ref().map(|(most, _)| *most)
    }

    /// Takes the angles for `context` tokens. All texts then have the same ones, short texts too: the keys of a
    /// beginning that several texts share do not depend on how long they become.
    pub fn allow(&mut self, context: usize) {
        if let Some((_, long)) = self.long.take_if(|(most, _)| context > *most) {
            self.frequencies = long;
        }
    }

    /// How many pairs of dimensions turn.
    pub fn pairs(&self) -> usize {
        self.frequencies.len()
    }

    /// Cosine and sine of the angle of each pair of dimensions at a position.
    pub fn at(&self, position: usize) -> (Vec<f32>, Vec<f32>) {
        // The angle is rounded to f32 as in transformers; f64 then makes its cosine the same on every machine.
        let angles = || self.frequencies.iter().map(|frequency| f64::from(position as f32 * frequency));
        let cosines = angles().map(|angle| angle.cos() as f32 * self.scale);
        (cosines.collect(), angles().map(|angle| angle.sin() as f32 * self.scale).collect())
    }
}

impl Settings {
    fn factor(&self) -> Result<f32> {
        let factor = self.factor.filter(|factor| *factor > 0.0 && factor.is_finite());
        factor.context("expected a positive `factor` of `rope_parameters`")
    }

    /// The context that the model was first trained on; files that do not say mean the whole one.
    fn original(&self, context: usize) -> Result<f32> {
        let original = self.original_max_position_embeddings.unwrap_or(context as f32);
        ensure!(original > 1.0, "expected an `original_max_position_embeddings` above 1, found {original}");
        Ok(original)
    }

    /// Llama 3: slow rotations are slowed by the factor, fast ones not, those between in part.
    fn stretch_slow_ones(&self, plain: &[f32], context: usize) -> Result<Vec<f32>> {
        let (Some(low), Some(high)) = (self.low_freq_factor, self.high_freq_factor) else {
            bail!("expected `low_freq_factor` and `high_freq_factor`")
        };
        let (factor, original) = (self.factor()?, self.original(context)?);
        ensure!(high > low, "expected `low_freq_factor` < `high_freq_factor`, found {low} and {high}");
        let stretch = |frequency: &f32| {
            let turns = original * frequency / std::f32::consts::TAU;
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / factor)
        };
        Ok(plain.iter().map(stretch).collect())
    }

    /// YaRN: a ramp over the pairs, between those that turn often in the original context and those that hardly do.
    fn stretch_by_ramp(&self, plain: &[f32], theta: f32, context: usize) -> Result<(Vec<f32>, f32)> {
        let (factor, original) = (self.factor()?, f64::from(self.original(context)?));
        let dimensions = 2.0 * plain.len() as f64;
        let bound = |turns: f64| dimensions * (original / (turns * TAU)).ln() / (2.0 * f64::from(theta).ln());
        let (fast, slow) = (self.beta_fast.unwrap_or(32.0), self.beta_slow.unwrap_or(1.0));
        ensure!(fast > 0.0 && slow > 0.0, "expected positive `beta_fast` and `beta_slow`, found {fast} and {slow}");
        let whole = self.truncate.unwrap_or(true);
        let (low, high) = if whole { (bound(fast).floor(), bound(slow).ceil()) } else { (bound(fast), bound(slow)) };
        let (low, high) = (low.max(0.0) as f32, high.min(dimensions - 1.0) as f32);
        let high = if low == high { high + 0.001 } else { high };
        let stretch = |(pair, frequency): (usize, &f32)| {
            let slowed = ((pair as f32 - low) / (high - low)).clamp(0.0, 1.0);
            frequency / factor * slowed + frequency * (1.0 - slowed)
        };
        let magnitude = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * f64::from(factor).ln() + 1.0 };
        let scale = match (self.attention_factor, self.mscale, self.mscale_all_dim) {
            (Some(given), ..) => given,
            (_, Some(one), Some(all)) if one != 0.0 && all != 0.0 => (magnitude(one) / magnitude(all)) as f32,
            _ => magnitude(1.0) as f32,
        };
        Ok((plain.iter().enumerate().map(stretch).collect(), scale))
    }

    /// LongRoPE: each pair has a factor for texts up to the original context, and one for longer texts.
    fn stretch_each(&self, plain: &[f32], context: usize) -> Result<Rotation> {
        let (Some(short), Some(long)) = (&self.short_factor, &self.long_factor) else {
            bail!("expected lists `short_factor` and `long_factor`")
        };
        let original = self.original(context)?;
        let longer = self.factor.map_or(context as f64 / f64::from(original), f64::from);
        let scale = match self.attention_factor {
            Some(given) => given,
            None if longer <= 1.0 => 1.0,
            None => (1.0 + longer.ln() / f64::from(original).ln()).sqrt() as f32,
        };
        let long = (original as usize, divided(plain, long)?);
        Ok(Rotation { frequencies: divided(plain, short)?, scale, long: Some(long) })
    }
}

fn divided(frequencies: &[f32], factors: &[f32]) -> Result<Vec<f32>> {
    let pairs = frequencies.len();
    ensure!(factors.len() == pairs, "expected {pairs} factors of rotations, found {}", factors.len());
    let refused = factors.iter().find(|factor| !(**factor > 0.0 && factor.is_finite()));
    ensure!(refused.is_none(), "expected positive factors of rotations, found {refused:?}");
    Ok(frequencies.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rotation(settings: Value) -> Result<Rotation> {
        Rotation::new(&serde_json::from_value(settings)?, 10_000.0, 4, 64)
    }

    #[test]
    fn frequencies_are_those_of_transformers() {
        let check = |settings: Value, frequencies: &[f32], scale: f32| {
            let found = rotation(settings.clone()).unwrap();
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6 * b;
            let all_near = found.frequencies.iter().zip(frequencies).all(near);
            assert!(all_near && found.pairs() == frequencies.len(), "{settings}: {found:?}");
            assert!((found.scale - scale).abs() < 1e-6, "{settings}: {found:?}");
        };
        check(json!({}), &[1.0, 0.01], 1.0);
        check(json!({"rope_theta": 100}), &[1.0, 0.1], 1.0);
        check(json!({"type": "linear", "rope_type": "linear", "factor": 4}), &[0.25, 0.0025], 1.0);
        check(json!({"partial_rotary_factor": 0.5}), &[1.0], 1.0);
        let mut yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32});
        check(yarn.clone(), &[1.0, 0.0025], 1.138_629_4);
        yarn["attention_factor"] = json!(1.5);
        check(yarn, &[1.0, 0.0025], 1.5);
    }

    #[test]
    fn a_longer_context_takes_other_factors() {
        let settings = json!({"rope_type": "longrope", "short_factor": [1, 2], "long_factor": [4, 5],
            "original_max_position_embeddings": 16});
        let long = |context| {
            let mut rotation = rotation(settings.clone()).unwrap();
            rotation.allow(context);
            (rotation.frequencies[0], rotation.short_context())
        };
        assert_eq!((long(16), long(17)), ((1.0, Some(16)), (0.25, None)));
        assert!((rotation(settings).unwrap().scale - 1.5f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |settings: Value, expected: &str| {
            let error = rotation(settings).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(json!({"rope_type": "dynamic", "factor": 2.0}), "found `dynamic`");
        check(json!({"rope_type": "linear"}), "a positive `factor`");
        check(json!({"rope_type": "llama3", "factor": 2.0}), "`low_freq_factor`");
        let none = json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 0});
        check(none, "`original_max_position_embeddings` above 1, found 0");
        check(json!({"rope_type": "longrope", "short_factor": [1]}), "`long_factor`");
        let lists = json!({"rope_type": "su", "short_factor": [1], "long_factor": [1, 2],
            "original_max_position_embeddings": 16});
        check(lists, "expected 2 factors of rotations, found 1");
        check(json!({"partial_rotary_factor": 0.75}), "found 3 of 4");
        check(json!({"rope_theta": -1}), "`rope_theta`");
    }
}
