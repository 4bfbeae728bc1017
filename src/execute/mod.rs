//! Runs a query: asks a decider what happens next, starts what is ready, folds the results in plan order, records a span for
//! every choice.

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

/// Runs what `decider` commits: an operator starts when all that it waits for have ended, and reads what the layers before
/// its own left.
///
/// A failing operator is recorded and the rest goes on without it. What follows the layer of a stop operator is not run,
/// but for the finish, which follows every plan. Everything happens inside the returned future: dropping it
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
    finish::finish(query, course.execution(decider), options).await
}
