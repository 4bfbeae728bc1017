//! The shape of a controller and how it chooses the operators of a layer.

use std::collections::BTreeMap;

use anyhow::{Context, Error, Result, ensure};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::LatencyWeights;
use crate::checkpoint::Checkpoint;
use crate::plan::Layout;

/// How the operators of a layer are chosen, and with what probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// A whole set at once. Its probability is proportional to the exponential of its members' scores plus a score of its size.
    /// The empty set ends the plan.
    #[default]
    Sets,
    /// One by one without replacement, until their probabilities sum to more than the threshold (E2). Operators that cannot act
    /// are left out, a layer knows all operators of the previous one, and the log-probability is exact (Plackett-Luce).
    Threshold,
    /// As published: like `Threshold`, but drawn from all operators, knowing only the first operator of the previous layer, at
    /// a fixed temperature, and with `log(p + 1e-10)` for each operator as if it was drawn alone.
    Published,
}

/// Shape of a controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct ControllerConfig {
    /// `L`, the most layers of a plan.
    pub layers: usize,
    /// Size of `h_q` and `h_o` in (E1).
    pub hidden: usize,
    /// Size of the query vector and of the operator embeddings.
    pub embedding: usize,
    pub selection: Selection,
    /// `K`, the most operators of a set.
    pub width: usize,
    /// `tau` of (E2), in [0, 1]: a layer drawn one by one is full once its probabilities sum to more than this.
    pub threshold: f64,
    /// Divisor of the cosine scores before the softmax; if it is learned, its value before training.
    pub initial_temperature: f64,
    /// The latency weights that a query may choose from; without them the controller serves only the one it was trained for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_weights: Option<LatencyWeights>,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        ControllerConfig {
            layers: 4,
            hidden: 32,
            embedding: 384,
            selection: Selection::Sets,
            width: 4,
            threshold: 0.3,
            initial_temperature: 0.5,
            latency_weights: None,
        }
    }
}

impl ControllerConfig {
    /// The controller as published.
    pub fn published() -> Self {
        ControllerConfig { selection: Selection::Published, initial_temperature: 1.0, ..Self::default() }
    }

    /// The published controller of a state dict, with sizes from its tensors.
    ///
    /// # Errors
    /// The tensors are not those of a controller.
    pub fn of_state_dict(tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let first = "layers.0.query_encoder.weight";
        let weight = tensors.get(first).with_context(|| format!("no tensor `{first}`: not a published controller"))?;
        let (hidden, embedding) = weight.dims2().with_context(|| format!("tensor `{first}`: expected a matrix"))?;
        let layers = (0..).take_while(|layer| tensors.contains_key(&format!("layers.{layer}.query_encoder.weight")));
        Ok(ControllerConfig { layers: layers.count(), hidden, embedding, ..Self::published() })
    }

    /// The controller's own part of a checkpoint's configuration.
    ///
    /// # Errors
    /// It is missing, or has unknown settings.
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let settings = checkpoint.provenance.configuration.get("controller");
        let settings = settings.context("the checkpoint's configuration has no `controller`")?;
        serde_json::from_value(settings.clone()).context("the checkpoint's `controller` settings cannot be used")
    }

    /// Whether the temperature of each layer is learned; if not, no probability among 7 operators can exceed 0.552.
    pub fn learns_temperature(&self) -> bool {
        self.selection != Selection::Published
    }

    /// Whether operators that cannot act are left out.
    pub fn is_masked(&self) -> bool {
        self.selection != Selection::Published
    }

    /// How small plans are laid out for this controller.
    pub fn layout(&self) -> Layout {
        match self.selection {
            Selection::Sets => Layout::Sets { width: self.width },
            Selection::Threshold | Selection::Published => Layout::OneByOne,
        }
    }

    /// Position of a latency weight on the controller's scale, in [-1, 1]; 0 if it is not an input.
    pub(super) fn position(&self, latency_weight: f64) -> f32 {
        self.latency_weights.map_or(0.0, |weights| weights.position(latency_weight))
    }

    /// # Errors
    /// Names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        let counts =
            [("layers", self.layers), ("hidden", self.hidden), ("embedding", self.embedding), ("width", self.width)];
        for (name, value) in counts {
            ensure!(value > 0, "controller setting `{name}`: expected at least 1, found 0");
        }
        let (threshold, temperature) = (self.threshold, self.initial_temperature);
        ensure!(
            (0.0..=1.0).contains(&threshold),
            "controller setting `threshold`: expected a number from 0 to 1, found {threshold}"
        );
        ensure!(
            temperature > 0.0 && temperature.is_finite(),
            "controller setting `initial_temperature`: expected a positive number, found {temperature}"
        );
        Ok(())
    }
}

/// A controller's settings as written in a file: the current ones, or four switches of earlier versions instead of `selection`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    layers: usize,
    hidden: usize,
    embedding: usize,
    selection: Option<Selection>,
    width: usize,
    threshold: f64,
    initial_temperature: f64,
    latency_weights: Option<LatencyWeights>,
    temperature: Option<String>,
    conditioning: Option<String>,
    masked: Option<bool>,
    log_probability: Option<String>,
}

impl Default for Written {
    fn default() -> Self {
        let ControllerConfig { layers, hidden, embedding, width, threshold, initial_temperature, .. } =
            ControllerConfig::default();
        Written {
            layers,
            hidden,
            embedding,
            selection: None,
            width,
            threshold,
            initial_temperature,
            latency_weights: None,
            temperature: None,
            conditioning: None,
            masked: None,
            log_probability: None,
        }
    }
}

impl TryFrom<Written> for ControllerConfig {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let of_switches = written.of_switches()?;
        let Written { layers, hidden, embedding, selection, width, threshold, initial_temperature, .. } = written;
        Ok(ControllerConfig {
            layers,
            hidden,
            embedding,
            selection: selection.or(of_switches).unwrap_or_default(),
            width,
            threshold,
            initial_temperature,
            latency_weights: written.latency_weights,
        })
    }
}

impl Written {
    /// The selection that the switches of earlier versions mean. How the log-probability was computed mattered only in training.
    fn of_switches(&self) -> Result<Option<Selection>> {
        let Written { temperature, conditioning, masked, log_probability, .. } = self;
        let (temperature, conditioning) = (temperature.as_deref(), conditioning.as_deref());
        if temperature.is_none() && conditioning.is_none() && masked.is_none() && log_probability.is_none() {
            return Ok(None);
        }
        let found = (temperature.unwrap_or("learned"), conditioning.unwrap_or("set"), masked.unwrap_or(true));
        match found {
            ("learned", "set", true) => Ok(Some(Selection::Threshold)),
            ("fixed", "first", false) => Ok(Some(Selection::Published)),
            (temperature, conditioning, masked) => anyhow::bail!(
                "controller settings: expected all switches of one method, found temperature `{temperature}`, conditioning \
                 `{conditioning}` and masked {masked}, which no method uses any more; hint: set `selection` and train again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_earlier_versions_are_read() {
        let check = |text: &str, expected: Result<Selection, &str>| {
            let found = serde_json::from_str::<ControllerConfig>(text);
            match (found, expected) {
                (Ok(config), Ok(expected)) => assert_eq!(config.selection, expected, "{text}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{text}: {error}"),
                (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
            }
        };
        check("{}", Ok(Selection::Sets));
        check(r#"{"selection": "threshold"}"#, Ok(Selection::Threshold));
        check(r#"{"masked": true}"#, Ok(Selection::Threshold));
        let ours = r#"{"temperature": "learned", "conditioning": "set", "masked": true, "log_probability": "exact"}"#;
        check(ours, Ok(Selection::Threshold));
        let paper =
            r#"{"temperature": "fixed", "conditioning": "first", "masked": false, "log_probability": "marginal"}"#;
        check(paper, Ok(Selection::Published));
        check(r#"{"masked": false}"#, Err("which no method uses any more"));
        check(r#"{"tau": 1}"#, Err("unknown field `tau`"));
    }

    #[test]
    fn settings_are_read_as_they_are_written() -> Result<()> {
        for config in [ControllerConfig::default(), ControllerConfig::published()] {
            assert_eq!(serde_json::from_str::<ControllerConfig>(&serde_json::to_string(&config)?)?, config);
        }
        Ok(())
    }
}
