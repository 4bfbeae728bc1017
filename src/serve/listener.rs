//! Hears what happens to a request: to tell who asks, and to know which tokens are the answer's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::live::Seen;
use crate::execute::{Event, Observer};

/// Is told something.
pub type Told = Box<dyn Fn(&str) + Send + Sync>;

/// Hears what happens to one question.
#[derive(Default)]
pub struct Listener {
    heard: Mutex<Heard>,
    /// Whether events are kept.
    keeps: bool,
    /// Is told of each event, in words.
    told: Option<Told>,
    /// Shows what happens on the page.
    seen: Option<Arc<Seen>>,
}

#[derive(Default)]
struct Heard {
    /// When each choice started, in tokens.
    starts: Vec<(usize, f64)>,
    /// The texts that came, each with the tokens that it took.
    texts: Vec<(String, u64)>,
    events: Vec<Value>,
}

impl Listener {
    /// `keeps`: whether events are kept; `told` hears of them at once, as does `seen`.
    pub fn new(keeps: bool, told: Option<Told>, seen: Option<Arc<Seen>>) -> Self {
        Listener { heard: Mutex::default(), keeps, told, seen }
    }

    /// The tokens that a text took; none where it was not heard of.
    pub fn tokens(&self, text: &str) -> Option<u64> {
        self.lock().texts.iter().rev().find(|(heard, _)| heard == text).map(|&(_, tokens)| tokens)
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Value> {
        std::mem::take(&mut self.lock().events)
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Listener {
    fn hear(&self, event: &Event<'_>) {
        let mut heard = self.lock();
        match event {
            Event::Started { choice, at, .. } => heard.starts.push((*choice, at.tokens)),
            Event::Arrived { choice, text, at, .. } => {
                let start = heard.starts.iter().find(|(started, _)| started == choice).map_or(0.0, |&(_, at)| at);
                heard.texts.push(((*text).to_owned(), (at.tokens - start).max(0.0) as u64));
            }
            Event::Committed { .. } | Event::Ended { .. } => {}
        }
        if self.keeps {
            heard.events.extend(serde_json::to_value(event));
        }
        drop(heard);
        if let Some(seen) = &self.seen {
            seen.hear(event);
        }
        if let Some(told) = &self.told {
            told(&format!("{}\n", event.to_string().trim_start()));
        }
    }
}
