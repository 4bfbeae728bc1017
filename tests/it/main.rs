//! One binary for all integration tests.

mod encoder;
mod executor;
mod parity;
