//! A target instead of a weight: the multiplier of a Lagrangian, raised until the run meets the target on problems that it was
//! not fitted to.

use serde::{Deserialize, Serialize};

use super::measured::Measured;
use crate::objective::Objective;

/// What a run must keep over its queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Highest mean critical path, in the objective's unit.
    Latency(f64),
    /// Highest critical path of 19 queries in 20, in the objective's unit.
    LatencyP95(f64),
    /// Highest mean cost in dollars.
    Cost(f64),
    /// Lowest mean score.
    Score(f64),
}

/// How a target was met.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Met {
    pub target: Target,
    /// Replaces the latency weight or the cost weight; for a score target, multiplies both.
    pub multiplier: f64,
    /// The expected value of the targeted figure.
    pub expected: f64,
    /// Whether that meets the target; if not, it is as close as possible.
    pub is_kept: bool,
}

/// Utility lost to the typical latency or cost, at the smallest and at the largest multiplier.
const RANGE: (f64, f64) = (1e-3, 10.0);
/// Bisection steps, on a logarithmic scale.
const STEPS: usize = 9;

impl Target {
    /// The choice of `choose` at the least strict multiplier that meets the target. `choose` also returns the expected outcomes.
    pub(super) fn meet<T>(
        self,
        objective: &Objective,
        mut choose: impl FnMut(&Objective) -> (T, Measured),
    ) -> (T, Met) {
        let typical = match self {
            Target::Latency(most) | Target::LatencyP95(most) | Target::Cost(most) => most.max(f64::MIN_POSITIVE),
            Target::Score(_) => 1.0,
        };
        let mut at = |strictness: f64| {
            let (objective, multiplier) = self.weighed(objective, strictness / typical);
            let (chosen, expected) = choose(&objective);
            let expected = self.of(&expected);
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
            Target::Latency(_) | Target::LatencyP95(_) => {
                (Objective { latency_weight: strictness, ..*objective }, strictness)
            }
            Target::Cost(_) => (Objective { cost_weight: strictness, ..*objective }, strictness),
            Target::Score(_) => {
                let multiplier = 1.0 / strictness;
                let (latency_weight, cost_weight) =
                    (objective.latency_weight * multiplier, objective.cost_weight * multiplier);
                (Objective { latency_weight, cost_weight, ..*objective }, multiplier)
            }
        }
    }

    fn of(self, measured: &Measured) -> f64 {
        match self {
            Target::Latency(_) => measured.mean().latency,
            Target::LatencyP95(_) => measured.latency_p95(),
            Target::Cost(_) => measured.mean().cost,
            Target::Score(_) => measured.mean().score,
        }
    }

    fn is_kept(self, expected: f64) -> bool {
        match self {
            Target::Latency(most) | Target::LatencyP95(most) | Target::Cost(most) => expected <= most,
            Target::Score(least) => expected >= least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::measured::Outcome;
    use super::*;

    /// A world in which the best answer at a weight has score `1 - 1/(1 + t)` for a latency `t`, and costs as much; one query
    /// in ten takes twice as long, and the others so much less that the mean is `t`.
    fn choose(objective: &Objective) -> ((), Measured) {
        let weight = (objective.latency_weight + objective.cost_weight).max(1e-9);
        let latency = (1.0 / weight.sqrt() - 1.0).max(0.0);
        let outcome =
            |share: f64| Outcome { score: 1.0 - 1.0 / (1.0 + latency), latency: share * latency, cost: latency };
        ((), Measured((0..10).map(|query| outcome(if query == 3 { 2.0 } else { 8.0 / 9.0 })).collect()))
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
        check(Target::LatencyP95(2.0), 1.94, 2.0);
        check(Target::Cost(3.0), 1.0, 3.0);
        check(Target::Score(0.8), 0.8, 0.81);
        let ((), out_of_reach) = Target::Score(2.0).meet(&objective, choose);
        assert!(!out_of_reach.is_kept);
    }
}
