//! The problems of a split, and how training solves them.

use anyhow::{Context, Result};
use async_trait::async_trait;

use super::session::Session;
use crate::agent::Trained;
use crate::decide::{FixedPlan, Proposal};
use crate::evidence::Asked;
use crate::execute::{Episode, ExecutionConfig, SolveOptions, Solver};
use crate::learn::{Course, Problems, Rollout};
use crate::model;
use crate::plan::{Plan, Unit};
use crate::random::Draw;
use crate::task::Problem;

/// The problems of a split, with what a controller reads of each.
pub struct Split {
    pub problems: Vec<Problem>,
    pub ids: Vec<String>,
    pub questions: Vec<String>,
    /// Embeddings of the questions, `[N][E]`.
    pub queries: Vec<Vec<f32>>,
}

impl Split {
    /// Reads the problems of a split on which every plan can run, and embeds their questions.
    pub fn open(session: &Session, name: &str) -> Result<Self> {
        Self::of(session, name, session.solver().problems(name))
    }

    /// Like [`Split::open`], but with problems that recorded outputs cover only in part.
    pub fn to_learn(session: &Session, name: &str) -> Result<Self> {
        Self::of(session, name, session.solver().problems_to_learn(name))
    }

    fn of(session: &Session, name: &str, problems: Result<Vec<Problem>>) -> Result<Self> {
        let embedded = problems.and_then(|problems| session.embedded(problems));
        let (problems, embeddings) = embedded.with_context(|| format!("split `{name}`"))?;
        let ids = problems.iter().map(|problem| problem.id.clone()).collect();
        let questions = problems.iter().map(|problem| problem.question.clone()).collect();
        Ok(Split { problems, ids, questions, queries: embeddings.rows().map(<[f32]>::to_vec).collect() })
    }

    /// About `count` of the problems, spread over the whole split.
    pub fn some(&self, count: usize) -> Split {
        self.at(spread(count, self.problems.len()))
    }

    /// The problems on which every plan can run.
    pub fn complete(&self, session: &Session) -> Split {
        self.at((0..self.ids.len()).filter(|&at| session.solver().is_complete(&self.ids[at])))
    }

    fn at(&self, places: impl Iterator<Item = usize>) -> Split {
        let mut some = Split { problems: Vec::new(), ids: Vec::new(), questions: Vec::new(), queries: Vec::new() };
        for at in places {
            some.problems.push(self.problems[at].clone());
            some.ids.push(self.ids[at].clone());
            some.questions.push(self.questions[at].clone());
            some.queries.push(self.queries[at].clone());
        }
        some
    }

    /// What is known about each query before it is answered.
    pub fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        let queries = self.problems.iter().zip(&self.queries);
        queries.map(|(problem, embedding)| Asked { question: &problem.question, embedding })
    }

    /// What a trained run proposes for each problem.
    pub fn proposals(&self, trained: &Trained) -> Vec<Proposal> {
        self.asked().map(|asked| trained.propose(asked)).collect()
    }

    /// The problems as training sees them, solved by `rollouts`.
    pub fn with<'a>(&'a self, rollouts: &'a Rollouts<'_>) -> Problems<'a> {
        Problems { ids: &self.ids, questions: &self.questions, queries: &self.queries, rollout: rollouts }
    }
}

/// The splits that an experiment learns from and is measured on.
pub struct Splits {
    pub train: Split,
    pub validation: Split,
    pub test: Split,
}

impl Splits {
    /// Reads all three, and embeds their questions.
    pub fn open(session: &Session) -> Result<Self> {
        let [train, validation] = ["train", "validation"].map(|name| Split::to_learn(session, name));
        Ok(Splits { train: train?, validation: validation?, test: Split::open(session, "test")? })
    }
}

/// Solves the problems of a split with given plans.
pub struct Rollouts<'a> {
    solver: &'a Solver,
    options: SolveOptions<'a>,
    problems: &'a [Problem],
}

impl<'a> Rollouts<'a> {
    /// Plans run under `execution`, on a clock that counts in `unit`; their traces keep `letters` of each text.
    pub fn new(solver: &'a Solver, execution: ExecutionConfig, unit: Unit, split: &'a Split, letters: usize) -> Self {
        // The halting head is trained last and ends no plan before that.
        let execution = ExecutionConfig { halting: false, ..execution };
        Rollouts {
            solver,
            options: SolveOptions { letters, ..SolveOptions::new(execution, None, unit) },
            problems: &split.problems,
        }
    }
}

#[async_trait]
impl Rollout for Rollouts<'_> {
    async fn solve(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Episode> {
        let problem = self.problems.get(problem).context("a problem outside the data set")?;
        let mut decider = FixedPlan::new(plan);
        complete(self.solver.solve(problem, &mut decider, draw, &self.options).await?)
    }

    async fn propose(&self, problem: usize, proposal: Proposal, draw: Draw) -> Result<Episode> {
        let problem = self.problems.get(problem).context("a problem outside the data set")?;
        let mut decider = proposal.decider(None, None);
        complete(self.solver.solve(problem, &mut *decider, draw, &self.options).await?)
    }

    async fn course(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Course> {
        let problem = self.problems.get(problem).context("a problem outside the data set")?;
        let Course { moments, episode } = Course::follow(self.solver, problem, plan, draw, &self.options).await?;
        Ok(Course { moments, episode: complete(episode)? })
    }
}

/// An episode in which no operator failed.
fn complete(episode: Episode) -> Result<Episode> {
    match episode.trace.failure() {
        Some(reason) => Err(anyhow::Error::new(model::Error::Transient(reason.to_owned()))
            .context(format!("an operator failed on problem `{}`", episode.problem))),
        None => Ok(episode),
    }
}

/// `count` positions spread over `total`, or all of them.
pub fn spread(count: usize, total: usize) -> impl Iterator<Item = usize> {
    let count = count.min(total);
    (0..count).map(move |at| at * total / count)
}
