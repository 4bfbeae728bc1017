//! What may answer, as it was measured, and what was chosen.

use serde::{Deserialize, Serialize};

use crate::decide::Proposal;
use crate::learn::target::Met;

/// What may answer, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What it is.
    pub name: String,
    /// What it proposes for every query, where that is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Mean utility on problems that it was not fitted to.
    pub utility: f64,
    /// Mean gain on the best fixed plan on the same problems, and its standard error.
    pub gain: f64,
    pub error: f64,
}

/// What was chosen, and among what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    pub candidates: Vec<Candidate>,
    /// Place of the one that answers.
    pub chosen: usize,
    /// Share of the gap between the best fixed plan and the best plan of each problem in hindsight that predictions from the
    /// question explain out of fold: a lower bound of what can be known beforehand.
    #[serde(default)]
    pub explained: f64,
    /// How a target was kept, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<Met>,
}
