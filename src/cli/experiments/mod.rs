//! Experiments: every method over several seeds, and one method over several latency weights.

pub mod compare;
pub mod front;
pub mod sweep;
mod train_all;
mod variants;
