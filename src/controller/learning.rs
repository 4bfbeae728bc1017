//! The side of the controller that learns: probabilities of given plans, with gradients.
//!
//! ```text
//! h_q = normalize(W_q v + b_q)
//! h_o = normalize(W_o [e_o ; e_prev] + b_o)        (first layer: without e_prev)
//! p_l = softmax over o of <h_q, h_o> / temperature
//! ```
//!
//! A controller that reads the latency weight, at position x of its scale, has
//! `h_q = normalize(W_q v + b_q + x (W_t v + b_t))`: the utility of a plan is linear in the weight, so as it grows the
//! preference between two operators turns at most once, where that depends on the query.
//!
//! The plans are known beforehand, so all layers of all plans are evaluated at once. `e_prev` is a weighted sum of
//! operator embeddings, hence its part of `W_o` is applied once per operator, not once per plan.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::ops::log_softmax;

use super::batch::Batch;
use super::layer::LayerWeights;
use super::{ControllerConfig, LogProbability};
use crate::checkpoint::Checkpoint;
use crate::plan::{Kind, Plan};

/// Stands for minus infinity before a softmax; finite, so that no gradient becomes NaN.
const NEVER: f32 = -1e30;

/// A controller with gradients.
pub struct Controller {
    config: ControllerConfig,
    kinds: Vec<Kind>,
    /// Embeddings of the operators' descriptions, `[O, E]`.
    operators: Tensor,
    /// `[[e, 0], [0, e]]`, `[2 O, 2 E]`: multiplies both halves of a later layer's `W_o` at once.
    both_halves: Tensor,
    pub(super) layers: Vec<LayerWeights>,
}

/// What the controller says of a batch of `P` plans.
pub struct Evaluation {
    /// One log-probability per choice, in the order of [`Plan::choices`] over all plans, `[choices]`.
    pub log_probs: Tensor,
    /// Probability of each operator in each layer, given the plan's layers before it, `[P, L, O]`.
    pub probabilities: Tensor,
    /// Entropy of these probabilities in nats, for every layer of every plan, `[layers of all plans]`.
    pub entropy: Tensor,
}

impl Controller {
    /// An untrained controller for operators of these `kinds`, embedded as `operators` `[O, E]`.
    ///
    /// # Errors
    /// A setting out of range, operators of another shape, or no operator that can answer by itself.
    pub fn new(
        config: ControllerConfig,
        kinds: Vec<Kind>,
        operators: &Tensor,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let layer = |config: &ControllerConfig, layer| LayerWeights::new(config, layer, seed, device);
        Self::build(config, kinds, operators, device, layer)
    }

    /// A controller from the tensors of a state dict.
    ///
    /// # Errors
    /// As [`Controller::new`]; names a tensor that is missing, misshapen, not finite or not the controller's.
    pub fn from_tensors(
        config: ControllerConfig,
        kinds: Vec<Kind>,
        operators: &Tensor,
        tensors: &BTreeMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self> {
        let layer = |config: &ControllerConfig, layer| LayerWeights::load(config, layer, tensors, device);
        let controller = Self::build(config, kinds, operators, device, layer)?;
        let known: Vec<String> = controller.named_vars().map(|(name, _)| name).collect();
        for name in tensors.keys() {
            ensure!(
                known.contains(name),
                "unexpected tensor `{name}`; hint: the configuration is of another controller"
            );
        }
        Ok(controller)
    }

    /// The controller of a checkpoint; `kinds` are those of the operators of its catalogue.
    ///
    /// # Errors
    /// As [`Controller::from_tensors`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, kinds: Vec<Kind>, device: &Device) -> Result<Self> {
        let config = ControllerConfig::of_checkpoint(checkpoint)?;
        Self::from_tensors(config, kinds, &checkpoint.operators, &checkpoint.weights, device)
    }

    fn build(
        config: ControllerConfig,
        kinds: Vec<Kind>,
        operators: &Tensor,
        device: &Device,
        layer: impl Fn(&ControllerConfig, usize) -> Result<LayerWeights>,
    ) -> Result<Self> {
        config.validate()?;
        let expected = [kinds.len(), config.embedding];
        let found = operators.dims();
        ensure!(found == expected, "operator embeddings: expected shape {expected:?}, found {found:?}");
        ensure!(
            kinds.iter().any(|kind| kind.generates()),
            "expected an operator that can answer by itself (kind `generate` or `program`), found none"
        );
        let layers = (0..config.layers).map(|index| layer(&config, index)).collect::<Result<_>>()?;
        let operators = operators.to_dtype(DType::F32)?.to_device(device)?;
        let zeros = operators.zeros_like()?;
        let both_halves = [Tensor::cat(&[&operators, &zeros], 1)?, Tensor::cat(&[&zeros, &operators], 1)?];
        Ok(Controller { config, kinds, both_halves: Tensor::cat(&both_halves, 0)?, operators, layers })
    }

    pub fn config(&self) -> &ControllerConfig {
        &self.config
    }

    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Embeddings of the operators, `[O, E]`.
    pub fn operators(&self) -> &Tensor {
        &self.operators
    }

    pub fn device(&self) -> &Device {
        self.operators.device()
    }

    /// All that is trained, by name, in an order that never changes.
    pub fn named_vars(&self) -> impl Iterator<Item = (String, Var)> + '_ {
        self.layers.iter().enumerate().flat_map(|(index, layer)| layer.named(index))
    }

    /// The trained tensors by name, copied to the CPU.
    ///
    /// # Errors
    /// The device failed.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        self.named_vars().map(|(name, var)| Ok((name, var.as_tensor().to_device(&Device::Cpu)?.copy()?))).collect()
    }

    /// Log-probabilities of the choices of `plans`, `[choices]`; see [`Controller::evaluate`].
    ///
    /// # Errors
    /// As [`Controller::evaluate`].
    pub fn log_probs(&self, queries: &Tensor, plans: &[Plan]) -> Result<Tensor> {
        Ok(self.evaluate(queries, plans)?.log_probs)
    }

    /// Evaluates `plans`, one per row of `queries` `[P, E]`; where the latency weight is an input, at the middle of its
    /// scale.
    ///
    /// # Errors
    /// Queries of another shape, or a plan that this controller cannot draw.
    pub fn evaluate(&self, queries: &Tensor, plans: &[Plan]) -> Result<Evaluation> {
        let middle = self.config.latency_weights.map_or(0.0, |weights| weights.at(0.5));
        self.evaluate_at(queries, &vec![middle; plans.len()], plans)
    }

    /// As [`Controller::evaluate`], with the latency weight of each query; one that is no input changes nothing.
    ///
    /// # Errors
    /// As [`Controller::evaluate`].
    pub fn evaluate_at(&self, queries: &Tensor, latency_weights: &[f64], plans: &[Plan]) -> Result<Evaluation> {
        let expected = [plans.len(), self.config.embedding];
        let found = queries.dims();
        ensure!(found == expected, "query embeddings: expected shape {expected:?}, found {found:?}");
        let (expected, found) = (plans.len(), latency_weights.len());
        ensure!(found == expected, "latency weights: expected one for each of {expected} plans, found {found}");
        let batch = Batch::new(&self.config, &self.kinds, latency_weights, plans)?;
        let (layers, operators) = (self.config.layers, self.kinds.len());
        let shape = (layers, plans.len(), operators);
        let device = self.device();

        let previous = Tensor::from_vec(batch.previous, shape, device)?;
        let positions = Tensor::from_vec(batch.positions, (plans.len(), 1), device)?;
        let scores = self.scores(queries, &positions, &previous)?;
        let never = Tensor::new(NEVER, device)?;
        let masked = match self.config.masked {
            true => Tensor::from_vec(batch.allowed, shape, device)?.where_cond(&scores, &never.broadcast_as(shape)?)?,
            false => scores,
        };
        let all_log_probs = log_softmax(&masked, D::Minus1)?;
        let all_probabilities = all_log_probs.exp()?;

        let rows = (layers * plans.len(), operators);
        let chosen = (batch.operators.len(), 1);
        let choice_rows = Tensor::new(batch.rows.as_slice(), device)?;
        let choice_operators = Tensor::from_vec(batch.operators, chosen, device)?;
        let log_probs = match self.config.log_probability {
            LogProbability::Marginal => {
                let p = all_probabilities.reshape(rows)?.index_select(&choice_rows, 0)?.gather(&choice_operators, 1)?;
                (p + 1e-10)?.log()?
            }
            LogProbability::Exact => {
                let shape = (chosen.0, operators);
                let left = Tensor::from_vec(batch.left, shape, device)?;
                let scores = masked.reshape(rows)?.index_select(&choice_rows, 0)?;
                let scores = left.where_cond(&scores, &never.broadcast_as(shape)?)?;
                log_softmax(&scores, D::Minus1)?.gather(&choice_operators, 1)?
            }
        };
        let entropy = (&all_probabilities * &all_log_probs)?.sum(D::Minus1)?.neg()?.flatten_all()?;
        Ok(Evaluation {
            log_probs: log_probs.squeeze(1)?,
            probabilities: all_probabilities.transpose(0, 1)?,
            entropy: entropy.index_select(&Tensor::new(batch.used.as_slice(), device)?, 0)?,
        })
    }

    /// `<h_q, h_o> / temperature`, `[L, P, O]`, for queries `[P, E]` at `positions` `[P, 1]` of the scale of latency weights, and
    /// weights over previous operators `[L, P, O]`.
    ///
    /// With `own + before` for what is normalised to `h_o`, products and squared norms are sums of their parts'; no
    /// tensor of shape `[L, P, O, H]` is needed.
    fn scores(&self, queries: &Tensor, positions: &Tensor, previous: &Tensor) -> Result<Tensor> {
        let linear = |weight: &Var, bias: &Var| product(queries, weight)?.broadcast_add(bias);
        let query = |layer: &LayerWeights| -> Result<Tensor> {
            let query = linear(&layer.query_weight, &layer.query_bias)?;
            Ok(match &layer.latency {
                None => query,
                Some([weight, bias]) => (query + linear(weight, bias)?.broadcast_mul(positions)?)?,
            })
        };
        let queries = self.layers.iter().map(query).collect::<Result<Vec<_>>>()?;
        let queries = Tensor::stack(&queries, 0)?;
        let (own, of_previous) = self.operator_sides()?;
        let before = previous.matmul(&of_previous)?;

        let own_transposed = own.t()?;
        let product = queries.matmul(&own_transposed)?.broadcast_add(&(&queries * &before)?.sum_keepdim(D::Minus1)?)?;
        let own_square = own.sqr()?.sum(D::Minus1)?.unsqueeze(1)?;
        let mixed = (before.matmul(&own_transposed)? * 2.0)?;
        let operator_square = mixed.broadcast_add(&own_square)?.broadcast_add(&square(&before)?)?;
        let norms = norm(&operator_square)?.broadcast_mul(&norm(&square(&queries)?)?)?;
        let scores = (product / norms)?;

        let learned: Vec<&Tensor> = self.layers.iter().flat_map(|layer| &layer.log_temperature).map(|v| &**v).collect();
        Ok(if learned.is_empty() {
            (scores / self.config.initial_temperature)?
        } else {
            let scale = Tensor::cat(&learned, 0)?.neg()?.exp()?.reshape((self.config.layers, 1, 1))?;
            scores.broadcast_mul(&scale)?
        })
    }

    /// `W_o e_o + b_o` with the two halves of `W_o`: the operator's own part, and that of a previous operator
    /// (without bias, zero in the first layer), each `[L, O, H]`.
    pub(super) fn operator_sides(&self) -> Result<(Tensor, Tensor)> {
        let count = self.kinds.len();
        let mut own = Vec::with_capacity(self.layers.len());
        let mut of_previous = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let (side, previous) = if index == 0 {
                let side = product(&self.operators, &layer.operator_weight)?;
                (side.clone(), side.zeros_like()?)
            } else {
                let both = product(&self.both_halves, &layer.operator_weight)?;
                (both.narrow(0, 0, count)?, both.narrow(0, count, count)?)
            };
            own.push(side.broadcast_add(&layer.operator_bias)?);
            of_previous.push(previous);
        }
        Ok((Tensor::stack(&own, 0)?, Tensor::stack(&of_previous, 0)?))
    }
}

/// `x W^T`, taken as the transpose of `W x^T`: so the gradient of `W` comes in the order of `W`, and is not turned over number
/// by number.
fn product(x: &Tensor, weight: &Var) -> candle_core::Result<Tensor> {
    weight.matmul(&x.t()?)?.t()
}

/// Sum of squares over the last dimension, which is kept.
fn square(x: &Tensor) -> Result<Tensor> {
    Ok(x.sqr()?.sum_keepdim(D::Minus1)?)
}

/// The root of a sum of squares, at least 1e-12 as in `torch.nn.functional.normalize`.
fn norm(square: &Tensor) -> Result<Tensor> {
    Ok(square.maximum(1e-24)?.sqrt()?)
}
