//! Operators: what a plan is made of. Each reads the query and the solutions so far, and says what becomes of them.

mod backing;
mod board;
mod calls;
mod catalogue;
mod ensemble;
mod finish;
mod generate;
mod identity;
mod operator;
mod program;
mod python;
mod query;
mod recorded;
mod refine;
mod run;
mod steps;
mod test;
mod tools;
mod trace_line;
mod traces;
mod work;

pub use backing::Backing;
pub use board::{Ballot, Board, Effect, Solution, is_settled, vote, winner};
pub use calls::{Arrival, Reporter};
pub use catalogue::Catalogue;
pub use finish::Finish;
pub use identity::{Identity, Reads, Turn};
pub use operator::Operator;
pub use query::Query;
pub use run::{is_free, run};
pub use steps::{Call, Spent, Steps};
pub use tools::{Checker, Language};
pub use trace_line::TraceLine;
pub use traces::{QueryTraces, Traces, is_recorded};
pub use work::Work;
