//! The record: the result of every operator call, one JSON line each. Plans are computed from it.
//!
//! A call is found by its key: the question, the operator, what the operator reads, and which of its independent calls it is.
//! Names and positions are not part of the key, so a record outlives catalogues, and records of several machines can be merged. A
//! score is graded against one reference answer and is valid only for that.

mod key;
mod line;
mod merge;
mod recent;
mod scan;
mod store;
mod traces;

pub use key::{Asked, Key, Reference, read_by_finish};
pub use line::{Change, Given, Graded, Line};
pub use merge::{Merged, merge};
pub use scan::{each_call, is_record};
pub use store::{Claim, Record};
pub use traces::{outputs_of, traces};
