//! Estimates what a command will ask of a model and what this costs, before any money is spent.

mod experiment;
mod questions;
mod tally;
mod training;

pub use experiment::of_experiment;
pub use questions::of_questions;
pub use training::before;
