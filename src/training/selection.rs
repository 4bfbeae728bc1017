//! Never worse than simple: what the run answers by is chosen by what was seen on problems that it was not fitted to.
//!
//! The best fixed plan, the best rule that asks a third operator where two differ, and the best router are each measured out
//! of fold on the training and validation problems; the best of them stands if its gain on the fixed plan is no noise. The
//! controller, which was fitted to the training problems, is measured on the validation problems alone.

use anyhow::Result;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::outcomes::Outcomes;
use super::resume::Run;
use super::rollout::{Attempt, Problems};
use super::routing::Routing;
use super::setup::{Event, Halt, Notify};
use super::worth::Space;
use crate::controller::{Controller, Policy};
use crate::decide::Proposal;
use crate::plan::{Layer, OperatorId, Plan};
use crate::random::{self, Purpose};
use crate::strategy::{Strategies, Strategy};

/// Problems between two looks at whether the run was cancelled.
const CHUNK: usize = 16;
pub(super) const FOLDS: usize = 5;
/// Standard errors from which a gain counts.
const SURE: f64 = 1.5;
/// Most operators of which the rules are made.
const RULE_OPERATORS: usize = 8;

/// What may answer, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What it is.
    pub name: String,
    /// What it proposes for every query, where that is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Mean utility on problems that it was not fitted to.
    pub utility: f64,
    /// Mean gain on the best fixed plan on the same problems, and its standard error.
    pub gain: f64,
    pub error: f64,
}

/// What was chosen, and among what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    pub candidates: Vec<Candidate>,
    /// Place of the one that answers.
    pub chosen: usize,
}

impl Run<'_> {
    /// Chooses what the run answers by, unless that is chosen or nothing simpler is asked for.
    pub(super) async fn select(
        &mut self,
        space: &Space<'_>,
        outcomes: &Outcomes,
        notify: &mut Notify<'_>,
    ) -> Result<(), Halt> {
        let serves_several = space.latency_weights.len() > 1;
        let is_chosen = self.state.position.selection.is_some();
        if !self.config.fallback || serves_several || is_chosen || self.validation.ids.is_empty() {
            return Ok(());
        }
        let weight = self.config.felt().latency_weight;
        let plans: Vec<Plan> = outcomes.plans.iter().map(|tried| tried.plan.clone()).collect();
        let proposals: Vec<Proposal> = plans.iter().cloned().map(Proposal::from).collect();
        let rules = rules(space, outcomes);
        let on_validation = self.utilities(self.validation, &proposals, notify).await?;
        let of_plans: Vec<Vec<f64>> = on_validation
            .into_iter()
            .enumerate()
            .map(|(at, validation)| filled(outcomes.utility(at, weight).chain(validation).collect()))
            .collect();
        let mut of_rules = self.utilities(self.train, &rules, notify).await?;
        for (of_rule, validation) in of_rules.iter_mut().zip(self.utilities(self.validation, &rules, notify).await?) {
            of_rule.extend(validation);
        }
        let of_rules: Vec<Vec<f64>> = of_rules.into_iter().map(filled).collect();
        let queries: Vec<&[f32]> =
            self.train.queries.iter().chain(self.validation.queries).map(Vec::as_slice).collect();

        let folds = folds(queries.len(), self.provenance.seed);
        let (best, fixed) = nested(&of_plans, &folds);
        let mut found = vec![("best fixed plan", Strategy::Fixed(proposals[best].clone()), fixed)];
        let singles: Vec<usize> = (0..plans.len()).filter(|&at| plans[at].len() == 1).collect();
        if let Some((best, utilities)) = nested_among(&of_plans, &singles, &folds) {
            found.push(("best operator", Strategy::Fixed(proposals[best].clone()), utilities));
        }
        if !rules.is_empty() {
            let (best, utilities) = nested(&of_rules, &folds);
            found.push(("best rule", Strategy::Fixed(rules[best].clone()), utilities));
        }
        let seed = self.provenance.seed;
        let routing = Routing { plans: &plans, of_plans: &of_plans, queries: &queries, folds: &folds, seed };
        for (name, (router, utilities)) in [("router", routing.linear()), ("router ensemble", routing.ensemble())] {
            found.push((name, Strategy::Router(router), utilities));
        }

        let fixed = found[0].2.clone();
        let simple = (1..found.len()).filter(|&at| is_sure(&found[at].2, &fixed));
        let simple = simple.fold(0, |best, at| if mean(&found[at].2) > mean(&found[best].2) { at } else { best });
        let train = self.train.ids.len();
        let controller = self.of_controller().await?;
        let (own, alone) = (&found[simple].2[train..], &fixed[train..]);
        let is_better = is_sure(&controller, alone) && mean(&controller) >= mean(own);
        let candidate = |name: &str, strategy: &Strategy, utilities: &[f64], against: &[f64]| {
            let (gain, error) = gain(utilities, against);
            let proposal = match strategy {
                Strategy::Fixed(proposal) => Some(proposal.clone()),
                Strategy::Controller | Strategy::Router(_) => None,
            };
            Candidate { name: name.to_owned(), proposal, utility: mean(utilities), gain, error }
        };
        let mut candidates: Vec<Candidate> =
            found.iter().map(|(name, strategy, utilities)| candidate(name, strategy, utilities, &fixed)).collect();
        candidates.push(candidate("controller", &Strategy::Controller, &controller, alone));
        let chosen = if is_better { candidates.len() - 1 } else { simple };
        let named = |(name, strategy, _): (&str, Strategy, _)| (name.to_owned(), strategy);
        let controller = ("controller".to_owned(), Strategy::Controller);
        let strategies = found.into_iter().map(named).chain([controller]).collect();
        self.state.strategies = Strategies { candidates: strategies, chosen };
        let selection = Selection { candidates, chosen };
        notify(Event::Selected { selection: &selection });
        self.state.position.selection = Some(selection);
        Ok(self.save()?)
    }

    /// Utility of each proposal on each problem, `[proposals][N]`; NaN where it failed.
    async fn utilities(
        &mut self,
        problems: Problems<'_>,
        proposals: &[Proposal],
        notify: &mut Notify<'_>,
    ) -> Result<Vec<Vec<f64>>, Halt> {
        let latency_weight = self.config.felt().latency_weight;
        let attempt = |problem: usize, proposal: &Proposal| Attempt {
            problem,
            proposal: proposal.clone(),
            draw: Purpose::Training.draw(0),
            latency_weight,
        };
        let count = problems.ids.len();
        let mut utilities = vec![Vec::with_capacity(count); proposals.len()];
        for start in (0..count).step_by(CHUNK) {
            self.look()?;
            let end = count.min(start + CHUNK);
            let attempts = (start..end).flat_map(|problem| proposals.iter().map(move |one| attempt(problem, one)));
            let found = self.attempt_all(problems, attempts.collect()).await?;
            for of_problem in found.chunks(proposals.len().max(1)) {
                utilities.iter_mut().zip(of_problem).for_each(|(all, &utility)| all.push(utility));
            }
            notify(Event::Compared { runs: end * proposals.len(), of: count * proposals.len() });
        }
        Ok(utilities)
    }

    /// Utility of the controller's plans on the validation problems.
    async fn of_controller(&mut self) -> Result<Vec<f64>, Halt> {
        let trained = &self.learner.controller;
        let (config, kinds) = (trained.config().clone(), trained.kinds().to_vec());
        let weights = &self.state.best_weights;
        let best = Controller::from_tensors(config, kinds, trained.operators(), weights, trained.device())?;
        let policy = Policy::new(&best)?;
        let latency_weight = self.config.felt().latency_weight;
        let attempt = |(problem, query): (usize, &Vec<f32>)| Attempt {
            problem,
            proposal: policy.greedy(query).into(),
            draw: Purpose::Training.draw(0),
            latency_weight,
        };
        let attempts = self.validation.queries.iter().enumerate().map(attempt).collect();
        Ok(filled(self.attempt_all(self.validation, attempts).await?))
    }

    async fn attempt_all(&mut self, problems: Problems<'_>, attempts: Vec<Attempt>) -> Result<Vec<f64>, Halt> {
        let objective = self.config.felt();
        let outcomes = problems.solve_all(attempts, false, self.config.concurrency).await;
        let tried = self.settle(outcomes, &mut Default::default())?;
        let utility = |tried: Option<super::Tried>| {
            tried.map_or(f64::NAN, |tried| objective.utility(tried.episode.score, &tried.episode.trace))
        };
        Ok(tried.into_iter().map(utility).collect())
    }
}

/// Two operators side by side, and a third where they differ: all of those that go together best.
fn rules(space: &Space<'_>, outcomes: &Outcomes) -> Vec<Proposal> {
    let mut operators: Vec<OperatorId> = Vec::new();
    for id in space.pairs(outcomes).into_iter().flatten() {
        if operators.len() < RULE_OPERATORS && !operators.contains(&id) {
            operators.push(id);
        }
    }
    operators.sort_unstable();
    let mut rules = Vec::new();
    for (at, &first) in operators.iter().enumerate() {
        for &second in &operators[at + 1..] {
            for &third in operators.iter().filter(|id| **id != first && **id != second) {
                let layers = vec![Layer { operators: vec![first, second] }, Layer { operators: vec![third] }];
                rules.push(Proposal { plan: Plan { layers }, escalates: true });
            }
        }
    }
    rules
}

/// Each problem's fold.
fn folds(problems: usize, seed: u64) -> Vec<usize> {
    let mut folds: Vec<usize> = (0..problems).map(|at| at % FOLDS).collect();
    folds.shuffle(&mut random::stream(seed, &[&"folds"]));
    folds
}

/// The best of some columns `[columns][N]`, and what choosing so is worth on each problem when it is chosen on the other folds.
fn nested(columns: &[Vec<f64>], folds: &[usize]) -> (usize, Vec<f64>) {
    let all: Vec<usize> = (0..columns.len()).collect();
    nested_among(columns, &all, folds).unwrap_or((0, vec![0.0; folds.len()]))
}

fn nested_among(columns: &[Vec<f64>], among: &[usize], folds: &[usize]) -> Option<(usize, Vec<f64>)> {
    let best_without = |fold: usize| {
        let worth = |&column: &usize| {
            let seen = columns[column].iter().zip(folds).filter(|(_, own)| **own != fold).map(|(value, _)| *value);
            mean(&seen.collect::<Vec<f64>>())
        };
        first_best(among.iter().map(worth)).map(|at| among[at])
    };
    let by_fold = (0..FOLDS).map(best_without).collect::<Option<Vec<usize>>>()?;
    let honest = folds.iter().enumerate().map(|(problem, &fold)| columns[by_fold[fold]][problem]).collect();
    Some((best_without(FOLDS)?, honest))
}

/// Whether the gain is no noise.
fn is_sure(utilities: &[f64], against: &[f64]) -> bool {
    let (gain, error) = gain(utilities, against);
    gain > 0.0 && gain >= SURE * error
}

/// Mean gain, and its standard error.
fn gain(utilities: &[f64], against: &[f64]) -> (f64, f64) {
    let gains: Vec<f64> = utilities.iter().zip(against).map(|(own, other)| own - other).collect();
    let mean = mean(&gains);
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (gains.len().max(2) - 1) as f64;
    (mean, (variance / gains.len().max(1) as f64).sqrt())
}

/// Where it failed, a proposal is taken for as good as elsewhere.
fn filled(mut utilities: Vec<f64>) -> Vec<f64> {
    let known: Vec<f64> = utilities.iter().copied().filter(|utility| utility.is_finite()).collect();
    let mean = mean(&known);
    utilities.iter_mut().filter(|utility| !utility.is_finite()).for_each(|utility| *utility = mean);
    utilities
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub(super) fn first_best(values: impl Iterator<Item = f64>) -> Option<usize> {
    values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_by_luck_is_worth_little_elsewhere() {
        let folds: Vec<usize> = (0..20).map(|at| at % FOLDS).collect();
        // Each column is right in one fold alone: the best elsewhere is wrong here.
        let columns: Vec<Vec<f64>> =
            (0..FOLDS).map(|fold| folds.iter().map(|&own| f64::from(u8::from(own == fold))).collect()).collect();
        let (best, honest) = nested(&columns, &folds);
        assert_eq!((best, mean(&honest)), (0, 0.0));
        let good = vec![0.5; 20];
        assert_eq!(nested(&[columns[0].clone(), good.clone()], &folds), (1, good.clone()));
        assert!(is_sure(&good, &honest) && !is_sure(&honest, &good) && !is_sure(&columns[1], &columns[0]));
    }

    #[test]
    fn failures_are_taken_for_the_mean() {
        assert_eq!(filled(vec![1.0, f64::NAN, 0.0]), [1.0, 0.5, 0.0]);
        assert_eq!(filled(vec![f64::NAN]), [0.0]);
    }
}
