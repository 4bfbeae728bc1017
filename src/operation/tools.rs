//! What operators run beside the model.

use serde::{Deserialize, Serialize};

/// What a [`Kind::Test`](crate::plan::Kind::Test) operator checks the current solution with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checker {
    /// Every equation in the text is computed exactly.
    Equations,
    /// The public tests of the question are run on the code; a question that has none is passed over.
    Tests,
}

/// What a [`Kind::Program`](crate::plan::Kind::Program) operator writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Assignments of integer arithmetic, which the exact evaluator runs.
    #[default]
    Arithmetic,
    /// A program that prints the answer or defines `solution()`, run in the sandbox.
    Python,
}
