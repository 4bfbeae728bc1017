//! Runs operators with a record: recorded calls are not made again, and new calls are recorded.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Error;
use crate::operation::{Acting, Backing, Board, Call, Effect, Finish, Identity, Reserve, Solution, Turn, Work};
use crate::plan::Latency;
use crate::record::{Asked, Change, Given, Key, Line, Record, Reference, read_by_finish};
use crate::sandbox::Sandbox;
use crate::task::{Benchmark, Problem};

/// The record for one query.
pub struct Recorder<'a> {
    record: &'a Record,
    asked: Asked,
    /// What the question is called, for readers.
    called: &'a str,
    grader: Option<Grader<'a>>,
    replays: Option<&'a Expense>,
}

/// Dollars of the calls that were made, and not taken from the record.
#[derive(Debug, Default)]
pub struct Expense(Mutex<f64>);

impl Expense {
    pub fn dollars(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, dollars: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += dollars;
    }
}

/// Grades solutions as they are recorded.
#[derive(Clone, Copy)]
pub struct Grader<'a> {
    pub benchmark: &'a Benchmark,
    pub problem: &'a Problem,
    pub reference: Reference,
    pub sandbox: Option<&'a Sandbox>,
}

/// A call before it is made or replayed.
struct Place {
    key: Key,
    read: Option<u128>,
    /// Number of parallel solutions wanted; 0 for an operator without parallel solutions.
    wanted: usize,
}

impl<'a> Recorder<'a> {
    /// `grader` is given if the query is a problem.
    pub fn new(record: &'a Record, asked: Asked, called: &'a str, grader: Option<Grader<'a>>) -> Self {
        Recorder { record, asked, called, grader, replays: None }
    }

    /// The same; with an expense given, it reads calls even from a record that is otherwise only written.
    pub fn replaying(self, replays: Option<&'a Expense>) -> Self {
        Recorder { replays, ..self }
    }

    /// Whether no calls are read from the record.
    fn asks_anew(&self) -> bool {
        self.record.is_only_written() && self.replays.is_none()
    }

    /// Runs an operator, from the record if possible.
    ///
    /// # Errors
    /// Those of the operator; or the record cannot be read or written.
    pub(super) async fn run(&self, acting: &mut Acting<'_>, board: &Board) -> Result<Effect, Error> {
        if acting.is_free(board) {
            return acting.run(board).await;
        }
        let work = &mut acting.work;
        let read = work.identity().read(board);
        let wanted = if work.is_side_by_side() { work.samples() as usize } else { 0 };
        let place = Place { key: self.asked.key(work.identity(), read, work.turn()), read, wanted };
        if self.asks_anew() {
            let effect = acting.run(board).await?;
            self.keep(&acting.work, &place, &effect).await?;
            return Ok(effect);
        }
        if let Some(effect) = self.replay(work, &place)? {
            return Ok(effect);
        }
        let _claim = self.record.claim(place.key).await;
        if let Some(effect) = self.replay(work, &place)? {
            return Ok(effect);
        }
        if let Some(line) = self.find(&place, 0)? {
            work.goes_on(line.solutions.iter().map(Given::solution).collect(), &line.calls);
        }
        let effect = acting.run(board).await?;
        self.keep(&acting.work, &place, &effect).await?;
        Ok(effect)
    }

    /// Like [`Recorder::run`], for the finish of a query.
    ///
    /// # Errors
    /// Those of [`Recorder::run`].
    pub(super) async fn finish(
        &self,
        finish: Finish,
        work: &mut Work<'_>,
        standing: &Solution,
    ) -> Result<Option<Solution>, Error> {
        let read = Some(read_by_finish(standing, finish.improve));
        let place = Place { key: self.asked.key(work.identity(), read, Turn::Finish), read, wanted: 0 };
        let improved = |effect: Effect| if let Effect::Replace(solution) = effect { Some(solution) } else { None };
        let _claim;
        if !self.asks_anew() {
            if let Some(effect) = self.replay(work, &place)? {
                return Ok(improved(effect));
            }
            _claim = self.record.claim(place.key).await;
            if let Some(effect) = self.replay(work, &place)? {
                return Ok(improved(effect));
            }
        }
        let effect = finish.run(work, standing).await?.map_or(Effect::Keep, Effect::Replace);
        self.keep(work, &place, &effect).await?;
        Ok(improved(effect))
    }

    fn find(&self, place: &Place, solutions: usize) -> Result<Option<Arc<Line>>, Error> {
        self.record.find(place.key, solutions).map_err(broken)
    }

    /// The recorded result of the call, if there is one.
    fn replay(&self, work: &mut Work<'_>, place: &Place) -> Result<Option<Effect>, Error> {
        let Some(line) = self.find(place, place.wanted)? else { return Ok(None) };
        self.record.count_found();
        let samples = if place.wanted > 0 { place.wanted } else { usize::MAX };
        work.replay(&line.calls[..line.calls.len().min(samples)]);
        Ok(Some(line.effect(samples)))
    }

    async fn keep(&self, work: &Work<'_>, place: &Place, effect: &Effect) -> Result<(), Error> {
        let (change, solutions) = match effect {
            Effect::Append(solutions) => (Change::Append, &solutions[..]),
            Effect::Replace(solution) => (Change::Replace, std::slice::from_ref(solution)),
            Effect::Judge(_) => (Change::Judge, &[][..]),
            Effect::Inform(_) => (Change::Inform, &[][..]),
            Effect::Keep | Effect::Unusable(_) => (Change::Keep, &[][..]),
        };
        let marks = if let Effect::Judge(marks) = effect { marks.clone() } else { Vec::new() };
        let context = if let Effect::Inform(text) = effect { Some(text.clone()) } else { None };
        let unusable = if let Effect::Unusable(reply) = effect { Some(reply.clone()) } else { None };
        let calls = work.steps().taken();
        let Backing { price, shown, reserve, .. } = work.backing();
        let Some((identity, shown)) = answered_by(&calls, work.identity(), shown, reserve) else { return Ok(()) };
        let cost = |calls: &[Call]| calls.iter().map(|call| call.cost(*price)).sum();
        self.replays.into_iter().for_each(|expense| expense.add(cost(&calls)));
        let arrivals = work.steps().arrivals(Latency::default(), solutions.len(), work.is_side_by_side());
        let mut given = Vec::with_capacity(solutions.len());
        for (position, (solution, arrival)) in solutions.iter().zip(arrivals).enumerate() {
            // In each round, each solution has its own call.
            let own: Vec<Call> = calls.iter().skip(position).step_by(solutions.len()).copied().collect();
            let score = match &solution.answer {
                Some(answer) => self.score(answer).await,
                None => None,
            };
            let sum = |of: fn(&Call) -> u64| own.iter().map(of).sum();
            given.push(Given {
                text: solution.text.clone(),
                answer: solution.answer.clone(),
                score,
                executed: solution.executed,
                tokens: sum(|call| call.usage.completion_tokens),
                prompt_tokens: sum(|call| call.usage.prompt_tokens),
                seconds: own.iter().map(|call| call.seconds).sum(),
                cost: cost(&own),
                arrival,
            });
        }
        let [draw, turn] = self.asked.which(identity, work.turn());
        let line = Line {
            key: self.asked.key(identity, place.read, work.turn()),
            problem: self.called.to_owned(),
            operator: work.operator().name.clone(),
            model: shown.to_owned(),
            draw,
            turn,
            read: place.read.map(Key),
            effect: change,
            solutions: given,
            marks,
            context,
            unusable,
            cost: cost(&calls),
            calls,
            reference: self.grader.map(|grader| grader.reference.0),
        };
        self.record.append(line).map_err(broken)
    }

    /// The score of an answer; none if it cannot be graded. Whoever needs the score gets the error then.
    async fn score(&self, answer: &str) -> Option<f64> {
        let Grader { benchmark, problem, reference, sandbox } = self.grader?;
        match self.record.score(reference, answer) {
            Some(score) => Some(score),
            None => benchmark.grade(problem, Some(answer), sandbox).await.ok(),
        }
    }
}

/// What the operator was for these calls, and what answered it; none where several models did: nothing would find such a
/// call again.
fn answered_by<'a>(
    calls: &[Call],
    own: &'a Identity,
    shown: &'a str,
    reserve: &'a [Reserve],
) -> Option<(&'a Identity, &'a str)> {
    let by = |call: &Call| usize::from(call.hedged.map_or(0, |hedged| hedged.reserve));
    let mut places = calls.iter().filter(|call| !call.tool).map(by);
    let first = places.next().unwrap_or_default();
    if places.any(|place| place != first) {
        return None;
    }
    match first.checked_sub(1) {
        None => Some((own, shown)),
        Some(place) => reserve.get(place).map(|reserve| (&reserve.identity, reserve.shown.as_str())),
    }
}

fn broken(error: anyhow::Error) -> Error {
    Error::Broken(format!("{error:#}"))
}
