//! Which operators run programs, and catalogues without those that need Python.

use anyhow::{Result, anyhow};

use super::catalogue::{Catalogue, File};
use crate::folder::Folder;

impl Catalogue {
    /// Names of the operators that run Python.
    pub fn needs_python(&self) -> Vec<&str> {
        let described = self.operators().iter().zip(self.operations());
        let needing = described.filter(|(_, operation)| operation.as_kind().needs_python());
        needing.map(|(operator, _)| operator.name.as_str()).collect()
    }

    /// The same catalogue without the operators that run Python. They are missing from its text too.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn without_python(&self, origin: &str) -> Result<Self> {
        let file: File = toml::from_str(self.text()).map_err(|error| anyhow!("{origin}: {}", error.message()))?;
        let models = file.model.iter().map(|model| (model.span().start, true));
        let operators = file.operator.iter().zip(self.operations());
        let operators = operators.map(|(table, operation)| (table.span().start, !operation.as_kind().needs_python()));
        let mut tables: Vec<(usize, bool)> = operators.chain(models).collect();
        tables.sort_unstable();
        let ends = tables.iter().skip(1).map(|(start, _)| *start).chain([self.text().len()]);
        let mut text = self.text()[..tables.first().map_or(0, |(start, _)| *start)].to_owned();
        for (&(start, stays), end) in tables.iter().zip(ends) {
            if stays {
                text.push_str(&self.text()[start..end]);
            }
        }
        let parsed = Self::parse(text, origin)?;
        Ok(match self.folder() {
            Some(folder) => parsed.in_folder(&Folder::Disk(folder.to_owned())),
            None => parsed,
        })
    }
}
