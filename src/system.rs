//! One way to solve a query, for training, evaluation and answering alike.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::benchmarks::{Benchmark, Problem, Tests};
use crate::executor::{Cancel, ExecuteError, Execution, ExecutionConfig, HaltingHead, Look, Moment, execute};
use crate::llm::{self, LanguageModel, Price, Prices, Scripted};
use crate::operators::{Catalogue, Finish, Query, QueryTraces, Solution, Traces, vote};
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

/// What would have come of a plan, had it ended at a moment of its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// See [`Moment::evidence`].
    pub evidence: Vec<f32>,
    pub score: f64,
    /// Critical path.
    pub tokens: f64,
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

/// Everything that queries are solved with. Queries share nothing that changes but the model client.
pub struct System {
    catalogue: Catalogue,
    benchmark: Benchmark,
    model: Arc<dyn LanguageModel>,
    prices: Vec<Price>,
    /// What the operators gave once, in place of the model.
    traces: Option<Arc<Traces>>,
    execution: ExecutionConfig,
    finish: Option<Finish>,
    /// Ends plans early where the execution lets it.
    halting: Option<Arc<HaltingHead>>,
    evaluator: Evaluator,
    sandbox: Option<Arc<Sandbox>>,
}

impl System {
    /// Brings the parts together.
    ///
    /// # Errors
    /// When `prices` lacks the model of an operator, the catalogue lacks that of the benchmark's finish, or plans are to end
    /// early on a model whose time is not virtual.
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
        let finish = benchmark.finish.as_ref().map(|finish| Finish::new(finish, &catalogue)).transpose()?;
        Ok(System {
            catalogue,
            benchmark,
            model,
            prices,
            traces: None,
            execution,
            finish,
            halting: None,
            evaluator: Evaluator::new(),
            sandbox: None,
        })
    }

    /// A system without a model, whose plans run over recorded outputs. They end with the vote: what a finish would have
    /// made of its answer is not recorded.
    ///
    /// # Errors
    /// Names the line of a query that no split of the benchmark has, or a split that cannot be read.
    pub fn from_traces(
        catalogue: Catalogue,
        benchmark: Benchmark,
        traces: Traces,
        execution: impl Into<ExecutionConfig>,
    ) -> Result<Self> {
        let mut known = BTreeSet::new();
        for split in benchmark.splits() {
            known.extend(benchmark.problems(split)?.into_iter().map(|problem| problem.id));
        }
        traces.check_queries(|id| known.contains(id))?;
        let refusal =
            || Err(llm::Error::Permanent("expected recorded outputs only, found a request to a model".into()));
        let model = Arc::new(Scripted::new("none", move |_| refusal()));
        let (prices, traces, execution) = (Vec::new(), Some(Arc::new(traces)), execution.into());
        Ok(System {
            catalogue,
            benchmark,
            model,
            prices,
            traces,
            execution,
            finish: None,
            halting: None,
            evaluator: Evaluator::new(),
            sandbox: None,
        })
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
            traces: self.traces.clone(),
            execution: self.execution,
            finish: self.finish,
            halting: self.halting.clone(),
            evaluator: Evaluator::new(),
            sandbox: self.sandbox.clone(),
        })
    }

    /// The same system, with a sandbox for the operators and the grading that run Python.
    pub fn with_sandbox(self, sandbox: Option<Arc<Sandbox>>) -> Self {
        System { sandbox, ..self }
    }

    /// The same system, whose plans end with the vote.
    pub fn without_finish(self) -> Self {
        System { finish: None, ..self }
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

    /// The same system with this halting head, by which plans end where [`ExecutionConfig::halting`] says so.
    ///
    /// # Errors
    /// None is expected.
    pub fn with_halting(&self, halting: Option<Arc<HaltingHead>>) -> Result<Self> {
        Ok(System { halting, ..self.with_samples(&[])? })
    }

    /// The operators that plans are made of.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The task.
    pub fn benchmark(&self) -> &Benchmark {
        &self.benchmark
    }

    /// The problems of a split; where plans run over recorded outputs, those that have some.
    ///
    /// # Errors
    /// Those of [`Benchmark::problems`], and no recorded problem.
    pub fn problems(&self, split: &str) -> Result<Vec<Problem>> {
        let mut problems = self.benchmark.problems(split)?;
        if let Some(traces) = &self.traces {
            problems.retain(|problem| traces.query(&problem.id).is_some());
            ensure!(
                !problems.is_empty(),
                "{}: expected recorded outputs for problems of split `{split}`, found none",
                traces.origin()
            );
        }
        Ok(problems)
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
        let Answer { answer, trace, .. } = self.attempt(problem, plan, draw).await?;
        let score = self.score(problem, answer.as_deref()).await?;
        Ok(Episode { problem: problem.id.clone(), plan: plan.clone(), trace, answer, score })
    }

    /// As [`System::solve`] without a halting head, with what it would have come to at each moment of its run.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn course(&self, problem: &Problem, plan: &Plan, draw: u64) -> Result<Course, ExecuteError> {
        let mut seen: Vec<Moment> = Vec::new();
        let mut look = |moment: &Moment| {
            seen.push(moment.clone());
            false
        };
        let (recorded, tests) = (self.recorded(&problem.id)?, problem.tests.as_ref());
        let run = self.run(&problem.question, recorded, tests, plan, draw, Some(&mut look));
        let Answer { answer, trace, .. } = run.await?;
        let mut scores = BTreeMap::new();
        for given in seen.iter().map(|moment| Some(&moment.answer)).chain([answer.as_ref()]) {
            if let Entry::Vacant(unknown) = scores.entry(given) {
                unknown.insert(self.score(problem, given.map(String::as_str)).await?);
            }
        }
        let score = |answer: Option<&String>| scores.get(&answer).copied().unwrap_or_default();
        let judged = |moment: &Moment| Judged {
            evidence: moment.evidence.clone(),
            score: score(Some(&moment.answer)),
            tokens: moment.tokens,
            cost: moment.cost,
        };
        let moments = seen.iter().map(judged).collect();
        let score = score(answer.as_ref());
        Ok(Course {
            moments,
            episode: Episode { problem: problem.id.clone(), plan: plan.clone(), trace, answer, score },
        })
    }

    async fn score(&self, problem: &Problem, answer: Option<&str>) -> Result<f64, ExecuteError> {
        let verdict = self.recorded(&problem.id)?.zip(answer);
        match verdict.and_then(|(recorded, answer)| recorded.verdict(answer)) {
            Some(correct) => Ok(f64::from(u8::from(correct))),
            None => self.grade(problem, answer).await,
        }
    }

    /// As [`System::solve`], without a score.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn attempt(&self, problem: &Problem, plan: &Plan, draw: u64) -> Result<Answer, ExecuteError> {
        let (recorded, tests) = (self.recorded(&problem.id)?, problem.tests.as_ref());
        self.run(&problem.question, recorded, tests, plan, draw, None).await
    }

    /// The score of an answer.
    ///
    /// # Errors
    /// See [`Benchmark::grade`].
    pub async fn grade(&self, problem: &Problem, answer: Option<&str>) -> Result<f64, ExecuteError> {
        let graded = self.benchmark.grade(problem, answer, self.sandbox.as_deref()).await;
        graded.map_err(|error| ExecuteError::Grading { problem: problem.id.clone(), reason: format!("{error:#}") })
    }

    /// Answers a question with a plan: after the last layer a vote over the solutions, which costs nothing, and the finish of
    /// the benchmark, if it has one. Code is tested by the examples of the question.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn answer(&self, question: &str, plan: &Plan, draw: u64) -> Result<Answer, ExecuteError> {
        let examples = self.benchmark.examples(question);
        self.run(question, self.recorded(question)?, examples.as_ref(), plan, draw, None).await
    }

    /// What is recorded of a query; nothing where a model is asked.
    fn recorded(&self, query: &str) -> Result<Option<&QueryTraces>, ExecuteError> {
        let Some(traces) = &self.traces else { return Ok(None) };
        let missing = || ExecuteError::NotRecorded { query: query.to_owned(), origin: traces.origin().to_owned() };
        traces.query(query).map(Some).ok_or_else(missing)
    }

    async fn run(
        &self,
        question: &str,
        recorded: Option<&QueryTraces>,
        tests: Option<&Tests>,
        plan: &Plan,
        draw: u64,
        look: Option<&mut Look<'_>>,
    ) -> Result<Answer, ExecuteError> {
        let head = self.halting.as_ref().filter(|_| self.execution.halting && look.is_none());
        let mut own = head.map(|head| |moment: &Moment| head.halts(&moment.evidence));
        let look: Option<&mut Look<'_>> = match (look, own.as_mut()) {
            (Some(look), _) => Some(look),
            (None, own) => own.map(|own| own as &mut Look<'_>),
        };
        let query = Query {
            question,
            catalogue: &self.catalogue,
            model: &*self.model,
            recorded,
            evaluator: &self.evaluator,
            sandbox: self.sandbox.as_deref(),
            answer: self.benchmark.answer,
            tests,
            finish: self.finish,
            prices: &self.prices,
            gamma: self.benchmark.reward.gamma,
            draw,
        };
        let Execution { trace, solutions } = execute(&query, plan, &self.execution, look).await?;
        let answer = vote(&solutions).and_then(|solution| solution.answer.clone());
        Ok(Answer { answer, trace, solutions })
    }
}

/// # Errors
/// When plans are to end early in virtual time and the model has none.
fn check(model: &dyn LanguageModel, execution: &ExecutionConfig) -> Result<()> {
    let ends_early = execution.quorum || execution.agreement > 0;
    ensure!(
        !ends_early || execution.cancel == Cancel::Live || model.has_virtual_time(),
        "expected a local model for `quorum` and `agreement`, found `{}`; hint: leave both off, or cancel live",
        model.id()
    );
    let can_halt = execution.cancel == Cancel::Virtual && model.has_virtual_time();
    ensure!(
        !execution.halting || can_halt,
        "expected a local model and virtual time for `halting`, found `{}`; hint: leave it off (`--halting false`)",
        model.id()
    );
    Ok(())
}
