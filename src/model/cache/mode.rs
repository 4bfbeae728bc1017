//! How recorded completions are used.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a [`super::Replay`] does with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Recorded completions are replayed; other requests are made and recorded.
    Use,
    /// Every request is made anew, once per process, and replaces what was recorded.
    Record,
    /// No request is made; one that is not recorded is an error.
    Replay,
    /// There is no store. Equal requests of a process still run once.
    Off,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "use" => Ok(Mode::Use),
            "record" => Ok(Mode::Record),
            "replay" => Ok(Mode::Replay),
            "off" => Ok(Mode::Off),
            _ => Err(format!("expected use, record, replay or off, found `{text}`")),
        }
    }
}
