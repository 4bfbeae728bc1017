//! What model calls cost.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::plan::Usage;

/// Dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub prompt: f64,
    pub completion: f64,
}

impl Price {
    /// Dollars for `usage`.
    pub fn cost(&self, usage: Usage) -> f64 {
        (self.prompt * usage.prompt_tokens as f64 + self.completion * usage.completion_tokens as f64) / 1e6
    }
}

/// Prices by model name: TOML tables `[model-name]` with `prompt` and `completion`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(pub BTreeMap<String, Price>);

impl Prices {
    /// Reads a price list.
    ///
    /// # Errors
    /// Names the file and the line at fault.
    pub fn load(folder: &Folder, file: &str) -> Result<Self> {
        folder.read_toml(file)
    }

    /// The price of `model`, whose name may carry a revision after `@`.
    ///
    /// # Errors
    /// When the list has no such model: what a run costs is never guessed.
    pub fn of(&self, model: &str) -> Result<Price> {
        let name = model.split('@').next().unwrap_or(model);
        self.0.get(model).or_else(|| self.0.get(name)).copied().with_context(|| {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            format!(
                "expected a priced model ({}), found `{name}`; hint: add `[\"{name}\"]` with `prompt` and `completion`, \
                 in dollars per million tokens, to the price list",
                known.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_costs_its_tokens() -> Result<()> {
        let prices = Prices([("tiny".to_owned(), Price { prompt: 1.0, completion: 10.0 })].into());
        let usage = Usage { prompt_tokens: 30, completion_tokens: 7 };
        assert_eq!(prices.of("tiny@3f2a")?.cost(usage), 1e-4);
        assert!(prices.of("huge").is_err_and(|error| error.to_string().contains("(tiny), found `huge`")));
        Ok(())
    }
}
