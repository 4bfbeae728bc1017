//! What model calls cost.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::plan::Usage;

/// Dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entry")]
pub struct Price {
    pub prompt: f64,
    /// For prompt tokens that the endpoint has in its cache; if absent, the price of other prompt tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_prompt: Option<f64>,
    pub completion: f64,
}

impl Price {
    /// The same price for all kinds of tokens.
    pub fn flat(price: f64) -> Self {
        Price { prompt: price, cached_prompt: None, completion: price }
    }

    /// Dollars for `usage`.
    pub fn cost(&self, usage: Usage) -> f64 {
        let Usage { prompt_tokens, completion_tokens, cached_tokens, .. } = usage;
        let cached_tokens = cached_tokens.min(prompt_tokens);
        let cached = self.cached_prompt.unwrap_or(self.prompt) * cached_tokens as f64;
        let read = self.prompt * (prompt_tokens - cached_tokens) as f64;
        (read + cached + self.completion * completion_tokens as f64) / 1e6
    }
}

/// A price as written in the file: `price` for all tokens, or one for each kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    price: Option<f64>,
    prompt: Option<f64>,
    cached_prompt: Option<f64>,
    completion: Option<f64>,
}

impl TryFrom<Entry> for Price {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let price = match entry {
            Entry { price: Some(price), prompt: None, cached_prompt: None, completion: None } => Price::flat(price),
            Entry { price: None, prompt: Some(prompt), cached_prompt, completion: Some(completion) } => {
                Price { prompt, cached_prompt, completion }
            }
            _ => return Err("expected `price`, or `prompt` and `completion` (and `cached_prompt`)".into()),
        };
        let numbers = [price.prompt, price.cached_prompt.unwrap_or(0.0), price.completion];
        match numbers.into_iter().find(|number| !number.is_finite() || *number < 0.0) {
            Some(found) => Err(format!("expected prices from 0 up, found {found}")),
            None => Ok(price),
        }
    }
}

/// Prices by model name: TOML tables `[model-name]` with `prompt`, `cached_prompt` and `completion`, or `price`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(pub BTreeMap<String, Price>);

impl Prices {
    /// Reads a price list.
    ///
    /// # Errors
    /// Names the file and the faulty line.
    pub fn load(folder: &Folder, file: &str) -> Result<Self> {
        folder.read_toml(file)
    }

    /// The price of `model`, whose name may end with a revision or an endpoint after `@`.
    ///
    /// # Errors
    /// The list has no such model: the cost of a run is never guessed.
    pub fn of(&self, model: &str) -> Result<Price> {
        let name = model.rsplit_once('@').map_or(model, |(name, _)| name);
        self.0.get(model).or_else(|| self.0.get(name)).copied().with_context(|| {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            format!(
                "expected a priced model ({}), found `{name}`; hint: add `[\"{name}\"]` with `prompt` and `completion`, \
                 in dollars per million tokens, or with `price = 0`, to a price list and name it with `--prices`",
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
        let tiny = Price { prompt: 1.0, cached_prompt: Some(0.5), completion: 10.0 };
        let prices = Prices([("tiny".to_owned(), tiny)].into());
        let usage = Usage { prompt_tokens: 30, completion_tokens: 7, ..Usage::default() };
        assert_eq!(prices.of("tiny@3f2a")?.cost(usage), 1e-4);
        assert_eq!(tiny.cost(Usage { cached_tokens: 20, ..usage }), 9e-5);
        let uncached = Price { cached_prompt: None, ..tiny };
        assert_eq!(uncached.cost(Usage { cached_tokens: 99, ..usage }), 1e-4);
        assert!(prices.of("huge").is_err_and(|error| error.to_string().contains("(tiny), found `huge`")));
        Ok(())
    }

    #[track_caller]
    fn check(text: &str, expected: Result<Price, &str>) {
        match (toml::from_str::<Price>(text), expected) {
            (Ok(price), Ok(expected)) => assert_eq!(price, expected, "{text}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn nothing_costs_nothing_unless_it_is_said() {
        check("price = 0", Ok(Price::default()));
        check("prompt = 1\ncompletion = 2", Ok(Price { prompt: 1.0, cached_prompt: None, completion: 2.0 }));
        check("", Err("expected `price`, or `prompt` and `completion`"));
        check("prompt = 1", Err("expected `price`, or"));
        check("price = 1\nprompt = 1\ncompletion = 1", Err("expected `price`, or"));
        check("price = -1", Err("expected prices from 0 up, found -1"));
        check("prompt = 1\ncompletion = nan", Err("expected prices from 0 up"));
        check("input = 1", Err("unknown field `input`"));
    }
}
