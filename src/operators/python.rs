//! Which operators run programs, and what a catalogue is without those that need Python.

use anyhow::{Result, anyhow};

use super::catalogue::{Catalogue, File, Operator};
use super::tools::{Checker, Language};
use crate::plan::Kind;

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
