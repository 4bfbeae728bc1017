//! Solving many problems at once, in an order that no timing changes.

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

/// What would have come of a plan, had it ended at a moment of its run.
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
    /// The moments at which a head can end the plan, in their order.
    pub moments: Vec<Judged>,
    pub episode: Episode,
}

impl Course {
    /// An episode without moments.
    pub fn of(episode: Episode) -> Self {
        Course { moments: Vec::new(), episode }
    }

    /// Solves a problem by a plan, and judges what it would have come to at each moment of its run.
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

/// Solves a problem of one data set by a given plan.
#[async_trait]
pub trait Rollout: Send + Sync {
    /// Solves problem number `problem` by `plan`; equal arguments give equal episodes. `draw` tells independent
    /// attempts apart.
    ///
    /// # Errors
    /// The query failed (an unreachable endpoint, say); a wrong answer is an episode, not an error.
    async fn solve(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Episode>;

    /// As [`Rollout::solve`], by a plan that may be committed layer by layer. Where that cannot be, the whole plan is run.
    ///
    /// # Errors
    /// As [`Rollout::solve`].
    async fn propose(&self, problem: usize, proposal: Proposal, draw: Draw) -> Result<Episode> {
        self.solve(problem, proposal.plan, draw).await
    }

    /// As [`Rollout::solve`] without a halting head, with what the plan would have come to at each moment of its run.
    /// Without those no halting head can be trained.
    ///
    /// # Errors
    /// As [`Rollout::solve`].
    async fn course(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Course> {
        Ok(Course::of(self.solve(problem, plan, draw).await?))
    }
}

/// A data set as training sees it.
#[derive(Clone, Copy)]
pub struct Problems<'a> {
    /// Unique names, which key the random streams.
    pub ids: &'a [String],
    /// `[N]`; routers read how they look. Without them only the queries are read.
    pub questions: &'a [String],
    /// What the controller reads of each problem, `[N][E]`.
    pub queries: &'a [Vec<f32>],
    pub rollout: &'a dyn Rollout,
}

/// One plan to be tried.
#[derive(Clone)]
pub(super) struct Attempt {
    pub problem: usize,
    pub proposal: Proposal,
    pub draw: Draw,
    /// What the plan was chosen for, in score per unit of critical path.
    pub latency_weight: f64,
}

/// What came of a plan in training. As a record it is the episode with one field more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingEpisode {
    /// Position of the problem in its data set.
    #[serde(skip)]
    pub problem: usize,
    /// What the plan was chosen for, and is rewarded by, in score per unit of critical path.
    pub latency_weight: f64,
    #[serde(flatten)]
    pub episode: Episode,
    /// What the plan would have come to at the moments of its run, where it was followed.
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
    /// Each is followed through its moments where `follows`. After one that would meet every query
    /// alike, the rest is not run.
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

/// Queries that met a cap end by themselves at once, and those under way are paid for: they may finish.
fn is_hopeless(failure: &anyhow::Error) -> bool {
    failure.downcast_ref::<ExecuteError>().is_some_and(|error| error.cap().is_none())
}
