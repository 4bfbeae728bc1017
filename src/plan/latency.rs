//! Durations, in tokens (E3) and in seconds.

use serde::{Deserialize, Serialize};

/// The one latency type: a duration in the paper's unit and in wall-clock time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// (E3) completion tokens + gamma * tool seconds; the same on every machine.
    pub tokens: f64,
    /// Measured wall-clock seconds.
    pub seconds: f64,
}

impl Latency {
    /// This work, and `next` after it.
    pub fn then(self, next: Latency) -> Latency {
        Latency { tokens: self.tokens + next.tokens, seconds: self.seconds + next.seconds }
    }

    /// This work and `other` in parallel: the slower of both, in each unit.
    pub fn beside(self, other: Latency) -> Latency {
        Latency { tokens: self.tokens.max(other.tokens), seconds: self.seconds.max(other.seconds) }
    }
}

/// The unit of latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The paper's unit (E3), the same on every machine.
    #[default]
    Tokens,
    /// Wall-clock seconds; as recorded, if plans run over recorded outputs.
    Seconds,
}

impl Unit {
    /// The latency in this unit.
    pub fn of(self, latency: Latency) -> f64 {
        match self {
            Unit::Tokens => latency.tokens,
            Unit::Seconds => latency.seconds,
        }
    }

    /// The unit's name in a sentence.
    pub fn plural(self) -> &'static str {
        match self {
            Unit::Tokens => "tokens",
            Unit::Seconds => "seconds",
        }
    }

    /// The unit's name after a number.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Tokens => "tokens",
            Unit::Seconds => "s",
        }
    }
}
