//! The result of an import.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::folder::TRACES;
use super::join::{Given, Joined};
use crate::task::AnswerForm;

/// A mean over the outputs of an operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantity {
    pub mean: f64,
    /// The number of outputs for which it is estimated.
    pub estimated: usize,
}

/// The outputs of an operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outputs {
    pub operator: String,
    pub outputs: usize,
    /// The mean over outputs that the log scored; null if it scored none, in which case the benchmark grades.
    pub score: Option<f64>,
    pub scored: usize,
    pub tokens: Quantity,
    pub seconds: Quantity,
    /// Dollars.
    pub cost: Quantity,
}

/// What was written, and what the user should be told about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub folder: PathBuf,
    pub traces: PathBuf,
    pub answers: AnswerForm,
    /// By split.
    pub problems: BTreeMap<String, usize>,
    pub operators: Vec<Outputs>,
    pub notes: Vec<String>,
}

impl Summary {
    pub(super) fn new(out: &Path, joined: &Joined, answers: AnswerForm) -> Self {
        let mut problems = BTreeMap::new();
        for split in joined.problems.iter().filter_map(|problem| problem.split.as_ref()) {
            *problems.entry(split.text.clone()).or_default() += 1;
        }
        let of = |(place, name): (usize, &str)| {
            let all = joined.problems.iter().flat_map(|problem| &problem.outputs);
            let given: Vec<&Given> =
                all.filter(|((operator, _), _)| *operator == place).map(|(_, given)| given).collect();
            outputs(name, &given)
        };
        let names = joined.operators.iter().map(|operator| operator.name.as_str());
        let operators = names.enumerate().map(of).collect();
        let notes = joined.notes.clone();
        Summary { folder: out.to_owned(), traces: out.join(TRACES), answers, problems, operators, notes }
    }
}

fn outputs(name: &str, given: &[&Given]) -> Outputs {
    let count = given.len();
    let quantity = |field: &str, value: fn(&Given) -> f64| Quantity {
        mean: given.iter().map(|given| value(given)).sum::<f64>() / count.max(1) as f64,
        estimated: given.iter().filter(|given| given.estimated.contains(&field)).count(),
    };
    let scores: Vec<f64> = given.iter().filter_map(|given| given.sample.score).collect();
    Outputs {
        operator: name.to_owned(),
        outputs: count,
        score: (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64),
        scored: scores.len(),
        tokens: quantity("tokens", |given| given.sample.tokens.unwrap_or_default() as f64),
        seconds: quantity("seconds", |given| given.sample.seconds.unwrap_or_default()),
        cost: quantity("cost", |given| given.sample.cost.unwrap_or_default()),
    }
}
