//! What is happening to the current requests, and what happened to the last ones, for people to see.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::caps::{DAY, Today};
use super::outcome::Outcome;
use super::time::now;
use crate::execute::{Event, Observer};
use crate::plan::Status;

/// The number of requests shown.
const SHOWN: usize = 60;

/// The latest requests, newest first, and today's totals.
#[derive(Debug, Default)]
pub struct Live {
    requests: Mutex<VecDeque<Arc<Seen>>>,
    /// Since the server started, or midnight.
    today: Mutex<Today>,
    /// Whether the questions are shown.
    shows_texts: bool,
}

/// A request as it is seen from outside.
#[derive(Debug)]
pub struct Seen {
    arrived: Instant,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Serialize)]
struct State {
    model: String,
    question: Option<String>,
    /// Seconds.
    budget: Option<f64>,
    plan: Option<String>,
    /// None while it is being answered.
    result: Option<&'static str>,
    /// Seconds from its arrival.
    took: f64,
    /// Dollars.
    cost: f64,
    spans: Vec<Span>,
    /// When its operators began, in seconds from its arrival.
    #[serde(skip)]
    begun: f64,
}

/// An operator at work, in seconds from the arrival of the request.
#[derive(Clone, Debug, Serialize)]
struct Span {
    #[serde(skip)]
    choice: usize,
    operator: String,
    begins: f64,
    ends: Option<f64>,
    outcome: Option<&'static str>,
}

impl Live {
    /// With `shows_texts` the questions are shown too.
    pub fn new(shows_texts: bool) -> Self {
        Live { shows_texts, ..Live::default() }
    }

    /// A request that was let in.
    pub fn enter(&self, model: &str, question: &str, budget: Option<f64>, arrived: Instant) -> Arc<Seen> {
        let state = State {
            model: model.to_owned(),
            question: self.shows_texts.then(|| question.to_owned()),
            budget,
            plan: None,
            result: None,
            took: 0.0,
            cost: 0.0,
            spans: Vec::new(),
            begun: arrived.elapsed().as_secs_f64(),
        };
        let seen = Arc::new(Seen { arrived, state: Mutex::new(state) });
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push_front(seen.clone());
        // A request that is still being answered stays.
        if requests.len() > SHOWN
            && let Some(oldest) = requests.iter().rposition(|seen| seen.lock().result.is_some())
        {
            requests.remove(oldest);
        }
        seen
    }

    /// A request ended with this result.
    pub fn ended(&self, seen: &Seen, result: &'static str, cost: f64, outcome: Option<&Outcome>) {
        let took = seen.arrived.elapsed().as_secs_f64();
        let mut state = seen.lock();
        (state.result, state.took, state.cost) = (Some(result), took, cost);
        state.plan = outcome.and_then(|outcome| Some(outcome.planned.as_ref()?.plan.clone()));
        for span in state.spans.iter_mut().filter(|span| span.ends.is_none()) {
            (span.ends, span.outcome) = (Some(took), Some(if result == "answered" { "done" } else { "cancelled" }));
        }
        drop(state);
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        today.advance(now() / DAY);
        today.requests += 1;
        today.cost += cost;
    }

    /// Today's totals so far.
    pub fn today(&self) -> Today {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        today.advance(now() / DAY);
        *today
    }

    /// The requests, in JSON.
    pub fn requests(&self) -> Value {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |seen: &Arc<Seen>| {
            let mut state = seen.lock().clone();
            if state.result.is_none() {
                state.took = seen.arrived.elapsed().as_secs_f64();
            }
            state
        };
        json!(requests.iter().map(state).collect::<Vec<_>>())
    }
}

impl Seen {
    /// Its one call begins.
    pub fn calls(&self, name: &str) {
        let mut state = self.lock();
        let (begins, operator) = (self.arrived.elapsed().as_secs_f64(), name.to_owned());
        state.spans.push(Span { choice: 0, operator, begins, ends: None, outcome: None });
    }

    /// Its operators begin.
    pub fn begins(&self) {
        self.lock().begun = self.arrived.elapsed().as_secs_f64();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Seen {
    fn hear(&self, event: &Event<'_>) {
        let mut state = self.lock();
        let begun = state.begun;
        match *event {
            Event::Started { choice, operator, at } => {
                let (operator, begins) = (operator.to_owned(), begun + at.seconds);
                state.spans.push(Span { choice, operator, begins, ends: None, outcome: None });
            }
            Event::Ended { choice, outcome, at, .. } => {
                if let Some(span) = state.spans.iter_mut().find(|span| span.choice == choice) {
                    span.ends = Some(begun + at.seconds);
                    span.outcome = Some(match outcome {
                        Status::Done => "done",
                        Status::Failed(_) => "failed",
                        _ => "cancelled",
                    });
                }
            }
            Event::Committed { .. } | Event::Arrived { .. } => {}
        }
    }
}
