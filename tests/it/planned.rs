//! Solves by given plans, as most tests do.

use std::sync::Arc;

use lamas::decide::{Decider, FixedPlan, HaltingHead};
use lamas::evaluate::{Evaluation, Method, evaluate};
use lamas::execute::{Answer, Episode, ExecuteError, ExecutionConfig, SolveOptions, Solver};
use lamas::learn::Course;
use lamas::model::{LanguageModel, Prices};
use lamas::operation::{Catalogue, Traces};
use lamas::plan::{Plan, Unit};
use lamas::random::Purpose;
use lamas::record::Record;
use lamas::sandbox::Sandbox;
use lamas::task::{Benchmark, Problem};

/// A solver whose plans all run in the same way.
pub struct Planned {
    pub solver: Solver,
    pub options: SolveOptions<'static>,
}

impl Planned {
    pub fn new(
        catalogue: Catalogue,
        benchmark: Benchmark,
        model: Arc<dyn LanguageModel>,
        prices: &Prices,
        execution: impl Into<ExecutionConfig>,
    ) -> anyhow::Result<Self> {
        Ok(Self::of(Solver::new(catalogue, benchmark, model, prices)?, execution))
    }

    pub fn from_traces(
        catalogue: Catalogue,
        benchmark: Benchmark,
        traces: Traces,
        execution: impl Into<ExecutionConfig>,
    ) -> anyhow::Result<Self> {
        Ok(Self::of(Solver::from_traces(catalogue, benchmark, traces)?, execution))
    }

    pub fn of(solver: Solver, execution: impl Into<ExecutionConfig>) -> Self {
        Planned { solver, options: SolveOptions::new(execution.into(), None, Unit::Tokens) }
    }

    pub fn with_sandbox(self, sandbox: Option<Arc<Sandbox>>) -> Self {
        Planned { solver: self.solver.with_sandbox(sandbox), ..self }
    }

    pub fn with_record(self, record: &Arc<Record>) -> Self {
        Planned { solver: self.solver.with_record(Some(record.clone())), ..self }
    }

    pub fn problems(&self, split: &str) -> anyhow::Result<Vec<Problem>> {
        self.solver.problems(split)
    }

    pub async fn solve(&self, problem: &Problem, plan: &Plan, draw: u64) -> Result<Episode, ExecuteError> {
        self.solver.solve(problem, &mut FixedPlan::new(plan.clone()), Purpose::Training.draw(draw), &self.options).await
    }

    pub async fn answer(&self, question: &str, plan: &Plan, draw: u64) -> Result<Answer, ExecuteError> {
        self.solver
            .answer(question, &mut FixedPlan::new(plan.clone()), Purpose::Training.draw(draw), &self.options)
            .await
    }

    pub async fn halted(
        &self,
        problem: &Problem,
        plan: &Plan,
        draw: u64,
        head: Arc<HaltingHead>,
    ) -> Result<Episode, ExecuteError> {
        let options = SolveOptions { halting: Some(head), ..self.options.clone() };
        self.solver.solve(problem, &mut FixedPlan::new(plan.clone()), Purpose::Training.draw(draw), &options).await
    }

    pub async fn course(&self, problem: &Problem, plan: &Plan, draw: u64) -> Result<Course, ExecuteError> {
        Course::follow(&self.solver, problem, plan.clone(), Purpose::Training.draw(draw), &self.options).await
    }

    pub fn benchmark(&self) -> &Benchmark {
        self.solver.benchmark()
    }

    pub fn without_finish(self) -> Self {
        Planned { options: SolveOptions { without_finish: true, ..self.options }, ..self }
    }

    /// One pass over some problems.
    pub async fn evaluate(
        &self,
        name: &str,
        problems: &[Problem],
        plan: impl Fn(usize) -> Plan,
        draw: u64,
        concurrency: usize,
    ) -> (Evaluation, Result<(), ExecuteError>) {
        let decider = |index| -> Box<dyn Decider> { Box::new(FixedPlan::new(plan(index))) };
        let method = Method { name, options: self.options.clone(), decider, draw: Purpose::Training.draw(draw) };
        evaluate(&self.solver, &method, problems, concurrency, |_| {}).await
    }
}
