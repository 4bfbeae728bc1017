//! Measured outcomes on each problem. Score, latency and dollars are kept apart, so that they can be weighed again.

use super::crossfit::mean;
use crate::objective::Objective;

/// The outcome of one problem.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub score: f64,
    /// In the objective's unit.
    pub latency: f64,
    /// Dollars.
    pub cost: f64,
}

/// The outcome on each problem, `[N]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured(pub Vec<Outcome>);

impl Outcome {
    /// `S - lambda_t T - lambda_c C`.
    pub fn utility(&self, objective: &Objective) -> f64 {
        self.score - objective.latency_weight * self.latency - objective.cost_weight * self.cost
    }
}

/// An outcome that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub outcome: Outcome,
    /// Whether an operator ran that is known only in part.
    pub is_partial: bool,
}

/// How many standard errors an estimate is moved to the worse side.
const DOUBT: f64 = 1.5;

impl Measured {
    /// Replaces unknown outcomes by the mean of the others.
    pub fn filled(outcomes: Vec<Option<Outcome>>) -> Self {
        let known: Vec<Outcome> = outcomes.iter().copied().flatten().collect();
        let mean = Measured(known).mean();
        Measured(outcomes.into_iter().map(|outcome| outcome.unwrap_or(mean)).collect())
    }

    /// Replaces unknown outcomes by those of `reference` on the same problem, moved by the mean difference where both are known,
    /// to the worse side by 1.5 standard errors of it: few outcomes never look better than they are.
    ///
    /// Where an outcome is unknown, an operator was needed that is known only in part. So the difference is taken over the
    /// outcomes that needed such an operator too, if there are any: those that did without may be of easier problems.
    pub fn estimated(outcomes: &[Option<Seen>], reference: &Measured) -> Self {
        let is_partial = outcomes.iter().flatten().any(|seen| seen.is_partial);
        let basis = outcomes.iter().zip(&reference.0).filter_map(|(own, other)| Some(((*own)?, other)));
        let basis: Vec<(Outcome, &Outcome)> =
            basis.filter(|(own, _)| own.is_partial == is_partial).map(|(own, other)| (own.outcome, other)).collect();
        let mean_of = reference.mean();
        let score = Moved::by(&basis, |outcome| outcome.score, 1.0);
        let latency = Moved::by(&basis, |outcome| outcome.latency, mean_of.latency);
        let cost = Moved::by(&basis, |outcome| outcome.cost, mean_of.cost);
        let estimate = |other: &Outcome| Outcome {
            score: (other.score + score.difference - score.doubt).max(0.0),
            latency: (other.latency + latency.difference + latency.doubt).max(0.0),
            cost: (other.cost + cost.difference + cost.doubt).max(0.0),
        };
        let filled = outcomes.iter().zip(&reference.0);
        Measured(filled.map(|(own, other)| own.map_or_else(|| estimate(other), |seen| seen.outcome)).collect())
    }

    /// On each problem, the outcome of the picked column.
    pub fn picked(columns: &[Measured], picks: &[usize]) -> Self {
        Measured(picks.iter().enumerate().map(|(problem, &pick)| columns[pick].0[problem]).collect())
    }

    /// The utility on each problem, `[N]`.
    pub fn utilities(&self, objective: &Objective) -> Vec<f64> {
        self.0.iter().map(|outcome| outcome.utility(objective)).collect()
    }

    /// The latency that 19 queries in 20 keep, in the objective's unit; 0 if there are none.
    pub fn latency_p95(&self) -> f64 {
        let mut latencies: Vec<f64> = self.0.iter().map(|outcome| outcome.latency).collect();
        latencies.sort_by(f64::total_cmp);
        let rank = (0.95 * latencies.len() as f64).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    pub fn mean(&self) -> Outcome {
        let column = |of: fn(&Outcome) -> f64| mean(&self.0.iter().map(of).collect::<Vec<f64>>());
        Outcome {
            score: column(|outcome| outcome.score),
            latency: column(|outcome| outcome.latency),
            cost: column(|outcome| outcome.cost),
        }
    }
}

/// A mean difference, and 1.5 standard errors of it.
struct Moved {
    difference: f64,
    doubt: f64,
}

impl Moved {
    /// One more observation, `usual` away, counts for the error: two outcomes that happen to agree prove nothing.
    fn by(basis: &[(Outcome, &Outcome)], of: fn(&Outcome) -> f64, usual: f64) -> Self {
        let differences: Vec<f64> = basis.iter().map(|(own, other)| of(own) - of(other)).collect();
        let difference = mean(&differences);
        let squares = usual.powi(2) + differences.iter().map(|own| (own - difference).powi(2)).sum::<f64>();
        Moved { difference, doubt: DOUBT * squares.sqrt() / differences.len().max(1) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_query_in_twenty_may_take_longer() {
        let check = |latencies: &[u32], expected: f64| {
            let outcome = |&latency: &u32| Outcome { latency: f64::from(latency), ..Outcome::default() };
            assert_eq!(Measured(latencies.iter().map(outcome).collect()).latency_p95(), expected);
        };
        check(&(1..=20).rev().collect::<Vec<u32>>(), 19.0);
        check(&(1..=40).collect::<Vec<u32>>(), 38.0);
        check(&[7], 7.0);
        check(&[], 0.0);
    }

    #[test]
    fn what_is_estimated_from_little_is_doubted() {
        let outcome = |score, latency| Outcome { score, latency, cost: 0.0 };
        let reference = Measured(vec![outcome(0.5, 2.0); 8]);
        let seen = |outcome, is_partial| Some(Seen { outcome, is_partial });
        let own = |known: usize| -> Vec<Option<Seen>> {
            (0..8).map(|at| seen(outcome(0.75, 3.0), false).filter(|_| at < known)).collect()
        };
        let check = |known: usize, [score, latency]: [f64; 2]| {
            let estimated = Measured::estimated(&own(known), &reference).0[7];
            let is_equal = (estimated.score - score).abs() < 1e-12 && (estimated.latency - latency).abs() < 1e-12;
            assert!(is_equal, "{known} known: {estimated:?}");
        };
        check(0, [0.0, 5.0]);
        check(1, [0.0, 6.0]);
        check(2, [0.0, 4.5]);
        check(4, [0.375, 3.75]);
        check(6, [0.5, 3.5]);
        assert_eq!(Measured::estimated(&own(8), &reference).0, vec![outcome(0.75, 3.0); 8]);
        // What went well without the new operator says nothing of where it is needed.
        let easy = vec![seen(outcome(1.0, 1.0), false); 4];
        let needed = vec![seen(outcome(0.5, 6.0), true); 3];
        let estimated = Measured::estimated(&[easy, needed, vec![None]].concat(), &reference).0[7];
        assert_eq!([estimated.score, estimated.latency], [0.0, 7.0]);
    }

    #[test]
    fn failures_are_taken_for_the_mean() {
        let outcome = |score| Outcome { score, latency: 4.0, cost: 0.0 };
        let filled = Measured::filled(vec![Some(outcome(1.0)), None, Some(outcome(0.0))]);
        assert_eq!(filled.0[1], outcome(0.5));
        assert_eq!(Measured::filled(vec![None]).0, [Outcome::default()]);
        let objective = Objective { latency_weight: 0.125, cost_weight: 2.0, ..Objective::default() };
        assert_eq!(filled.utilities(&objective), [0.5, 0.0, -0.5]);
        let other = Measured(vec![outcome(0.25); 3]);
        assert_eq!(Measured::picked(&[filled, other], &[0, 1, 0]).mean().score, (1.0 + 0.25) / 3.0);
    }
}
