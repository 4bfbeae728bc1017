//! How recorded completions are used.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a [`super::Replay`] does with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What is recorded is replayed; what is not is asked and recorded.
    Use,
    /// Everything is asked anew, once a process, and takes the place of what was recorded.
    Record,
    /// Nothing is asked: a request that is not recorded is an error.
    Replay,
    /// There is no store; equal requests of a process still run once.
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
