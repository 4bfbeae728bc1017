//! Runs model-written programs and users' programs. Nothing else in the crate executes text that a model produced.
//!
//! Integer arithmetic is evaluated exactly, inside this process ([`Evaluator`]). Python runs in a separate process that confines
//! itself first ([`Sandbox`]).

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
pub use python::{OpenError, Options, Sandbox, Script, use_helper};
pub use scratch::end_cleanly;
pub use trusted::run_trusted;
