//! Never worse than simple: what the run answers by is chosen by what was seen on problems that it was not fitted to.
//!
//! The best fixed plan, the best rule that asks a third operator where two differ, and the best router are each measured out
//! of fold on the training and validation problems; the best of them stands if its gain on the fixed plan is no noise. The
//! controller, which was fitted to the training problems, is measured on the validation problems alone.

use anyhow::Result;

use super::candidates::{Candidate, Selection};
use super::crossfit::{FOLDS, filled, folds, gain, is_sure, mean, nested, nested_among};
use super::expectation::Expectation;
use super::outcomes::Outcomes;
use super::resume::Run;
use super::rollout::{Attempt, Problems};
use super::routing::Routing;
use super::setup::{Event, Halt, Notify};
use super::worth::Space;
use crate::controller::{Controller, Policy};
use crate::decide::Proposal;
use crate::plan::{Layer, OperatorId, Plan};
use crate::random::Purpose;
use crate::strategy::{Strategies, Strategy};

/// Problems between two looks at whether the run was cancelled.
const CHUNK: usize = 16;

impl Run<'_> {
    /// Chooses what the run answers by, unless that is chosen or nothing simpler is asked for.
    pub(super) async fn select(
        &mut self,
        space: &Space<'_>,
        outcomes: &Outcomes,
        expectation: &Expectation,
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
        let rules = rules(&outcomes.pairing);
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
        let singles: Vec<usize> = (0..plans.len()).filter(|&at| space.operators_of(&plans[at]).len() == 1).collect();
        let of_singles = nested_among(&of_plans, &singles, &folds);
        let has_single = of_singles.is_some();
        if let Some((best, utilities)) = of_singles {
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

        let controller = self.of_controller(expectation, &folds).await?;
        found.push(("controller", Strategy::Controller, controller));

        // Of many plans the best is so by luck in part: a plan of several operators must gain on the best one alone.
        let simplest = usize::from(has_single && !is_sure(&found[0].2, &found[1].2));
        let fixed = found[simplest].2.clone();
        let sure = (0..found.len()).filter(|&at| is_sure(&found[at].2, &fixed));
        let chosen = sure.fold(simplest, |best, at| if mean(&found[at].2) > mean(&found[best].2) { at } else { best });
        let chosen = match found.last() {
            // Where a head will end its plans early, the controller has not shown all that it has yet.
            Some((.., own)) if self.config.execution.halting && is_sure(own, &fixed) => {
                let (behind, error) = gain(&found[chosen].2, own);
                if behind <= error { found.len() - 1 } else { chosen }
            }
            _ => chosen,
        };
        let candidate = |(name, strategy, utilities): &(&str, Strategy, Vec<f64>)| {
            let (gain, error) = gain(utilities, &fixed);
            let proposal = match strategy {
                Strategy::Fixed(proposal) => Some(proposal.clone()),
                Strategy::Controller | Strategy::Router(_) => None,
            };
            Candidate { name: (*name).to_owned(), proposal, utility: mean(utilities), gain, error }
        };
        let candidates = found.iter().map(candidate).collect();
        let named = |(name, strategy, _): (&str, Strategy, _)| (name.to_owned(), strategy);
        self.state.strategies = Strategies { candidates: found.into_iter().map(named).collect(), chosen };
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

    /// Utility of the plans of a controller that did not learn from a problem: on each training problem those of one that learned
    /// from the other folds, on the validation problems those of the run's own.
    async fn of_controller(&mut self, expectation: &Expectation, folds: &[usize]) -> Result<Vec<f64>, Halt> {
        let train = self.train.ids.len();
        let mut utilities = vec![f64::NAN; train];
        for fold in 0..FOLDS {
            let (inside, others): (Vec<usize>, Vec<usize>) = (0..train).partition(|&problem| folds[problem] == fold);
            if inside.is_empty() || others.is_empty() {
                continue;
            }
            let policy = Policy::new(&self.learned_from(expectation, &others)?)?;
            let found = self.of_policy(&policy, self.train, &inside).await?;
            inside.into_iter().zip(found).for_each(|(problem, utility)| utilities[problem] = utility);
        }
        let trained = &self.learner.controller;
        let (config, kinds) = (trained.config().clone(), trained.kinds().to_vec());
        let weights = &self.state.best_weights;
        let best = Controller::from_tensors(config, kinds, trained.operators(), weights, trained.device())?;
        let all: Vec<usize> = (0..self.validation.ids.len()).collect();
        utilities.extend(self.of_policy(&Policy::new(&best)?, self.validation, &all).await?);
        Ok(filled(utilities))
    }

    /// Utility of the likeliest plans of a policy on some problems.
    async fn of_policy(&mut self, policy: &Policy, problems: Problems<'_>, among: &[usize]) -> Result<Vec<f64>, Halt> {
        let latency_weight = self.config.felt().latency_weight;
        let attempt = |&problem: &usize| Attempt {
            problem,
            proposal: policy.greedy(&problems.queries[problem]).into(),
            draw: Purpose::Training.draw(0),
            latency_weight,
        };
        self.attempt_all(problems, among.iter().map(attempt).collect()).await
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

/// Two of these operators side by side, and a third where they differ.
fn rules(operators: &[OperatorId]) -> Vec<Proposal> {
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
