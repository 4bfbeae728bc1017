//! Stages: operators are asked a few at a time, and each answer decides whether asking more pays.

mod staged;
mod state;
mod vote;

pub use staged::Staged;
pub use state::{Set, Stages, State, known, subsets};
pub use vote::{Belief, Said, Vote};
