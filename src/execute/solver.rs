//! Everything needed to solve queries, and the one way to solve a query: for training, evaluation and answering alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};

use super::course::Execution;
use super::episode::{Answer, Episode};
use super::error::ExecuteError;
use super::execute;
use super::options::Options;
use super::recorder::{Grader, Recorder};
use super::solve_options::SolveOptions;
use crate::decide::{Conclusion, Decider, Halting, Quorum};
use crate::model::{self, LanguageModel, Price, Prices, Scripted};
use crate::operation::{Backing, Catalogue, Finish, Identity, Operator, Query, QueryTraces, Task, Traces, vote};
use crate::plan::Usage;
use crate::random::Draw;
use crate::record::{Asked, Graded, Record, Reference};
use crate::sandbox::{Evaluator, Sandbox};
use crate::task::{Benchmark, Problem, Tests};

/// One question.
struct Question<'a> {
    text: &'a str,
    /// Tests that code must pass.
    tests: Option<&'a Tests>,
    /// None if it is not a problem of the benchmark.
    problem: Option<&'a Problem>,
}

/// The parts that all queries share. Only the model client has state that changes.
pub struct Solver {
    catalogue: Catalogue,
    benchmark: Benchmark,
    /// One for each operator, like the next field.
    backings: Vec<Backing>,
    identities: Vec<Identity>,
    /// The record of calls to use and extend.
    record: Option<Arc<Record>>,
    /// Recorded outputs, instead of the model.
    traces: Option<Arc<Traces>>,
    finish: Option<Finish>,
    evaluator: Evaluator,
    sandbox: Option<Arc<Sandbox>>,
}

impl Solver {
    /// A solver with one back end for all operators.
    ///
    /// # Errors
    /// An operator has nothing to send to a model, `prices` lacks the model of an operator, or the catalogue lacks the operator of
    /// the benchmark's finish.
    pub fn new(
        catalogue: Catalogue,
        benchmark: Benchmark,
        model: Arc<dyn LanguageModel>,
        prices: &Prices,
    ) -> Result<Self> {
        let backing = |operator: &Operator| {
            let asks = operator.model.clone();
            let shown = if asks.is_empty() { model.id() } else { &asks }.to_owned();
            let price = prices.of(&shown).with_context(|| format!("price of operator `{}`", operator.name))?;
            Ok(Backing { asks, shown, ..Backing::new(model.clone(), price) })
        };
        let backings = catalogue.operators().iter().map(backing).collect::<Result<_>>()?;
        Self::with_backings(catalogue, benchmark, backings)
    }

    /// A solver with a separate model for each operator.
    ///
    /// # Errors
    /// The catalogue lacks the operator of the benchmark's finish, or there is not one model for each operator.
    pub fn with_backings(catalogue: Catalogue, benchmark: Benchmark, mut backings: Vec<Backing>) -> Result<Self> {
        let hinted = |error| anyhow!("{error}; hint: recorded outputs (`--traces FILE`) need none");
        catalogue.check_prompts().map_err(hinted)?;
        let (operators, models) = (catalogue.operators().len(), backings.len());
        ensure!(operators == models, "expected a model for each of {operators} operators, found {models}");
        let finish = benchmark.finish.as_ref().map(|finish| Finish::new(finish, &catalogue)).transpose()?;
        let identities = catalogue.identities_by(&backings.iter().map(Backing::id).collect::<Vec<_>>());
        let most = backings.iter().map(|backing| backing.reserve.len()).max().unwrap_or_default();
        for place in 0..most {
            let ids: Vec<[&str; 2]> = backings.iter().map(|backing| backing.id_of(place)).collect();
            let identities = catalogue.identities_by(&ids);
            for (backing, identity) in backings.iter_mut().zip(identities) {
                backing.reserve.get_mut(place).into_iter().for_each(|reserve| reserve.identity = identity);
            }
        }
        Ok(Solver {
            catalogue,
            benchmark,
            backings,
            identities,
            record: None,
            traces: None,
            finish,
            evaluator: Evaluator,
            sandbox: None,
        })
    }

    /// A solver without a model, whose plans run over recorded outputs. They end with the vote, because what a finish would have
    /// made of the answer is not recorded.
    ///
    /// # Errors
    /// Names the line of a query that is in no split of the benchmark, the line of an answer without a score, or a split that
    /// cannot be read.
    pub fn from_traces(catalogue: Catalogue, benchmark: Benchmark, traces: Traces) -> Result<Self> {
        let mut known = BTreeMap::new();
        for split in benchmark.splits() {
            let has_reference = |problem: &Problem| problem.tests.is_some() || !problem.answer.is_empty();
            let problems = benchmark.problems(split)?.into_iter();
            known.extend(problems.map(|problem| (problem.id.clone(), has_reference(&problem))));
        }
        traces.check_queries(|id| known.contains_key(id))?;
        traces.check_scored(|id| known.get(id).copied().unwrap_or_default())?;
        Ok(Solver { traces: Some(Arc::new(traces)), ..Self::idle(catalogue, benchmark) })
    }

    /// A solver that asks no model, for plans that somebody else executes. It needs no prompts.
    pub fn idle(catalogue: Catalogue, benchmark: Benchmark) -> Self {
        let refusal =
            || Err(model::Error::Permanent("expected recorded outputs only, found a request to a model".into()));
        let model = Backing::new(Arc::new(Scripted::new("none", move |_| refusal())), Price::default());
        Solver {
            identities: catalogue.identities("none"),
            backings: vec![model; catalogue.operators().len()],
            catalogue,
            benchmark,
            record: None,
            traces: None,
            finish: None,
            evaluator: Evaluator,
            sandbox: None,
        }
    }

    /// The same with a sandbox for operators and grading that run Python.
    pub fn with_sandbox(self, sandbox: Option<Arc<Sandbox>>) -> Self {
        Solver { sandbox, ..self }
    }

    /// The same with a record: recorded calls are not made again, and new calls are recorded. Plans over recorded outputs do not
    /// use it.
    pub fn with_record(mut self, record: Option<Arc<Record>>) -> Self {
        self.set_record(record);
        self
    }

    /// Like [`Solver::with_record`], in place.
    pub fn set_record(&mut self, record: Option<Arc<Record>>) {
        self.record = record.filter(|_| self.traces.is_none());
    }

    /// The record, if there is one.
    pub fn record(&self) -> Option<&Arc<Record>> {
        self.record.as_ref()
    }

    /// Whether model calls cost anything.
    pub fn is_paid(&self) -> bool {
        let usage = Usage { prompt_tokens: 1_000_000, completion_tokens: 1_000_000, ..Usage::default() };
        self.backings.iter().any(|backing| backing.price.cost(usage) > 0.0)
    }

    /// What each operator of the catalogue is.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The back end of each operator of the catalogue.
    pub fn backings(&self) -> &[Backing] {
        &self.backings
    }

    /// The operators that plans are made of.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The task.
    pub fn benchmark(&self) -> &Benchmark {
        &self.benchmark
    }

    /// The problems of a split; if plans run over recorded outputs, only those with outputs of every operator.
    ///
    /// # Errors
    /// Those of [`Benchmark::problems`]; or there is no such problem.
    pub fn problems(&self, split: &str) -> Result<Vec<Problem>> {
        self.recorded_problems(split, "outputs of every operator", |traces, id| traces.is_complete(id, &self.catalogue))
    }

    /// Like [`Solver::problems`], but with problems that lack outputs of some operators: a plan that needs these fails.
    ///
    /// # Errors
    /// Those of [`Benchmark::problems`]; or no problem is recorded.
    pub fn problems_to_learn(&self, split: &str) -> Result<Vec<Problem>> {
        self.recorded_problems(split, "outputs", |traces, id| traces.query(id).is_some())
    }

    /// Whether every plan can run on a problem: outputs of every operator are recorded, or a model is asked.
    pub fn is_complete(&self, id: &str) -> bool {
        self.traces.as_ref().is_none_or(|traces| traces.is_complete(id, &self.catalogue))
    }

    fn recorded_problems(
        &self,
        split: &str,
        what: &str,
        is_wanted: impl Fn(&Traces, &str) -> bool,
    ) -> Result<Vec<Problem>> {
        let mut problems = self.benchmark.problems(split)?;
        if let Some(traces) = &self.traces {
            problems.retain(|problem| is_wanted(traces, &problem.id));
            let origin = traces.origin();
            ensure!(
                !problems.is_empty(),
                "{origin}: expected recorded {what} for problems of split `{split}`, found none"
            );
        }
        Ok(problems)
    }

    /// Solves a problem as `decider` decides. `draw` distinguishes independent runs. In virtual time, equal arguments give equal
    /// episodes whatever else is running, except for measured seconds.
    ///
    /// # Errors
    /// See [`ExecuteError`]. A wrong or missing answer is an episode, not an error.
    pub async fn solve(
        &self,
        problem: &Problem,
        decider: &mut dyn Decider,
        draw: Draw,
        options: &SolveOptions<'_>,
    ) -> Result<Episode, ExecuteError> {
        let Answer { answer, confidence, plan, trace, .. } = self.attempt(problem, decider, draw, options).await?;
        let score = self.score(problem, answer.as_deref()).await?;
        Ok(Episode { problem: problem.id.clone(), plan, trace, answer, confidence, score })
    }

    /// Like [`Solver::solve`], without a score.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn attempt(
        &self,
        problem: &Problem,
        decider: &mut dyn Decider,
        draw: Draw,
        options: &SolveOptions<'_>,
    ) -> Result<Answer, ExecuteError> {
        let asked = Question { text: &problem.question, tests: problem.tests.as_ref(), problem: Some(problem) };
        self.run(asked, self.recorded(&problem.id)?, decider, draw, options).await
    }

    /// Answers a question as `decider` decides. Code is tested with the examples in the question. If plans run over recorded
    /// outputs, the question must be that of a recorded problem.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn answer(
        &self,
        question: &str,
        decider: &mut dyn Decider,
        draw: Draw,
        options: &SolveOptions<'_>,
    ) -> Result<Answer, ExecuteError> {
        let recorded = match &self.traces {
            Some(_) => self.recorded(&self.problem_of(question)?)?,
            None => None,
        };
        let examples = self.benchmark.examples(question);
        let asked = Question { text: question, tests: examples.as_ref(), problem: None };
        self.run(asked, recorded, decider, draw, options).await
    }

    /// The id of the problem that asks this question.
    fn problem_of(&self, question: &str) -> Result<String, ExecuteError> {
        let splits = self.benchmark.splits().filter_map(|split| self.benchmark.problems(split).ok());
        let found = splits.flatten().find(|problem| problem.question.trim() == question.trim());
        found.map(|problem| problem.id).ok_or_else(|| self.not_recorded(question))
    }

    /// The score of an answer: the recorded one, or the benchmark's grade.
    ///
    /// # Errors
    /// See [`Benchmark::grade`].
    pub async fn score(&self, problem: &Problem, answer: Option<&str>) -> Result<f64, ExecuteError> {
        let verdict = self.recorded(&problem.id)?.zip(answer);
        match verdict.and_then(|(recorded, answer)| recorded.score(answer)) {
            Some(score) => Ok(score),
            None => self.recorded_grade(problem, answer).await,
        }
    }

    /// Like [`Solver::grade`]; with a record, each answer is graded only once.
    async fn recorded_grade(&self, problem: &Problem, answer: Option<&str>) -> Result<f64, ExecuteError> {
        let (Some(record), Some(text)) = (&self.record, answer) else { return self.grade(problem, answer).await };
        let reference = Reference::new(problem, self.benchmark.answer);
        if let Some(score) = record.score(reference, text) {
            return Ok(score);
        }
        let score = self.grade(problem, answer).await?;
        let (answer, problem) = (text.to_owned(), problem.id.clone());
        let kept = record.keep_score(&Graded { problem: problem.clone(), reference: reference.0, answer, score });
        kept.map_err(|error| ExecuteError::Grading { problem, reason: format!("{error:#}") })?;
        Ok(score)
    }

    /// The grade that the benchmark gives an answer.
    ///
    /// # Errors
    /// See [`Benchmark::grade`].
    pub async fn grade(&self, problem: &Problem, answer: Option<&str>) -> Result<f64, ExecuteError> {
        let graded = self.benchmark.grade(problem, answer, self.sandbox.as_deref()).await;
        graded.map_err(|error| ExecuteError::Grading { problem: problem.id.clone(), reason: format!("{error:#}") })
    }

    /// The recorded outputs of a query; none if a model is asked.
    fn recorded(&self, query: &str) -> Result<Option<&QueryTraces>, ExecuteError> {
        let Some(traces) = &self.traces else { return Ok(None) };
        traces.query(query).map(Some).ok_or_else(|| self.not_recorded(query))
    }

    fn not_recorded(&self, query: &str) -> ExecuteError {
        let origin = self.traces.as_ref().map_or("", |traces| traces.origin());
        ExecuteError::NotRecorded { query: query.to_owned(), origin: origin.to_owned() }
    }

    async fn run(
        &self,
        asked: Question<'_>,
        recorded: Option<&QueryTraces>,
        decider: &mut dyn Decider,
        draw: Draw,
        options: &SolveOptions<'_>,
    ) -> Result<Answer, ExecuteError> {
        let Question { text: question, tests, problem } = asked;
        let task = Task {
            question,
            conversation: options.conversation,
            prompts: self.catalogue.prompts(),
            folder: self.catalogue.folder(),
            evaluator: &self.evaluator,
            sandbox: self.sandbox.as_deref(),
            answer: self.benchmark.answer,
            tests,
            gamma: self.benchmark.reward.gamma,
            draw,
        };
        let query = Query {
            task,
            catalogue: &self.catalogue,
            identities: &self.identities,
            samples: options.samples,
            backings: &self.backings,
            recorded,
        };
        let &SolveOptions { schedule, quorum, clock, unit, billing, observer, until, conversation, letters, .. } =
            options;
        let finish = self.finish.filter(|_| !options.without_finish);
        let (mut inner, mut halting, mut settled) = (decider, None, None);
        let mut decider: &mut dyn Decider = &mut inner;
        if let Some(head) = options.halting.clone() {
            let (words, operators) = (question.split_whitespace().count(), self.catalogue.operators().len());
            decider = halting.insert(Halting { decider, head, words, operators, unit });
        }
        if quorum {
            decider = settled.insert(Quorum(decider));
        }
        let form = self.benchmark.answer;
        let grader = problem.map(|problem| Grader {
            benchmark: &self.benchmark,
            problem,
            reference: Reference::new(problem, form),
            sandbox: self.sandbox.as_deref(),
        });
        let asked = Asked::new(question, form, tests, draw).after(conversation);
        let called = problem.map_or(options.called, |problem| problem.id.as_str());
        let recorder =
            self.record.as_ref().map(|record| Recorder::new(record, asked, called, grader).replaying(options.replays));
        let recorder = recorder.as_ref();
        let options = Options { schedule, clock, unit, billing, finish, observer, until, letters, recorder };
        let execution = execute(&query, decider, options).await?;
        let Execution { plan, trace, solutions, conclusion } = execution;
        let (answer, confidence) = match conclusion {
            Some(Conclusion { answer, confidence }) => (answer, Some(confidence)),
            None => (vote(&solutions).and_then(|solution| solution.answer.clone()), None),
        };
        Ok(Answer { answer, confidence, plan, trace, solutions })
    }
}
