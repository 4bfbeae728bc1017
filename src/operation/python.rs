//! Which operators run programs, and what a catalogue is without those that need Python.

use anyhow::{Result, anyhow};

use super::catalogue::{Catalogue, File};
use super::operator::Operator;
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
        let models = file.model.iter().map(|model| (model.span().start, true));
        let operators = file.operator.iter().map(|table| (table.span().start, !table.get_ref().needs_python()));
        let mut tables: Vec<(usize, bool)> = operators.chain(models).collect();
        tables.sort_unstable();
        let ends = tables.iter().skip(1).map(|(start, _)| *start).chain([self.text().len()]);
        let mut text = self.text()[..tables.first().map_or(0, |(start, _)| *start)].to_owned();
        for (&(start, stays), end) in tables.iter().zip(ends) {
            if stays {
                text.push_str(&self.text()[start..end]);
            }
        }
        Self::parse(text, origin)
    }
}
