//! The halting head: what the rest of a plan is expected to bring and to take, from what is known at a moment of its run.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};

use super::evidence::{Standing, Time};
use super::{Choice, Done};
use crate::operators::{Effect, Query, Solution};
use crate::plan::Treatment;

/// A moment at which a plan can end: a solution has arrived or an operator has ended, and an answer stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// What is known, `[F]` of [`inputs`].
    pub evidence: Vec<f32>,
    /// The winner of a vote taken now.
    pub answer: String,
    /// From the start of the query, in virtual time.
    pub tokens: f64,
    /// Dollars spent, if the plan ends now.
    pub cost: f64,
}

/// Is shown the moments of a plan in their order; the plan ends at the first for which it is true.
pub type Look<'a> = dyn FnMut(&Moment) -> bool + Send + 'a;

/// What the rest of a plan changes, from a moment to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Score of the answer at the end minus that of the answer that stands.
    pub score: f64,
    /// Of critical path.
    pub tokens: f64,
    /// Dollars.
    pub cost: f64,
}

/// Numbers that are known of the whole plan, and of each operator of the catalogue.
const OF_PLAN: usize = 8;
const OF_OPERATOR: usize = 5;
/// Tokens, and words of a question, that count as one.
const SCALE: f64 = 32.0;
const FORECASTS: usize = 3;

/// `F`, numbers that are known at a moment, over a catalogue of so many operators.
pub fn inputs(operators: usize) -> usize {
    OF_PLAN + OF_OPERATOR * operators
}

impl Moment {
    /// None where no answer stands.
    pub(super) fn at(
        tokens: f64,
        query: &Query<'_>,
        choices: &[Choice<'_>],
        times: &[Time],
        done: &[Done<'_>],
        standing: &Standing<'_>,
    ) -> Option<Self> {
        let leader = standing.leader()?;
        let answer = leader.answer?;
        let cast: Vec<&str> = standing.ballots.iter().filter_map(|ballot| ballot.answer).collect();
        let supporters = cast.iter().filter(|other| **other == answer).count() as f64;
        let rival = cast.iter().filter(|other| **other != answer).map(|rival| {
            let supporters = cast.iter().filter(|other| *other == rival).count();
            supporters as f64
        });
        let pending = standing.is_pending.iter().filter(|is_pending| **is_pending).count();
        let mut evidence = vec![
            tokens / SCALE,
            query.question.split_whitespace().count() as f64 / SCALE,
            cast.len() as f64,
            supporters / cast.len() as f64,
            supporters - rival.fold(0.0, f64::max),
            f64::from(u8::from(leader.executed)),
            pending as f64,
            f64::from(u8::from(standing.is_open)),
        ];
        let mut of_operators = vec![[0.0; OF_OPERATOR]; query.catalogue.operators().len()];
        let mut cost = 0.0;
        for ((choice, time), done) in choices.iter().zip(times).zip(done) {
            let Some([agree, differ, to_come, running, ended]) = of_operators.get_mut(choice.id.index()) else {
                continue;
            };
            if choice.treatment == Treatment::Skip {
                continue;
            }
            cost += choice.cost(query, &done.work.spent(time.until(tokens)));
            let given: Vec<&Solution> = match &done.effect {
                Effect::Append(solutions) => {
                    let arrived = solutions.iter().zip(&time.arrivals).filter(|(_, arrival)| **arrival <= tokens);
                    arrived.map(|(solution, _)| solution).collect()
                }
                Effect::Replace(solution) if time.end <= tokens => vec![solution],
                Effect::Replace(_) | Effect::Keep => Vec::new(),
            };
            for other in given.iter().filter_map(|solution| solution.answer.as_deref()) {
                *(if other == answer { &mut *agree } else { &mut *differ }) += 1.0;
            }
            if time.end <= tokens {
                *ended += 1.0;
            } else {
                *to_come += choice.signature.solutions.saturating_sub(given.len()).max(1) as f64;
                *running += f64::max(tokens - time.start, 0.0) / SCALE;
            }
        }
        evidence.extend(of_operators.into_iter().flatten());
        let evidence = evidence.into_iter().map(|value| value as f32).collect();
        Some(Moment { evidence, answer: answer.to_owned(), tokens, cost })
    }
}

/// A network of one hidden layer, `W_2 tanh(W_1 x + b_1) + b_2`, and what tokens and dollars weigh against the score.
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
    /// (score per token) and cost (score per dollar).
    pub const TENSORS: [&str; 5] = ["hidden.weight", "hidden.bias", "output.weight", "output.bias", "weights"];

    /// The head of these tensors by name, for evidence of so many `inputs`.
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
        Forecast { score: number(0), tokens: number(1), cost: number(2) }
    }

    /// Whether the rest of the plan is expected to bring less than it takes.
    pub fn halts(&self, evidence: &[f32]) -> bool {
        let Forecast { score, tokens, cost } = self.forecast(evidence);
        score < self.latency_weight * tokens + self.cost_weight * cost
    }

    /// The same head where a token of critical path weighs so much.
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
