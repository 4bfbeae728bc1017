//! Makes calls in parallel, counts them whatever becomes of them, and reports each answer as it arrives.

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::Solution;
use super::steps::{Step, Steps, Tariff};
use crate::model::{self, Completion, Meter, Reading, Timing};
use crate::plan::{Latency, Usage};

/// One of the answers that a generator gives in parallel.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// The position of the generator among the choices of the plan.
    pub choice: usize,
    /// Position among the answers of the generator.
    pub place: usize,
    /// `None` if the call failed. This takes back what the generator has given: one failed call fails all.
    pub solution: Option<Solution>,
    /// Since the start of the generator.
    pub after: Latency,
}

/// Reports the answers of one generator while others are still being written.
#[derive(Clone, Debug)]
pub struct Reporter {
    pub choice: usize,
    pub arrivals: UnboundedSender<Arrival>,
}

impl Reporter {
    /// Reports an answer.
    pub(super) fn tell(&self, place: usize, solution: Option<Solution>, after: Latency) {
        // Nobody listens any more once the query has ended.
        let _ = self.arrivals.send(Arrival { choice: self.choice, place, solution, after });
    }
}

/// Calls of the model in progress. When this is dropped, because they ended or are no longer needed, all are counted.
pub(super) struct Calls {
    steps: Steps,
    /// Since the start of the operator.
    begins: Latency,
    started: Instant,
    /// One for each call.
    meters: Vec<Meter>,
    /// Of the calls that have ended.
    pub results: Vec<Option<Result<Completion, model::Error>>>,
}

impl Calls {
    pub fn new(steps: Steps, begins: Latency, meters: Vec<Meter>) -> Self {
        let results = meters.iter().map(|_| None).collect();
        Calls { steps, begins, started: Instant::now(), meters, results }
    }

    /// When a call that gave `result` ended, measured from the start of the operator.
    pub fn ends(&self, result: &Result<Completion, model::Error>) -> Latency {
        let waited = self.started.elapsed().as_secs_f64();
        let Step { begins, lasts, .. } = ended(self.begins, result, waited);
        begins.then(lasts)
    }

    /// The texts that the calls answered, or the first error among them.
    pub fn texts(self) -> Result<Vec<String>, model::Error> {
        let text = |result: &Result<Completion, model::Error>| match result {
            Ok(completion) => Ok(completion.answer().to_owned()),
            Err(error) => Err(error.clone()),
        };
        self.results.iter().flatten().map(text).collect()
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        let begins = self.begins;
        let waited = self.started.elapsed().as_secs_f64();
        let results = self.results.drain(..).zip(&self.meters);
        let steps = results.filter_map(|(result, meter)| match result {
            Some(result) => Some(ended(begins, &result, waited)),
            None => dropped(begins, meter, waited),
        });
        self.steps.extend(steps);
    }
}

fn ended(begins: Latency, result: &Result<Completion, model::Error>, waited: f64) -> Step {
    let (usage, hedged, Timing { total, queued, retries, .. }) = match result {
        Ok(completion) => (completion.usage, completion.hedged, completion.timing),
        // The published code counts no time for failed calls, but they delay the plan all the same.
        Err(error) => (Usage::default(), None, Timing { total: waited, retries: error.retries(), ..Timing::default() }),
    };
    let lasts = Latency { tokens: usage.completion_tokens as f64, seconds: total };
    Step { calls: 1, retries, queued, usage, hedged, ..Step::new(begins, lasts) }
}

/// The step of a call that was not waited for, read from its meter; `None` if it was still waiting for its turn.
fn dropped(begins: Latency, meter: &Meter, waited: f64) -> Option<Step> {
    let reading = meter.read();
    let retries = reading.requests.checked_sub(1)?;
    let seconds = reading.sent.map_or(0.0, |sent| sent.elapsed().as_secs_f64());
    let lasts = Latency { tokens: reading.written as f64, seconds };
    let queued = (waited - seconds).max(0.0);
    let Reading { usage, hedged, .. } = reading;
    Some(Step { calls: 1, retries, queued, usage, hedged, ..Step::new(begins, lasts) })
}

/// A run of a tool. If it is dropped, its time is charged, waiting included; a run that ends is not charged here.
pub(super) struct ToolRun {
    steps: Steps,
    tariff: Tariff,
    since: Option<Instant>,
}

impl ToolRun {
    pub fn new(steps: Steps, tariff: Tariff) -> Self {
        ToolRun { steps, tariff, since: Some(Instant::now()) }
    }

    pub fn ended(mut self) {
        self.since = None;
    }
}

impl Drop for ToolRun {
    fn drop(&mut self) {
        if let Some(since) = self.since {
            let measured = since.elapsed().as_secs_f64();
            self.tariff.charge(&self.steps, measured, Usage::default(), None);
        }
    }
}
