//! The tools that operators use besides the model.

use serde::{Deserialize, Serialize};

/// The maximum number of repairs of a test, and of programs after the first one.
pub(super) const MOST_ROUNDS: u32 = 16;

/// What a `test` operator checks the current solution with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checker {
    /// Every equation in the text is computed exactly.
    Equations,
    /// The public tests of the question are run on the code. A question without tests is not checked.
    Tests,
}

/// What a `program` operator writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Assignments of integer arithmetic, which the exact evaluator runs.
    #[default]
    Arithmetic,
    /// A program that prints the answer or defines `solution()`, run in the sandbox.
    Python,
}
