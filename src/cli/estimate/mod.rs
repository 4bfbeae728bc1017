//! What a command is going to ask of a model and what that costs, said before it is spent.

mod questions;
mod tally;
mod training;

pub use questions::of_questions;
pub use training::before;
