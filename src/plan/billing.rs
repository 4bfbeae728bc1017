//! What a call costs that is dropped before its end: servers differ.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a dropped call is billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billing {
    /// Its prompt, and the tokens that were written by then.
    #[default]
    Share,
    /// As if it had run to its end.
    Full,
}

impl Billing {
    pub fn name(self) -> &'static str {
        match self {
            Billing::Share => "share",
            Billing::Full => "full",
        }
    }
}

impl FromStr for Billing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "share" => Ok(Billing::Share),
            "full" => Ok(Billing::Full),
            _ => Err(format!("expected share or full, found `{text}`")),
        }
    }
}

/// Dollars of a choice that was dropped, billed in either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    pub share: f64,
    pub full: f64,
}

impl Dropped {
    pub fn cost(self, billing: Billing) -> f64 {
        match billing {
            Billing::Share => self.share,
            Billing::Full => self.full,
        }
    }
}
