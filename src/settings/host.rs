//! What the caller supplies when opening settings: keys, folders, and the user's own settings.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Definitions;
use crate::model::openai::{Books, EndpointConfig, Key, Listener};

/// What the settings do not hold, and whoever opens them brings.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Of the endpoint that flags or settings name.
    pub key: Key,
    /// What an environment variable holds: `[[model]]` tables name those of their keys.
    pub variable: Option<fn(&str) -> Option<String>>,
    /// Where completions are recorded if the settings name no place.
    pub cache_folder: Option<PathBuf>,
    /// Where it is recorded which runs were made here.
    pub state_folder: Option<PathBuf>,
    /// What the user asks for, whatever a run asks for.
    pub own: Own,
    /// Whether downloads draw bars on a terminal.
    pub shows_progress: bool,
    /// The books of a process that opens runs more than once: what they ask of one server is governed together, and counted
    /// on.
    pub books: Option<Arc<Books>>,
    /// Whether completions are remembered only where the settings say so: one caller's answer is not another's.
    pub forgets: bool,
    /// Makes what is told of an endpoint that is asked again.
    pub listener: Option<fn() -> Listener>,
}

impl Host {
    /// The key in an environment variable.
    pub fn key_of(&self, variable: &str) -> Key {
        Key::new(self.variable.and_then(|value| value(variable)))
    }
}

/// What the user names, by a flag, the environment or a settings file: a run that names it too may have it.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// What it leaves open is where the key goes anyway.
    pub endpoint: EndpointConfig,
    /// Of the settings file.
    pub models: Definitions,
    /// Environment variables whose keys may go to a server: each with the server's URL.
    pub keys: Vec<(String, String)>,
    pub python: Option<PathBuf>,
    pub allow_unsandboxed: bool,
    /// Whether commands in the catalogues of others may run, confined.
    pub runs_commands: bool,
}
