//! What whoever executes the operators of a session says about them.

use serde::Deserialize;

use crate::model::Hedged;
use crate::operation::Call;
use crate::plan::Usage;

/// News of one choice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// The number of the choice in the plan.
    pub choice: usize,
    /// Seconds from the start of the session; now if absent.
    pub at: Option<f64>,
    pub what: What,
}

/// What has happened to a choice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It runs. That need not be said: whatever else is said of a choice implies it.
    #[default]
    Started,
    /// It has given a solution, and goes on.
    Arrived(Told),
    /// It has ended: with these solutions, after those that had arrived; with a mark from 0 to 1 for each solution that it
    /// read, if it judges; or with text for others to read, if it informs.
    Ended {
        #[serde(default)]
        solutions: Vec<Told>,
        #[serde(default)]
        marks: Vec<Option<f64>>,
        #[serde(default)]
        context: Option<String>,
        /// What it used besides its solutions.
        #[serde(default)]
        used: Used,
    },
    /// It has failed; what had arrived from it counts.
    Failed(String),
}

/// A solution.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Told {
    pub text: String,
    /// The final answer; if absent, it is looked for in the text.
    pub answer: Option<String>,
    /// Whether a program that ran computed the answer.
    pub executed: bool,
    /// From 0 to 1, if it was graded.
    pub score: Option<f64>,
    pub used: Used,
}

/// What a call of a model or a tool took.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Used {
    pub prompt_tokens: u64,
    pub tokens: u64,
    /// As measured; if absent, the time since the choice started.
    pub seconds: Option<f64>,
    /// Dollars; if absent, by the price of the operator's model.
    pub cost: Option<f64>,
}

impl Used {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Used::default()
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { prompt_tokens: self.prompt_tokens, completion_tokens: self.tokens, ..Usage::default() }
    }

    /// The same as a call, of a tool if no model is asked.
    pub(super) fn call(&self, tool: bool, seconds: f64) -> Call {
        let hedged = self.cost.map(|cost| Hedged { cost, ..Hedged::default() });
        Call { tool, usage: self.usage(), seconds: self.seconds.unwrap_or(seconds), hedged }
    }
}
