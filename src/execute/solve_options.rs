//! All that holds for one query, beside the question and the decider.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::observe::Observer;
use super::options::Clock;
use super::recorder::Expense;
use crate::decide::HaltingHead;
use crate::model::Message;
use crate::plan::{OperatorId, Schedule, Unit};

/// How plans are run; a property of the method, which a controller is trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// When operators start; decides what the critical path is.
    pub schedule: Schedule,
    /// Whether a plan ends once nothing that is still to come can change its answer.
    pub quorum: bool,
    /// Whether a plan ends once its rest is expected to bring less than it takes, by a [`HaltingHead`] trained for it.
    /// Unlike the quorum this may change the answer.
    pub halting: bool,
}

impl From<Schedule> for ExecutionConfig {
    /// Plans run to their end.
    fn from(schedule: Schedule) -> Self {
        ExecutionConfig { schedule, ..ExecutionConfig::default() }
    }
}

/// All that holds for one query.
#[derive(Clone, Default)]
pub struct SolveOptions<'a> {
    pub schedule: Schedule,
    /// Whether the plan ends once its vote is settled and the decider adds nothing.
    pub quorum: bool,
    /// Ends the plan early.
    pub halting: Option<Arc<HaltingHead>>,
    pub clock: Clock,
    /// What the clock counts in: the unit of the objective.
    pub unit: Unit,
    /// Operators that take another number of samples than the catalogue says.
    pub samples: &'a [(OperatorId, u32)],
    /// Whether the query ends with the vote, also where the benchmark has a finish.
    pub without_finish: bool,
    /// What a question that is no problem of the benchmark is called in the record.
    pub called: &'a str,
    /// Takes calls from a record even where that is only written, and adds here what those come to that are made.
    pub replays: Option<&'a Expense>,
    /// What was said before the question.
    pub conversation: &'a [Message],
    /// When the query ends with what it has by then, under the clock on the wall.
    pub until: Option<Instant>,
    /// Is told what happens.
    pub observer: Option<&'a dyn Observer>,
    /// Letters that the trace keeps of each text that an operator gives; 0 keeps none.
    pub letters: usize,
}

impl SolveOptions<'_> {
    /// Plans that run as `execution` says, by this head where it asks for one.
    pub fn new(execution: ExecutionConfig, head: Option<&Arc<HaltingHead>>, unit: Unit) -> Self {
        let ExecutionConfig { schedule, quorum, halting } = execution;
        SolveOptions { schedule, quorum, halting: head.filter(|_| halting).cloned(), unit, ..Self::default() }
    }
}
