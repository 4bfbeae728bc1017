//! Calls, tokens and dollars, and how they are printed.

use std::ops::{Add, Mul};

use crate::cli::progress_line::money;
use crate::evaluate::Evaluation;
use crate::execute::Episode;
use crate::model::openai::Account;
use crate::operation::Identity;
use crate::plan::Span;
use crate::record::Line;

/// Model calls and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub calls: f64,
    pub prompt_tokens: f64,
    pub tokens: f64,
    pub dollars: f64,
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            calls: self.calls + other.calls,
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            tokens: self.tokens + other.tokens,
            dollars: self.dollars + other.dollars,
        }
    }
}

impl Mul<f64> for Tally {
    type Output = Tally;

    fn mul(self, by: f64) -> Tally {
        Tally {
            calls: self.calls * by,
            prompt_tokens: self.prompt_tokens * by,
            tokens: self.tokens * by,
            dollars: self.dollars * by,
        }
    }
}

impl From<&Line> for Tally {
    fn from(line: &Line) -> Self {
        let asked = || line.calls.iter().filter(|call| !call.tool);
        Tally {
            calls: asked().count() as f64,
            prompt_tokens: asked().map(|call| call.usage.prompt_tokens as f64).sum(),
            tokens: asked().map(|call| call.usage.completion_tokens as f64).sum(),
            dollars: line.cost,
        }
    }
}

impl From<&Span> for Tally {
    fn from(span: &Span) -> Self {
        Tally {
            calls: f64::from(span.calls),
            prompt_tokens: span.usage.prompt_tokens as f64,
            tokens: span.usage.completion_tokens as f64,
            dollars: span.cost,
        }
    }
}

impl From<Account> for Tally {
    fn from(account: Account) -> Self {
        let Account { requests, usage, lost, cost, .. } = account;
        Tally {
            calls: requests as f64,
            prompt_tokens: (usage.prompt_tokens + lost.prompt_tokens) as f64,
            tokens: (usage.completion_tokens + lost.completion_tokens) as f64,
            dollars: cost,
        }
    }
}

impl Tally {
    /// Replaces negative numbers by zero.
    pub fn at_least_nothing(self) -> Self {
        let Tally { calls, prompt_tokens, tokens, dollars } = self;
        let [calls, prompt_tokens, tokens, dollars] = [calls, prompt_tokens, tokens, dollars].map(|it| it.max(0.0));
        Tally { calls, prompt_tokens, tokens, dollars }
    }
}

/// A line for calls that may not be made, introduced by `what`.
pub(super) fn more(what: &str, tally: &Tally) -> String {
    format!("  {what} {} calls, {} $", round(tally.calls), money(tally.dollars))
}

/// Prints what the estimate is based on, and its figures.
pub(super) fn say(probes: usize, lines: &[(&str, Tally)]) {
    eprintln!("estimate, from {probes} probe questions:");
    lines.iter().for_each(|(what, tally)| eprintln!("{}", shown(what, tally)));
}

/// The mean cost of a query, counting only calls that must be made again when a record holds other draws. Operators
/// without randomness give one answer to a question, so their calls are never repeated.
pub(super) fn mean<'e>(passes: impl Iterator<Item = &'e Evaluation>, operators: &[Identity]) -> Tally {
    let episodes: Vec<&Episode> = passes.flat_map(|pass| &pass.episodes).collect();
    let is_drawn = |span: &&Span| operators.get(span.operator.index()).is_none_or(|operator| operator.is_random);
    let plans = episodes.iter().flat_map(|episode| episode.trace.spans.iter().filter(is_drawn));
    let finishes = episodes.iter().flat_map(|episode| &episode.trace.finish);
    let sum = plans.chain(finishes).map(Tally::from).fold(Tally::default(), Add::add);
    sum * (1.0 / episodes.len().max(1) as f64)
}

fn shown(what: &str, tally: &Tally) -> String {
    let Tally { calls, prompt_tokens, tokens, dollars } = *tally;
    format!(
        "  {what:<10} {:>9} calls, {:>8} + {:>8} tokens, {:>8} $",
        round(calls),
        round(prompt_tokens),
        round(tokens),
        money(dollars)
    )
}

/// Rounded to three digits; an estimate is no more precise.
fn round(value: f64) -> String {
    match value {
        _ if value >= 9_995_000.0 => format!("{:.1}M", value / 1e6),
        _ if value >= 999_500.0 => format!("{:.2}M", value / 1e6),
        _ if value >= 9_995.0 => format!("{:.0}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let check = |value: f64, expected: &str| assert_eq!(round(value), expected);
        check(0.0, "0");
        check(1234.4, "1234");
        check(12_340.0, "12k");
        check(3_214_000.0, "3.21M");
        check(32_140_000.0, "32.1M");
        let tally = Tally { calls: 14_700.0, prompt_tokens: 3.2e6, tokens: 812_000.0, dollars: 0.4987 };
        let line = shown("all", &(tally * 0.5 + tally * 0.5));
        assert_eq!(line, "  all              15k calls,    3.20M +     812k tokens,     0.50 $");
        assert!(line.len() < 80);
    }
}
