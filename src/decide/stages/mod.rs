//! Stages: operators are asked a few at a time, and after each answer it is seen whether more of them pay.

mod staged;
mod state;
mod vote;

pub use staged::Staged;
pub use state::{Set, Stages, State, known, subsets};
pub use vote::{Belief, Said, Vote};
