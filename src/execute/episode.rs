//! What comes of a query.

use serde::{Deserialize, Serialize};

use crate::operation::Solution;
use crate::plan::{Plan, Trace};

/// One query, solved. Serialises: no tensor, no handle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Id of the problem.
    pub problem: String,
    /// All that was committed.
    pub plan: Plan,
    pub trace: Trace,
    /// The extracted final answer, if any.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right, where the decider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// 1 for a right answer, 0 for a wrong one, or a share of credit between.
    pub score: f64,
}

impl Episode {
    /// Whether no operator failed. A score that failed requests had a part in says nothing about the plan.
    pub fn is_complete(&self) -> bool {
        self.trace.failure().is_none()
    }
}

/// What came of a question, without a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The final answer, if any solution has one and the decider is sure enough of it.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right, where the decider says so.
    pub confidence: Option<f64>,
    /// All that was committed.
    pub plan: Plan,
    pub trace: Trace,
    /// The solutions that stood when the plan ended, in plan order.
    pub solutions: Vec<Solution>,
}
