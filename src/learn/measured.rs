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

/// How many standard errors an estimated score is lowered by.
const DOUBT: f64 = 1.5;

impl Measured {
    /// Replaces unknown outcomes by the mean of the others.
    pub fn filled(outcomes: Vec<Option<Outcome>>) -> Self {
        let known: Vec<Outcome> = outcomes.iter().copied().flatten().collect();
        let mean = Measured(known).mean();
        Measured(outcomes.into_iter().map(|outcome| outcome.unwrap_or(mean)).collect())
    }

    /// Replaces unknown outcomes by those of `reference` on the same problem, moved by the mean difference where both are known.
    /// The score is lowered by 1.5 standard errors of that difference, so few outcomes never look better than they are.
    pub fn estimated(outcomes: &[Option<Outcome>], reference: &Measured) -> Self {
        let both: Vec<(Outcome, Outcome)> =
            outcomes.iter().zip(&reference.0).filter_map(|(own, other)| Some(((*own)?, *other))).collect();
        let differences =
            |of: fn(&Outcome) -> f64| -> Vec<f64> { both.iter().map(|(own, other)| of(own) - of(other)).collect() };
        let scores = differences(|outcome| outcome.score);
        let [score, latency, cost] =
            [mean(&scores), mean(&differences(|outcome| outcome.latency)), mean(&differences(|outcome| outcome.cost))];
        // One more observation, a whole score away: two outcomes that happen to agree prove nothing.
        let squares = 1.0 + scores.iter().map(|own| (own - score).powi(2)).sum::<f64>();
        let doubt = DOUBT * squares.sqrt() / both.len().max(1) as f64;
        let estimate = |other: &Outcome| Outcome {
            score: (other.score + score - doubt).max(0.0),
            latency: (other.latency + latency).max(0.0),
            cost: (other.cost + cost).max(0.0),
        };
        let filled = outcomes.iter().zip(&reference.0).map(|(own, other)| own.unwrap_or_else(|| estimate(other)));
        Measured(filled.collect())
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
        let own = |known: usize| -> Vec<Option<Outcome>> {
            (0..8).map(|at| (at < known).then(|| outcome(0.75, 3.0))).collect()
        };
        let check = |known: usize, score: f64| {
            let filled = Measured::estimated(&own(known), &reference);
            assert_eq!((filled.0.len(), filled.0[7].latency), (8, 3.0), "{known} known");
            assert!((filled.0[7].score - score).abs() < 1e-12, "{known} known: {:?}", filled.0[7]);
        };
        check(1, 0.0);
        check(2, 0.0);
        check(4, 0.375);
        check(6, 0.5);
        assert_eq!(Measured::estimated(&own(8), &reference).0, vec![outcome(0.75, 3.0); 8]);
        assert_eq!(Measured::estimated(&own(0), &reference).0[0].score, 0.0);
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
