//! Runs what a model wrote. Nothing else in the crate executes text that a model produced.
//!
//! Integer arithmetic is evaluated inside the process, exactly ([`Evaluator`]). Python runs in a process of its own that
//! has locked itself in ([`Sandbox`]).

mod arithmetic;
mod confinement;
mod expression;
mod group;
mod interpreter;
mod limits;
mod process;
mod python;
mod scratch;
mod watch;

pub use confinement::{CHILD_COMMAND, Confinement};
pub use expression::{Evaluator, Executed, ProgramError};
pub use limits::Limits;
pub use process::{Ended, Run};
pub use python::{OpenError, Options, Sandbox, Script};
pub use scratch::end_cleanly;
