//! One way to solve a query, for training, evaluation and answering alike.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::benchmarks::{Benchmark, Problem, Tests};
use crate::executor::{ExecuteError, Execution, ExecutionConfig, execute};
use crate::llm::{LanguageModel, Price, Prices};
use crate::operators::{Catalogue, Query, Solution, vote};
use crate::plan::{OperatorId, Plan, Trace};
use crate::sandbox::{Evaluator, Sandbox};

/// One query, solved by one plan. Serialises: no tensor, no handle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Id of the problem.
    pub problem: String,
    pub plan: Plan,
    pub trace: Trace,
    /// The extracted final answer, if any.
    pub answer: Option<String>,
    /// 1 for a right answer, 0 for a wrong one, or a share of credit between.
    pub score: f64,
}

impl Episode {
    /// Whether no operator failed. A score that failed requests had a part in says nothing about the plan.
    pub fn is_complete(&self) -> bool {
        self.trace.failure().is_none()
    }
}

/// What came of a question that has no reference answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The final answer, if any solution has one.
    pub answer: Option<String>,
    pub trace: Trace,
    /// The solutions that stood when the plan ended, in plan order.
    pub solutions: Vec<Solution>,
}

/// Everything that queries are solved with. Queries share nothing that changes but the model client.
pub struct System {
    catalogue: Catalogue,
    benchmark: Benchmark,
    model: Arc<dyn LanguageModel>,
    prices: Vec<Price>,
    execution: ExecutionConfig,
    evaluator: Evaluator,
    sandbox: Option<Arc<Sandbox>>,
}

impl System {
    /// Brings the parts together.
    ///
    /// # Errors
    /// When `prices` lacks the model of an operator, or plans are to end early on a model whose time is not virtual.
    pub fn new(
        catalogue: Catalogue,
        benchmark: Benchmark,
        model: Arc<dyn LanguageModel>,
        prices: &Prices,
        execution: impl Into<ExecutionConfig>,
    ) -> Result<Self> {
        let price = |name: &str| prices.of(if name.is_empty() { model.id() } else { name });
        let prices = catalogue
            .operators()
            .iter()
            .map(|operator| price(&operator.model).with_context(|| format!("price of operator `{}`", operator.name)))
            .collect::<Result<_>>()?;
        let execution = execution.into();
        check(&*model, &execution)?;
        Ok(System { catalogue, benchmark, model, prices, execution, evaluator: Evaluator::new(), sandbox: None })
    }

    /// The same system, with operators that take another number of samples.
    ///
    /// # Errors
    /// When the catalogue does not allow it.
    pub fn with_samples(&self, samples: &[(OperatorId, u32)]) -> Result<Self> {
        Ok(System {
            catalogue: self.catalogue.with_samples(samples)?,
            benchmark: self.benchmark.clone(),
            model: self.model.clone(),
            prices: self.prices.clone(),
            execution: self.execution,
            evaluator: Evaluator::new(),
            sandbox: self.sandbox.clone(),
        })
    }

    /// The same system, with a sandbox for the operators and the grading that run Python.
    pub fn with_sandbox(self, sandbox: Option<Arc<Sandbox>>) -> Self {
        System { sandbox, ..self }
    }

    /// The same system, which runs plans in another way.
    ///
    /// # Errors
    /// When the model does not allow it.
    pub fn with_execution(&self, execution: ExecutionConfig) -> Result<Self> {
        let system = self.with_samples(&[])?;
        check(&*system.model, &execution)?;
        Ok(System { execution, ..system })
    }

    /// The operators that plans are made of.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The task.
    pub fn benchmark(&self) -> &Benchmark {
        &self.benchmark
    }

    /// How plans are run.
    pub fn execution(&self) -> &ExecutionConfig {
        &self.execution
    }

    /// Solves a problem with a plan. `draw` tells independent runs of the same plan apart; the same draw gives the same
    /// episode, whatever runs beside it (measured seconds apart).
    ///
    /// # Errors
    /// See [`ExecuteError`]; an answer that is wrong or missing is an episode.
    pub async fn solve(&self, problem: &Problem, plan: &Plan, draw: u64) -> Result<Episode, ExecuteError> {
        let attempt = self.attempt(&problem.question, problem.tests.as_ref(), plan, draw).await?;
        let Answer { answer, trace, .. } = attempt;
        let score = self
            .benchmark
            .grade(problem, answer.as_deref(), self.sandbox.as_deref())
            .await
            .map_err(|error| ExecuteError::Grading { problem: problem.id.clone(), reason: format!("{error:#}") })?;
        Ok(Episode { problem: problem.id.clone(), plan: plan.clone(), trace, answer, score })
    }

    /// Answers a question with a plan: after the last layer a vote over the solutions, which costs nothing.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn answer(&self, question: &str, plan: &Plan, draw: u64) -> Result<Answer, ExecuteError> {
        self.attempt(question, None, plan, draw).await
    }

    async fn attempt(
        &self,
        question: &str,
        tests: Option<&Tests>,
        plan: &Plan,
        draw: u64,
    ) -> Result<Answer, ExecuteError> {
        let query = Query {
            question,
            catalogue: &self.catalogue,
            model: &*self.model,
            evaluator: &self.evaluator,
            sandbox: self.sandbox.as_deref(),
            answer: self.benchmark.answer,
            tests,
            prices: &self.prices,
            gamma: self.benchmark.reward.gamma,
            draw,
        };
        let Execution { trace, solutions } = execute(&query, plan, &self.execution).await?;
        let answer = vote(&solutions).and_then(|solution| solution.answer.clone());
        Ok(Answer { answer, trace, solutions })
    }
}

/// # Errors
/// When plans are to end early and the model has no virtual time.
fn check(model: &dyn LanguageModel, execution: &ExecutionConfig) -> Result<()> {
    let ends_early = execution.quorum || execution.agreement > 0;
    ensure!(
        !ends_early || model.has_virtual_time(),
        "expected a local model for `quorum` and `agreement`, found `{}`; hint: leave both off",
        model.id()
    );
    Ok(())
}
