//! Integration tests, one binary; one file per behaviour.

mod checkpoint;
mod controller;
mod parity;
mod training;
