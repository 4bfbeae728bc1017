//! Runs a plan: starts what is ready, folds the results in plan order, records a span for every choice.

use futures::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};

use crate::llm;
use crate::operators::{Board, Effect, Operator, Query, Solution, Work, run};
use crate::plan::{Dependencies, OperatorId, Outcome, Plan, Schedule, Span, Trace, Treatment, as_drawn, optimize};

/// How plans are run; a property of the system, which a controller is trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// When operators start; decides what the critical path is.
    pub schedule: Schedule,
    /// Whether the plan compiler leaves out what the answer does not need ([`optimize`]).
    pub optimize: bool,
}

impl From<Schedule> for ExecutionConfig {
    /// Plans run as they were drawn.
    fn from(schedule: Schedule) -> Self {
        ExecutionConfig { schedule, optimize: false }
    }
}

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    pub trace: Trace,
    /// The solutions that stand at the end, in plan order.
    pub solutions: Vec<Solution>,
}

/// Why a plan could not be run to its end; callers stop rather than skip the query.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The model can never answer such a request.
    #[error("operator `{operator}`: {error}")]
    Model { operator: String, error: llm::Error },
    #[error("expected operators of the catalogue, 0 to {last}, found {found} in the plan")]
    UnknownOperator { found: usize, last: usize },
    #[error("query `{query}`: expected recorded outputs in `{origin}`, found none")]
    NotRecorded { query: String, origin: String },
}

/// Runs `plan`: an operator starts when all that it waits for have ended, and reads what the layers before its own
/// left.
///
/// A failing operator is recorded and the rest goes on without it. What follows the layer of a stop operator is not
/// run. Everything happens inside the returned future: dropping it cancels all calls.
///
/// # Errors
/// When the model refuses a request for good, or the plan does not fit the catalogue.
pub async fn execute(query: &Query<'_>, plan: &Plan, config: &ExecutionConfig) -> Result<Execution, ExecuteError> {
    let signatures = query.catalogue.signatures();
    let treatments = if config.optimize { optimize(plan, &signatures) } else { as_drawn(plan, &signatures) };
    let choices = choices(query, plan, &treatments)?;
    let dependencies = dependencies(config.schedule.dependencies(plan, &signatures), &treatments);
    let waits_for = &dependencies.0;
    let mut done: Vec<Option<Done>> = choices.iter().map(|_| None).collect();
    let mut is_started = vec![false; choices.len()];
    let mut running = FuturesUnordered::new();
    loop {
        for (at, choice) in choices.iter().enumerate() {
            if is_started[at] {
                continue;
            }
            let Some(started) = start(&waits_for[at], &done) else { continue };
            is_started[at] = true;
            match choice.treatment {
                Treatment::Run => {
                    let reads = signatures.get(choice.id.index()).is_none_or(|operator| operator.reads_solutions);
                    let solutions = if reads { fold(&done, &choices, choice.layer) } else { Vec::new() };
                    let board = Board { solutions };
                    running.push(async move { (at, choice.run(query, &board, started).await) });
                }
                Treatment::Skip => done[at] = Some(choice.idle(query, started, Outcome::Skipped, Effect::Keep)),
                Treatment::Repeat(first) => {
                    let repeated = done[first].as_ref().map(|first| (&first.span.outcome, first.effect.clone()));
                    done[at] = Some(match repeated {
                        Some((Outcome::Done, effect)) => choice.idle(query, started, Outcome::Repeated(first), effect),
                        Some((outcome, effect)) => choice.idle(query, started, outcome.clone(), effect),
                        None => choice.idle(query, started, Outcome::Skipped, Effect::Keep),
                    });
                }
            }
        }
        let Some((at, result)) = running.next().await else { break };
        done[at] = Some(result?);
    }
    let solutions = fold(&done, &choices, usize::MAX);
    let spans = done.into_iter().flatten().map(|done| done.span).collect();
    Ok(Execution { trace: Trace { spans, dependencies }, solutions })
}

/// An operator that has ended.
struct Done {
    span: Span,
    effect: Effect,
}

/// An operator of the plan.
struct Choice<'a> {
    layer: usize,
    id: OperatorId,
    operator: &'a Operator,
    /// How often the plan holds the operator before this choice.
    occurrence: usize,
    treatment: Treatment,
}

impl Choice<'_> {
    async fn run(&self, query: &Query<'_>, board: &Board, started: f64) -> Result<Done, ExecuteError> {
        let mut work = Work::new(query, self.operator, self.occurrence);
        let (effect, outcome) = match run(&mut work, board).await {
            Ok(effect) => (effect, Outcome::Done),
            Err(error) if error.is_permanent() => {
                return Err(ExecuteError::Model { operator: self.operator.name.clone(), error });
            }
            Err(error) => (Effect::Keep, Outcome::Failed(error.to_string())),
        };
        Ok(Done { span: self.span(query, &work, started, outcome), effect })
    }

    /// What becomes of a choice that asks nobody.
    fn idle(&self, query: &Query<'_>, started: f64, outcome: Outcome, effect: Effect) -> Done {
        let work = Work::new(query, self.operator, self.occurrence);
        Done { span: self.span(query, &work, started, outcome), effect }
    }

    fn span(&self, query: &Query<'_>, work: &Work<'_>, started: f64, outcome: Outcome) -> Span {
        let &Work { calls, usage, tool_seconds, latency, .. } = work;
        let priced = || query.prices.get(self.id.index()).map_or(0.0, |price| price.cost(usage));
        let cost = work.recorded_cost.unwrap_or_else(priced);
        Span { layer: self.layer, operator: self.id, calls, usage, cost, tool_seconds, latency, started, outcome }
    }
}

fn choices<'a>(query: &Query<'a>, plan: &Plan, treatments: &[Treatment]) -> Result<Vec<Choice<'a>>, ExecuteError> {
    let operators = query.catalogue.operators();
    let mut counts = vec![0; operators.len()];
    let mut choices = Vec::with_capacity(plan.len());
    for ((layer, id), &treatment) in plan.choices().zip(treatments) {
        let (Some(operator), Some(count)) = (operators.get(id.index()), counts.get_mut(id.index())) else {
            return Err(ExecuteError::UnknownOperator { found: id.index(), last: operators.len().saturating_sub(1) });
        };
        choices.push(Choice { layer, id, operator, occurrence: *count, treatment });
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
fn start(earlier: &[usize], done: &[Option<Done>]) -> Option<f64> {
    earlier.iter().try_fold(0.0, |latest: f64, &before| {
        let span = &done[before].as_ref()?.span;
        Some(latest.max(span.started + span.latency.seconds))
    })
}

/// The solutions that the layers before `layer` leave, in plan order.
///
/// A replacement takes away only what its operator read: solutions found beside it stand, whatever the order within the
/// layer.
fn fold(done: &[Option<Done>], choices: &[Choice<'_>], layer: usize) -> Vec<Solution> {
    let mut standing: Vec<(usize, &Solution)> = Vec::new();
    for (done, choice) in done.iter().zip(choices).filter(|(_, choice)| choice.layer < layer) {
        match done.as_ref().map(|done| &done.effect) {
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
