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
    /// When operators start; decides what the critical path is.
    pub schedule: Schedule,
    pub clock: Clock,
    /// What the clock counts in: the unit of the objective.
    pub unit: Unit,
    /// What a dropped call costs.
    pub billing: Billing,
    /// What follows the plan, however it ends.
    pub finish: Option<Finish>,
    /// Is told what happens.
    pub observer: Option<&'a dyn Observer>,
    /// When the query ends with what it has by then; only the clock on the wall knows such a moment.
    pub until: Option<Instant>,
    /// Letters that are kept of each text that an operator gives; 0 keeps none.
    pub letters: usize,
    /// What operators did before, and what is done now.
    pub recorder: Option<&'a Recorder<'a>>,
}

/// Which order of events a decider hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// That of virtual time: tokens (E3) of a model, recorded seconds where outputs were recorded. What is committed runs to
    /// its end, and what came after the end of the plan is taken back. The same seed gives the same trace on every machine.
    #[default]
    Virtual,
    /// That of the wall clock. Calls that are dropped are cancelled in fact, and count for what they came to.
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
