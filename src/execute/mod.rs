//! Runs a query: asks a decider what happens next, starts what is ready, combines the results in plan order, and records a span
//! for every choice.

mod choice;
mod course;
mod episode;
mod error;
mod finish;
mod in_order;
mod live;
mod observe;
mod options;
mod recorder;
mod solve_options;
mod solver;
mod virtual_time;

pub use course::Execution;
pub use episode::{Answer, Episode};
pub use error::ExecuteError;
pub use in_order::in_order;
pub use observe::{Event, Observer, Transcript};
pub use options::{Clock, Options};
pub use recorder::{Expense, Grader, Recorder};
pub use solve_options::{ExecutionConfig, SolveOptions};
pub use solver::Solver;

use self::course::Course;
use crate::decide::Decider;
use crate::operation::Query;

/// Runs what `decider` commits. An operator starts when everything it waits for has ended, and reads what earlier layers left.
///
/// If an operator fails, that is recorded and the rest continues without it. Nothing after the layer of a stop operator runs,
/// except the finish, which follows every plan. Everything happens inside the returned future: dropping it cancels all calls.
///
/// # Errors
/// The model refuses a request permanently, or a committed layer does not fit the catalogue.
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
    finish::finish(query, course.execution(decider), options).await
}
