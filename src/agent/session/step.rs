//! What a session decides.

use serde::Serialize;

use crate::plan::Latency;

/// A decision, and what can start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    #[serde(flatten)]
    pub action: Action,
    /// What to start now; each choice is named once.
    pub start: Vec<Start>,
}

/// A decision. After a commit or a drop the session is asked again at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// These layers, by the names of their operators, are now part of the plan; `first` is the number of their first choice.
    Commit { first: usize, layers: Vec<Vec<String>> },
    /// Wait for news of what runs.
    Wait,
    /// Cancel these choices.
    Drop { choices: Vec<usize> },
    /// The query has ended; cancel what still runs.
    End(Ending),
}

/// A choice that can start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Start {
    /// Its number in the plan.
    pub choice: usize,
    pub operator: String,
    pub layer: usize,
    /// How many solutions it is to give.
    pub samples: usize,
    /// The texts of the solutions before it, in plan order, if it reads any.
    pub solutions: Vec<String>,
    /// What others left for it to read.
    pub context: Vec<String>,
}

/// What came of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ending {
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right, if the decider gives one.
    pub confidence: Option<f64>,
    /// The text of the solution that the vote takes.
    pub text: Option<String>,
    /// The choices that still run.
    pub cancel: Vec<usize>,
    /// From the start of the query to the end of the last choice that ended.
    pub took: Latency,
    /// Dollars.
    pub cost: f64,
}
