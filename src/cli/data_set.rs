//! A split as training sees it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

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
    execution: ExecutionConfig,
    options: SolveOptions<'a>,
    problems: &'a [Problem],
    pub ids: Vec<String>,
    queries: Vec<Vec<f32>>,
    memory: Option<&'a Memory>,
}

/// What came of plans that trainings on the same splits have in common: their surveys, for the most part.
///
/// Equal arguments give equal episodes, so this saves time and changes nothing.
#[derive(Default)]
pub struct Memory(Mutex<Vec<(ExecutionConfig, HashMap<Key, Episode>)>>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// Two splits may number their problems alike.
    problem: (String, String),
    plan: Plan,
    draw: Draw,
}

impl Memory {
    fn recall(&self, execution: &ExecutionConfig, key: &Key) -> Option<Episode> {
        let episodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        episodes.iter().find(|(of, _)| of == execution)?.1.get(key).cloned()
    }

    fn keep(&self, execution: &ExecutionConfig, key: Key, episode: &Episode) {
        let mut episodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = episodes.iter().position(|(of, _)| of == execution).unwrap_or_else(|| {
            episodes.push((*execution, HashMap::new()));
            episodes.len() - 1
        });
        episodes[at].1.insert(key, episode.clone());
    }
}

impl<'a> DataSet<'a> {
    /// `memory` is one for trainings on the same splits with the same model.
    pub fn new(
        solver: &'a Solver,
        execution: ExecutionConfig,
        unit: Unit,
        split: &'a Split,
        memory: Option<&'a Memory>,
    ) -> Self {
        // A head is trained last, and ends no plan before.
        let execution = ExecutionConfig { halting: false, ..execution };
        DataSet {
            solver,
            execution,
            options: SolveOptions::new(execution, None, unit),
            problems: &split.problems,
            ids: split.problems.iter().map(|problem| problem.id.clone()).collect(),
            queries: split.embeddings.rows().map(<[f32]>::to_vec).collect(),
            memory,
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
        let key = Key { problem: (problem.id.clone(), problem.question.clone()), plan, draw };
        if let Some(episode) = self.memory.and_then(|memory| memory.recall(&self.execution, &key)) {
            return Ok(episode);
        }
        let mut decider = FixedPlan::new(key.plan.clone());
        let episode = complete(self.solver.solve(problem, &mut decider, draw, &self.options).await?)?;
        if let Some(memory) = self.memory {
            memory.keep(&self.execution, key, &episode);
        }
        Ok(episode)
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
