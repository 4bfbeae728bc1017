//! Run-time evidence: a plan ends once what was found makes the rest redundant.
//!
//! Time is virtual here: the latency in tokens (E3), which is the same on every machine. The calls have run by now, and
//! what would have come after the end of the plan is taken back: it is neither charged nor read. So the same seed gives
//! the same bytes, and a replayed query ends where it did when it was recorded.

use super::halting::{Look, Moment};
use super::{Choice, Done, ExecutionConfig};
use crate::operators::{Ballot, Effect, Query, Solution, is_settled, winner};
use crate::plan::{Dependencies, Kind, Outcome, Treatment};

/// Ends the plan at the first moment at which `config` or `look` lets it end, if that is before its last operator ends.
///
/// Operators that have not started by then are skipped. Of one that runs, the prompt and the tokens written by then
/// count; it is cancelled, unless what it gave last is what ended the plan.
pub(super) fn end_early(
    query: &Query<'_>,
    config: &ExecutionConfig,
    choices: &[Choice<'_>],
    dependencies: &Dependencies,
    done: &mut [Done<'_>],
    mut look: Option<&mut Look<'_>>,
) {
    if !config.quorum && config.agreement == 0 && look.is_none() {
        return;
    }
    let times = times(dependencies, done);
    let last = times.iter().map(|time| time.end).fold(0.0, f64::max);
    let mut moments: Vec<f64> = times.iter().flat_map(|time| time.arrivals.iter().copied().chain([time.end])).collect();
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    moments.retain(|&moment| moment < last);
    let is_enough = |&moment: &f64| {
        let standing = Standing::at(moment, choices, &times, done);
        let mut halts = |look: &mut &mut Look<'_>| {
            Moment::at(moment, query, choices, &times, done, &standing).is_some_and(|moment| look(&moment))
        };
        standing.is_enough(config) || look.as_mut().is_some_and(&mut halts)
    };
    if let Some(end) = moments.into_iter().find(is_enough) {
        cut(end, &times, done);
    }
}

/// When an operator ran, in tokens from the start of the query.
pub(super) struct Time {
    pub start: f64,
    pub end: f64,
    /// When each of its solutions existed.
    pub arrivals: Vec<f64>,
}

impl Time {
    /// Tokens that the operator is given of a plan that ends at `end`; it has not started below 0.
    pub fn until(&self, end: f64) -> f64 {
        match end {
            _ if self.end <= end => f64::INFINITY,
            _ if self.start >= end && !self.arrivals.contains(&end) => f64::NEG_INFINITY,
            _ => end - self.start,
        }
    }
}

fn times(dependencies: &Dependencies, done: &[Done<'_>]) -> Vec<Time> {
    let mut times: Vec<Time> = Vec::with_capacity(done.len());
    for (waits_for, done) in dependencies.0.iter().zip(done) {
        let start = waits_for.iter().map(|&before| times[before].end).fold(0.0, f64::max);
        let solutions = appended(&done.effect).len();
        let arrivals = done.work.arrivals(solutions).into_iter().take(solutions).map(|offset| start + offset).collect();
        times.push(Time { start, end: start + done.spent().latency.tokens, arrivals });
    }
    times
}

fn appended(effect: &Effect) -> &[Solution] {
    match effect {
        Effect::Append(solutions) => solutions,
        Effect::Replace(_) | Effect::Keep => &[],
    }
}

/// What is known of a choice while its plan runs.
pub(super) struct Known<'a> {
    /// What came of it, if it has ended.
    pub ended: Option<&'a Effect>,
    /// Its solutions that exist, by place.
    pub given: Vec<Option<&'a Solution>>,
}

impl<'a> Known<'a> {
    pub(super) fn ended(effect: &'a Effect) -> Self {
        Known { ended: Some(effect), given: appended(effect).iter().map(Some).collect() }
    }
}

/// The solutions that stand at a moment, and the places of those still to come, in plan order.
#[derive(Default)]
pub(super) struct Standing<'a> {
    pub ballots: Vec<Ballot<'a>>,
    pub is_pending: Vec<bool>,
    layers: Vec<usize>,
    /// Whether some may yet be replaced.
    pub is_open: bool,
}

impl<'a> Standing<'a> {
    /// What is known at `moment`: of an operator that has not ended only what it has given so far, and how much it may
    /// still give.
    fn at(moment: f64, choices: &[Choice<'_>], times: &[Time], done: &'a [Done<'_>]) -> Self {
        let known = times.iter().zip(done).map(|(time, done)| {
            let solutions = appended(&done.effect).iter().zip(&time.arrivals);
            let given = solutions.map(|(solution, &arrival)| (arrival <= moment).then_some(solution)).collect();
            Known { ended: (time.end <= moment).then_some(&done.effect), given }
        });
        Standing::of(choices, known)
    }

    /// As [`Standing::at`]; `known` has one entry for each choice.
    pub(super) fn of(choices: &[Choice<'_>], known: impl Iterator<Item = Known<'a>>) -> Self {
        let mut standing = Standing::default();
        for (choice, Known { ended, given }) in choices.iter().zip(known) {
            if choice.treatment == Treatment::Skip {
                continue;
            }
            let most = if ended.is_some() { given.len() } else { choice.signature.solutions };
            let executed = choice.operator.executes();
            for place in 0..most {
                match given.get(place).copied().flatten() {
                    Some(solution) => standing.push(choice.layer, Ballot::from(solution), false),
                    None => standing.push(choice.layer, Ballot { answer: None, executed }, true),
                }
            }
            match ended {
                Some(Effect::Replace(solution)) => standing.replace(choice.layer, Ballot::from(solution)),
                _ => standing.is_open |= ended.is_none() && choice.signature.kind == Kind::Ensemble,
            }
        }
        standing
    }

    fn push(&mut self, layer: usize, ballot: Ballot<'a>, is_pending: bool) {
        self.ballots.push(ballot);
        self.is_pending.push(is_pending);
        self.layers.push(layer);
    }

    fn replace(&mut self, layer: usize, ballot: Ballot<'a>) {
        let kept: Vec<usize> = (0..self.layers.len()).filter(|&at| self.layers[at] >= layer).collect();
        self.ballots = kept.iter().map(|&at| self.ballots[at]).collect();
        self.is_pending = kept.iter().map(|&at| self.is_pending[at]).collect();
        self.layers = kept.iter().map(|&at| self.layers[at]).collect();
        self.push(layer, ballot, false);
    }

    /// The winner of a vote taken now.
    pub fn leader(&self) -> Option<Ballot<'a>> {
        winner(&self.ballots).map(|best| self.ballots[best])
    }

    pub(super) fn is_enough(&self, config: &ExecutionConfig) -> bool {
        let answers: Vec<&str> = self.ballots.iter().filter_map(|ballot| ballot.answer).collect();
        let agree = answers.windows(2).all(|pair| pair[0] == pair[1]);
        let agreed = config.agreement > 0 && answers.len() >= config.agreement as usize && agree;
        agreed || (config.quorum && !self.is_open && is_settled(&self.ballots, &self.is_pending))
    }
}

/// Takes back what came after `end`.
fn cut(end: f64, times: &[Time], done: &mut [Done<'_>]) {
    for (time, done) in times.iter().zip(&mut *done).filter(|(time, _)| time.end > end) {
        let ended_it = time.arrivals.contains(&end);
        done.until = time.until(end);
        if done.until < 0.0 {
            (done.outcome, done.effect) = (Outcome::Skipped, Effect::Keep);
            continue;
        }
        if !ended_it {
            done.outcome = Outcome::Cancelled;
        }
        let given: Vec<bool> = time.arrivals.iter().map(|&arrival| arrival <= end).collect();
        if let Effect::Append(solutions) = &mut done.effect {
            let mut given = given.into_iter();
            solutions.retain(|_| given.next() == Some(true));
        } else {
            done.effect = Effect::Keep;
        }
    }
    skip_by_the_end(done);
}

/// What was skipped would have started when the plan ended, at the latest.
pub(super) fn skip_by_the_end(done: &mut [Done<'_>]) {
    let ended = done.iter().filter(|done| done.outcome != Outcome::Skipped);
    let seconds = ended.map(|done| done.started + done.spent().latency.seconds).fold(0.0, f64::max);
    for done in done.iter_mut().filter(|done| done.outcome == Outcome::Skipped) {
        done.started = done.started.min(seconds);
    }
}
