//! The virtual clock: committed operators run to their end at once; then the decider hears of the events one moment at a time.
//!
//! The decider can only be asked when everything committed before has really ended. That is one barrier for each decision of a
//! query; other queries in flight hide it.

use futures::stream::{FuturesUnordered, StreamExt};

use super::choice::{Choice, Phase, act};
use super::course::{Course, Ready, Then};
use super::error::ExecuteError;
use crate::decide::Decider;
use crate::operation::Steps;
use crate::plan::{Latency, Status, Unit};

/// Runs a course to its end.
///
/// # Errors
/// The model refuses a request permanently, or a committed layer does not fit the catalogue.
pub(super) async fn run(course: &mut Course<'_>, decider: &mut dyn Decider) -> Result<(), ExecuteError> {
    loop {
        if course.ask(decider, drop_choices)? == Then::Ends {
            take_back(course);
            return Ok(());
        }
        finish_running(course).await?;
        if decider.is_idle() && course.options.observer.is_none() {
            return Ok(());
        }
        match next_instant(course) {
            Some(instant) => course.now = instant,
            None => return Ok(()),
        }
    }
}

/// Runs everything that can run, to its end.
async fn finish_running(course: &mut Course<'_>) -> Result<(), ExecuteError> {
    let mut running = FuturesUnordered::new();
    let recorder = course.options.recorder;
    loop {
        course.start_ready(Ready::All, |at, mut acting, board| {
            running.push(async move { (at, act(&mut acting, &board, recorder).await) });
        });
        let Some((at, result)) = running.next().await else { return Ok(()) };
        let (effect, outcome) = result?;
        course.choices[at].end(effect, outcome);
    }
}

/// The next moment at which something arrives or ends; in the other unit, the latest time of what has happened by then.
fn next_instant(course: &mut Course<'_>) -> Option<Latency> {
    let (unit, now) = (course.options.unit, course.now);
    let mut next: Option<Latency> = None;
    for choice in &mut course.choices {
        let Phase::Ended(ended) = &mut choice.phase else { continue };
        let is_fresh = std::mem::take(&mut ended.is_fresh);
        if ended.outcome == Status::Skipped {
            continue;
        }
        for time in ended.arrivals.iter().copied().chain([ended.end]) {
            let is_heard = unit.of(time) <= unit.of(now) && !is_fresh;
            next = match next {
                _ if is_heard => next,
                Some(first) if unit.of(first) < unit.of(time) => Some(first),
                Some(first) if unit.of(first) == unit.of(time) => Some(first.beside(time)),
                _ => Some(time),
            };
        }
    }
    next.map(|next| next.beside(now))
}

/// Undoes what came after the end of the plan, which is now.
fn take_back(course: &mut Course<'_>) {
    let (unit, now) = (course.options.unit, course.now);
    for choice in &mut course.choices {
        let Choice { phase, steps, .. } = choice;
        if let Phase::Ended(ended) = phase {
            ended.cut(unit, now, steps);
        }
    }
}

/// Ends choices now; what waited for them starts again, with what they have given by now.
fn drop_choices(course: &mut Course<'_>, dropped: &[usize]) -> Then {
    let (unit, now) = (course.options.unit, course.now);
    let mut is_undone = vec![false; course.choices.len()];
    course.note_drop(dropped);
    for at in 0..course.choices.len() {
        let choice = &mut course.choices[at];
        if dropped.contains(&at) {
            drop_choice(choice, unit, now);
        } else if choice.waits_for.iter().any(|before| dropped.contains(before) || is_undone[*before]) {
            is_undone[at] = true;
            (choice.phase, choice.steps) = (Phase::Waiting, Steps::default());
        }
    }
    Then::Asks
}

fn drop_choice(choice: &mut Choice<'_>, unit: Unit, now: Latency) {
    let Choice { phase, steps, .. } = choice;
    if let Phase::Ended(ended) = phase {
        ended.cut(unit, now, steps);
    }
    if choice.ended().is_none_or(|ended| ended.outcome == Status::Skipped) {
        choice.skip(now);
    }
}
