//! Never worse than simple: what the run answers by is chosen by what was seen on problems that it was not fitted to.
//!
//! The best fixed plan, the best rule that asks a third operator where two differ, and the best router are each measured out
//! of fold on the training and validation problems; the best of them stands if its gain on the fixed plan is no noise. The
//! controller, which was fitted to the training problems, is measured on the validation problems alone.

use std::sync::Arc;

use anyhow::Result;

use super::candidates::{Candidate, Selection};
use super::crossfit::{FOLDS, filled, folds, gain, is_sure, mean, nested, nested_among};
use super::expectation::Expectation;
use super::outcomes::Outcomes;
use super::resume::Run;
use super::rollout::{Attempt, Problems};
use super::routing::Routing;
use super::setup::{Event, Halt, Notify};
use super::staging::{self, Replies, Reply, Staging};
use super::worth::Space;
use crate::controller::{Controller, Policy};
use crate::decide::{Proposal, Then};
use crate::evidence::Asked;
use crate::execute::Episode;
use crate::objective::Objective;
use crate::plan::{Layer, OperatorId, Plan};
use crate::random::{self, Purpose};
use crate::strategy::{Features, Strategies, Strategy};

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
        let (objective, seed) = (self.config.felt(), self.provenance.seed);
        let weight = objective.latency_weight;
        let (train, validation) = (self.train, self.validation);
        let proposals: Vec<Proposal> = outcomes.plans.iter().map(|tried| Proposal::from(tried.plan.clone())).collect();
        let on_validation = self.utilities(validation, &proposals, notify).await?;
        let of_plans: Vec<Vec<f64>> = on_validation
            .into_iter()
            .enumerate()
            .map(|(at, validation)| filled(outcomes.utility(at, weight).chain(validation).collect()))
            .collect();
        let asked: Vec<Asked<'_>> = train.asked().chain(validation.asked()).collect();
        let folds = folds(asked.len(), seed);

        let (best, fixed) = nested(&of_plans, &folds);
        let mut found = vec![("best fixed plan", Strategy::Fixed(proposals[best].clone()), fixed)];
        let is_single = |&at: &usize| space.operators_of(&proposals[at].plan).len() == 1;
        let singles: Vec<usize> = (0..proposals.len()).filter(is_single).collect();
        let of_singles = nested_among(&of_plans, &singles, &folds);
        let has_single = of_singles.is_some();
        if let Some((best, utilities)) = of_singles {
            found.push(("best operator", Strategy::Fixed(proposals[best].clone()), utilities));
        }
        let rules = rules(&outcomes.pairing);
        if !rules.is_empty() {
            let of_rules = self.on_all(&rules, utility(objective), notify).await?;
            let of_rules: Vec<Vec<f64>> = of_rules.into_iter().map(filled).collect();
            let (best, utilities) = nested(&of_rules, &folds);
            found.push(("best rule", Strategy::Fixed(rules[best].clone()), utilities));
        }
        let embeddings: Vec<&[f32]> = asked.iter().map(|asked| asked.embedding).collect();
        let features = Features::new(&embeddings, &mut random::stream(seed, &[&"axes"]));
        let (asked, features, folds_of) = (&asked[..], &features, &folds[..]);
        let routing = |proposals, utilities| Routing { proposals, utilities, asked, features, folds: folds_of, seed };
        let over_plans = routing(&proposals[..], &of_plans[..]);
        let routers = [
            ("ridge router", over_plans.linear()),
            ("nearest neighbours", over_plans.nearest()),
            ("forest router", over_plans.forest()),
        ];
        found.extend(routers.map(|(name, (router, utilities))| (name, Strategy::Router(router), utilities)));
        let controller = self.of_controller(expectation, &folds).await?;
        let place = found.len();
        found.push(("controller", Strategy::Controller, controller));
        let staging = self.stages(&outcomes.pairing, &folds, notify).await?;
        if let Some(staging) = &staging {
            let (best, utilities) = nested(&staging.utilities, &folds);
            found.push(("stages", Strategy::Fixed(staging.starts[best].clone()), utilities));
            let all: Vec<Proposal> = staging.starts.iter().chain(&proposals).cloned().collect();
            let of_all: Vec<Vec<f64>> = staging.utilities.iter().chain(&of_plans).cloned().collect();
            let (router, utilities) = routing(&all, &of_all).forest();
            found.push(("routed stages", Strategy::Router(router), utilities));
        }

        let explained = explained(&of_plans, &found);

        // Of many plans the best is so by luck in part: a plan of several operators must gain on the best one alone.
        let simplest = usize::from(has_single && !is_sure(&found[0].2, &found[1].2));
        let fixed = found[simplest].2.clone();
        let is_candidate = |at: &usize| is_sure(&found[*at].2, &fixed);
        let better = |best: usize, at: usize| if mean(&found[at].2) > mean(&found[best].2) { at } else { best };
        let mut chosen = (0..=place).filter(is_candidate).fold(simplest, better);
        // What has more to fit must also gain on what would answer without it.
        for at in (place + 1..found.len()).filter(is_candidate) {
            let (ahead, error) = gain(&found[at].2, &found[chosen].2);
            if ahead >= error {
                chosen = at;
            }
        }
        // Where a head will end its plans early, the controller has not shown all that it has yet.
        if self.config.execution.halting && is_candidate(&place) {
            let (behind, error) = gain(&found[chosen].2, &found[place].2);
            if behind <= error {
                chosen = place;
            }
        }
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
        let candidates_by_name = found.into_iter().map(named).collect();
        let stages = staging.map(|staging| Arc::new(staging.stages));
        self.state.strategies = Strategies { candidates: candidates_by_name, chosen, stages };
        let selection = Selection { candidates, chosen, explained };
        notify(Event::Selected { selection: &selection });
        self.state.position.selection = Some(selection);
        Ok(self.save()?)
    }

    /// When to ask on, learned from what each operator does alone; nothing where there are no two, or where more follows a
    /// plan than a vote.
    async fn stages(
        &mut self,
        operators: &[OperatorId],
        folds: &[usize],
        notify: &mut Notify<'_>,
    ) -> Result<Option<Staging>, Halt> {
        if operators.len() < 2 {
            return Ok(None);
        }
        let alone = |&id: &OperatorId| Plan { layers: vec![Layer { operators: vec![id] }] }.into();
        let objective = self.config.felt();
        let reply = |episode: Option<Episode>| {
            let Some(Episode { answer, score, trace, .. }) = episode else { return Some(Reply::default()) };
            let is_whole = trace.finish.is_none();
            is_whole.then(|| Reply { answer, score, latency: objective.path(&trace), cost: trace.cost() })
        };
        let replies = self.on_all(&operators.iter().map(alone).collect::<Vec<Proposal>>(), reply, notify).await?;
        let replies: Option<Vec<Vec<Reply>>> = replies.into_iter().map(|of| of.into_iter().collect()).collect();
        let Some(replies) = replies else { return Ok(None) };
        let replies = Replies::new(operators.to_vec(), &replies);
        Ok(Some(staging::learn(&replies, &objective, folds, self.provenance.seed)))
    }

    /// Utility of each proposal on each problem, `[proposals][N]`; NaN where it failed.
    async fn utilities(
        &mut self,
        problems: Problems<'_>,
        proposals: &[Proposal],
        notify: &mut Notify<'_>,
    ) -> Result<Vec<Vec<f64>>, Halt> {
        self.on_each(problems, proposals, utility(self.config.felt()), notify).await
    }

    /// As [`Run::on_each`] on the training problems and, after them, the validation problems.
    async fn on_all<T>(
        &mut self,
        proposals: &[Proposal],
        of: impl Fn(Option<Episode>) -> T,
        notify: &mut Notify<'_>,
    ) -> Result<Vec<Vec<T>>, Halt> {
        let mut found = self.on_each(self.train, proposals, &of, notify).await?;
        let on_validation = self.on_each(self.validation, proposals, &of, notify).await?;
        found.iter_mut().zip(on_validation).for_each(|(all, rest)| all.extend(rest));
        Ok(found)
    }

    /// What each proposal comes to on each problem, `[proposals][N]`; `of` nothing where it failed.
    async fn on_each<T>(
        &mut self,
        problems: Problems<'_>,
        proposals: &[Proposal],
        of: impl Fn(Option<Episode>) -> T,
        notify: &mut Notify<'_>,
    ) -> Result<Vec<Vec<T>>, Halt> {
        let latency_weight = self.config.felt().latency_weight;
        let attempt = |problem: usize, proposal: &Proposal| Attempt {
            problem,
            proposal: proposal.clone(),
            draw: Purpose::Training.draw(0),
            latency_weight,
        };
        let count = problems.ids.len();
        let mut columns: Vec<Vec<T>> = proposals.iter().map(|_| Vec::with_capacity(count)).collect();
        for start in (0..count).step_by(CHUNK) {
            self.look()?;
            let end = count.min(start + CHUNK);
            let attempts = (start..end).flat_map(|problem| proposals.iter().map(move |one| attempt(problem, one)));
            let found = self.attempt_all(problems, attempts.collect()).await?;
            for (at, episode) in found.into_iter().enumerate() {
                columns[at % proposals.len()].push(of(episode));
            }
            notify(Event::Compared { runs: end * proposals.len(), of: count * proposals.len() });
        }
        Ok(columns)
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
        let found = self.attempt_all(problems, among.iter().map(attempt).collect()).await?;
        Ok(found.into_iter().map(utility(self.config.felt())).collect())
    }

    async fn attempt_all(
        &mut self,
        problems: Problems<'_>,
        attempts: Vec<Attempt>,
    ) -> Result<Vec<Option<Episode>>, Halt> {
        let outcomes = problems.solve_all(attempts, false, self.config.concurrency).await;
        let tried = self.settle(outcomes, &mut Default::default())?;
        Ok(tried.into_iter().map(|tried| Some(tried?.episode)).collect())
    }
}

/// Utility of what was tried; NaN where it failed.
fn utility(objective: Objective) -> impl Fn(Option<Episode>) -> f64 {
    move |episode| episode.map_or(f64::NAN, |episode| objective.utility(episode.score, &episode.trace))
}

/// The share of the gap to hindsight, over the same plans, that the best router closes.
fn explained(of_plans: &[Vec<f64>], found: &[(&str, Strategy, Vec<f64>)]) -> f64 {
    let problems = of_plans.first().map_or(0, Vec::len);
    let best = |problem: usize| of_plans.iter().map(|of_plan| of_plan[problem]).fold(f64::NEG_INFINITY, f64::max);
    let hindsight = mean(&(0..problems).map(best).collect::<Vec<f64>>());
    let fixed = found.first().map_or(0.0, |(.., utilities)| mean(utilities));
    let routers = found.iter().filter(|(_, strategy, _)| matches!(strategy, Strategy::Router(_)));
    let router = routers.map(|(.., utilities)| mean(utilities)).fold(fixed, f64::max);
    if hindsight > fixed { (router - fixed) / (hindsight - fixed) } else { 0.0 }
}

/// Two of these operators side by side, and a third where they differ.
fn rules(operators: &[OperatorId]) -> Vec<Proposal> {
    let mut rules = Vec::new();
    for (at, &first) in operators.iter().enumerate() {
        for &second in &operators[at + 1..] {
            for &third in operators.iter().filter(|id| **id != first && **id != second) {
                let layers = vec![Layer { operators: vec![first, second] }, Layer { operators: vec![third] }];
                rules.push(Proposal { plan: Plan { layers }, then: Then::Escalate });
            }
        }
    }
    rules
}
