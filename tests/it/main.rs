//! Everything that is tested from outside, in one binary: a module for each behaviour.

mod ahead;
mod architectures;
mod bandit;
mod benchmarks;
mod budget;
mod checkpoint;
mod cli;
#[cfg(target_os = "linux")]
mod code_grading;
#[cfg(target_os = "linux")]
mod commands;
mod controller;
mod deciders;
mod devices;
#[cfg(unix)]
mod doctor;
mod earlier;
mod encoder;
mod endpoint;
mod endpoint_cli;
#[cfg(unix)]
mod estimate;
mod executor;
mod exit_codes;
#[cfg(unix)]
mod failures;
mod faults;
#[cfg(target_os = "linux")]
mod finish;
mod first_contact;
#[cfg(unix)]
mod first_steps;
#[cfg(unix)]
mod front;
mod fuzz;
mod gaps;
mod gguf;
mod grading;
mod halting;
mod hedge;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod humaneval;
mod import;
mod import_table;
mod kinds;
mod layers;
mod live;
mod live_endpoint;
mod local_files;
mod local_model;
mod mathematics;
mod models;
mod numbers;
mod parity;
mod planned;
mod record;
mod recording;
mod report;
#[cfg(unix)]
mod run_folder;
#[cfg(unix)]
mod runs;
#[cfg(target_os = "linux")]
mod sandbox;
mod schedule;
mod serve;
mod serve_explore;
mod serve_fallback;
mod serve_journal;
mod serve_load;
mod serve_page;
mod server;
mod serving;
mod shared;
mod smollm;
mod spelling;
mod tidy;
mod tiny_model;
mod traces;
mod training;
#[cfg(unix)]
mod transcripts;
#[cfg(target_os = "linux")]
mod tricks;
mod two_models;
mod wire;
