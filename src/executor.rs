//! Runs a plan: starts what is ready, folds the results in plan order, records a span for every choice.

use futures::stream::{FuturesUnordered, StreamExt};

use crate::llm;
use crate::operators::{Board, Effect, Operator, Query, Solution, Work, run};
use crate::plan::{Dependencies, Kind, OperatorId, Outcome, Plan, Span, Trace};

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
    #[error("expected dependencies of {choices} choices, each on earlier ones, found others")]
    Dependencies { choices: usize },
}

/// Runs `plan`: an operator starts when all that it waits for have ended, and reads what those and the ones before
/// them left.
///
/// A failing operator is recorded and the rest goes on without it. What follows the layer of a stop operator is not
/// run. Everything happens inside the returned future: dropping it cancels all calls.
///
/// # Errors
/// When the model refuses a request for good, or the plan does not fit the catalogue.
pub async fn execute(query: &Query<'_>, plan: &Plan, dependencies: &Dependencies) -> Result<Execution, ExecuteError> {
    let choices = choices(query, plan)?;
    let waits_for = &dependencies.0;
    let is_ordered = |(at, earlier): (usize, &Vec<usize>)| earlier.iter().all(|&before| before < at);
    if waits_for.len() != choices.len() || !waits_for.iter().enumerate().all(is_ordered) {
        return Err(ExecuteError::Dependencies { choices: choices.len() });
    }
    let seen = ancestors(waits_for);
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
            if choice.is_stopped {
                done[at] = Some(choice.cancelled(query, started));
                continue;
            }
            let board = Board { solutions: fold(&done, &seen, |before| seen[at][before]) };
            running.push(async move { (at, choice.run(query, &board, started).await) });
        }
        let Some((at, result)) = running.next().await else { break };
        done[at] = Some(result?);
    }
    let solutions = fold(&done, &seen, |_| true);
    Ok(Execution { trace: Trace { spans: done.into_iter().flatten().map(|done| done.span).collect() }, solutions })
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
    /// Whether an earlier layer ended the plan.
    is_stopped: bool,
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

    fn cancelled(&self, query: &Query<'_>, started: f64) -> Done {
        let work = Work::new(query, self.operator, self.occurrence);
        Done { span: self.span(query, &work, started, Outcome::Cancelled), effect: Effect::Keep }
    }

    fn span(&self, query: &Query<'_>, work: &Work<'_>, started: f64, outcome: Outcome) -> Span {
        let &Work { calls, usage, tool_seconds, latency, .. } = work;
        let priced = || query.prices.get(self.id.index()).map_or(0.0, |price| price.cost(usage));
        let cost = work.recorded_cost.unwrap_or_else(priced);
        Span { layer: self.layer, operator: self.id, calls, usage, cost, tool_seconds, latency, started, outcome }
    }
}

fn choices<'a>(query: &Query<'a>, plan: &Plan) -> Result<Vec<Choice<'a>>, ExecuteError> {
    let operators = query.catalogue.operators();
    let mut counts = vec![0; operators.len()];
    let mut stopped = usize::MAX;
    let mut choices = Vec::with_capacity(plan.len());
    for (layer, id) in plan.choices() {
        let (Some(operator), Some(count)) = (operators.get(id.index()), counts.get_mut(id.index())) else {
            return Err(ExecuteError::UnknownOperator { found: id.index(), last: operators.len().saturating_sub(1) });
        };
        if operator.kind == Kind::Stop {
            stopped = stopped.min(layer);
        }
        choices.push(Choice { layer, id, operator, occurrence: *count, is_stopped: layer > stopped });
        *count += 1;
    }
    Ok(choices)
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

/// For each choice, whether it comes after each other one, through any number of steps.
fn ancestors(waits_for: &[Vec<usize>]) -> Vec<Vec<bool>> {
    let mut seen: Vec<Vec<bool>> = Vec::with_capacity(waits_for.len());
    for earlier in waits_for {
        let mut before = vec![false; waits_for.len()];
        for &choice in earlier {
            before[choice] = true;
            before.iter_mut().zip(&seen[choice]).for_each(|(mine, theirs)| *mine |= theirs);
        }
        seen.push(before);
    }
    seen
}

/// The solutions that the `included` choices leave, in plan order.
///
/// A replacement takes away only what its operator read: solutions found beside it stand, whatever the order within the
/// layer.
fn fold(done: &[Option<Done>], seen: &[Vec<bool>], included: impl Fn(usize) -> bool) -> Vec<Solution> {
    let mut standing: Vec<(usize, &Solution)> = Vec::new();
    for (at, done) in done.iter().enumerate().filter(|&(at, _)| included(at)) {
        match done.as_ref().map(|done| &done.effect) {
            Some(Effect::Append(solutions)) => standing.extend(solutions.iter().map(|solution| (at, solution))),
            Some(Effect::Replace(solution)) => {
                standing.retain(|&(from, _)| !seen[at][from]);
                standing.push((at, solution));
            }
            Some(Effect::Keep) | None => {}
        }
    }
    standing.into_iter().map(|(_, solution)| solution.clone()).collect()
}
