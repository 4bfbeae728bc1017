//! The halting head: ends a plan early if the rest is expected to bring less than it costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};

use super::moments::Moment;
use super::{Conclusion, Decider, Next};
use crate::evidence::Known;
use crate::plan::Unit;

/// Ends the plan of another decider when the head says so. Unlike a quorum, it may change the answer.
#[derive(Clone, Debug)]
pub struct Halting<D> {
    pub decider: D,
    pub head: Arc<HaltingHead>,
    /// Number of words in the question.
    pub words: usize,
    /// Number of operators in the catalogue.
    pub operators: usize,
    /// Unit of the clock.
    pub unit: Unit,
}

impl<D: Decider> Decider for Halting<D> {
    fn next(&mut self, known: &Known<'_>) -> Next {
        let next = self.decider.next(known);
        if next != Next::Wait || !known.is_under_way() {
            return next;
        }
        let moment = Moment::of(known, self.words, self.operators, self.unit);
        let halts = moment.is_some_and(|moment| self.head.halts(&moment.evidence));
        if halts { Next::End } else { Next::Wait }
    }

    fn may_add(&self) -> bool {
        self.decider.may_add()
    }

    fn concludes(&self) -> Option<Conclusion> {
        self.decider.concludes()
    }
}

/// What the rest of a plan changes, from some moment to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Score of the answer at the end minus the score of the current answer.
    pub score: f64,
    /// Critical path, in the clock's unit.
    pub latency: f64,
    /// Dollars.
    pub cost: f64,
}

const FORECASTS: usize = 3;

/// A network with one hidden layer, `W_2 tanh(W_1 x + b_1) + b_2`, and the weights of latency and dollars against the score.
#[derive(Clone, Debug, PartialEq)]
pub struct HaltingHead {
    hidden: Dense,
    output: Dense,
    latency_weight: f64,
    cost_weight: f64,
}

/// `W x + b`.
#[derive(Clone, Debug, PartialEq)]
struct Dense {
    /// `W`, row after row.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let row = |(row, bias): (&[f32], &f32)| bias + row.iter().zip(x).map(|(weight, x)| weight * x).sum::<f32>();
        self.weight.chunks_exact(x.len().max(1)).zip(&self.bias).map(row).collect()
    }
}

impl HaltingHead {
    /// Names of the tensors: `W_1` `[H, F]`, `b_1` `[H]`, `W_2` `[3, H]`, `b_2` `[3]`, and the weights `[2]` of latency
    /// (score per token or second) and cost (score per dollar).
    pub const TENSORS: [&str; 5] = ["hidden.weight", "hidden.bias", "output.weight", "output.bias", "weights"];

    /// The head with these tensors, for evidence of `inputs` numbers.
    ///
    /// # Errors
    /// Names a tensor that is missing, misshapen or not finite.
    pub fn from_tensors(tensors: &BTreeMap<String, Tensor>, inputs: usize) -> Result<Self> {
        let hidden = tensors.get(Self::TENSORS[1]).map_or(0, Tensor::elem_count);
        let shapes: [&[usize]; 5] = [&[hidden, inputs], &[hidden], &[FORECASTS, hidden], &[FORECASTS], &[2]];
        let mut read = Vec::with_capacity(Self::TENSORS.len());
        for (name, expected) in Self::TENSORS.into_iter().zip(shapes) {
            let tensor = tensors.get(name).with_context(|| format!("halting head: no tensor `{name}`"))?;
            let found = tensor.dims();
            ensure!(found == expected, "halting head, tensor `{name}`: expected shape {expected:?}, found {found:?}");
            let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
            let is_finite = numbers.iter().all(|number| number.is_finite());
            ensure!(is_finite, "halting head, tensor `{name}`: expected finite numbers, found others");
            read.push(numbers);
        }
        let [hidden, hidden_bias, output, output_bias, weights] = <[Vec<f32>; 5]>::try_from(read)
            .map_err(|read| anyhow::anyhow!("expected 5 tensors, found {}", read.len()))?;
        Ok(HaltingHead {
            hidden: Dense { weight: hidden, bias: hidden_bias },
            output: Dense { weight: output, bias: output_bias },
            latency_weight: f64::from(weights[0]),
            cost_weight: f64::from(weights[1]),
        })
    }

    /// What the rest of the plan is expected to change.
    pub fn forecast(&self, evidence: &[f32]) -> Forecast {
        let hidden: Vec<f32> = self.hidden.apply(evidence).into_iter().map(f32::tanh).collect();
        let output = self.output.apply(&hidden);
        let number = |at: usize| output.get(at).copied().map_or(0.0, f64::from);
        Forecast { score: number(0), latency: number(1), cost: number(2) }
    }

    /// Whether the rest of the plan is expected to bring less than it costs.
    pub fn halts(&self, evidence: &[f32]) -> bool {
        let Forecast { score, latency, cost } = self.forecast(evidence);
        score < self.latency_weight * latency + self.cost_weight * cost
    }

    /// The same head at another latency weight.
    pub fn at(&self, latency_weight: f64) -> Self {
        HaltingHead { latency_weight, ..self.clone() }
    }

    /// The tensors by name, as [`HaltingHead::from_tensors`] reads them.
    ///
    /// # Errors
    /// None is expected.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let HaltingHead { hidden, output, .. } = self;
        let weights = vec![self.latency_weight as f32, self.cost_weight as f32];
        let width = hidden.bias.len();
        let features = hidden.weight.len() / width.max(1);
        let values = [&hidden.weight, &hidden.bias, &output.weight, &output.bias, &weights];
        let shapes = [vec![width, features], vec![width], vec![FORECASTS, width], vec![FORECASTS], vec![2]];
        let tensor = |((name, values), shape): ((&str, &Vec<f32>), Vec<usize>)| {
            Ok((name.to_owned(), Tensor::from_slice(values, shape, &Device::Cpu)?))
        };
        Self::TENSORS.into_iter().zip(values).zip(shapes).map(tensor).collect()
    }
}
