//! Benchmarks: problems and how answers to them are judged.

pub mod arithmetic;

use serde::{Deserialize, Serialize};

/// One question with its reference answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Unique within a data set; keys the random streams, so it never changes.
    pub id: String,
    pub question: String,
    pub answer: String,
    /// The kind of problem, for tables by kind; the controller never sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Lines of reasoning that the worked solution takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
}
