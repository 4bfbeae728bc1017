//! Answers a request by a plan, within its time.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::chat_request::ChatRequest;
use super::fault::Fault;
use super::listener::Listener;
use super::outcome::{Outcome, Planned};
use super::run::{Pace, Run};
use crate::agent::{Answered, Ask, plans};
use crate::evaluate::latency::{Budget, measured_path};
use crate::execute::Clock;
use crate::operation::Solution;
use crate::plan::{Plan, Status};
use crate::random::Purpose;

/// How one question is answered.
#[derive(Clone, Debug, Default)]
pub struct Course {
    plan: Option<Plan>,
    latency_weight: Option<f64>,
    /// By which the plan is chosen.
    within: Option<Budget>,
}

impl Course {
    /// How a request is to be answered by a run.
    ///
    /// # Errors
    /// The request names a plan of other operators, or asks for what the run did not learn.
    pub fn new(run: &Run, pace: Pace, request: &ChatRequest) -> Result<Self, Fault> {
        request.check_strict()?;
        let wishes = &request.wishes;
        if let Some(text) = &wishes.plan {
            let plan = plans::parse(text, run.agent.solver().catalogue());
            let plan = plan.map_err(|error| Fault::of("lamas.plan", format!("`lamas.plan`: {error:#}")))?;
            return Ok(Course { plan: Some(plan), ..Course::default() });
        }
        let weights = run.agent.trained().and_then(|trained| trained.latency_weights().ok());
        if let Some(weight) = wishes.latency_weight {
            if weights.is_none() {
                let message =
                    "`lamas.latency_weight`: the run serves one latency weight; hint: `lamas train --latency-weights`";
                return Err(Fault::of("lamas.latency_weight", message));
            }
            return Ok(Course { latency_weight: Some(weight), ..Course::default() });
        }
        let can_choose = weights.is_some() && run.agent.latency_model().is_some();
        if matches!(wishes.budget, Some(Budget::Tokens(_))) && !can_choose {
            let message =
                "`lamas.budget`: the run cannot choose a plan by tokens, only end one by time; hint: give seconds";
            return Err(Fault::of("lamas.budget", message));
        }
        Ok(match (pace, weights) {
            (Pace::Usual, _) => Course { within: wishes.budget.filter(|_| can_choose), ..Course::default() },
            (Pace::Fast, Some(weights)) => Course { latency_weight: Some(weights.at(1.0)), ..Course::default() },
            (Pace::Best, Some(weights)) => Course { latency_weight: Some(weights.at(0.0)), ..Course::default() },
            (Pace::Fast, None) => Course { plan: run.fast.clone(), ..Course::default() },
            (Pace::Best, None) => Course { plan: run.best.clone(), ..Course::default() },
        })
    }

    /// What it would do, of which nothing is done: the plan, and what that is predicted to take.
    ///
    /// # Errors
    /// No plan can be chosen.
    pub fn foresee(&self, run: &Run, request: &ChatRequest, until: Instant) -> Result<Value, Fault> {
        let ask = Ask {
            within: self.within.map(|within| left(within, run, until)),
            latency_weight: self.latency_weight,
            plan: self.plan.as_ref(),
            ..Ask::default()
        };
        let chosen = run.agent.plan(&request.talk.question, &ask).map_err(|error| Fault::of_plan(&error))?;
        Ok(json!({
            "plan": run.spelled(&chosen.plan),
            "latency_weight": chosen.latency_weight,
            "within_budget": chosen.is_within,
            "predicted": chosen.predicted.map(|predicted| predicted.path),
        }))
    }

    /// The plan, where it is known before anything runs.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// The same with another plan.
    pub fn replaced(self, plan: Option<Plan>) -> Self {
        Course { plan, latency_weight: None, within: None }
    }

    /// Answers the question.
    ///
    /// # Errors
    /// No operator gave anything, or not in time; with what that cost.
    pub async fn answer(
        &self,
        run: &Run,
        request: &ChatRequest,
        draw: u64,
        until: Instant,
        id: &str,
        listener: &Listener,
    ) -> Result<Outcome, Fault> {
        let is_recorded = run.upstreams.is_empty();
        let ask = Ask {
            within: self.within.map(|within| left(within, run, until)),
            latency_weight: self.latency_weight,
            plan: self.plan.as_ref(),
            clock: Some(if is_recorded { Clock::Virtual } else { Clock::Live }),
            called: id,
            conversation: &request.talk.before,
            until: Some(until),
            purpose: Purpose::Serve,
            draw,
            observer: Some(listener),
            ..Ask::default()
        };
        let answered = run.agent.answer(&request.talk.question, ask).await;
        let answered = answered.map_err(|error| Fault::of_plan(&error))?;
        run.queue.note(&answered.trace);
        let cost = answered.trace.cost();
        let Some(text) = shown(&answered) else {
            let fault = match answered.trace.failure() {
                _ if Instant::now() >= until => Fault::late(),
                Some(reason) => Fault::upstream(format!("no operator gave an answer: {reason}")),
                None => Fault::upstream("no operator of the plan found a solution; hint: another plan, or `NAME:best`")
                    .coded("no_solution"),
            };
            return Err(fault.costing(cost));
        };
        let usage = answered.trace.usage();
        if text.is_empty() && usage.completion_tokens == 0 {
            let message =
                "the models gave no text: the messages do not fit into their context, or their filter refused them";
            return Err(Fault::of("messages", message).coded("no_text").costing(cost));
        }
        let tokens = listener.tokens(text).unwrap_or(usage.completion_tokens).min(usage.completion_tokens);
        let (text, is_cut) = request.cut.apply(text.to_owned(), tokens);
        let Answered { answer, confidence, trace, chosen, .. } = &answered;
        let planned = Planned {
            plan: run.spelled(&chosen.plan),
            operators: chosen.plan.choices().count(),
            answer: answer.clone(),
            answers: answered.solutions.iter().filter_map(|solution| solution.answer.clone()).collect(),
            confidence: *confidence,
            path: measured_path(trace),
            predicted: chosen.predicted.as_ref().map(|predicted| predicted.path),
            latency_weight: chosen.latency_weight,
            is_within: chosen.is_within,
            draw,
            dropped: trace.all().filter(|span| span.outcome == Status::Cancelled).count(),
            retries: trace.retries(),
            events: listener.events(),
        };
        Ok(Outcome { text, is_cut, usage, answer_tokens: tokens, cost, planned: Some(planned), ..Outcome::default() })
    }
}

/// What is left of a budget now, without what calls wait of late.
fn left(within: Budget, run: &Run, until: Instant) -> Budget {
    match within {
        Budget::Tokens(_) => within,
        Budget::Seconds(_) => {
            let left = until.saturating_duration_since(Instant::now()).as_secs_f64();
            Budget::Seconds((left - run.queue.seconds()).max(0.0))
        }
    }
}

/// The text that is shown: of the solution that the vote takes, or else of the last one.
fn shown(answered: &Answered) -> Option<&str> {
    let last = || answered.solutions.last().map(|Solution { text, .. }| text.as_str());
    answered.text.as_deref().or_else(last)
}
