//! A target in place of a weight: the multiplier of a Lagrangian, raised until what answers keeps the target on problems that
//! it was not fitted to.

use serde::{Deserialize, Serialize};

use super::measured::Outcome;
use crate::objective::Objective;

/// What a run must keep on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Most critical path of a query, in the objective's unit.
    Latency(f64),
    /// Most dollars of a query.
    Cost(f64),
    /// Least score.
    Score(f64),
}

/// How a target was kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Met {
    pub target: Target,
    /// What takes the place of the latency weight or of the cost weight; of a score, what both are multiplied by.
    pub multiplier: f64,
    /// What the run is expected to come to, as the target counts.
    pub expected: f64,
    /// Whether that keeps the target: if not, this is as near as it gets.
    pub is_kept: bool,
}

/// Utility that the typical latency or cost takes, at the smallest and at the largest multiplier.
const RANGE: (f64, f64) = (1e-3, 10.0);
/// Halvings of the range, on a logarithmic scale.
const STEPS: usize = 9;

impl Target {
    /// What `choose` comes to at the least strict multiplier that keeps the target; it says what is to be expected of it.
    pub(super) fn meet<T>(self, objective: &Objective, mut choose: impl FnMut(&Objective) -> (T, Outcome)) -> (T, Met) {
        let typical = match self {
            Target::Latency(most) | Target::Cost(most) => most.max(f64::MIN_POSITIVE),
            Target::Score(_) => 1.0,
        };
        let mut at = |strictness: f64| {
            let (objective, multiplier) = self.weighed(objective, strictness / typical);
            let (chosen, expected) = choose(&objective);
            let expected = self.of(expected);
            let met = Met { target: self, multiplier, expected, is_kept: self.is_kept(expected) };
            (chosen, met)
        };
        let (mut low, mut high) = RANGE;
        let mut best = at(low);
        if !best.1.is_kept {
            best = at(high);
            for _ in 0..STEPS {
                let middle = (low * high).sqrt();
                let tried = at(middle);
                if tried.1.is_kept {
                    (high, best) = (middle, tried);
                } else {
                    low = middle;
                }
            }
        }
        best
    }

    /// The objective at a strictness, and the multiplier in it.
    fn weighed(self, objective: &Objective, strictness: f64) -> (Objective, f64) {
        match self {
            Target::Latency(_) => (Objective { latency_weight: strictness, ..*objective }, strictness),
            Target::Cost(_) => (Objective { cost_weight: strictness, ..*objective }, strictness),
            Target::Score(_) => {
                let multiplier = 1.0 / strictness;
                let (latency_weight, cost_weight) =
                    (objective.latency_weight * multiplier, objective.cost_weight * multiplier);
                (Objective { latency_weight, cost_weight, ..*objective }, multiplier)
            }
        }
    }

    fn of(self, outcome: Outcome) -> f64 {
        match self {
            Target::Latency(_) => outcome.latency,
            Target::Cost(_) => outcome.cost,
            Target::Score(_) => outcome.score,
        }
    }

    fn is_kept(self, expected: f64) -> bool {
        match self {
            Target::Latency(most) | Target::Cost(most) => expected <= most,
            Target::Score(least) => expected >= least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A world in which the best answer at a weight has score `1 - 1/(1 + t)` for a latency `t`, and costs as much.
    fn choose(objective: &Objective) -> ((), Outcome) {
        let weight = (objective.latency_weight + objective.cost_weight).max(1e-9);
        let latency = (1.0 / weight.sqrt() - 1.0).max(0.0);
        ((), Outcome { score: 1.0 - 1.0 / (1.0 + latency), latency, cost: latency })
    }

    #[test]
    fn targets_are_kept_and_not_by_more_than_needed() {
        let objective = Objective { latency_weight: 0.1, cost_weight: 0.0, ..Objective::default() };
        let check = |target: Target, low: f64, high: f64| {
            let ((), met) = target.meet(&objective, choose);
            assert!(met.is_kept && (low..=high).contains(&met.expected), "{target:?}: {met:?}");
        };
        check(Target::Latency(2.0), 1.94, 2.0);
        check(Target::Latency(0.5), 0.485, 0.5);
        check(Target::Cost(3.0), 1.0, 3.0);
        check(Target::Score(0.8), 0.8, 0.81);
        let ((), out_of_reach) = Target::Score(2.0).meet(&objective, choose);
        assert!(!out_of_reach.is_kept);
    }
}
