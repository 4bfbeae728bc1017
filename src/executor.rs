//! Runs a plan: starts what is ready, folds the results in plan order, records a span for every choice.

mod evidence;
mod finish;
mod halting;
mod live;

use futures::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};

pub use halting::{Forecast, HaltingHead, Look, Moment, inputs};
pub use live::Cancel;

use self::live::{Event, Live};
use crate::llm;
use crate::operators::{Board, Effect, Operator, Query, Solution, Spent, Work, run};
use crate::plan::{
    Dependencies, OperatorId, Outcome, Plan, Schedule, Signature, Span, Trace, Treatment, as_drawn, optimize,
};

/// How plans are run; a property of the system, which a controller is trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// When operators start; decides what the critical path is.
    pub schedule: Schedule,
    /// Whether the plan compiler leaves out what the answer does not need ([`optimize`]).
    pub optimize: bool,
    /// Whether a plan ends once nothing that is still to come can change its answer.
    pub quorum: bool,
    /// Solutions that, agreeing with none against them, end a plan; 0 for never. Unlike the others this may change the
    /// answer.
    pub agreement: u32,
    /// Whether a plan ends once its rest is expected to bring less than it takes, by a [`HaltingHead`] trained for it.
    /// This too may change the answer.
    pub halting: bool,
    /// How a plan ends early. No part of what a controller is trained for: whoever answers says it.
    #[serde(skip)]
    pub cancel: Cancel,
}

impl From<Schedule> for ExecutionConfig {
    /// Plans run as they were drawn.
    fn from(schedule: Schedule) -> Self {
        ExecutionConfig { schedule, ..ExecutionConfig::default() }
    }
}

/// How a plan is going to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What becomes of each choice.
    pub treatments: Vec<Treatment>,
    pub dependencies: Dependencies,
}

impl ExecutionConfig {
    /// What is known of a run before it; `signatures` are those of the operators.
    pub fn prepare(&self, plan: &Plan, signatures: &[Signature]) -> Prepared {
        let treatments = if self.optimize { optimize(plan, signatures) } else { as_drawn(plan, signatures) };
        let dependencies = dependencies(self.schedule.dependencies(plan, signatures), &treatments);
        Prepared { treatments, dependencies }
    }
}

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    pub trace: Trace,
    /// The solutions that stand at the end, in plan order; one alone where the finish put it in the place of all.
    pub solutions: Vec<Solution>,
}

/// Why a plan could not be run to its end; callers stop rather than skip the query.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The model can never answer such a request.
    #[error("operator `{operator}`: {error}")]
    Model { operator: String, error: llm::Error },
    /// The answer is there, but cannot be judged.
    #[error("grading `{problem}`: {reason}")]
    Grading { problem: String, reason: String },
    #[error("expected operators of the catalogue, 0 to {last}, found {found} in the plan")]
    UnknownOperator { found: usize, last: usize },
    #[error("query `{query}`: expected recorded outputs in `{origin}`, found none")]
    NotRecorded { query: String, origin: String },
}

impl ExecuteError {
    /// The cap that was met, if the query was given up only because there is no more to spend.
    pub fn cap(&self) -> Option<&str> {
        match self {
            ExecuteError::Model { error: llm::Error::Capped(cap), .. } => Some(cap),
            _ => None,
        }
    }
}

/// Runs `plan`: an operator starts when all that it waits for have ended, and reads what the layers before its own
/// left.
///
/// A failing operator is recorded and the rest goes on without it. What follows the layer of a stop operator is not
/// run, but for the finish of the query, which follows every plan. `look` is shown the moments before the plan ends by
/// `config`, and may end it there; nothing shows them to it where a plan ends while it runs. Everything happens inside the
/// returned future: dropping it cancels all calls.
///
/// # Errors
/// When the model refuses a request for good, or the plan does not fit the catalogue.
pub async fn execute(
    query: &Query<'_>,
    plan: &Plan,
    config: &ExecutionConfig,
    look: Option<&mut Look<'_>>,
) -> Result<Execution, ExecuteError> {
    let signatures = query.catalogue.signatures();
    let Prepared { treatments, dependencies } = config.prepare(plan, &signatures);
    let choices = choices(query, plan, &signatures, &treatments)?;
    let waits_for = &dependencies.0;
    let mut done: Vec<Option<Done>> = choices.iter().map(|_| None).collect();
    let mut started: Vec<Option<f64>> = vec![None; choices.len()];
    let mut live = Live::new(config, &choices);
    // Outlive the operators, so that what a cancelled one took is known.
    let mut works: Vec<Work> = choices.iter().map(|choice| choice.work(query)).collect();
    let mut idle: Vec<Option<&mut Work>> = works.iter_mut().map(Some).collect();
    let mut running = FuturesUnordered::new();
    loop {
        let mut ready = Vec::new();
        for (at, choice) in choices.iter().enumerate() {
            if idle[at].is_none() {
                continue;
            }
            let Some(from) = start(&waits_for[at], &done) else { continue };
            match choice.treatment {
                Treatment::Run => {
                    ready.push((at, from));
                    continue;
                }
                Treatment::Skip => done[at] = Some(choice.idle(query, from, Outcome::Skipped, Effect::Keep)),
                Treatment::Repeat(first) => {
                    done[at] = done[first].as_ref().map(|repeated| {
                        let outcome = match &repeated.outcome {
                            Outcome::Done => Outcome::Repeated(first),
                            outcome => outcome.clone(),
                        };
                        choice.idle(query, from, outcome, repeated.effect.clone())
                    });
                }
            }
            idle[at] = None;
        }
        if live.as_ref().is_some_and(|live| live.is_enough(config, &choices, &done)) {
            break;
        }
        for (at, from) in ready {
            let (choice, Some(work)) = (&choices[at], idle[at].take()) else { continue };
            started[at] = Some(from);
            let standing = || fold(done.iter().map(Option::as_ref), &choices, choice.layer);
            let board = Board { solutions: if choice.signature.reads_solutions { standing() } else { Vec::new() } };
            if let Some(live) = &live {
                live.listen(at, work);
            }
            running.push(async move { (at, choice.run(work, &board, from).await) });
        }
        let event = match &mut live {
            Some(live) => live.next(&mut running).await,
            None => running.next().await.map(Event::Ended),
        };
        match event {
            Some(Event::Ended((at, result))) => done[at] = Some(result?),
            Some(Event::Arrived) => {}
            None => break,
        }
    }
    drop(running);
    let mut done: Vec<Done> = match live {
        Some(live) => live.end(query, &choices, works, &started, done),
        None => done.into_iter().flatten().collect(),
    };
    match config.cancel {
        Cancel::Virtual => evidence::end_early(query, config, &choices, &dependencies, &mut done, look),
        Cancel::Live => evidence::skip_by_the_end(&mut done),
    }
    let solutions = fold(done.iter().map(Some), &choices, usize::MAX);
    let spans = choices.iter().zip(done).map(|(choice, done)| choice.span(query, done)).collect();
    finish::finish(query, plan, Execution { trace: Trace { spans, dependencies, finish: None }, solutions }).await
}

/// An operator that has ended.
struct Done<'a> {
    work: Work<'a>,
    /// Seconds from the start of the query.
    started: f64,
    /// Tokens of virtual time that it was given; what lies behind them is not counted.
    until: f64,
    outcome: Outcome,
    effect: Effect,
}

impl Done<'_> {
    fn spent(&self) -> Spent {
        self.work.spent(self.until)
    }
}

/// An operator of the plan.
struct Choice<'a> {
    layer: usize,
    id: OperatorId,
    operator: &'a Operator,
    signature: Signature,
    /// How often the plan holds the operator before this choice.
    occurrence: usize,
    treatment: Treatment,
}

impl<'a> Choice<'a> {
    /// Nothing done yet.
    fn work(&self, query: &'a Query<'a>) -> Work<'a> {
        Work::new(query, self.operator, self.occurrence)
    }

    async fn run(&self, work: &mut Work<'a>, board: &Board, started: f64) -> Result<Done<'a>, ExecuteError> {
        let (effect, outcome) = match run(work, board).await {
            Ok(effect) => (effect, Outcome::Done),
            Err(error) if error.is_permanent() => {
                return Err(ExecuteError::Model { operator: self.operator.name.clone(), error });
            }
            Err(error) => (Effect::Keep, Outcome::Failed(error.to_string())),
        };
        Ok(Done { work: work.take(), started, until: f64::INFINITY, outcome, effect })
    }

    /// What becomes of a choice that asks nobody.
    fn idle(&self, query: &'a Query<'a>, started: f64, outcome: Outcome, effect: Effect) -> Done<'a> {
        Done { work: self.work(query), started, until: f64::INFINITY, outcome, effect }
    }

    fn cost(&self, query: &Query<'_>, spent: &Spent) -> f64 {
        spent.recorded_cost + query.prices.get(self.id.index()).map_or(0.0, |price| price.cost(spent.usage))
    }

    fn span(&self, query: &Query<'_>, done: Done<'_>) -> Span {
        let spent = done.spent();
        let cost = self.cost(query, &spent);
        let Spent { calls, retries, usage, tool_seconds, latency, queued, .. } = spent;
        let Done { started, outcome, .. } = done;
        let (layer, operator) = (self.layer, self.id);
        Span { layer, operator, calls, retries, usage, cost, tool_seconds, latency, queued, started, outcome }
    }
}

fn choices<'a>(
    query: &Query<'a>,
    plan: &Plan,
    signatures: &[Signature],
    treatments: &[Treatment],
) -> Result<Vec<Choice<'a>>, ExecuteError> {
    let operators = query.catalogue.operators();
    let mut counts = vec![0; operators.len()];
    let mut choices = Vec::with_capacity(plan.len());
    for ((layer, id), &treatment) in plan.choices().zip(treatments) {
        let (Some(operator), Some(count)) = (operators.get(id.index()), counts.get_mut(id.index())) else {
            return Err(ExecuteError::UnknownOperator { found: id.index(), last: operators.len().saturating_sub(1) });
        };
        let signature = signatures.get(id.index()).copied().unwrap_or(Signature::of(operator.kind));
        choices.push(Choice { layer, id, operator, signature, occurrence: *count, treatment });
        *count += 1;
    }
    Ok(choices)
}

/// Those of the schedule; a repeated call waits also for the one that it repeats.
fn dependencies(mut scheduled: Dependencies, treatments: &[Treatment]) -> Dependencies {
    for (waits_for, treatment) in scheduled.0.iter_mut().zip(treatments) {
        if let Treatment::Repeat(first) = treatment
            && !waits_for.contains(first)
        {
            waits_for.push(*first);
        }
    }
    scheduled
}

/// Seconds from the start of the query to the end of the last of `earlier`, once all have ended.
///
/// Taken from the spans, not from the clock, so that a replayed query shows the times of its recording.
fn start(earlier: &[usize], done: &[Option<Done<'_>>]) -> Option<f64> {
    earlier.iter().try_fold(0.0, |latest: f64, &before| {
        let done = done[before].as_ref()?;
        Some(latest.max(done.started + done.spent().latency.seconds))
    })
}

/// The solutions that the layers before `layer` leave, in plan order.
///
/// A replacement takes away only what its operator read: solutions found beside it stand, whatever the order within the
/// layer.
fn fold<'a>(done: impl Iterator<Item = Option<&'a Done<'a>>>, choices: &[Choice<'_>], layer: usize) -> Vec<Solution> {
    let mut standing: Vec<(usize, &Solution)> = Vec::new();
    for (done, choice) in done.zip(choices).filter(|(_, choice)| choice.layer < layer) {
        match done.map(|done| &done.effect) {
            Some(Effect::Append(solutions)) => {
                standing.extend(solutions.iter().map(|solution| (choice.layer, solution)));
            }
            Some(Effect::Replace(solution)) => {
                standing.retain(|&(from, _)| from >= choice.layer);
                standing.push((choice.layer, solution));
            }
            Some(Effect::Keep) | None => {}
        }
    }
    standing.into_iter().map(|(_, solution)| solution.clone()).collect()
}
