//! Everything that is tested from outside, in one binary: a module for each behaviour.

mod checkpoint;
mod cli;
mod controller;
mod encoder;
mod executor;
mod local_model;
mod parity;
mod recording;
mod report;
mod schedule;
mod tidy;
mod tiny_model;
mod traces;
mod training;
