//! The candidates that may answer, as they were measured, and the one that was chosen.

use serde::{Deserialize, Serialize};

use crate::decide::Proposal;
use crate::learn::target::Met;

/// A candidate, and how it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What kind of candidate it is.
    pub name: String,
    /// What it proposes, if that is the same for every query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Mean utility on problems that it was not fitted to.
    pub utility: f64,
    /// Mean gain over the simplest candidate (the best fixed plan, or the best operator) on the same problems, and its standard
    /// error.
    pub gain: f64,
    pub error: f64,
}

/// The candidates, and the choice among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    pub candidates: Vec<Candidate>,
    /// Index of the candidate that answers.
    pub chosen: usize,
    /// How much of the gap between the best fixed plan and the best plan for each problem in hindsight is explained, out of
    /// fold, by predictions from the question: a lower bound on what can be known in advance.
    #[serde(default)]
    pub explained: f64,
    /// How the target was met, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<Met>,
}
