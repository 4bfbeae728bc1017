//! Observers hear what happens in a query, once it is certain, in the order in which it was decided.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::choice::{Choice, Ended, Phase, appended};
use crate::plan::{Latency, Status, Unit};
use crate::printable::printable;

/// Hears what happens in a query. It is called from within the query, so it must not take long.
pub trait Observer: Send + Sync {
    /// Something has happened.
    fn hear(&self, event: &Event<'_>);
}

/// An event. Times are from the start of the query.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// An operator was committed to the plan as choice number `choice`.
    Committed { choice: usize, layer: usize, operator: &'a str, at: Latency },
    /// It has started.
    Started { choice: usize, operator: &'a str, at: Latency },
    /// It has given a solution.
    Arrived { choice: usize, operator: &'a str, text: &'a str, answer: Option<&'a str>, at: Latency },
    /// It has ended, by itself or otherwise.
    Ended { choice: usize, operator: &'a str, outcome: &'a Status, at: Latency },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { tokens, seconds } = self.at();
        write!(f, "{tokens:>8.1} tokens {seconds:>8.3} s  ")?;
        match self {
            Event::Committed { choice, layer, operator, .. } => {
                write!(f, "{choice} {operator} committed to layer {}", layer + 1)
            }
            Event::Started { choice, operator, .. } => write!(f, "{choice} {operator} started"),
            Event::Arrived { choice, operator, answer, .. } => {
                write!(f, "{choice} {operator} answered {}", printable(answer.unwrap_or("nothing")))
            }
            Event::Ended { choice, operator, outcome, .. } => {
                let outcome = format!("{outcome:?}").to_lowercase();
                write!(f, "{choice} {operator} {}", printable(&outcome))
            }
        }
    }
}

impl Event<'_> {
    fn at(&self) -> Latency {
        match self {
            Event::Committed { at, .. }
            | Event::Started { at, .. }
            | Event::Arrived { at, .. }
            | Event::Ended { at, .. } => *at,
        }
    }
}

/// What the observer has heard about each choice.
#[derive(Default)]
pub(super) struct Announced(Vec<Reported>);

#[derive(Clone, Copy, Default)]
struct Reported {
    committed: bool,
    started: bool,
    solutions: usize,
    ended: bool,
}

impl Announced {
    /// Reports everything known by `now` that was not reported before.
    pub fn tell(&mut self, observer: &dyn Observer, choices: &[Choice<'_>], unit: Unit, now: Latency) {
        self.0.resize(choices.len(), Reported::default());
        let mut events = Vec::new();
        for (number, (choice, reported)) in choices.iter().zip(&mut self.0).enumerate() {
            reported.take_in(number, choice, unit, now, &mut events);
        }
        // In plan order if they happen at one moment, so that causes come before the commit they cause.
        events.sort_by(|a, b| unit.of(a.at()).total_cmp(&unit.of(b.at())));
        events.iter().for_each(|event| observer.hear(event));
    }
}

impl Reported {
    fn take_in<'a>(
        &mut self,
        choice: usize,
        known: &'a Choice<'_>,
        unit: Unit,
        now: Latency,
        events: &mut Vec<Event<'a>>,
    ) {
        let operator = known.operator.name.as_str();
        let is_past = |time: Latency| unit.of(time) <= unit.of(now);
        if !self.committed {
            self.committed = true;
            events.push(Event::Committed { choice, layer: known.layer, operator, at: known.committed });
        }
        let (start, given): (Latency, Vec<_>) = match &known.phase {
            Phase::Waiting => return,
            Phase::Running { start, given } => {
                let given = given.iter().flatten();
                (*start, given.map(|given| (&given.solution, start.then(given.after))).collect())
            }
            Phase::Ended(Ended { start, effect, arrivals, .. }) => {
                (*start, appended(effect).iter().zip(arrivals.iter().copied()).collect())
            }
        };
        let is_skipped = known.ended().is_some_and(|ended| ended.outcome == Status::Skipped);
        if !self.started && !is_skipped && is_past(start) {
            self.started = true;
            events.push(Event::Started { choice, operator, at: start });
        }
        let mut given: Vec<_> = given.into_iter().filter(|(_, at)| is_past(*at)).collect();
        given.sort_by(|a, b| unit.of(a.1).total_cmp(&unit.of(b.1)));
        for (solution, at) in given.into_iter().skip(self.solutions) {
            self.solutions += 1;
            let (text, answer) = (solution.text.as_str(), solution.answer.as_deref());
            events.push(Event::Arrived { choice, operator, text, answer, at });
        }
        if let Some(Ended { end, outcome, .. }) = known.ended().filter(|ended| !self.ended && is_past(ended.end)) {
            self.ended = true;
            events.push(Event::Ended { choice, operator, outcome, at: *end });
        }
    }
}

/// Keeps what it hears, one JSON object per event.
#[derive(Debug, Default)]
pub struct Transcript(Mutex<Vec<String>>);

impl Transcript {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Transcript {
    fn hear(&self, event: &Event<'_>) {
        if let Ok(line) = serde_json::to_string(event) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}
