//! `lamas` learns how to orchestrate parallel multi-agent language-model work with low latency.
//!
//! Data flows one way: query -> embedding -> plan -> trace -> score -> utilities -> loss.
//! Folders are layers; each imports only from those above it in this list.

pub mod device;
pub mod disk;
pub mod folder;
pub mod hub;
mod kernels;
pub mod printable;
pub mod random;

pub mod plan;

pub mod objective;

pub mod checkpoint;
pub mod encoder;

pub mod model;
pub mod sandbox;

pub mod task;

pub mod operation;

pub mod record;

pub mod import;

pub mod evidence;

pub mod decide;

pub mod execute;

pub mod controller;

pub mod strategy;

pub mod learn;

pub mod evaluate;
pub mod settings;

pub mod agent;

pub mod report;

pub mod serve;

pub mod cli;

#[cfg(feature = "python")]
mod python;
