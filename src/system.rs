//! One way to solve a query, for training, evaluation and answering alike.

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Trace};

/// One query, solved by one plan. Serialises: no tensor, no handle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Id of the problem.
    pub problem: String,
    pub plan: Plan,
    pub trace: Trace,
    /// The extracted final answer, if any.
    pub answer: Option<String>,
    /// 1 for a right answer, 0 for a wrong one, or a share of credit between.
    pub score: f64,
}
