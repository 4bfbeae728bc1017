//! The weights of one layer, named as in the published state dict.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use rand::Rng;

use super::{ControllerConfig, Selection};
use crate::random;

/// Weights of one layer; the shapes are those of `torch.nn.Linear`, `[out, in]`.
pub(super) struct LayerWeights {
    pub query_weight: Var,
    pub query_bias: Var,
    pub operator_weight: Var,
    pub operator_bias: Var,
    /// Natural logarithm of the softmax temperature, shape `[1]`; absent if the temperature is fixed.
    pub log_temperature: Option<Var>,
    /// What the latency weight adds to `h_q`: a weight `[H, E]` and a bias `[H]`; absent if it is not an input.
    pub latency: Option<[Var; 2]>,
    /// `c = W h_q + b`, the score of each set size: a weight `[K + 1, H]` and a bias `[K + 1]`; absent if operators are drawn
    /// one by one.
    pub size: Option<[Var; 2]>,
}

impl LayerWeights {
    /// Initial weights, drawn like those of `torch.nn.Linear`: uniform within `1 / sqrt(in)`. At first the latency weight has no
    /// effect, and all sizes of a set of `operators` are about equally likely.
    pub fn new(config: &ControllerConfig, operators: usize, layer: usize, seed: u64, device: &Device) -> Result<Self> {
        Self::build(config, layer, |name, shape, fan_in| {
            if name.ends_with("log_temperature") {
                return Ok(Tensor::full(config.initial_temperature.ln() as f32, shape, device)?);
            }
            if name.contains("latency_encoder") || name.ends_with("size_encoder.weight") {
                return Ok(Tensor::zeros(shape, DType::F32, device)?);
            }
            if name.ends_with("size_encoder.bias") {
                return Ok(Tensor::from_vec(equal_sizes(operators, config.width), shape, device)?);
            }
            let bound = 1.0 / (fan_in as f32).sqrt();
            let mut rng = random::stream(seed, &[&"controller", &name]);
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..bound)).collect();
            Ok(Tensor::from_vec(values, shape, device)?)
        })
    }

    /// Weights as stored.
    ///
    /// # Errors
    /// Names a tensor that is missing, misshapen or not finite.
    pub fn load(
        config: &ControllerConfig,
        layer: usize,
        tensors: &BTreeMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self> {
        Self::build(config, layer, |name, shape, _| {
            let tensor = tensors.get(name).with_context(|| format!("no tensor `{name}`, expected shape {shape:?}"))?;
            let found = tensor.dims();
            ensure!(found == shape, "tensor `{name}`: expected shape {shape:?}, found {found:?}");
            let sum = tensor.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar::<f64>()?;
            ensure!(sum.is_finite(), "tensor `{name}`: expected finite numbers, found NaN or infinity");
            Ok(tensor.to_dtype(DType::F32)?.to_device(device)?)
        })
    }

    fn build(
        config: &ControllerConfig,
        layer: usize,
        make: impl Fn(&str, &[usize], usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let (hidden, query) = (config.hidden, config.embedding);
        let operator = if layer == 0 { query } else { 2 * query };
        let var = |name: &str, shape: &[usize], fan_in| -> Result<Var> {
            Ok(Var::from_tensor(&make(&format!("layers.{layer}.{name}"), shape, fan_in)?)?)
        };
        let log_temperature = match config.learns_temperature() {
            false => None,
            true => Some(var("log_temperature", &[1], 1)?),
        };
        let size = match config.selection {
            Selection::Threshold | Selection::Published => None,
            Selection::Sets => Some([
                var("size_encoder.weight", &[config.width + 1, hidden], hidden)?,
                var("size_encoder.bias", &[config.width + 1], hidden)?,
            ]),
        };
        let latency = match config.latency_weights {
            None => None,
            Some(_) => Some([
                var("latency_encoder.weight", &[hidden, query], query)?,
                var("latency_encoder.bias", &[hidden], query)?,
            ]),
        };
        Ok(LayerWeights {
            query_weight: var("query_encoder.weight", &[hidden, query], query)?,
            query_bias: var("query_encoder.bias", &[hidden], query)?,
            operator_weight: var("operator_encoder.weight", &[hidden, operator], operator)?,
            operator_bias: var("operator_encoder.bias", &[hidden], operator)?,
            log_temperature,
            latency,
            size,
        })
    }

    /// The variables with their names, in an order that never changes.
    pub fn named(&self, layer: usize) -> impl Iterator<Item = (String, Var)> {
        let vars = [
            ("operator_encoder.bias", Some(&self.operator_bias)),
            ("operator_encoder.weight", Some(&self.operator_weight)),
            ("query_encoder.bias", Some(&self.query_bias)),
            ("query_encoder.weight", Some(&self.query_weight)),
            ("log_temperature", self.log_temperature.as_ref()),
            ("latency_encoder.bias", self.latency.as_ref().map(|[_, bias]| bias)),
            ("latency_encoder.weight", self.latency.as_ref().map(|[weight, _]| weight)),
            ("size_encoder.bias", self.size.as_ref().map(|[_, bias]| bias)),
            ("size_encoder.weight", self.size.as_ref().map(|[weight, _]| weight)),
        ];
        vars.into_iter().filter_map(move |(name, var)| Some((format!("layers.{layer}.{name}"), var?.clone())))
    }
}

/// Size scores that make all sizes equally likely if all operators are: minus the logarithm of the number of sets of each size,
/// `[K + 1]`.
pub(super) fn equal_sizes(operators: usize, width: usize) -> Vec<f32> {
    let mut log_sets = 0.0f64;
    let mut scores = vec![0.0];
    for size in 1..=width {
        log_sets += (operators.saturating_sub(size - 1).max(1) as f64 / size as f64).ln();
        scores.push(-log_sets as f32);
    }
    scores
}
