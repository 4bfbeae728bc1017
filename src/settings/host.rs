//! What whoever opens settings brings.

use std::path::PathBuf;

use crate::llm::openai::{Key, Listener};

/// What the settings do not hold, and whoever opens them brings.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Of the endpoint.
    pub key: Key,
    /// Where completions are recorded if the settings name no place.
    pub cache_folder: Option<PathBuf>,
    /// Whether downloads draw bars on a terminal.
    pub shows_progress: bool,
    /// Makes what is told of an endpoint that is asked again.
    pub listener: Option<fn() -> Listener>,
}
