//! Behaviour of the crate as a whole, a file each.

mod executor;
