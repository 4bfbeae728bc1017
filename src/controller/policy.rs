//! The acting side of the controller: plain numbers, no tensors, cheap to clone and to share between threads.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{DType, Tensor};
use rand::Rng;

use super::batch::{add_condition, can_act};
use super::layer::equal_sizes;
use super::sets::Sets;
use super::{Controller, ControllerConfig, Selection};
use crate::plan::{Layer, OperatorId, Plan, Signature, is_open};

/// A controller frozen at one moment of its training.
#[derive(Clone)]
pub struct Policy {
    weights: Arc<Weights>,
    /// Position of the latency weight on the controller's scale; the middle unless [`Policy::at`] chose another.
    position: f32,
}

struct Weights {
    config: ControllerConfig,
    signatures: Vec<Signature>,
    layers: Vec<LayerTable>,
}

/// One layer, with everything that does not depend on the query multiplied out.
struct LayerTable {
    /// `W_q`, `[H, E]`.
    query_weight: Vec<f32>,
    /// `b_q`, `[H]`.
    query_bias: Vec<f32>,
    /// `W_o e_o + b_o`, `[O, H]`.
    own: Vec<f32>,
    /// The part of `W_o` for the previous layer times `e_o`, `[O, H]`.
    of_previous: Vec<f32>,
    temperature: f32,
    /// `W_t`, `[H, E]`, and `b_t`, `[H]`; absent if the latency weight is not an input.
    latency: Option<[Vec<f32>; 2]>,
    /// `W_c`, `[K + 1, H]`, and `b_c`, `[K + 1]`; absent if operators are drawn one by one.
    size: Option<[Vec<f32>; 2]>,
}

/// The scores that a layer is chosen by.
struct Scores {
    /// `z`, `[O]`; minus infinity for operators that cannot act.
    operators: Vec<f32>,
    /// `c`, `[K + 1]`; none if operators are drawn one by one.
    sizes: Option<Vec<f32>>,
}

impl Policy {
    /// Copies the current weights of `controller`.
    ///
    /// # Errors
    /// The device failed.
    pub fn new(controller: &Controller) -> Result<Self> {
        let config = controller.config().clone();
        let (own, of_previous) = controller.operator_sides(&controller.layers)?;
        let mut layers = Vec::with_capacity(config.layers);
        for (index, layer) in controller.layers.iter().enumerate() {
            layers.push(LayerTable {
                query_weight: numbers(&layer.query_weight)?,
                query_bias: numbers(&layer.query_bias)?,
                own: numbers(&own.get(index)?)?,
                of_previous: numbers(&of_previous.get(index)?)?,
                temperature: match &layer.log_temperature {
                    Some(log_temperature) => log_temperature.get(0)?.to_scalar::<f32>()?.exp(),
                    None => config.initial_temperature as f32,
                },
                latency: match &layer.latency {
                    Some([weight, bias]) => Some([numbers(weight)?, numbers(bias)?]),
                    None => None,
                },
                size: match &layer.size {
                    Some([weight, bias]) => Some([numbers(weight)?, numbers(bias)?]),
                    None => None,
                },
            });
        }
        Ok(Self::of(Weights { config, signatures: controller.signatures().to_vec(), layers }))
    }

    /// A policy for which all operators of a layer are equally likely whatever the query, and so are all sizes of sets.
    pub fn uniform(config: ControllerConfig, signatures: Vec<Signature>) -> Self {
        let (hidden, embedding) = (config.hidden, config.embedding);
        let sizes = config.width + 1;
        let table = |_| LayerTable {
            query_weight: vec![0.0; hidden * embedding],
            query_bias: vec![0.0; hidden],
            own: vec![0.0; signatures.len() * hidden],
            of_previous: vec![0.0; signatures.len() * hidden],
            temperature: 1.0,
            latency: None,
            size: (config.selection == Selection::Sets)
                .then(|| [vec![0.0; sizes * hidden], equal_sizes(signatures.len(), config.width)]),
        };
        let layers = (0..config.layers).map(table).collect();
        Self::of(Weights { config, signatures, layers })
    }

    fn of(weights: Weights) -> Self {
        Policy { weights: Arc::new(weights), position: 0.0 }
    }

    /// The same policy at this latency weight, which has no effect if it is not an input.
    pub fn at(&self, latency_weight: f64) -> Self {
        Policy { weights: self.weights.clone(), position: self.config().position(latency_weight) }
    }

    pub fn config(&self) -> &ControllerConfig {
        &self.weights.config
    }

    pub fn signatures(&self) -> &[Signature] {
        &self.weights.signatures
    }

    /// Draws a plan for the query `[E]`. Each layer is a set, or operators drawn without replacement, each in proportion to its
    /// share of the rest, until the probabilities of those drawn sum to more than the threshold.
    pub fn sample(&self, query: &[f32], rng: &mut impl Rng) -> Plan {
        self.plan(query, |policy, scores, may_end| match &scores.sizes {
            Some(sizes) => Sets::new(&scores.operators, sizes, may_end).draw(rng),
            None => policy.one_by_one(scores, |probabilities, left| drawn(probabilities, left, rng)),
        })
    }

    /// The plan of the likeliest operators for the query `[E]` (E2); ties go to the lower index.
    pub fn greedy(&self, query: &[f32]) -> Plan {
        self.plan(query, |policy, scores, may_end| match &scores.sizes {
            Some(sizes) => Sets::new(&scores.operators, sizes, may_end).likeliest(),
            None => policy.one_by_one(scores, likeliest),
        })
    }

    /// Probability of each operator in each layer of `plan`, given the earlier layers, `[layers of the plan][O]`: of being in the
    /// set, or of being drawn first.
    pub fn probabilities(&self, query: &[f32], plan: &Plan) -> Vec<Vec<f32>> {
        let signatures = self.signatures();
        let layers = plan.layers.len().min(self.weights.layers.len());
        let of_layer = |layer: usize| {
            let scores = self.scores(query, plan, layer);
            match scores.sizes {
                Some(sizes) => {
                    let inclusion =
                        Sets::new(&scores.operators, &sizes, is_open(signatures, &plan.layers[..layer])).inclusion();
                    inclusion.into_iter().map(|probability| probability as f32).collect()
                }
                None => softmax(scores.operators),
            }
        };
        (0..layers).map(of_layer).collect()
    }

    /// Log-probability that `plan` is drawn for the query `[E]`; for operators drawn one by one, in their order. Minus infinity
    /// for a plan that cannot be drawn.
    pub fn log_probability(&self, query: &[f32], plan: &Plan) -> f64 {
        let Weights { config, signatures, layers } = &*self.weights;
        let found = plan.layers.len();
        let is_known = plan.choices().all(|(_, operator)| operator.index() < signatures.len());
        if found > layers.len() || !is_known {
            return f64::NEG_INFINITY;
        }
        let ends = config.selection == Selection::Sets && (1..layers.len()).contains(&found);
        let of_layer = |layer: usize| {
            let chosen = plan.layers.get(layer).map_or(&[][..], |layer| layer.operators.as_slice());
            let chosen: Vec<usize> = chosen.iter().map(|operator| operator.index()).collect();
            let scores = self.scores(query, plan, layer);
            match scores.sizes {
                Some(sizes) => Sets::new(&scores.operators, &sizes, is_open(signatures, &plan.layers[..layer]))
                    .log_probability(&chosen),
                None => one_by_one(config.selection, &scores.operators, &chosen),
            }
        };
        (0..found + usize::from(ends)).map(of_layer).sum()
    }

    /// Builds a plan layer by layer. `choose` gets the scores and whether the plan may end; an empty choice ends it.
    fn plan(&self, query: &[f32], mut choose: impl FnMut(&Self, Scores, bool) -> Vec<usize>) -> Plan {
        let Weights { config, signatures, layers } = &*self.weights;
        let mut plan = Plan::default();
        while plan.layers.len() < layers.len() {
            let is_first = plan.layers.is_empty();
            let scores = self.scores(query, &plan, plan.layers.len());
            let chosen = choose(self, scores, is_open(signatures, &plan.layers));
            if chosen.is_empty() {
                break;
            }
            let mut layer = Layer { operators: chosen.into_iter().map(|at| OperatorId(at as u16)).collect() };
            // As published: without masks, a first layer that stops or cannot answer becomes a plain Generate.
            if !config.is_masked() && is_first && !can_open(signatures, &layer) {
                layer.operators = first_generator(signatures).into_iter().collect();
            }
            let stops = layer.operators.iter().any(|operator| signatures[operator.index()].ends);
            plan.layers.push(layer);
            if stops {
                break;
            }
        }
        plan
    }

    /// Operators until their probabilities sum to more than the threshold (E2); `next` picks a position among the rest.
    fn one_by_one(&self, scores: Scores, mut next: impl FnMut(&[f32], &[usize]) -> usize) -> Vec<usize> {
        let probabilities = softmax(scores.operators);
        let mut left: Vec<usize> =
            (0..probabilities.len()).filter(|&operator| probabilities[operator] != 0.0).collect();
        let threshold = self.weights.config.threshold as f32;
        let (mut chosen, mut mass) = (Vec::new(), 0.0);
        while !left.is_empty() && (chosen.is_empty() || mass <= threshold) {
            let operator = left.remove(next(&probabilities, &left));
            mass += probabilities[operator];
            chosen.push(operator);
        }
        chosen
    }

    /// The scores of a layer of `plan`, given the earlier layers.
    fn scores(&self, query: &[f32], plan: &Plan, layer: usize) -> Scores {
        let Weights { config, signatures, layers } = &*self.weights;
        let hidden = config.hidden;
        let table = &layers[layer];
        let mut h_q = linear(&table.query_weight, &table.query_bias, query);
        if let Some([weight, bias]) = &table.latency {
            let latency = linear(weight, bias, query);
            h_q.iter_mut().zip(latency).for_each(|(value, latency)| *value += self.position * latency);
        }
        let length = norm(&h_q);
        h_q.iter_mut().for_each(|value| *value /= length);

        let mut condition = vec![0.0; signatures.len()];
        if let Some(previous) = layer.checked_sub(1).and_then(|before| plan.layers.get(before)) {
            add_condition(config.selection, &previous.operators, &mut condition);
        }
        let mut of_previous = vec![0.0; hidden];
        for (row, &weight) in table.of_previous.chunks_exact(hidden).zip(&condition) {
            if weight != 0.0 {
                of_previous.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
        }

        let mut h_o = vec![0.0; hidden];
        let mut operators: Vec<f32> = Vec::with_capacity(signatures.len());
        for own in table.own.chunks_exact(hidden) {
            for ((value, own), previous) in h_o.iter_mut().zip(own).zip(&of_previous) {
                *value = own + previous;
            }
            operators.push(dot(&h_q, &h_o) / (norm(&h_o) * table.temperature));
        }
        if config.is_masked() {
            let can_act = can_act(config, signatures, &plan.layers[..layer]);
            operators.iter_mut().zip(can_act).filter(|(_, can_act)| !can_act).for_each(|(z, _)| *z = f32::NEG_INFINITY);
        }
        Scores { operators, sizes: table.size.as_ref().map(|[weight, bias]| linear(weight, bias, &h_q)) }
    }
}

/// The position of an operator drawn in proportion to its share of the rest.
fn drawn(probabilities: &[f32], left: &[usize], rng: &mut impl Rng) -> usize {
    let total: f32 = left.iter().map(|&operator| probabilities[operator]).sum();
    let mut point = rng.random::<f32>() * total;
    for (position, &operator) in left.iter().enumerate() {
        point -= probabilities[operator];
        if point < 0.0 {
            return position;
        }
    }
    left.len() - 1
}

/// The position of the likeliest remaining operator; ties go to the first.
fn likeliest(probabilities: &[f32], left: &[usize]) -> usize {
    let better = |best: usize, next: usize| {
        if probabilities[left[next]] > probabilities[left[best]] { next } else { best }
    };
    (1..left.len()).fold(0, better)
}

/// Log-probability that operators are drawn in this order; in the published selection, as if each was drawn alone, with the
/// published floor.
///
/// It is computed from the scores, since the probabilities of what is left may cancel to nothing.
fn one_by_one(selection: Selection, scores: &[f32], chosen: &[usize]) -> f64 {
    let score = |operator: usize| f64::from(scores[operator]);
    let mut left: Vec<usize> = (0..scores.len()).collect();
    let mut log_probability = 0.0;
    for &operator in chosen {
        if !left.contains(&operator) {
            return f64::NEG_INFINITY;
        }
        let highest = left.iter().map(|&other| score(other)).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = left.iter().map(|&other| (score(other) - highest).exp()).sum();
        let alone = score(operator) - highest - total.ln();
        if selection == Selection::Published {
            log_probability += (alone.exp() + 1e-10).ln();
        } else {
            log_probability += alone;
            left.retain(|&other| other != operator);
        }
    }
    log_probability
}

fn can_open(signatures: &[Signature], layer: &Layer) -> bool {
    let mut chosen = layer.operators.iter().map(|operator| signatures[operator.index()]);
    chosen.clone().any(|signature| signature.opens()) && chosen.all(|signature| !signature.ends)
}

fn first_generator(signatures: &[Signature]) -> Option<OperatorId> {
    let plain = signatures.iter().position(|signature| signature.opens() && !signature.uses_tool);
    plain.or_else(|| signatures.iter().position(Signature::opens)).map(|index| OperatorId(index as u16))
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// `W x + b`.
fn linear(weight: &[f32], bias: &[f32], x: &[f32]) -> Vec<f32> {
    weight.chunks_exact(weight.len() / bias.len()).zip(bias).map(|(row, bias)| dot(row, x) + bias).collect()
}

/// Dot product as sixteen parallel sums, so that the compiler can use vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (chunks_a, chunks_b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in chunks_a.zip(chunks_b) {
        for lane in 0..16 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn norm(x: &[f32]) -> f32 {
    dot(x, x).sqrt().max(1e-12)
}

fn softmax(mut scores: Vec<f32>) -> Vec<f32> {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - highest).exp());
    let total: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= total);
    scores
}
