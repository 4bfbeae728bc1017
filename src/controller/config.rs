//! The shape of a controller and where it departs from the published one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::LatencyWeights;
use crate::checkpoint::Checkpoint;

/// Divisor of the cosine scores before the softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Temperature {
    /// Stays at `initial_temperature`.
    Fixed,
    /// One learned temperature per layer; without it no probability among 7 operators can pass 0.552.
    #[default]
    Learned,
}

/// What a layer knows of the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conditioning {
    /// The embedding of the operator chosen first.
    First,
    /// The mean embedding of all operators chosen.
    #[default]
    Set,
}

/// How the log-probability of an operator drawn without replacement is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogProbability {
    /// `log(p + 1e-10)`, as if drawn alone; biased for the second and later draws of a layer.
    Marginal,
    /// Plackett-Luce: `log(p / (1 - sum of those drawn before))`.
    #[default]
    Exact,
}

/// Shape and switches of a controller; every switch works with every other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// `L`, the most layers a plan may have.
    pub layers: usize,
    /// Size of `h_q` and `h_o` in (E1).
    pub hidden: usize,
    /// Size of the query vector and of the operator embeddings.
    pub embedding: usize,
    /// `tau` of (E2), in [0, 1]: a layer is full once its probabilities sum to more.
    pub threshold: f64,
    pub temperature: Temperature,
    /// The temperature before training.
    pub initial_temperature: f64,
    pub conditioning: Conditioning,
    /// Whether operators that cannot act are left out of the softmax.
    pub masked: bool,
    pub log_probability: LogProbability,
    /// The latency weights among which a query may choose; without them the controller knows only the one that it was
    /// trained for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_weights: Option<LatencyWeights>,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        ControllerConfig {
            layers: 4,
            hidden: 32,
            embedding: 384,
            threshold: 0.3,
            temperature: Temperature::Learned,
            initial_temperature: 0.5,
            conditioning: Conditioning::Set,
            masked: true,
            log_probability: LogProbability::Exact,
            latency_weights: None,
        }
    }
}

impl ControllerConfig {
    /// The controller as published.
    pub fn published() -> Self {
        ControllerConfig {
            temperature: Temperature::Fixed,
            initial_temperature: 1.0,
            conditioning: Conditioning::First,
            masked: false,
            log_probability: LogProbability::Marginal,
            ..Self::default()
        }
    }

    /// The published controller that a state dict belongs to: sizes from its tensors.
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
    /// It is missing, or has settings that are not known here.
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let settings = checkpoint.provenance.configuration.get("controller");
        let settings = settings.context("the checkpoint's configuration has no `controller`")?;
        serde_json::from_value(settings.clone()).context("the checkpoint's `controller` settings cannot be used")
    }

    /// Where a latency weight lies on the controller's scale, in [-1, 1]; 0 where it is no input.
    pub(super) fn position(&self, latency_weight: f64) -> f32 {
        self.latency_weights.map_or(0.0, |weights| weights.position(latency_weight))
    }

    /// # Errors
    /// Names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("layers", self.layers), ("hidden", self.hidden), ("embedding", self.embedding)] {
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
