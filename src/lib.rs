//! `lamas` learns how to orchestrate parallel multi-agent language-model work with low latency.
//!
//! Data flows one way: query -> embedding -> plan -> trace -> score -> utilities -> loss.
//! Folders are layers; each imports only from those above it in this list.

pub mod device;
pub mod folder;
mod kernels;
pub mod printable;
pub mod random;

pub mod plan;

pub mod checkpoint;
pub mod encoder;

pub mod controller;

pub mod llm;
pub mod sandbox;

pub mod benchmarks;
pub mod operators;

pub mod executor;
pub mod system;

pub mod training;

pub mod evaluation;
pub mod report;

pub mod cli;
