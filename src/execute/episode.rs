//! The results of a query.

use serde::{Deserialize, Serialize};

use crate::operation::Solution;
use crate::plan::{Plan, Trace};

/// One solved query. It can be serialised: it holds no tensors and no handles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Id of the problem.
    pub problem: String,
    /// Everything that was committed.
    pub plan: Plan,
    pub trace: Trace,
    /// The extracted final answer, if any.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right, if the decider gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// 1 for a right answer, 0 for a wrong one, or partial credit between.
    pub score: f64,
}

impl Episode {
    /// Whether no operator failed. If requests failed, the score says nothing about the plan.
    pub fn is_complete(&self) -> bool {
        self.trace.failure().is_none()
    }
}

/// The result of a question, without a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The final answer, if any solution has one and the decider is certain enough.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right, if the decider gives one.
    pub confidence: Option<f64>,
    /// Everything that was committed.
    pub plan: Plan,
    pub trace: Trace,
    /// The solutions at the end of the plan, in plan order.
    pub solutions: Vec<Solution>,
}
