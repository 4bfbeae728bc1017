//! The options of a question to an agent, and its answer.

use tokio::time::Instant;

use crate::decide::Then;
use crate::evaluate::latency::{Budget, Prediction};
use crate::execute::{Clock, Observer};
use crate::model::Message;
use crate::operation::Solution;
use crate::plan::{OperatorId, Plan, Trace};
use crate::random::Purpose;

/// The options of one question.
#[derive(Clone, Copy, Default)]
pub struct Ask<'a> {
    /// How long the answer may take; needs a controller that serves many latency weights.
    pub within: Option<Budget>,
    /// What a token (or second) costs, in score; instead of a budget.
    pub latency_weight: Option<f64>,
    /// A plan to use instead of the controller's.
    pub plan: Option<&'a Plan>,
    /// Operators with another number of samples than in the catalogue.
    pub samples: &'a [(OperatorId, u32)],
    /// Keep asking until the answer is right with this probability, and give no answer if it never is. Needs a run that learned
    /// when to keep asking.
    pub confidence: Option<f64>,
    /// Whether calls that are no longer needed are really dropped; by default, if an endpoint answers.
    pub clock: Option<Clock>,
    /// The name of the question in the record.
    pub called: &'a str,
    /// The conversation before the question. The controller reads only the question.
    pub conversation: &'a [Message],
    /// When to answer with the best there is; only for the live clock.
    pub until: Option<Instant>,
    /// What the answer is for: answers for different purposes are independent.
    pub purpose: Purpose,
    /// Distinguishes independent answers.
    pub draw: u64,
    /// How many letters the trace keeps of each text that an operator writes; 0 keeps none.
    pub letters: usize,
    /// Hears what happens.
    pub observer: Option<&'a dyn Observer>,
}

/// A plan for a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The whole plan; in an answer, what was committed.
    pub plan: Plan,
    /// What follows its start.
    pub then: Then,
    /// The latency weight that the plan was chosen for, if the controller serves several.
    pub latency_weight: Option<f64>,
    /// Whether the plan is predicted to keep the budget; true without one.
    pub is_within: bool,
    /// The predicted latency of the plan, if there is a latency model.
    pub predicted: Option<Prediction>,
}

/// An agent's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The final answer, if any solution has one and it is certain enough.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right, if the run learned to predict it.
    pub confidence: Option<f64>,
    /// The text of the solution that the vote takes.
    pub text: Option<String>,
    pub trace: Trace,
    /// The solutions at the end, in plan order.
    pub solutions: Vec<Solution>,
    pub chosen: Chosen,
}
