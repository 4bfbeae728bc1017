//! How one query is run.

use std::str::FromStr;

use tokio::time::Instant;

use super::observe::Observer;
use super::recorder::Recorder;
use crate::operation::Finish;
use crate::plan::{Billing, Schedule, Unit};

/// How one query is run.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// When operators start; this determines the critical path.
    pub schedule: Schedule,
    pub clock: Clock,
    /// Unit of the clock: that of the objective.
    pub unit: Unit,
    /// What a dropped call costs.
    pub billing: Billing,
    /// What follows the plan, however it ends.
    pub finish: Option<Finish>,
    /// Hears what happens.
    pub observer: Option<&'a dyn Observer>,
    /// When the query must end with what it has; only for the live clock.
    pub until: Option<Instant>,
    /// How many letters to keep of each text that an operator writes; 0 keeps none.
    pub letters: usize,
    /// The record of calls to use and extend.
    pub recorder: Option<&'a Recorder<'a>>,
}

/// The order in which a decider hears of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Virtual time: tokens (E3) of a model, or recorded seconds. Committed operators run to their end, and what came after the
    /// end of the plan is undone. The same seed gives the same trace on every machine.
    #[default]
    Virtual,
    /// The wall clock. Dropped calls are really cancelled, and count for what they have cost by then.
    Live,
}

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "virtual" => Ok(Clock::Virtual),
            "live" => Ok(Clock::Live),
            _ => Err(format!("expected live or virtual, found `{text}`")),
        }
    }
}
