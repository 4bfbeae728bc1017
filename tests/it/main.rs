//! One binary for all integration tests.

mod executor;
mod parity;
mod report;
mod tidy;
