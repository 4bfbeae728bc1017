//! The wall clock: the decider hears of each solution as it arrives, and what it drops is really cancelled.
//!
//! Which answers come first depends on the machines, so two runs may differ. Training, evaluation and replay therefore run in
//! virtual time.

use std::collections::BTreeMap;

use futures::future::{AbortHandle, Abortable, BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::choice::{Choice, Ended, Given, Phase, act};
use super::course::{Course, Ready, Then};
use super::error::ExecuteError;
use crate::decide::Decider;
use crate::operation::{Arrival, Effect, Reporter, Solution};
use crate::plan::{Latency, Status};

/// The result of `work`; none if it is too late.
pub(super) async fn in_time<T>(until: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => timeout_at(until, work).await.ok(),
        None => Some(work.await),
    }
}

/// A running operator: gives its number and, unless it was aborted, its result.
type Running<'a> = BoxFuture<'a, (usize, Option<Result<(Effect, Status), ExecuteError>>)>;

/// The running operators, how they report, and how they are dropped.
struct Calls<'a> {
    running: FuturesUnordered<Running<'a>>,
    handles: BTreeMap<usize, AbortHandle>,
    reports: UnboundedSender<Arrival>,
    arrivals: UnboundedReceiver<Arrival>,
    /// The choices that reported last, all at one moment.
    last: Vec<usize>,
}

/// Something that happened.
enum Heard {
    Arrived(Arrival),
    Ended(usize, Option<Result<(Effect, Status), ExecuteError>>),
}

/// Runs a course to its end.
///
/// # Errors
/// The model refuses a request permanently, or a committed layer does not fit the catalogue.
pub(super) async fn run<'a>(course: &mut Course<'a>, decider: &mut dyn Decider) -> Result<(), ExecuteError> {
    let (reports, arrivals) = unbounded_channel();
    let (running, handles) = (FuturesUnordered::new(), BTreeMap::new());
    let mut calls = Calls { running, handles, reports, arrivals, last: Vec::new() };
    while course.ask(decider, |course, dropped| calls.drop(course, dropped))? != Then::Ends {
        calls.start(course, Ready::All);
        let Some(goes_on) = in_time(course.options.until, calls.hear_all(course)).await else {
            calls.last.clear();
            break;
        };
        if !goes_on? {
            return Ok(());
        }
    }
    let Calls { running, last, .. } = calls;
    drop(running);
    for (at, choice) in course.choices.iter_mut().enumerate() {
        let had_ended = choice.ended().is_some();
        interrupt(choice);
        if let Phase::Ended(ended) = &mut choice.phase
            && !had_ended
            && ended.outcome == Status::Cancelled
            && last.contains(&at)
        {
            // A generator whose answer ended the plan is done; its other calls were dropped like all the rest.
            ended.outcome = Status::Done;
        }
    }
    Ok(())
}

impl<'a> Calls<'a> {
    fn start(&mut self, course: &mut Course<'a>, ready: Ready) {
        let recorder = course.options.recorder;
        course.start_ready(ready, |at, mut acting, board| {
            acting.work.reports(Reporter { choice: at, arrivals: self.reports.clone() });
            let (handle, registration) = AbortHandle::new_pair();
            self.handles.insert(at, handle);
            let run = Abortable::new(async move { act(&mut acting, &board, recorder).await }, registration);
            self.running.push(async move { (at, run.await.ok()) }.boxed());
        });
    }

    /// Waits for the next event and applies everything that happens at that moment; false when nothing runs any more.
    async fn hear_all(&mut self, course: &mut Course<'a>) -> Result<bool, ExecuteError> {
        self.last.clear();
        let Some(first) = self.next().await else { return Ok(false) };
        self.apply(course, first)?;
        // An operator that has just reported an answer may have more to report, and one poll does not reach all of them.
        let mut quiet = 0;
        while quiet <= self.running.len() {
            quiet += 1;
            tokio::task::yield_now().await;
            self.start(course, Ready::Free);
            while let Some(Some(heard)) = self.next().now_or_never() {
                self.apply(course, heard)?;
                quiet = 0;
            }
        }
        Ok(true)
    }

    async fn next(&mut self) -> Option<Heard> {
        tokio::select! {
            biased;
            Some(arrival) = self.arrivals.recv() => Some(Heard::Arrived(arrival)),
            ended = self.running.next() => ended.map(|(at, result)| Heard::Ended(at, result)),
        }
    }

    fn apply(&mut self, course: &mut Course<'a>, heard: Heard) -> Result<(), ExecuteError> {
        match heard {
            Heard::Arrived(arrival) => {
                self.last.push(arrival.choice);
                arrived(course, arrival);
            }
            Heard::Ended(at, result) => {
                let choice = &mut course.choices[at];
                match result {
                    Some(result) => {
                        self.last.push(at);
                        let (effect, outcome) = result?;
                        choice.end(effect, outcome);
                    }
                    None => interrupt(choice),
                }
                if let Some(ended) = choice.ended() {
                    course.now = course.now.beside(ended.end);
                }
            }
        }
        Ok(())
    }

    /// Running choices are aborted and end at their next report; waiting ones will never run.
    fn drop(&mut self, course: &mut Course<'a>, dropped: &[usize]) -> Then {
        course.note_drop(dropped);
        for at in dropped {
            match self.handles.get(at) {
                Some(handle) => handle.abort(),
                None => course.choices[*at].skip(course.now),
            }
        }
        Then::GoesOn
    }
}

fn arrived(course: &mut Course<'_>, Arrival { choice, place, solution, after }: Arrival) {
    let Some(Phase::Running { start, given }) = course.choices.get_mut(choice).map(|choice| &mut choice.phase) else {
        return;
    };
    match solution {
        None => given.clear(),
        Some(solution) => {
            if given.len() <= place {
                given.resize_with(place + 1, || None);
            }
            given[place] = Some(Given { solution, after });
        }
    }
    course.now = course.now.beside(start.then(after));
}

/// Ends a choice whose calls were dropped; what it had given by then stays.
fn interrupt(choice: &mut Choice<'_>) {
    let lasted = choice.steps.latency();
    match &mut choice.phase {
        Phase::Running { start, given } => {
            let (start, given) = (*start, std::mem::take(given));
            let (solutions, arrivals): (Vec<Solution>, Vec<Latency>) =
                given.into_iter().flatten().map(|given| (given.solution, start.then(given.after))).unzip();
            choice.phase = Phase::Ended(Ended {
                start,
                end: start.then(lasted),
                arrivals,
                until: f64::INFINITY,
                outcome: Status::Cancelled,
                effect: if solutions.is_empty() { Effect::Keep } else { Effect::Append(solutions) },
                is_fresh: true,
            });
        }
        Phase::Waiting => choice.skip(Latency { tokens: f64::INFINITY, seconds: f64::INFINITY }),
        Phase::Ended(_) => {}
    }
}
