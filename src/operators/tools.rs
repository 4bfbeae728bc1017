//! What operators run beside the model, and what a catalogue is without Python.

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, File, Operator};
use crate::plan::Kind;

/// What a [`Kind::Test`] operator checks the current solution with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checker {
    /// Every equation in the text is computed exactly.
    Equations,
    /// The public tests of the question are run on the code; a question that has none is passed over.
    Tests,
}

/// What a [`Kind::Program`] operator writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Assignments of integer arithmetic, which the exact evaluator runs.
    #[default]
    Arithmetic,
    /// A program that prints the answer or defines `solution()`, run in the sandbox.
    Python,
}

impl Operator {
    /// Whether what it adds may have been run.
    pub fn executes(&self) -> bool {
        self.kind == Kind::Program || self.checker == Some(Checker::Tests)
    }

    /// Whether it runs what was written in Python.
    pub fn needs_python(&self) -> bool {
        self.language == Language::Python || self.checker == Some(Checker::Tests)
    }
}

impl Catalogue {
    /// Names of the operators that run Python.
    pub fn needs_python(&self) -> Vec<&str> {
        self.operators()
            .iter()
            .filter(|operator| operator.needs_python())
            .map(|operator| operator.name.as_str())
            .collect()
    }

    /// The same catalogue without the operators that run Python; its text lacks them too.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn without_python(&self, origin: &str) -> Result<Self> {
        let file: File = toml::from_str(self.text()).map_err(|error| anyhow!("{origin}: {}", error.message()))?;
        let starts: Vec<usize> = file.operator.iter().map(|operator| operator.span().start).collect();
        let ends = starts.iter().skip(1).copied().chain([self.text().len()]);
        let mut text = self.text()[..starts.first().copied().unwrap_or_default()].to_owned();
        for ((operator, &start), end) in file.operator.iter().zip(&starts).zip(ends) {
            if !operator.get_ref().needs_python() {
                text.push_str(&self.text()[start..end]);
            }
        }
        Self::parse(text, origin)
    }
}
