//! What whoever opens settings brings.

use std::path::PathBuf;

use crate::llm::openai::{EndpointConfig, Key, Listener};

/// What the settings do not hold, and whoever opens them brings.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Of the endpoint.
    pub key: Key,
    /// Where completions are recorded if the settings name no place.
    pub cache_folder: Option<PathBuf>,
    /// Where it is recorded which runs were made here.
    pub state_folder: Option<PathBuf>,
    /// What the user asks for, whatever a run asks for.
    pub own: Own,
    /// Whether downloads draw bars on a terminal.
    pub shows_progress: bool,
    /// Makes what is told of an endpoint that is asked again.
    pub listener: Option<fn() -> Listener>,
}

/// What the user names, by a flag, the environment or a settings file: a run that names it too may have it.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// What it leaves open is where the key goes anyway.
    pub endpoint: EndpointConfig,
    pub python: Option<PathBuf>,
    pub allow_unsandboxed: bool,
}
