//! Estimates what a command will ask of a model and what this costs, before any money is spent.

mod questions;
mod tally;
mod training;

pub use questions::of_questions;
pub use training::before;
