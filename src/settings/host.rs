//! What the caller supplies when opening settings: keys, folders, and the user's own settings.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Definitions;
use crate::model::openai::{Books, EndpointConfig, Key, Listener};

/// What is not part of the settings but must be supplied by the caller who opens them.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The key of the endpoint that flags or settings name.
    pub key: Key,
    /// Looks up an environment variable: `[[model]]` tables name the variables that hold their keys.
    pub variable: Option<fn(&str) -> Option<String>>,
    /// Where completions are recorded if the settings name no place.
    pub cache_folder: Option<PathBuf>,
    /// Where runs that were made on this machine are registered.
    pub state_folder: Option<PathBuf>,
    /// What the user asked for, regardless of what a run asks for.
    pub own: Own,
    /// Whether downloads show progress bars on a terminal.
    pub shows_progress: bool,
    /// The books of a process that opens runs more than once. With them, its requests to one server share one governor
    /// and one count.
    pub books: Option<Arc<Books>>,
    /// Whether completions are remembered only where the settings say so, so that one caller's answer never reaches
    /// another.
    pub forgets: bool,
    /// Creates the listener that receives the notices of an endpoint, such as retries.
    pub listener: Option<fn() -> Listener>,
}

impl Host {
    /// The key in an environment variable.
    pub fn key_of(&self, variable: &str) -> Key {
        Key::new(self.variable.and_then(|value| value(variable)))
    }
}

/// What the user named by a flag, the environment or a settings file. A run that names the same may have it.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Anything it leaves open goes where the key goes anyway.
    pub endpoint: EndpointConfig,
    /// From the settings file.
    pub models: Definitions,
    /// Environment variables whose keys may go to a server, each with that server's URL.
    pub keys: Vec<(String, String)>,
    pub python: Option<PathBuf>,
    pub allow_unsandboxed: bool,
    /// Whether commands in other people's catalogues may run, confined.
    pub runs_commands: bool,
}
