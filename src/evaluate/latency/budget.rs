//! A latency budget for one query: the most accurate plan that is predicted to keep it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

use crate::controller::{LatencyWeights, Policy};
use crate::plan::{Latency, Plan};

/// How many weights to try; a greedy plan takes microseconds.
const WEIGHTS: usize = 33;

/// How long a query may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Tokens of critical path (E3).
    Tokens(f64),
    Seconds(f64),
}

/// A plan chosen for a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanWithin {
    pub plan: Plan,
    /// The latency weight that the plan was chosen for.
    pub latency_weight: f64,
    /// Whether the plan is predicted to keep the budget; if no plan is, this is the one predicted to be fastest.
    pub is_within: bool,
}

impl Budget {
    /// A latency in the budget's unit.
    pub fn of(self, latency: Latency) -> f64 {
        match self {
            Budget::Tokens(_) => latency.tokens,
            Budget::Seconds(_) => latency.seconds,
        }
    }

    /// Name of the budget's unit.
    pub fn unit(self) -> &'static str {
        match self {
            Budget::Tokens(_) => "tokens",
            Budget::Seconds(_) => "s",
        }
    }

    /// The amount in the budget's unit.
    pub fn amount(self) -> f64 {
        let (Budget::Tokens(amount) | Budget::Seconds(amount)) = self;
        amount
    }

    /// The plan of the smallest weight whose predicted `latency` is within the budget: small weights are accurate, large ones fast.
    /// If there is none, the likeliest plan, at the highest weight, among the `others` within the budget.
    pub fn choose(
        self,
        policy: &Policy,
        weights: &LatencyWeights,
        query: &[f32],
        others: &[Plan],
        latency: impl Fn(&Plan) -> Latency,
    ) -> PlanWithin {
        let mut quickest: Option<(f64, PlanWithin)> = None;
        for latency_weight in weights.grid(WEIGHTS) {
            let plan = policy.at(latency_weight).greedy(query);
            let predicted = self.of(latency(&plan));
            let is_within = predicted <= self.amount();
            let choice = PlanWithin { plan, latency_weight, is_within };
            if is_within {
                return choice;
            }
            if quickest.as_ref().is_none_or(|(least, _)| predicted < *least) {
                quickest = Some((predicted, choice));
            }
        }
        let latency_weight = weights.at(1.0);
        let hasty = policy.at(latency_weight);
        let within = others.iter().filter(|plan| self.of(latency(plan)) <= self.amount());
        let likely = within.map(|plan| (hasty.log_probability(query, plan), plan));
        if let Some((_, plan)) = likely.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
            return PlanWithin { plan: plan.clone(), latency_weight, is_within: true };
        }
        let nothing = PlanWithin { plan: Plan::default(), latency_weight: 0.0, is_within: false };
        quickest.map_or(nothing, |(_, choice)| choice)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.unit())
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
        let budget = match (number.trim().parse::<f64>(), unit.trim()) {
            (Ok(seconds), "s") => Budget::Seconds(seconds),
            (Ok(milliseconds), "ms") => Budget::Seconds(milliseconds / 1000.0),
            (Ok(tokens), "tokens" | "token") => Budget::Tokens(tokens),
            _ => bail!("expected a budget such as `2s`, `500ms` or `120tokens`, found `{text}`"),
        };
        if !(budget.amount() > 0.0 && budget.amount().is_finite()) {
            bail!("expected a budget above 0, found `{text}`");
        }
        Ok(budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_as_typed() -> Result<()> {
        for (text, expected) in [
            ("2s", Budget::Seconds(2.0)),
            ("0.5 s", Budget::Seconds(0.5)),
            ("250ms", Budget::Seconds(0.25)),
            ("120tokens", Budget::Tokens(120.0)),
            ("1 token", Budget::Tokens(1.0)),
        ] {
            assert_eq!(text.parse::<Budget>()?, expected, "{text}");
        }
        for (text, message) in [("", "such as"), ("2", "such as"), ("s", "such as"), ("2h", "`2h`"), ("-1s", "above 0")]
        {
            let error = text.parse::<Budget>().map_or_else(|error| error.to_string(), |found| found.to_string());
            assert!(error.contains(message), "{text}: {error}");
        }
        Ok(())
    }
}
