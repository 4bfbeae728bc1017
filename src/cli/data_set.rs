//! A split as training sees it.

use anyhow::{Context, Result};
use async_trait::async_trait;

use super::methods::Split;
use crate::benchmarks::Problem;
use crate::decide::FixedPlan;
use crate::execute::{Episode, ExecutionConfig, SolveOptions, Solver};
use crate::llm;
use crate::plan::{Plan, Unit};
use crate::random::Draw;
use crate::training::{Course, Problems, Rollout};

/// The problems of a split with what solves them.
pub struct DataSet<'a> {
    solver: &'a Solver,
    options: SolveOptions<'a>,
    problems: &'a [Problem],
    pub ids: Vec<String>,
    queries: Vec<Vec<f32>>,
}

impl<'a> DataSet<'a> {
    /// The problems of `split`, solved under `execution` on a clock that counts in `unit`.
    pub fn new(solver: &'a Solver, execution: ExecutionConfig, unit: Unit, split: &'a Split) -> Self {
        // A head is trained last, and ends no plan before.
        let execution = ExecutionConfig { halting: false, ..execution };
        DataSet {
            solver,
            options: SolveOptions::new(execution, None, unit),
            problems: &split.problems,
            ids: split.problems.iter().map(|problem| problem.id.clone()).collect(),
            queries: split.embeddings.rows().map(<[f32]>::to_vec).collect(),
        }
    }

    pub fn problems(&self) -> Problems<'_> {
        Problems { ids: &self.ids, queries: &self.queries, rollout: self }
    }
}

#[async_trait]
impl Rollout for DataSet<'_> {
    async fn solve(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Episode> {
        let problem = self.problems.get(problem).context("a problem outside the data set")?;
        let mut decider = FixedPlan::new(plan);
        complete(self.solver.solve(problem, &mut decider, draw, &self.options).await?)
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
        Some(reason) => Err(anyhow::Error::new(llm::Error::Transient(reason.to_owned()))
            .context(format!("an operator failed on problem `{}`", episode.problem))),
        None => Ok(episode),
    }
}
