//! The latency model: what each operator takes, to predict the latency of a plan before it runs.
//!
//! ```text
//! written(o) = base + per_word * words + <per_component, v>                   tokens, along the operator's own path
//! tokens(o)  = written(o) + gamma * tool_charge                               (E3)
//! seconds(o) = rounds * first_token + per_token * written(o) + tool_seconds
//! ```
//!
//! for a question with `words` words and embedding `v`. The predicted latency of a plan is the longest path over these, just as the
//! measured one is the longest path over measurements (E4).

mod accuracy;
mod budget;
mod fit;
mod observed;
mod ridge;

pub use accuracy::{Accuracy, measured_path};
pub use budget::{Budget, PlanWithin};
pub use observed::Observed;

use serde::{Deserialize, Serialize};

use crate::evidence::Asked;
use crate::plan::{Dependencies, Latency, OperatorId, Plan, Prepared, Unit, critical_path};

/// File of a latency model, in the folder of a run or beside a checkpoint.
pub const LATENCY_FILE: &str = "latency.json";

/// The latencies of the operators of a catalogue, for one machine, model and load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyModel {
    /// In catalogue order.
    pub operators: Vec<OperatorLatency>,
    /// The finish of every plan, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<OperatorLatency>,
    /// (E3) tokens per second of tool time.
    pub gamma: f64,
    /// How many deviations above its mean each operator is allowed, so that 95 % of plans take no longer.
    pub slack: Latency,
}

/// The latency of one operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorLatency {
    pub name: String,
    /// Name of its kind, for readers.
    pub kind: String,
    /// Its language model; empty for the back end's own.
    pub model: String,
    /// Number of runs it was fitted to.
    pub spans: usize,
    /// Number of sequential model calls.
    pub rounds: f64,
    /// Tokens written for any question, per word of it, and per component of its embedding.
    pub base: f64,
    pub per_word: f64,
    pub per_component: Vec<f32>,
    /// Seconds charged for tools.
    pub tool_charge: f64,
    /// Seconds from a call to its first token; the same for all operators of a language model.
    pub first_token: f64,
    /// Seconds from one token to the next.
    pub per_token: f64,
    /// Seconds that tools really take.
    pub tool_seconds: f64,
    /// Standard deviation of the residuals.
    pub deviation: Latency,
}

/// The predicted latency of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// One for each choice, in the order of [`Plan::choices`].
    pub choices: Vec<Latency>,
    /// The finish.
    pub finish: Latency,
    /// The critical path in each unit, with the finish.
    pub path: Latency,
    /// The bound that 95 % of such plans keep.
    pub bound: Latency,
}

impl LatencyModel {
    /// Predicts `plan` for a query. Operators that the model does not know, and those that will not run, take nothing.
    pub fn predict(&self, plan: &Plan, prepared: &Prepared, asked: Asked<'_>) -> Prediction {
        let take = |((_, id), runs): ((usize, OperatorId), &bool)| {
            let operator = self.operators.get(id.index()).filter(|_| *runs);
            operator.map_or_else(Latency::default, |operator| operator.predict(asked, self.gamma))
        };
        let choices: Vec<Latency> = plan.choices().zip(&prepared.runs).map(take).collect();
        let finish = self.finish.as_ref().map_or_else(Latency::default, |finish| finish.predict(asked, self.gamma));
        let path = longest(&prepared.dependencies, &choices).then(finish);
        let means = Prediction { choices, finish, path, bound: path };
        Prediction { bound: self.stretched(plan, prepared, &means, self.slack), ..means }
    }

    /// The critical path if each operator that runs, and the finish, take `deviations` more than their means.
    fn stretched(&self, plan: &Plan, prepared: &Prepared, means: &Prediction, deviations: Latency) -> Latency {
        let stretch = |operator: Option<&OperatorLatency>, mean: Latency| {
            let deviation = operator.map_or_else(Latency::default, |operator| operator.deviation);
            Latency {
                tokens: mean.tokens + deviations.tokens * deviation.tokens,
                seconds: mean.seconds + deviations.seconds * deviation.seconds,
            }
        };
        let choices = plan.choices().zip(&prepared.runs).zip(&means.choices);
        let choices =
            choices.map(|(((_, id), runs), &mean)| stretch(self.operators.get(id.index()).filter(|_| *runs), mean));
        let choices: Vec<Latency> = choices.collect();
        longest(&prepared.dependencies, &choices).then(stretch(self.finish.as_ref(), means.finish))
    }
}

impl OperatorLatency {
    fn predict(&self, asked: Asked<'_>, gamma: f64) -> Latency {
        let components = self.per_component.iter().zip(asked.embedding);
        let of_embedding: f64 = components.map(|(slope, value)| f64::from(slope * value)).sum();
        let written = (self.base + self.per_word * asked.words() + of_embedding).max(0.0);
        Latency {
            tokens: written + gamma * self.tool_charge,
            seconds: self.rounds * self.first_token + written * self.per_token + self.tool_seconds,
        }
    }
}

/// The longest path in each unit; the two need not run through the same operators.
fn longest(dependencies: &Dependencies, choices: &[Latency]) -> Latency {
    let length = |unit: fn(&Latency) -> f64| {
        let durations: Vec<f64> = choices.iter().map(unit).collect();
        critical_path(dependencies, |_| &[], |_| false, Unit::Tokens, &durations).length
    };
    Latency { tokens: length(|latency| latency.tokens), seconds: length(|latency| latency.seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Schedule, Signature};

    const SIGNATURES: [Signature; 4] = [Signature::ANSWERS, Signature::COMPUTES, Signature::ENDS, Signature::IMPROVES];

    fn operator(base: f64, per_word: f64) -> OperatorLatency {
        OperatorLatency {
            name: String::new(),
            kind: String::new(),
            model: String::new(),
            spans: 1,
            rounds: 1.0,
            base,
            per_word,
            per_component: vec![0.0, 10.0],
            tool_charge: 0.0,
            first_token: 0.5,
            per_token: 0.01,
            tool_seconds: 0.0,
            deviation: Latency { tokens: 1.0, seconds: 0.1 },
        }
    }

    #[test]
    fn a_plan_takes_its_longest_path() {
        let program = OperatorLatency { tool_charge: 0.02, tool_seconds: 0.1, ..operator(6.0, 0.0) };
        let stop = OperatorLatency { rounds: 0.0, deviation: Latency::default(), ..operator(-2.0, 0.0) };
        let operators = vec![operator(3.0, 2.0), program, stop, operator(-9.0, 1.0)];
        let slack = Latency { tokens: 2.0, seconds: 3.0 };
        let model = LatencyModel { operators, finish: None, gamma: 50.0, slack };
        let check = |model: &LatencyModel, layers: &[&[u16]], tokens: f64, seconds: f64, bound: f64| {
            let plan = Plan::from_indices(layers);
            let asked = Asked { question: "how many are three ?", embedding: &[9.0, 0.2] };
            let prepared = Schedule::Layered.prepare(&plan, &SIGNATURES);
            let found = model.predict(&plan, &prepared, asked);
            assert_eq!(found.choices.len(), plan.len());
            let is_near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
            assert!(
                is_near(found.path.tokens, tokens) && is_near(found.path.seconds, seconds),
                "{layers:?}: {found:?}"
            );
            assert!(is_near(found.bound.seconds, bound), "{layers:?}: {found:?}");
        };
        check(&model, &[], 0.0, 0.0, 0.0);
        check(&model, &[&[0]], 15.0, 0.65, 0.95);
        // The program is shorter in tokens and longer in seconds.
        check(&model, &[&[0, 1]], 15.0, 0.68, 0.98);
        check(&model, &[&[1], &[3]], 9.0, 0.68 + 0.5, 0.98 + 0.8);
        check(&model, &[&[0, 2], &[1]], 15.0, 0.65, 0.95);
        check(&model, &[&[7]], 0.0, 0.0, 0.0);
        // A finish comes after the longest path, whatever it is.
        let model = LatencyModel { finish: Some(operator(4.0, 0.0)), ..model };
        check(&model, &[&[0, 1]], 15.0 + 6.0, 0.68 + 0.56, 0.98 + 0.86);
        check(&model, &[], 6.0, 0.56, 0.86);
    }
}
