//! Runs what a model wrote. Nothing else in the crate executes text that a model produced.

mod expression;

pub use expression::{Evaluator, Executed, ProgramError};
