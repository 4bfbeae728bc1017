//! Cancellation in fact: a plan ends while it runs, as soon as what has arrived is enough, and its calls are dropped.
//!
//! The rule is that of [`super::evidence`], applied to what the clock on the wall has brought rather than to tokens: what
//! was enough stays the same, and what has been spent by then is all that is spent. Which answers come first is up to
//! the machines, so that two runs may differ in what they hear; training, evaluation and replay therefore end their plans
//! in virtual time.

use std::str::FromStr;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::evidence::{Known, Standing};
use super::{Choice, Done, ExecutionConfig};
use crate::operators::{Arrival, Effect, Query, Reporter, Solution, Work};
use crate::plan::Outcome;

/// How a plan that ends early ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cancel {
    /// In virtual time, when all calls have run: what came after the end is taken back. The same seed gives the same
    /// trace.
    #[default]
    Virtual,
    /// While it runs: calls in flight are dropped, and count for what they came to.
    Live,
}

impl FromStr for Cancel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "virtual" => Ok(Cancel::Virtual),
            "live" => Ok(Cancel::Live),
            _ => Err(format!("expected live or virtual, found `{text}`")),
        }
    }
}

/// What of a plan has arrived so far.
#[derive(Debug)]
pub(super) struct Live {
    reports: UnboundedSender<Arrival>,
    arrivals: UnboundedReceiver<Arrival>,
    /// For each choice that runs, what it has given, by place.
    given: Vec<Vec<Option<Solution>>>,
    /// The choice that was last heard of.
    last: usize,
}

/// What happens next in a plan.
pub(super) enum Event<T> {
    /// An operator has ended.
    Ended(T),
    /// An operator that goes on has given a solution.
    Arrived,
}

impl Live {
    /// None where nothing ends `plan` while it runs.
    pub(super) fn new(config: &ExecutionConfig, choices: &[Choice<'_>]) -> Option<Self> {
        let ends_early = config.quorum || config.agreement > 0;
        let (reports, arrivals) = unbounded_channel();
        let given = vec![Vec::new(); choices.len()];
        (config.cancel == Cancel::Live && ends_early).then_some(Live { reports, arrivals, given, last: 0 })
    }

    /// Hears of the answers of choice `at`.
    pub(super) fn listen(&self, at: usize, work: &mut Work<'_>) {
        work.reports(Reporter { choice: at, arrivals: self.reports.clone() });
    }

    /// What happens next; none when nothing runs any more.
    pub(super) async fn next<T>(
        &mut self,
        running: &mut (impl Stream<Item = (usize, T)> + Unpin),
    ) -> Option<Event<(usize, T)>> {
        tokio::select! {
            biased;
            Some(arrival) = self.arrivals.recv() => {
                self.hear(arrival);
                Some(Event::Arrived)
            }
            ended = running.next() => {
                let (at, result) = ended?;
                self.last = at;
                Some(Event::Ended((at, result)))
            }
        }
    }

    fn hear(&mut self, Arrival { choice, place, solution }: Arrival) {
        let given = &mut self.given[choice];
        self.last = choice;
        match solution {
            None => given.clear(),
            Some(solution) => {
                given.resize(given.len().max(place + 1), None);
                given[place] = Some(solution);
            }
        }
    }

    /// Whether what has arrived is enough by the rule of `config`. `done` holds the operators that have ended.
    pub(super) fn is_enough(
        &self,
        config: &ExecutionConfig,
        choices: &[Choice<'_>],
        done: &[Option<Done<'_>>],
    ) -> bool {
        let known = done.iter().zip(&self.given).map(|(done, given)| match done {
            Some(done) => Known::ended(&done.effect),
            None => Known { ended: None, given: given.iter().map(Option::as_ref).collect() },
        });
        Standing::of(choices, known).is_enough(config)
    }

    /// What becomes of the choices that had not ended when the plan did; `works` show what they took, `started` when
    /// they began, in seconds from the start of the query, if they did.
    ///
    /// A generator whose answer ended the plan is done; its other calls were dropped like all others.
    pub(super) fn end<'a>(
        self,
        query: &'a Query<'a>,
        choices: &[Choice<'a>],
        works: Vec<Work<'a>>,
        started: &[Option<f64>],
        done: Vec<Option<Done<'a>>>,
    ) -> Vec<Done<'a>> {
        let interrupted = |at: usize, work: Work<'a>, given: Vec<Option<Solution>>| {
            let Some(started) = started[at] else {
                return choices[at].idle(query, f64::INFINITY, Outcome::Skipped, Effect::Keep);
            };
            let given: Vec<Solution> = given.into_iter().flatten().collect();
            let effect = if given.is_empty() { Effect::Keep } else { Effect::Append(given) };
            let outcome = if at == self.last { Outcome::Done } else { Outcome::Cancelled };
            Done { work, started, until: f64::INFINITY, outcome, effect }
        };
        let choices = done.into_iter().zip(works).zip(self.given).enumerate();
        choices.map(|(at, ((done, work), given))| done.unwrap_or_else(|| interrupted(at, work, given))).collect()
    }
}
