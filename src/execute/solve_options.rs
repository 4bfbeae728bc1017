//! The options of one query, apart from the question and the decider.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::observe::Observer;
use super::options::Clock;
use super::recorder::Expense;
use crate::decide::HaltingHead;
use crate::model::Message;
use crate::plan::{Billing, OperatorId, Schedule, Unit};

/// How plans are run. This is part of the method: a controller is trained for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// When operators start; this determines the critical path.
    pub schedule: Schedule,
    /// Whether a plan ends once nothing still to come can change its answer.
    pub quorum: bool,
    /// Whether a trained [`HaltingHead`] ends a plan once the rest is expected to bring less than it costs. Unlike the quorum, this
    /// may change the answer.
    pub halting: bool,
    /// What a call costs that is dropped in virtual time.
    pub billing: Billing,
}

impl From<Schedule> for ExecutionConfig {
    /// Plans run to their end.
    fn from(schedule: Schedule) -> Self {
        ExecutionConfig { schedule, ..ExecutionConfig::default() }
    }
}

/// The options of one query.
#[derive(Clone, Default)]
pub struct SolveOptions<'a> {
    pub schedule: Schedule,
    /// Whether the plan ends once its vote is settled and the decider adds nothing.
    pub quorum: bool,
    /// Ends the plan early, if given.
    pub halting: Option<Arc<HaltingHead>>,
    pub clock: Clock,
    /// Unit of the clock: that of the objective.
    pub unit: Unit,
    /// What a dropped call costs.
    pub billing: Billing,
    /// Operators with another number of samples than in the catalogue.
    pub samples: &'a [(OperatorId, u32)],
    /// Whether the query ends with the vote even if the benchmark has a finish.
    pub without_finish: bool,
    /// What a question that is no problem of the benchmark is called in the record.
    pub called: &'a str,
    /// Takes calls from a record even where that is only written, and adds here what those come to that are made.
    pub replays: Option<&'a Expense>,
    /// What was said before the question.
    pub conversation: &'a [Message],
    /// When the query must end with what it has; only for the live clock.
    pub until: Option<Instant>,
    /// Hears what happens.
    pub observer: Option<&'a dyn Observer>,
    /// How many letters the trace keeps of each text that an operator writes; 0 keeps none.
    pub letters: usize,
}

impl SolveOptions<'_> {
    /// Options that follow `execution`, with this head if it asks for one.
    pub fn new(execution: ExecutionConfig, head: Option<&Arc<HaltingHead>>, unit: Unit) -> Self {
        let ExecutionConfig { schedule, quorum, halting, billing } = execution;
        let halting = head.filter(|_| halting).cloned();
        SolveOptions { schedule, quorum, halting, unit, billing, ..Self::default() }
    }
}
