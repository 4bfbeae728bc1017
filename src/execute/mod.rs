//! Runs a query: asks a decider what happens next, starts what is ready, folds the results in plan order, records a span for
//! every choice.

mod choice;
mod course;
mod finish;
mod live;
mod observe;
mod solver;
mod virtual_time;

use std::str::FromStr;

pub use observe::{Event, Observer, Transcript};
pub use solver::{Answer, Episode, ExecutionConfig, SolveOptions, Solver};

use self::course::Course;
use crate::decide::Decider;
use crate::llm;
use crate::operators::{Query, Solution};
use crate::plan::{Plan, Schedule, Trace, Unit};

/// How one query is run.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// When operators start; decides what the critical path is.
    pub schedule: Schedule,
    pub clock: Clock,
    /// What the clock counts in: the unit of the objective.
    pub unit: Unit,
    /// Is told what happens.
    pub observer: Option<&'a dyn Observer>,
}

/// Which order of events a decider hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// That of virtual time: tokens (E3) of a model, recorded seconds where outputs were recorded. What is committed runs to
    /// its end, and what came after the end of the plan is taken back. The same seed gives the same trace on every machine.
    #[default]
    Virtual,
    /// That of the wall clock. Calls that are dropped are cancelled in fact, and count for what they came to.
    Live,
}

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "virtual" => Ok(Clock::Virtual),
            "live" => Ok(Clock::Live),
            _ => Err(format!("expected live or virtual, found `{text}`")),
        }
    }
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// All that was committed.
    pub plan: Plan,
    pub trace: Trace,
    /// The solutions that stand at the end, in plan order; one alone where the finish put it in the place of all.
    pub solutions: Vec<Solution>,
}

/// Why a query could not be run to its end; callers stop rather than skip it.
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
    #[error("expected at most {most} layers, found more; hint: the decider goes on committing")]
    TooManyLayers { most: usize },
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

/// Runs what `decider` commits: an operator starts when all that it waits for have ended, and reads what the layers before
/// its own left.
///
/// A failing operator is recorded and the rest goes on without it. What follows the layer of a stop operator is not run,
/// but for the finish of the query, which follows every plan. Everything happens inside the returned future: dropping it
/// cancels all calls.
///
/// # Errors
/// When the model refuses a request for good, or a committed layer does not fit the catalogue.
pub async fn execute(
    query: &Query<'_>,
    decider: &mut dyn Decider,
    options: Options<'_>,
) -> Result<Execution, ExecuteError> {
    let mut course = Course::new(query, options);
    match options.clock {
        Clock::Virtual => virtual_time::run(&mut course, decider).await?,
        Clock::Live => live::run(&mut course, decider).await?,
    }
    finish::finish(query, course.execution(), options).await
}
