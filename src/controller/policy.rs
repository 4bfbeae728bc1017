//! The side of the controller that acts: plain numbers, no tensors; cheap to clone and to share between threads.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{DType, Tensor};
use rand::Rng;

use super::batch::add_condition;
use super::{Controller, ControllerConfig};
use crate::plan::{Kind, Layer, OperatorId, Plan, feasible};

/// A controller frozen at one moment of its training.
#[derive(Clone)]
pub struct Policy {
    weights: Arc<Weights>,
    /// Of the latency weight on the controller's scale; the middle unless [`Policy::at`] chose another.
    position: f32,
}

struct Weights {
    config: ControllerConfig,
    kinds: Vec<Kind>,
    layers: Vec<LayerTable>,
}

/// One layer, with everything that no query changes already multiplied out.
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
    /// `W_t`, `[H, E]`, and `b_t`, `[H]`; absent where the latency weight is no input.
    latency: Option<[Vec<f32>; 2]>,
}

impl Policy {
    /// Copies what `controller` knows now.
    ///
    /// # Errors
    /// The device failed.
    pub fn new(controller: &Controller) -> Result<Self> {
        let config = controller.config().clone();
        let (own, of_previous) = controller.operator_sides()?;
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
            });
        }
        Ok(Self::of(Weights { config, kinds: controller.kinds().to_vec(), layers }))
    }

    /// A policy for which all operators of a layer are equally likely, whatever the query.
    pub fn uniform(config: ControllerConfig, kinds: Vec<Kind>) -> Self {
        let (hidden, embedding) = (config.hidden, config.embedding);
        let table = |_| LayerTable {
            query_weight: vec![0.0; hidden * embedding],
            query_bias: vec![0.0; hidden],
            own: vec![0.0; kinds.len() * hidden],
            of_previous: vec![0.0; kinds.len() * hidden],
            temperature: 1.0,
            latency: None,
        };
        let layers = (0..config.layers).map(table).collect();
        Self::of(Weights { config, kinds, layers })
    }

    fn of(weights: Weights) -> Self {
        Policy { weights: Arc::new(weights), position: 0.0 }
    }

    /// The same policy for queries of this latency weight; one that is no input changes nothing.
    pub fn at(&self, latency_weight: f64) -> Self {
        Policy { weights: self.weights.clone(), position: self.config().position(latency_weight) }
    }

    pub fn config(&self) -> &ControllerConfig {
        &self.weights.config
    }

    pub fn kinds(&self) -> &[Kind] {
        &self.weights.kinds
    }

    /// Draws a plan for the query `[E]`: in each layer operators without replacement, each by its share of what is
    /// left, until the probabilities of those drawn sum to more than the threshold.
    pub fn sample(&self, query: &[f32], rng: &mut impl Rng) -> Plan {
        let next = |probabilities: &[f32], left: &[usize]| {
            let total: f32 = left.iter().map(|&operator| probabilities[operator]).sum();
            let mut point = rng.random::<f32>() * total;
            for (position, &operator) in left.iter().enumerate() {
                point -= probabilities[operator];
                if point < 0.0 {
                    return position;
                }
            }
            left.len() - 1
        };
        self.plan(query, |_, _| (), next)
    }

    /// The plan of the likeliest operators for the query `[E]` (E2); ties go to the lower index.
    pub fn greedy(&self, query: &[f32]) -> Plan {
        let likeliest_first = |probabilities: &[f32], left: &mut [usize]| {
            left.sort_by(|&one, &other| probabilities[other].total_cmp(&probabilities[one]));
        };
        self.plan(query, likeliest_first, |_, _| 0)
    }

    /// Probability of each operator in each layer of `plan`, given its layers before, `[layers of the plan][O]`.
    pub fn probabilities(&self, query: &[f32], plan: &Plan) -> Vec<Vec<f32>> {
        let layers = plan.layers.len().min(self.weights.layers.len());
        (0..layers).map(|layer| self.layer_probabilities(query, &plan.layers[..layer])).collect()
    }

    /// Builds a plan layer by layer, given all probabilities: `arrange` puts the operators in order, `next` picks a position
    /// among those left.
    fn plan(
        &self,
        query: &[f32],
        arrange: impl Fn(&[f32], &mut [usize]),
        mut next: impl FnMut(&[f32], &[usize]) -> usize,
    ) -> Plan {
        let Weights { config, kinds, layers } = &*self.weights;
        let mut plan = Plan::default();
        while plan.layers.len() < layers.len() {
            let probabilities = self.layer_probabilities(query, &plan.layers);
            let mut left: Vec<usize> = (0..kinds.len()).filter(|&operator| probabilities[operator] != 0.0).collect();
            arrange(&probabilities, &mut left);
            let mut layer = Layer::default();
            let threshold = config.threshold as f32;
            let mut mass = 0.0;
            while !left.is_empty() && (layer.operators.is_empty() || mass <= threshold) {
                let operator = left.remove(next(&probabilities, &left));
                mass += probabilities[operator];
                layer.operators.push(OperatorId(operator as u16));
            }
            // As published: without masks, a first layer that stops or cannot answer becomes a plain Generate.
            if !config.masked && plan.layers.is_empty() && !can_open(kinds, &layer) {
                layer.operators = first_generator(kinds).into_iter().collect();
            }
            let stops = layer.operators.iter().any(|operator| kinds[operator.index()] == Kind::Stop);
            plan.layers.push(layer);
            if stops {
                break;
            }
        }
        plan
    }

    /// Softmax over the operators of the layer that follows `before`, `[O]`; zero where masked.
    fn layer_probabilities(&self, query: &[f32], before: &[Layer]) -> Vec<f32> {
        let Weights { config, kinds, layers } = &*self.weights;
        let hidden = config.hidden;
        let table = &layers[before.len()];
        let mut h_q = linear(&table.query_weight, &table.query_bias, query);
        if let Some([weight, bias]) = &table.latency {
            let latency = linear(weight, bias, query);
            h_q.iter_mut().zip(latency).for_each(|(value, latency)| *value += self.position * latency);
        }

        let mut condition = vec![0.0; kinds.len()];
        if let Some(previous) = before.last() {
            add_condition(config.conditioning, &previous.operators, &mut condition);
        }
        let mut of_previous = vec![0.0; hidden];
        for (row, &weight) in table.of_previous.chunks_exact(hidden).zip(&condition) {
            if weight != 0.0 {
                of_previous.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
        }

        let scale = 1.0 / (norm(&h_q) * table.temperature);
        let mut h_o = vec![0.0; hidden];
        let mut scores: Vec<f32> = Vec::with_capacity(kinds.len());
        for own in table.own.chunks_exact(hidden) {
            for ((value, own), previous) in h_o.iter_mut().zip(own).zip(&of_previous) {
                *value = own + previous;
            }
            scores.push(dot(&h_q, &h_o) / norm(&h_o) * scale);
        }
        if config.masked {
            for (score, allowed) in scores.iter_mut().zip(feasible(kinds, before)) {
                if !allowed {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
        softmax(scores)
    }
}

fn can_open(kinds: &[Kind], layer: &Layer) -> bool {
    let mut chosen = layer.operators.iter().map(|operator| kinds[operator.index()]);
    chosen.clone().any(Kind::generates) && chosen.all(|kind| kind != Kind::Stop)
}

fn first_generator(kinds: &[Kind]) -> Option<OperatorId> {
    let plain = kinds.iter().position(|&kind| kind == Kind::Generate);
    plain.or_else(|| kinds.iter().position(|kind| kind.generates())).map(|index| OperatorId(index as u16))
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// `W x + b`.
fn linear(weight: &[f32], bias: &[f32], x: &[f32]) -> Vec<f32> {
    weight.chunks_exact(weight.len() / bias.len()).zip(bias).map(|(row, bias)| dot(row, x) + bias).collect()
}

/// Sixteen sums side by side, so that the compiler can use vector instructions.
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
