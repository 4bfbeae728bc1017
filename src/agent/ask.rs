//! What is asked of an agent, and what it answers.

use tokio::time::Instant;

use crate::decide::Then;
use crate::evaluate::latency::{Budget, Prediction};
use crate::execute::{Clock, Observer};
use crate::model::Message;
use crate::operation::Solution;
use crate::plan::{OperatorId, Plan, Trace};
use crate::random::Purpose;

/// All that holds for one question.
#[derive(Clone, Copy, Default)]
pub struct Ask<'a> {
    /// How long the answer may take; needs a controller that serves many latency weights.
    pub within: Option<Budget>,
    /// What a token (or second) weighs against the score, in place of a budget.
    pub latency_weight: Option<f64>,
    /// The plan, in place of the controller's.
    pub plan: Option<&'a Plan>,
    /// Operators that take another number of samples than the catalogue says.
    pub samples: &'a [(OperatorId, u32)],
    /// Asks on while the answer is less likely right than this, and gives none where it stays so; needs a run that learned
    /// when to ask on.
    pub confidence: Option<f64>,
    /// Whether calls that are not needed any more are dropped in fact; by default where an endpoint answers.
    pub clock: Option<Clock>,
    /// What the question is called in the record.
    pub called: &'a str,
    /// What was said before the question. The controller reads the question alone.
    pub conversation: &'a [Message],
    /// When the answer is the best of what there is by then, under the clock on the wall.
    pub until: Option<Instant>,
    /// What the answer is for: answers for different purposes are independent.
    pub purpose: Purpose,
    /// Tells independent answers apart.
    pub draw: u64,
    /// Letters that the trace keeps of each text that an operator gives; 0 keeps none.
    pub letters: usize,
    /// Is told what happens.
    pub observer: Option<&'a dyn Observer>,
}

/// A plan for a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// All of it; of an answer, what was committed.
    pub plan: Plan,
    /// How it goes on after its start.
    pub then: Then,
    /// The latency weight that the plan was chosen for, where the controller serves several.
    pub latency_weight: Option<f64>,
    /// Whether the plan is predicted to keep the budget; true without one.
    pub is_within: bool,
    /// What the plan is expected to take, where a latency model is at hand.
    pub predicted: Option<Prediction>,
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The final answer, if any solution has one that is sure enough.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right, where that was learned.
    pub confidence: Option<f64>,
    /// The text of the solution that the vote takes.
    pub text: Option<String>,
    pub trace: Trace,
    /// The solutions that stood at the end, in plan order.
    pub solutions: Vec<Solution>,
    pub chosen: Chosen,
}
