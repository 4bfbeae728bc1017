//! The survey: what every small plan does on every training problem, recorded before any plan is drawn.
//!
//! Where the outcome of each plan is known, the policy gradient need not be sampled. With `w_p` the probability of plan
//! `p` among the surveyed ones and `U_c` the utility of its choice `c` (E5), it is the expectation
//!
//! ```text
//! gradient = sum over p of w_p * sum over choices c of p of (U_c - baseline) * gradient of log p(c)
//! ```
//!
//! which has no variance but that of the recorded outcomes. To it comes the gradient of the logarithm of the probability
//! that any surveyed plan is drawn at all, in proportion to the scale of the utilities: nothing is known of the other
//! plans; and that of the entropy of `w`, in a proportion that falls, lest the plan that is best on average crowds out the
//! others before the questions are told apart. The credit is that of the drawn plans: an operator off the
//! critical path feels no latency here either.

use serde::{Deserialize, Serialize};

use super::rollout::{Attempt, Problems, Tried};
use super::{Charge, Credit, Utilities, utilities};
use crate::execute::Episode;
use crate::objective::Objective;
use crate::plan::Plan;
use crate::random::Purpose;

/// What is surveyed, and how it is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SurveyConfig {
    /// Most operators of a surveyed plan; 0 for no survey.
    pub operators: usize,
    /// Most plans surveyed.
    pub plans: usize,
    /// Times that each plan is run on each problem.
    pub draws: u64,
    /// Passes over the training problems.
    pub passes: u32,
    /// Problems per update.
    pub batch: usize,
    /// Falls in a straight line to nothing.
    pub learning_rate: f64,
    /// What one nat of entropy among the surveyed plans is worth at first, in deviations of the utility; falls in a
    /// straight line to `last_entropy`.
    pub first_entropy: f64,
    pub last_entropy: f64,
}

impl Default for SurveyConfig {
    fn default() -> Self {
        SurveyConfig {
            operators: 3,
            plans: 40,
            draws: 1,
            passes: 12,
            batch: 32,
            learning_rate: 0.01,
            first_entropy: 0.5,
            last_entropy: 0.05,
        }
    }
}

impl SurveyConfig {
    /// No survey: learning starts from drawn plans.
    pub fn none() -> Self {
        SurveyConfig { operators: 0, ..Self::default() }
    }
}

/// The outcomes of all surveyed plans.
#[derive(Serialize, Deserialize)]
pub(super) struct Survey {
    pub plans: Vec<Plan>,
    /// `[N][P]`; none where every run failed.
    outcomes: Vec<Vec<Option<Outcome>>>,
    /// Standard deviation of the value of a plan about the mean of its problem: the scale of the utilities, at every latency
    /// weight.
    deviation: f64,
}

/// Means over the runs of one plan on one problem.
#[derive(Clone, Serialize, Deserialize)]
struct Outcome {
    /// `S - lambda_c C`.
    value: f64,
    /// Tokens that each choice is charged.
    tokens: Vec<f64>,
    /// Share of the runs in which each choice was charged.
    charged: Vec<f64>,
}

/// The attempts that record `plans` on some problems.
pub(super) fn attempts(problems: &[usize], plans: &[Plan], draws: u64, latency_weight: f64) -> Vec<Attempt> {
    let runs = problems.iter().flat_map(|&problem| {
        plans.iter().flat_map(move |plan| {
            (0..draws).map(move |draw| {
                let draw = Purpose::Training.draw(draw);
                Attempt { problem, plan: plan.clone(), draw, latency_weight }
            })
        })
    });
    runs.collect()
}

impl Survey {
    pub fn new(plans: Vec<Plan>, problems: Problems<'_>) -> Self {
        let outcomes = vec![vec![None; plans.len()]; problems.ids.len()];
        Survey { plans, outcomes, deviation: 0.0 }
    }

    /// Takes in the runs of one plan on one problem.
    pub fn record(&mut self, problem: usize, plan: usize, episodes: &[Episode], reward: (Objective, Credit)) {
        let (objective, credit) = reward;
        // Charged in tokens, so that the outcome serves every latency weight.
        let objective = objective.at(1.0);
        let runs: Vec<Utilities> = episodes.iter().map(|episode| utilities(episode, &objective, credit)).collect();
        let Some(cell) = self.outcomes.get_mut(problem).and_then(|row| row.get_mut(plan)) else { return };
        let count = runs.len() as f64;
        let mean = |of: &dyn Fn(&Utilities) -> f64| runs.iter().map(of).sum::<f64>() / count;
        let choices = runs.first().map(|run| run.latency.len());
        *cell = choices.map(|choices| Outcome {
            value: mean(&|run| run.value),
            tokens: (0..choices).map(|choice| mean(&|run| -run.latency[choice])).collect(),
            charged: (0..choices)
                .map(|choice| mean(&|run| f64::from(u8::from(run.charges[choice] != Charge::Nothing))))
                .collect(),
        });
    }

    /// Settles the deviation, once all is recorded.
    pub fn finish(mut self) -> Self {
        let (mut squares, mut count) = (0.0, 0.0);
        for row in &self.outcomes {
            let values: Vec<f64> = row.iter().flatten().map(|outcome| outcome.value).collect();
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            squares += values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            count += values.len() as f64;
        }
        self.deviation = f64::sqrt(squares / f64::max(count, 1.0)).max(1e-8);
        self
    }

    /// `w_p ((U_c - baseline) / scale + 1)` for every choice of every plan on one problem, in order, where `U_c` holds the
    /// plan's share in the entropy of `w`, at `entropy` scales a nat; `log_probs` holds the log-probability of each plan,
    /// `[P]`.
    ///
    /// The sum of `w_p` times the gradient of `log p` over all plans is the gradient of the logarithm of their probability
    /// together, hence the 1. As among drawn samples, value and latency have baselines of their own, so that a choice that
    /// is charged no latency feels none.
    pub fn advantages(&self, problem: usize, log_probs: &[f64], latency_weight: f64, entropy: f64) -> Vec<f64> {
        let (row, scale) = (&self.outcomes[problem], self.deviation);
        let weights = self.probabilities(problem, log_probs);
        let weighted = || weights.iter().zip(row).filter_map(|(weight, outcome)| Some((weight, outcome.as_ref()?)));
        let surprise = |weight: f64| -weight.max(f64::MIN_POSITIVE).ln();
        let value: f64 =
            weighted().map(|(&weight, outcome)| weight * (outcome.value / scale + entropy * surprise(weight))).sum();
        let sum = |of: fn(&Outcome) -> &Vec<f64>| {
            weighted().map(|(weight, outcome)| weight * of(outcome).iter().sum::<f64>()).sum::<f64>()
        };
        let tokens = sum(|outcome| &outcome.tokens) / sum(|outcome| &outcome.charged).max(f64::MIN_POSITIVE);
        let mut advantages = Vec::new();
        for ((weight, outcome), plan) in weights.iter().zip(row).zip(&self.plans) {
            match outcome {
                None => advantages.extend(std::iter::repeat_n(0.0, plan.len())),
                Some(Outcome { value: own, tokens: charge, charged }) => {
                    let latency = charge.iter().zip(charged).map(|(charge, charged)| charged * tokens - charge);
                    let above = own / scale + entropy * surprise(*weight) - value + 1.0;
                    advantages.extend(latency.map(|latency| weight * (above + latency_weight * latency / scale)));
                }
            }
        }
        advantages
    }

    /// `w_p`, the probability of each plan among those with an outcome, `[P]`.
    pub fn probabilities(&self, problem: usize, log_probs: &[f64]) -> Vec<f64> {
        let row = &self.outcomes[problem];
        let known = || row.iter().zip(log_probs).filter(|(outcome, _)| outcome.is_some());
        let highest = known().map(|(_, &log_prob)| log_prob).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = known().map(|(_, log_prob)| (log_prob - highest).exp()).sum();
        let weight = |(outcome, log_prob): (&Option<Outcome>, &f64)| match outcome {
            Some(_) => (log_prob - highest).exp() / total,
            None => 0.0,
        };
        row.iter().zip(log_probs).map(weight).collect()
    }
}

/// Runs of each plan of each problem, in the order of [`attempts`]; a failed run is left out.
pub(super) fn grouped(
    episodes: Vec<(usize, Option<Tried>)>,
    plans: usize,
    draws: u64,
) -> Vec<(usize, usize, Vec<Episode>)> {
    let mut groups: Vec<(usize, usize, Vec<Episode>)> = Vec::new();
    for (position, (problem, tried)) in episodes.into_iter().enumerate() {
        let run = position % draws.max(1) as usize;
        if run == 0 {
            groups.push((problem, position / draws.max(1) as usize % plans.max(1), Vec::new()));
        }
        if let (Some((.., episodes)), Some(tried)) = (groups.last_mut(), tried) {
            episodes.push(tried.episode);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::testing::episode;

    fn survey() -> Survey {
        let plans = [[0, 2], [1, 2]].map(|[first, last]: [u16; 2]| Plan::from_indices(&[&[first], &[last]]));
        let outcomes = vec![vec![None; plans.len()]];
        let mut survey = Survey { plans: plans.to_vec(), outcomes, deviation: 0.5 };
        let reward = (Objective { cost_weight: 2.0, ..Objective::default() }, Credit::Marginal);
        let right = |score| episode("p", &[&[0], &[2]], &[4.0, 0.0], score, 0.1);
        survey.record(0, 0, &[right(1.0), right(0.0)], reward);
        survey.record(0, 1, &[episode("p", &[&[1], &[2]], &[10.0, 0.0], 1.0, 0.2)], reward);
        survey
    }

    #[test]
    fn the_advantages_are_those_of_the_expectation() {
        // Values .3 and .6, charges (4, 0) and (10, 0) tokens, both choices charged in both.
        let advantages = survey().advantages(0, &[0.75f64.ln(), 0.25f64.ln()], 0.01, 0.0);
        let (value, tokens) = (0.75 * 0.3 + 0.25 * 0.6, (0.75 * 4.0 + 0.25 * 10.0) / 2.0);
        let expected = [
            0.75 * ((0.3 - value + 0.01 * (tokens - 4.0)) / 0.5 + 1.0),
            0.75 * ((0.3 - value + 0.01 * tokens) / 0.5 + 1.0),
            0.25 * ((0.6 - value + 0.01 * (tokens - 10.0)) / 0.5 + 1.0),
            0.25 * ((0.6 - value + 0.01 * tokens) / 0.5 + 1.0),
        ];
        assert_eq!(advantages.len(), 4);
        for (found, expected) in advantages.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{advantages:?}");
        }
        // Two choices in each plan.
        assert!((advantages.iter().sum::<f64>() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn entropy_favours_the_unlikely() {
        let plain = survey().advantages(0, &[0.75f64.ln(), 0.25f64.ln()], 0.01, 0.0);
        let spread = survey().advantages(0, &[0.75f64.ln(), 0.25f64.ln()], 0.01, 0.2);
        let gained: Vec<f64> = spread.iter().zip(&plain).map(|(spread, plain)| spread - plain).collect();
        assert!(gained[0] < 0.0 && gained[2] > 0.0 && gained.iter().sum::<f64>().abs() < 1e-12, "{gained:?}");
    }

    #[test]
    fn what_failed_weighs_nothing() {
        let mut survey = survey();
        let reward = (Objective::default(), Credit::default());
        survey.record(0, 1, &[], reward);
        assert_eq!(survey.advantages(0, &[-9.0, 0.0], 0.0, 0.1), [1.0, 1.0, 0.0, 0.0]);
        survey.record(0, 0, &[], reward);
        assert_eq!(survey.advantages(0, &[-9.0, 0.0], 0.0, 0.1), [0.0; 4]);
        assert!(survey.finish().deviation > 0.0);
    }

    #[test]
    fn runs_are_grouped_as_they_were_attempted() {
        let plans = survey().plans;
        let attempts = attempts(&[3, 5], &plans, 2, 0.0);
        let runs = attempts.into_iter().map(|Attempt { problem, plan, draw, latency_weight }| {
            let episode = Episode { plan, ..episode("p", &[&[0]], &[1.0], 1.0, 0.0) };
            (problem, (draw.index == 0 || problem == 3).then_some(Tried { problem, latency_weight, episode }))
        });
        let groups = grouped(runs.collect(), 2, 2);
        let found: Vec<_> = groups.iter().map(|(problem, plan, runs)| (*problem, *plan, runs.len())).collect();
        assert_eq!(found, [(3, 0, 2), (3, 1, 2), (5, 0, 1), (5, 1, 1)]);
        assert!(groups.iter().all(|(_, plan, runs)| runs.iter().all(|run| run.plan == plans[*plan])));
    }
}
