//! The learning side of the controller: probabilities of given plans, with gradients.
//!
//! ```text
//! h_q = normalize(W_q v + b_q)
//! h_o = normalize(W_o [e_o ; e_prev] + b_o)        (first layer: without e_prev)
//! z_o = <h_q, h_o> / temperature
//! c_k = W_c h_q + b_c                              (sets only)
//! ```
//!
//! Operators are drawn one by one from the softmax of `z` (E2), or as a set ([`super::sets`]).
//!
//! A controller that reads the latency weight, at position x of its scale, has
//! `h_q = normalize(W_q v + b_q + x (W_t v + b_t))`. The utility of a plan is linear in the weight, so as the weight grows, the
//! preference between two operators changes at most once, at a point that depends on the query.
//!
//! The plans are known beforehand, so all layers of all plans are evaluated at once, and a state that several plans of a query
//! share only once. `e_prev` is a weighted sum of operator embeddings, so its part of `W_o` is applied once per operator, not
//! once per plan.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::ops::log_softmax;

use super::batch::{Batch, Drawn, DrawnSets};
use super::layer::LayerWeights;
use super::sets::log_partition;
use super::{ControllerConfig, Selection};
use crate::checkpoint::Checkpoint;
use crate::plan::{Plan, Signature};

/// Minus infinity before a softmax; finite, so that no gradient becomes NaN.
const NEVER: f32 = -1e30;

/// A controller with gradients.
pub struct Controller {
    config: ControllerConfig,
    signatures: Vec<Signature>,
    /// Embeddings of the operators' descriptions, `[O, E]`.
    operators: Tensor,
    /// `[[e, 0], [0, e]]`, `[2 O, 2 E]`: multiplies both halves of a later layer's `W_o` at once.
    both_halves: Tensor,
    pub(super) layers: Vec<LayerWeights>,
}

impl Controller {
    /// An untrained controller for operators of these `signatures`, embedded as `operators` `[O, E]`.
    ///
    /// # Errors
    /// A setting is out of range, the operators have another shape, or no operator can answer by itself.
    pub fn new(
        config: ControllerConfig,
        signatures: Vec<Signature>,
        operators: &Tensor,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let count = signatures.len();
        let layer = |config: &ControllerConfig, layer| LayerWeights::new(config, count, layer, seed, device);
        Self::build(config, signatures, operators, device, layer)
    }

    /// A controller from the tensors of a state dict.
    ///
    /// # Errors
    /// Those of [`Controller::new`]; names a tensor that is missing, misshapen, not finite or not the controller's.
    pub fn from_tensors(
        config: ControllerConfig,
        signatures: Vec<Signature>,
        operators: &Tensor,
        tensors: &BTreeMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self> {
        let layer = |config: &ControllerConfig, layer| LayerWeights::load(config, layer, tensors, device);
        let controller = Self::build(config, signatures, operators, device, layer)?;
        let known: Vec<String> = controller.named_vars().map(|(name, _)| name).collect();
        for name in tensors.keys() {
            ensure!(
                known.contains(name),
                "unexpected tensor `{name}`; hint: the configuration is of another controller"
            );
        }
        Ok(controller)
    }

    /// The controller of a checkpoint; `signatures` are those of the operators of its catalogue.
    ///
    /// # Errors
    /// Those of [`Controller::from_tensors`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, signatures: Vec<Signature>, device: &Device) -> Result<Self> {
        let config = ControllerConfig::of_checkpoint(checkpoint)?;
        Self::from_tensors(config, signatures, &checkpoint.operators, &checkpoint.weights, device)
    }

    fn build(
        config: ControllerConfig,
        signatures: Vec<Signature>,
        operators: &Tensor,
        device: &Device,
        layer: impl Fn(&ControllerConfig, usize) -> Result<LayerWeights>,
    ) -> Result<Self> {
        config.validate()?;
        let expected = [signatures.len(), config.embedding];
        let found = operators.dims();
        ensure!(found == expected, "operator embeddings: expected shape {expected:?}, found {found:?}");
        ensure!(
            signatures.iter().any(|kind| kind.opens()),
            "expected an operator that can answer by itself (kind `generate` or `program`), found none"
        );
        let layers = (0..config.layers).map(|index| layer(&config, index)).collect::<Result<_>>()?;
        let operators = operators.to_dtype(DType::F32)?.to_device(device)?;
        let zeros = operators.zeros_like()?;
        let both_halves = [Tensor::cat(&[&operators, &zeros], 1)?, Tensor::cat(&[&zeros, &operators], 1)?];
        Ok(Controller { config, signatures, both_halves: Tensor::cat(&both_halves, 0)?, operators, layers })
    }

    pub fn config(&self) -> &ControllerConfig {
        &self.config
    }

    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Embeddings of the operators, `[O, E]`.
    pub fn operators(&self) -> &Tensor {
        &self.operators
    }

    pub fn device(&self) -> &Device {
        self.operators.device()
    }

    /// All trained variables by name, in an order that never changes.
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

    /// One log-probability per choice of `plans`, in the order of [`Plan::choices`] over all plans, `[choices]`. Those of a plan
    /// sum to the plan's own. There is one plan per row of `queries` `[P, E]`. If the latency weight is an input, the middle of
    /// its scale is used.
    ///
    /// The choices of a set share equally in the part of its log-probability beyond their own scores. Those of a plan's last
    /// layer also share the empty set that ends the plan.
    ///
    /// # Errors
    /// The queries have another shape, or this controller cannot draw a plan.
    pub fn log_probs(&self, queries: &Tensor, plans: &[Plan]) -> Result<Tensor> {
        let middle = self.config.latency_weights.map_or(0.0, |weights| weights.at(0.5));
        self.log_probs_at(queries, &vec![middle; plans.len()], plans)
    }

    /// Like [`Controller::log_probs`], with the latency weight of each query, which has no effect if it is not an input.
    ///
    /// # Errors
    /// Those of [`Controller::log_probs`].
    pub fn log_probs_at(&self, queries: &Tensor, latency_weights: &[f64], plans: &[Plan]) -> Result<Tensor> {
        let expected = [plans.len(), self.config.embedding];
        let found = queries.dims();
        ensure!(found == expected, "query embeddings: expected shape {expected:?}, found {found:?}");
        let (expected, found) = (plans.len(), latency_weights.len());
        ensure!(found == expected, "latency weights: expected one for each of {expected} plans, found {found}");
        let plans: Vec<(usize, &Plan)> = plans.iter().enumerate().collect();
        self.log_probs_of(queries, latency_weights, &plans)
    }

    /// Like [`Controller::log_probs_at`], for plans with the number of their query; `Q` queries `[Q, E]`, each with its latency
    /// weight.
    ///
    /// # Errors
    /// Those of [`Controller::log_probs`].
    pub fn log_probs_of(&self, queries: &Tensor, latency_weights: &[f64], plans: &[(usize, &Plan)]) -> Result<Tensor> {
        let batch = Batch::new(&self.config, &self.signatures, latency_weights, plans)?;
        let shape = (batch.queries.len(), self.signatures.len());
        let device = self.device();
        let scores = self.scores(queries, &batch)?;
        let never = Tensor::new(NEVER, device)?;
        let chosen = Tensor::from_vec(batch.operators, (batch.rows.len(), 1), device)?;
        let rows = Tensor::new(batch.rows, device)?;
        let masked = match self.config.is_masked() {
            true => {
                let allowed = Tensor::from_vec(batch.allowed, shape, device)?;
                allowed.where_cond(&scores.operators, &never.broadcast_as(shape)?)?
            }
            false => scores.operators,
        };
        let log_probs = match (batch.drawn, scores.sizes) {
            (Drawn::Sets(sets), Some(sizes)) => {
                let own = masked.index_select(&rows, 0)?.gather(&chosen, 1)?.squeeze(1)?;
                let can_end = Tensor::from_vec(batch.can_end, (shape.0, 1), device)?;
                return of_sets(&own, &masked, &sizes, &can_end, sets);
            }
            (Drawn::OneByOne { left }, _) if self.config.selection == Selection::Threshold => {
                let shape = (chosen.elem_count(), shape.1);
                let left = Tensor::from_vec(left, shape, device)?;
                let scores = left.where_cond(&masked.index_select(&rows, 0)?, &never.broadcast_as(shape)?)?;
                log_softmax(&scores, D::Minus1)?
            }
            _ => (log_softmax(&masked, D::Minus1)?.exp()?.index_select(&rows, 0)? + 1e-10)?.log()?,
        };
        Ok(log_probs.gather(&chosen, 1)?.squeeze(1)?)
    }

    /// `z` and `c` of every row.
    ///
    /// `h_o` is `own + before`, normalised. So products and squared norms are sums of the parts' products and norms, which are
    /// computed once per query and once per condition.
    fn scores(&self, queries: &Tensor, batch: &Batch) -> Result<Scores> {
        let device = self.device();
        let layers = &self.layers[..batch.depth];
        let positions = Tensor::from_slice(&batch.positions, (batch.positions.len(), 1), device)?;
        let linear = |weight: &Var, bias: &Var| product(queries, weight)?.broadcast_add(bias);
        let query = |layer: &LayerWeights| -> Result<Tensor> {
            let query = linear(&layer.query_weight, &layer.query_bias)?;
            Ok(match &layer.latency {
                None => query,
                Some([weight, bias]) => (query + linear(weight, bias)?.broadcast_mul(&positions)?)?,
            })
        };
        let queries = Tensor::stack(&layers.iter().map(query).collect::<Result<Vec<_>>>()?, 0)?;
        let (own, of_previous) = self.operator_sides(layers)?;
        let shape = (batch.depth, batch.conditions, self.signatures.len());
        let before = Tensor::from_slice(&batch.previous, shape, device)?.matmul(&of_previous)?;

        let row_queries = Tensor::new(batch.queries.as_slice(), device)?;
        let row_conditions = Tensor::new(batch.knows.as_slice(), device)?;
        let of_query = |grid: &Tensor| grid.flatten_to(1)?.index_select(&row_queries, 0);
        let of_condition = |grid: &Tensor| grid.flatten_to(1)?.index_select(&row_conditions, 0);

        let own_transposed = own.t()?;
        let rows = of_query(&queries)?;
        let own_product = of_query(&queries.matmul(&own_transposed)?)?;
        let product = own_product.broadcast_add(&(&rows * of_condition(&before)?)?.sum_keepdim(D::Minus1)?)?;
        let own_square = own.sqr()?.sum(D::Minus1)?.unsqueeze(1)?;
        let mixed = (before.matmul(&own_transposed)? * 2.0)?;
        let operator_square = mixed.broadcast_add(&own_square)?.broadcast_add(&square(&before)?)?;
        let query_norm = norm(&square(&queries)?)?;
        let norms = of_condition(&norm(&operator_square)?)?.broadcast_mul(&of_query(&query_norm)?)?;
        let scores = (product / norms)?;

        let sizes: Vec<&[Var; 2]> = layers.iter().flat_map(|layer| &layer.size).collect();
        let sizes = match sizes.is_empty() {
            true => None,
            false => {
                let stacked = |at: usize| Tensor::stack(&sizes.iter().map(|size| &*size[at]).collect::<Vec<_>>(), 0);
                let directions = queries.broadcast_div(&query_norm)?;
                let sizes = directions.matmul(&stacked(0)?.t()?)?.broadcast_add(&stacked(1)?.unsqueeze(1)?)?;
                Some(of_query(&sizes)?)
            }
        };
        let learned: Vec<&Tensor> = layers.iter().flat_map(|layer| &layer.log_temperature).map(|v| &**v).collect();
        let operators = if learned.is_empty() {
            (scores / self.config.initial_temperature)?
        } else {
            let scale = Tensor::cat(&learned, 0)?.neg()?.exp()?.reshape((layers.len(), 1, 1))?;
            let scale = of_query(&scale.broadcast_as((layers.len(), batch.positions.len(), 1))?.contiguous()?)?;
            scores.broadcast_mul(&scale)?
        };
        Ok(Scores { operators, sizes })
    }

    /// `W_o e_o + b_o` of `layers`, separately for the two halves of `W_o`: the operator's own part, and the part of a previous
    /// operator (without bias, zero in the first layer), each `[D, O, H]`.
    pub(super) fn operator_sides(&self, layers: &[LayerWeights]) -> Result<(Tensor, Tensor)> {
        let count = self.signatures.len();
        let mut own = Vec::with_capacity(layers.len());
        let mut of_previous = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
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

/// The scores that layers are chosen by.
struct Scores {
    /// `z`, `[R, O]`.
    operators: Tensor,
    /// `c`, `[R, K + 1]`; none if operators are drawn one by one.
    sizes: Option<Tensor>,
}

/// Each choice's part of the log-probability of its set, `[choices]`: its own score `own` plus its share of the rest. Takes the
/// scores `[R, O]`, the size scores `[R, K + 1]`, and whether the set can be empty `[R, 1]`.
fn of_sets(own: &Tensor, scores: &Tensor, sizes: &Tensor, can_end: &Tensor, sets: DrawnSets) -> Result<Tensor> {
    let device = scores.device();
    let (empty, others) = (sizes.narrow(1, 0, 1)?, sizes.narrow(1, 1, sizes.dim(1)? - 1)?);
    let never = Tensor::full(NEVER, empty.shape(), device)?;
    let sizes = Tensor::cat(&[&can_end.where_cond(&empty, &never)?, &others], 1)?;
    let log_partition = log_partition(scores, &sizes)?.index_select(&Tensor::new(sets.rows, device)?, 0)?;
    let rest = (sizes.flatten_all()?.index_select(&Tensor::new(sets.sizes, device)?, 0)? - log_partition)?;
    let share = |of: Vec<(u32, f32)>| -> Result<Tensor> {
        let (sets, shares): (Vec<u32>, Vec<f32>) = of.into_iter().unzip();
        Ok((rest.index_select(&Tensor::new(sets, device)?, 0)? * Tensor::new(shares, device)?)?)
    };
    Ok(((own + share(sets.own)?)? + share(sets.end)?)?)
}

/// `x W^T`, computed as the transpose of `W x^T`, so that the gradient of `W` already has the layout of `W` and needs no
/// element-wise transpose.
fn product(x: &Tensor, weight: &Var) -> candle_core::Result<Tensor> {
    weight.matmul(&x.t()?)?.t()
}

/// Sum of squares over the last dimension, which is kept as size 1.
fn square(x: &Tensor) -> Result<Tensor> {
    Ok(x.sqr()?.sum_keepdim(D::Minus1)?)
}

/// The root of a sum of squares, at least 1e-12 as in `torch.nn.functional.normalize`.
fn norm(square: &Tensor) -> Result<Tensor> {
    Ok(square.maximum(1e-24)?.sqrt()?)
}
