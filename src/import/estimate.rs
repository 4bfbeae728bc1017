//! Estimates tokens, seconds and dollars that are missing in a log.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::join::Joined;
use super::names::{self, Named};
use super::options::Speed;
use super::source::Sample;
use crate::model::{Price, Prices};
use crate::plan::Usage;

/// Bytes of text per token.
const BYTES: usize = 4;

/// Seconds until the first token.
const FIRST: f64 = 0.5;

/// Tokens per second, unless something else is given.
const TOKENS: f64 = 50.0;

/// Fills in what was not recorded, and names it.
///
/// # Errors
/// A speed is given for an unknown operator, or some outputs have a price or a recorded cost and others have neither.
pub(super) fn fill(joined: &mut Joined, prices: &Prices, speeds: &[Speed]) -> Result<()> {
    let Joined { operators, problems, notes } = joined;
    for operator in speeds.iter().filter_map(|speed| speed.operator.as_ref()) {
        let names = || operators.iter().map(|known| known.name.as_str()).collect::<Vec<_>>().join(", ");
        ensure!(
            operators.iter().any(|known| known.name == *operator),
            "expected a speed of one of the operators ({}), found `{operator}`",
            names()
        );
    }
    let known: Vec<Option<Price>> = operators.iter().map(|operator| price(prices, operator)).collect();
    let mut bare: BTreeMap<usize, usize> = BTreeMap::new();
    let mut all = 0;
    for ((operator, _), given) in problems.iter().flat_map(|problem| &problem.outputs) {
        all += 1;
        if given.sample.cost.is_none() && known[*operator].is_none() {
            *bare.entry(*operator).or_default() += 1;
        }
    }
    let without: usize = bare.values().sum();
    if without > 0 && without < all {
        let names: Vec<String> = bare.keys().map(|operator| format!("`{}`", operators[*operator].name)).collect();
        bail!(
            "expected a cost or a price for every output, or for none, found neither for {without} of {all} (of {}); hint: add \
             tables by their names, such as `[NAME]` with `prompt` and `completion` in dollars per million tokens, or \
             `price = 0`, to a file and name it with `--prices`",
            names.join(", ")
        );
    }
    if without > 0 {
        let note = "no costs and no prices: all costs are 0 (estimated); hint: `--prices FILE` has prices by operator or model";
        notes.push(note.to_owned());
    }
    for problem in problems {
        let question = problem.question.as_ref().map_or(0, |question| question.text.len());
        for ((operator, _), given) in &mut problem.outputs {
            let name = &operators[*operator].name;
            let own = speeds.iter().rev().find(|speed| speed.operator.as_ref() == Some(name));
            let speed = own.or_else(|| speeds.iter().rev().find(|speed| speed.operator.is_none()));
            let speed = speed.map_or(TOKENS, |speed| speed.tokens);
            given.estimated = fill_in(&mut given.sample, question, speed, known[*operator].unwrap_or_default());
        }
    }
    Ok(())
}

/// Fills in what a sample lacks, and returns the names of these fields.
fn fill_in(sample: &mut Sample, question: usize, speed: f64, price: Price) -> Vec<&'static str> {
    let mut estimated = Vec::new();
    let prompt = sample.prompt_bytes.unwrap_or(question);
    let written = sample.output.as_ref().map_or(0, String::len);
    let prompt_tokens = *sample.prompt_tokens.get_or_insert_with(|| {
        estimated.push("prompt_tokens");
        prompt.div_ceil(BYTES) as u64
    });
    let tokens = *sample.tokens.get_or_insert_with(|| {
        estimated.push("tokens");
        written.div_ceil(BYTES) as u64
    });
    sample.seconds.get_or_insert_with(|| {
        estimated.push("seconds");
        FIRST + tokens as f64 / speed
    });
    sample.cost.get_or_insert_with(|| {
        estimated.push("cost");
        price.cost(Usage { prompt_tokens, completion_tokens: tokens, ..Usage::default() })
    });
    estimated
}

/// The price by the operator's name, its model's name, or the part of that after the last slash.
fn price(prices: &Prices, operator: &Named) -> Option<Price> {
    let model = operator.model.clone().unwrap_or_default();
    [operator.name.clone(), model.clone(), names::last(&model)].iter().find_map(|name| prices.of(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_stays_and_the_rest_is_estimated() {
        let price = Price { prompt: 1.0, cached_prompt: None, completion: 10.0 };
        let mut bare = Sample { output: Some("12345".into()), ..Sample::default() };
        let estimated = fill_in(&mut bare, 40, 10.0, price);
        assert_eq!(estimated, ["prompt_tokens", "tokens", "seconds", "cost"]);
        assert_eq!((bare.prompt_tokens, bare.tokens, bare.seconds), (Some(10), Some(2), Some(0.7)));
        assert_eq!(bare.cost, Some(30e-6));
        let whole = Sample { tokens: Some(7), seconds: Some(1.0), cost: Some(0.5), prompt_tokens: Some(3), ..bare };
        let mut same = whole.clone();
        assert!(fill_in(&mut same, 40, 10.0, price).is_empty() && same == whole);
    }
}
