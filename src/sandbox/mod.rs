//! Runs what a model wrote, and programs of the user's. Nothing else in the crate executes text that a model produced.
//!
//! Integer arithmetic is evaluated inside the process, exactly ([`Evaluator`]). Python runs in a process of its own that
//! has locked itself in ([`Sandbox`]).

mod arithmetic;
mod confinement;
mod expression;
mod group;
mod interpreter;
mod launch;
mod limits;
mod process;
mod python;
mod scratch;
mod trusted;
mod watch;

pub use confinement::{CHILD_COMMAND, Confinement};
pub use expression::{Evaluator, Executed, ProgramError};
pub use launch::Launch;
pub use limits::Limits;
pub use process::{Ended, Run};
pub use python::{OpenError, Options, Sandbox, Script};
pub use scratch::end_cleanly;
pub use trusted::run_trusted;
