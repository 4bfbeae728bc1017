//! Solves many problems at once, in an order that does not depend on timing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::Result;
use async_trait::async_trait;
use serde::Serialize;

use crate::decide::{FixedPlan, Moment, Moments, Proposal};
use crate::evidence::Asked;
use crate::execute::{Episode, ExecuteError, SolveOptions, Solver, in_order};
use crate::plan::Plan;
use crate::random::Draw;
use crate::task::Problem;

/// The outcome of a plan if it had ended at some moment of its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// See [`Moment::evidence`].
    pub evidence: Vec<f32>,
    pub score: f64,
    /// Critical path, in the objective's unit.
    pub latency: f64,
    /// Dollars.
    pub cost: f64,
}

/// A query solved by a plan that no halting head ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The moments at which a head can end the plan, in order.
    pub moments: Vec<Judged>,
    pub episode: Episode,
}

impl Course {
    /// An episode without moments.
    pub fn of(episode: Episode) -> Self {
        Course { moments: Vec::new(), episode }
    }

    /// Solves a problem with a plan, and judges what the outcome would have been at each moment of its run.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn follow(
        solver: &Solver,
        problem: &Problem,
        plan: Plan,
        draw: Draw,
        options: &SolveOptions<'_>,
    ) -> Result<Self, ExecuteError> {
        let options = SolveOptions { halting: None, ..options.clone() };
        let mut recorder = Moments {
            decider: FixedPlan::new(plan),
            seen: Vec::new(),
            words: problem.words(),
            operators: solver.catalogue().operators().len(),
            unit: options.unit,
        };
        let episode = solver.solve(problem, &mut recorder, draw, &options).await?;
        let mut scores: BTreeMap<&str, f64> = BTreeMap::new();
        scores.extend(episode.answer.as_deref().map(|answer| (answer, episode.score)));
        for Moment { answer, .. } in &recorder.seen {
            if let Entry::Vacant(unknown) = scores.entry(answer) {
                unknown.insert(solver.score(problem, Some(answer)).await?);
            }
        }
        let judged = |Moment { evidence, answer, latency, cost }: &Moment| Judged {
            evidence: evidence.clone(),
            score: scores.get(answer.as_str()).copied().unwrap_or_default(),
            latency: *latency,
            cost: *cost,
        };
        let moments = recorder.seen.iter().map(judged).collect();
        Ok(Course { moments, episode })
    }
}

/// Solves problems of one data set with given plans.
#[async_trait]
pub trait Rollout: Send + Sync {
    /// Solves problem number `problem` with `plan`. Equal arguments give equal episodes; `draw` distinguishes independent
    /// attempts.
    ///
    /// # Errors
    /// The query failed, for example because an endpoint is unreachable. A wrong answer is an episode, not an error.
    async fn solve(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Episode>;

    /// Like [`Rollout::solve`], with a plan that may be committed layer by layer. The default runs the whole plan.
    ///
    /// # Errors
    /// Those of [`Rollout::solve`].
    async fn propose(&self, problem: usize, proposal: Proposal, draw: Draw) -> Result<Episode> {
        self.solve(problem, proposal.plan, draw).await
    }

    /// Like [`Rollout::solve`] without a halting head, but also returns the outcome if the plan had ended at each moment of its
    /// run. Without these no halting head can be trained.
    ///
    /// # Errors
    /// Those of [`Rollout::solve`].
    async fn course(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Course> {
        Ok(Course::of(self.solve(problem, plan, draw).await?))
    }
}

/// A data set as training sees it.
#[derive(Clone, Copy)]
pub struct Problems<'a> {
    /// Unique ids, which key the random streams.
    pub ids: &'a [String],
    /// `[N]`; routers read their surface. May be empty; routers then read only the queries.
    pub questions: &'a [String],
    /// What the controller reads of each problem, `[N][E]`.
    pub queries: &'a [Vec<f32>],
    pub rollout: &'a dyn Rollout,
}

/// One plan to try.
#[derive(Clone)]
pub(super) struct Attempt {
    pub problem: usize,
    pub proposal: Proposal,
    pub draw: Draw,
    /// The weight that the plan was chosen for, in score per unit of critical path.
    pub latency_weight: f64,
}

/// The result of a plan in training. It serialises as the episode with one more field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingEpisode {
    /// Position of the problem in its data set.
    #[serde(skip)]
    pub problem: usize,
    /// The weight that the plan was chosen for and is rewarded with, in score per unit of critical path.
    pub latency_weight: f64,
    #[serde(flatten)]
    pub episode: Episode,
    /// The outcomes at the moments of its run, if it was followed.
    #[serde(skip)]
    pub moments: Vec<Judged>,
}

impl Problems<'_> {
    /// What is known of each problem before it is answered.
    pub(super) fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        let question = |at: usize| self.questions.get(at).map_or("", String::as_str);
        self.queries.iter().enumerate().map(move |(at, embedding)| Asked { question: question(at), embedding })
    }

    /// Runs the attempts without a halting head, at most `concurrency` at once; the outcomes are in the order of the attempts.
    /// `follows` records the moments of each. After a failure that every query would meet, the rest is not run.
    pub(super) async fn solve_all(
        &self,
        attempts: Vec<Attempt>,
        follows: bool,
        concurrency: usize,
    ) -> Vec<Result<TrainingEpisode>> {
        let runs = attempts.into_iter().map(|Attempt { problem, proposal, draw, latency_weight }| async move {
            let course = match follows {
                true => self.rollout.course(problem, proposal.plan, draw).await,
                false => self.rollout.propose(problem, proposal, draw).await.map(Course::of),
            };
            course.map(|Course { episode, moments }| TrainingEpisode { problem, latency_weight, episode, moments })
        });
        in_order(runs, concurrency, |outcome| outcome.as_ref().is_err_and(is_hopeless)).await
    }
}

/// Whether every further query would fail alike. A cap does not count: further queries end at once by themselves, and those
/// under way are already paid for, so they may finish.
fn is_hopeless(failure: &anyhow::Error) -> bool {
    failure.downcast_ref::<ExecuteError>().is_some_and(|error| error.cap().is_none() && !error.is_of_query())
}
