//! Never worse than simple: chooses what a run answers with, by measurements on problems that a candidate was not fitted to.
//!
//! Fixed plans, rules that ask a third operator if two differ, routers and stages are measured out of fold on the training and
//! validation problems. The controller is measured on the training problems by controllers that learned from the other folds,
//! and on the validation problems by the run's own. The best candidate answers if its gain on the best fixed plan (or the best
//! operator) is more than noise.

mod candidates;
mod contest;

pub use candidates::{Candidate, Selection};

use anyhow::Result;

use self::contest::{Contest, Won};
use super::crossfit::{FOLDS, first_best, folds};
use super::expectation::Expectation;
use super::measured::{Measured, Outcome, Seen};
use super::outcomes::Outcomes;
use super::resume::Run;
use super::rollout::{Attempt, Problems};
use super::setup::{Event, Halt, Notify};
use super::staging::{self, Replies, Reply};
use super::worth::Space;
use crate::controller::{Controller, Policy};
use crate::decide::{Proposal, Then};
use crate::evidence::Asked;
use crate::execute::Episode;
use crate::objective::Objective;
use crate::plan::{Layer, OperatorId, Plan};
use crate::random::{self, Purpose};
use crate::strategy::Features;

/// If the controller serves a range of latency weights, the choice is made at this many of them.
const SERVED: usize = 7;
/// Problems between two checks for cancellation.
const CHUNK: usize = 16;

impl Run<'_> {
    /// Chooses what the run answers with, unless that is done already or the settings ask for the controller.
    pub(super) async fn select(
        &mut self,
        space: &Space<'_>,
        outcomes: &Outcomes,
        expectation: &Expectation,
        notify: &mut Notify<'_>,
    ) -> Result<(), Halt> {
        let is_chosen = self.state.position.selection.is_some();
        if !self.config.fallback || is_chosen || self.validation.ids.is_empty() {
            return Ok(());
        }
        let (objective, seed) = (self.config.felt(), self.provenance.seed);
        let (train, validation) = (self.train, self.validation);
        let plans: Vec<Proposal> = outcomes.plans.iter().map(|tried| tried.plan.clone().into()).collect();
        let on_validation = self.on_each(validation, &plans, outcome(objective), notify).await?;
        let both = |(at, validation): (usize, Vec<Option<Outcome>>)| -> Vec<Option<Outcome>> {
            outcomes.measured(at).chain(validation).collect()
        };
        let of_plans: Vec<Vec<Option<Outcome>>> = on_validation.into_iter().enumerate().map(both).collect();
        // What is not known of a plan is estimated from the plan of which most is known.
        let most = first_best(of_plans.iter().map(|column| known(column) as f64)).unwrap_or_default();
        let reference = Measured::filled(of_plans.get(most).cloned().unwrap_or_default());
        // Where a fixed plan is known, all its operators ran.
        let whole = |outcome: &Option<Outcome>| outcome.map(|outcome| Seen { outcome, is_partial: false });
        let of_plan = |column: &Vec<Option<Outcome>>| {
            Measured::estimated(&column.iter().map(whole).collect::<Vec<_>>(), &reference)
        };
        let of_plans = of_plans.iter().map(of_plan).collect();
        let is_single = |&at: &usize| space.operators_of(&plans[at].plan).len() == 1;
        let singles = (0..plans.len()).filter(is_single).collect();
        let rules = rules(&outcomes.pairing);
        let of_rules = self.on_all(&rules, seen(objective, &outcomes.partial), notify).await?;
        let asked: Vec<Asked<'_>> = train.asked().chain(validation.asked()).collect();
        let folds = folds(asked.len(), seed);
        let (own, range) = (objective.latency_weight, self.learner.controller.config().latency_weights);
        let weights: Vec<f64> = range.map_or_else(Vec::new, |range| range.grid(SERVED).collect());
        let mut controllers = self
            .of_controller(expectation, &reference, &outcomes.partial, &folds, &[&[own], weights.as_slice()].concat())
            .await?
            .into_iter();
        let controller = controllers.next().unwrap_or_default();
        let replies = self.replies(&outcomes.complete, notify).await?;
        let embeddings: Vec<&[f32]> = asked.iter().map(|asked| asked.embedding).collect();
        let contest = Contest {
            plans,
            of_plans,
            singles,
            rules,
            of_rules: of_rules.iter().map(|column| Measured::estimated(column, &reference)).collect(),
            replies: replies.map(|replies| {
                let votes = staging::votes(&replies, &folds, seed);
                (replies, votes)
            }),
            features: Features::new(&embeddings, &mut random::stream(seed, &[&"axes"])),
            asked,
            folds,
            seed,
            halts: self.config.execution.halting,
        };
        let won = |objective: &Objective| {
            let Won { strategies, selection, expected } = contest.hold(objective, &controller);
            ((strategies, selection), expected)
        };
        let (mut strategies, selection) = match self.config.target {
            Some(target) => {
                let ((strategies, selection), met) = target.meet(&objective, won);
                (strategies, Selection { met: Some(met), ..selection })
            }
            None => won(&objective).0,
        };
        for (weight, controller) in weights.into_iter().zip(controllers) {
            self.check_cancelled()?;
            strategies.at.push((weight, contest.hold(&objective.at(weight), &controller).strategies.alone()));
        }
        self.state.strategies = strategies;
        notify(Event::Selected { selection: &selection });
        self.state.position.selection = Some(selection);
        Ok(self.save()?)
    }

    /// The replies of single operators; none if there are fewer than two, or if more than a vote follows a plan.
    async fn replies(&mut self, operators: &[OperatorId], notify: &mut Notify<'_>) -> Result<Option<Replies>, Halt> {
        if operators.len() < 2 {
            return Ok(None);
        }
        let alone = |&id: &OperatorId| Plan { layers: vec![Layer { operators: vec![id] }] }.into();
        let outcome = outcome(self.config.felt());
        let reply = |episode: Option<Episode>| {
            let is_whole = episode.as_ref().is_none_or(|episode| episode.trace.finish.is_none());
            let answer = episode.as_ref().and_then(|episode| episode.answer.clone());
            is_whole.then(|| Reply { answer, outcome: outcome(episode).unwrap_or_default() })
        };
        let replies = self.on_all(&operators.iter().map(alone).collect::<Vec<Proposal>>(), reply, notify).await?;
        let replies: Option<Vec<Vec<Reply>>> = replies.into_iter().map(|of| of.into_iter().collect()).collect();
        Ok(replies.map(|replies| Replies::new(operators.to_vec(), &replies)))
    }

    /// Like [`Run::on_each`], on the training problems followed by the validation problems.
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

    /// The outcome of each proposal on each problem, `[proposals][N]`; `of` gets nothing where it failed.
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
            self.check_cancelled()?;
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

    /// The outcomes of controllers on problems they did not learn from, at each latency weight: on each training problem, of a
    /// controller that learned from the other folds; on the validation problems, of the run's own.
    async fn of_controller(
        &mut self,
        expectation: &Expectation,
        reference: &Measured,
        partial: &[OperatorId],
        folds: &[usize],
        weights: &[f64],
    ) -> Result<Vec<Measured>, Halt> {
        let train = self.train.ids.len();
        let mut outcomes = vec![vec![None; train]; weights.len()];
        for fold in 0..FOLDS {
            let (inside, others): (Vec<usize>, Vec<usize>) = (0..train).partition(|&problem| folds[problem] == fold);
            if inside.is_empty() || others.is_empty() {
                continue;
            }
            let policy = Policy::new(&self.learned_from(expectation, &others)?)?;
            for (outcomes, &weight) in outcomes.iter_mut().zip(weights) {
                let found = self.of_policy(&policy.at(weight), self.train, &inside, partial).await?;
                inside.iter().zip(found).for_each(|(&problem, outcome)| outcomes[problem] = outcome);
            }
        }
        let trained = &self.learner.controller;
        let (config, signatures) = (trained.config().clone(), trained.signatures().to_vec());
        let best = &self.state.best_weights;
        let best = Controller::from_tensors(config, signatures, trained.operators(), best, trained.device())?;
        let policy = Policy::new(&best)?;
        let all: Vec<usize> = (0..self.validation.ids.len()).collect();
        for (outcomes, &weight) in outcomes.iter_mut().zip(weights) {
            outcomes.extend(self.of_policy(&policy.at(weight), self.validation, &all, partial).await?);
        }
        Ok(outcomes.iter().map(|outcomes| Measured::estimated(outcomes, reference)).collect())
    }

    /// The outcomes of a policy's likeliest plans on some problems; none where they failed.
    async fn of_policy(
        &mut self,
        policy: &Policy,
        problems: Problems<'_>,
        among: &[usize],
        partial: &[OperatorId],
    ) -> Result<Vec<Option<Seen>>, Halt> {
        let latency_weight = self.config.felt().latency_weight;
        let attempt = |&problem: &usize| Attempt {
            problem,
            proposal: policy.greedy(&problems.queries[problem]).into(),
            draw: Purpose::Training.draw(0),
            latency_weight,
        };
        let found = self.attempt_all(problems, among.iter().map(attempt).collect()).await?;
        Ok(found.into_iter().map(seen(self.config.felt(), partial)).collect())
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

/// The outcome of an episode; none if it failed.
fn outcome(objective: Objective) -> impl Fn(Option<Episode>) -> Option<Outcome> {
    move |episode| {
        let Episode { score, trace, .. } = episode?;
        Some(Outcome { score, latency: objective.path(&trace), cost: trace.cost() })
    }
}

/// Like [`outcome`]; also whether one of the operators `partial` ran.
fn seen(objective: Objective, partial: &[OperatorId]) -> impl Fn(Option<Episode>) -> Option<Seen> {
    let outcome = outcome(objective);
    move |episode| {
        let is_partial = episode.as_ref().is_some_and(|it| it.plan.choices().any(|(_, id)| partial.contains(&id)));
        Some(Seen { outcome: outcome(episode)?, is_partial })
    }
}

/// How many outcomes are known.
fn known(outcomes: &[Option<Outcome>]) -> usize {
    outcomes.iter().flatten().count()
}

/// Rules: two of these operators in parallel, and a third if they differ.
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
