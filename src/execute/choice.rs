//! A committed operator, from its commit to its span.

use crate::evidence::{Charge, Chosen, Stage};
use crate::operation::{Acting, Backing, Board, Effect, Mark, Operator, Query, Solution, Spent, Steps, Turn};
use crate::plan::{Billing, Cause, Dropped, Latency, OperatorId, Signature, Span, Status, Unit, Written};

use super::error::ExecuteError;
use super::recorder::Recorder;

/// An operator of the plan.
pub(super) struct Choice<'a> {
    pub layer: usize,
    pub id: OperatorId,
    pub operator: &'a Operator,
    pub backing: &'a Backing,
    pub signature: Signature,
    pub turn: Turn,
    /// False behind a stop.
    pub runs: bool,
    pub waits_for: Vec<usize>,
    /// When it was committed, and what had arrived by then (its causes).
    pub committed: Latency,
    pub causes: Vec<Cause>,
    pub steps: Steps,
    pub phase: Phase,
}

/// How far a choice really is. In virtual time, a choice has often ended before the decider hears of its start.
pub(super) enum Phase {
    Waiting,
    Running {
        start: Latency,
        /// The solutions that have arrived, by position; used only by the live clock.
        given: Vec<Option<Given>>,
    },
    Ended(Ended),
}

/// A solution of an operator that is still running.
pub(super) struct Given {
    pub solution: Solution,
    /// Time since the start of the operator.
    pub after: Latency,
}

/// The result of an operator. Times are from the start of the query.
pub(super) struct Ended {
    pub start: Latency,
    pub end: Latency,
    /// When each solution that it added arrived.
    pub arrivals: Vec<Latency>,
    /// How much virtual time it was given, from its start; anything later is not counted.
    pub until: f64,
    pub outcome: Status,
    pub effect: Effect,
    /// Whether the decider has not been asked since it ended.
    pub is_fresh: bool,
}

impl<'a> Choice<'a> {
    /// The operator, ready to act; its steps are counted here.
    pub fn acting(&self, query: &'a Query<'a>) -> Option<Acting<'a>> {
        Acting::new(query, self.id, self.signature, self.turn, self.steps.clone())
    }

    pub fn ended(&self) -> Option<&Ended> {
        match &self.phase {
            Phase::Ended(ended) => Some(ended),
            Phase::Waiting | Phase::Running { .. } => None,
        }
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting)
    }

    /// Records the result of the operator, which was running.
    pub fn end(&mut self, effect: Effect, outcome: Status) {
        let Phase::Running { start, .. } = self.phase else { return };
        let solutions = appended(&effect).len();
        let arrivals = self.steps.arrivals(start, solutions, self.signature.is_side_by_side);
        let end = start.then(self.steps.latency());
        let ended = Ended { start, end, arrivals, until: f64::INFINITY, outcome, effect, is_fresh: true };
        self.phase = Phase::Ended(ended);
    }

    /// It never runs; `start` is when it would have started.
    pub fn skip(&mut self, start: Latency) {
        self.steps = Steps::default();
        self.phase = Phase::Ended(Ended {
            start,
            end: start,
            arrivals: Vec::new(),
            until: f64::INFINITY,
            outcome: Status::Skipped,
            effect: Effect::Keep,
            is_fresh: true,
        });
    }

    /// What a decider knows of it at `now`.
    pub fn known(&self, unit: Unit, now: Latency) -> Chosen<'_> {
        let Choice { layer, id, signature, .. } = *self;
        let stage = if self.runs { Stage::Waiting } else { Stage::Skipped };
        let (added, replaced, marks) = (Vec::new(), None, &[][..]);
        let chosen = Chosen { layer, operator: id, signature, stage, started: None, added, replaced, marks };
        let is_past = |time: Latency| unit.of(time) <= unit.of(now);
        match &self.phase {
            Phase::Waiting => chosen,
            Phase::Running { start, given } => {
                let added = given.iter().map(|given| given.as_ref().map(|given| &given.solution)).collect();
                Chosen { stage: Stage::Running, started: Some(*start), added, ..chosen }
            }
            Phase::Ended(Ended { outcome: Status::Skipped, .. }) => Chosen { stage: Stage::Skipped, ..chosen },
            Phase::Ended(Ended { start, .. }) if !is_past(*start) => chosen,
            Phase::Ended(Ended { start, end, effect, .. }) if is_past(*end) => {
                Chosen { started: Some(*start), ..chosen }.ended(effect)
            }
            Phase::Ended(Ended { start, effect, arrivals, .. }) => {
                let given = appended(effect).iter().zip(arrivals);
                let added = given.map(|(solution, arrival)| is_past(*arrival).then_some(solution)).collect();
                Chosen { stage: Stage::Running, started: Some(*start), added, ..chosen }
            }
        }
    }

    /// Time of the last thing known about it at `now`, from its start; none if nothing is known.
    pub fn last_known(&self, unit: Unit, now: Latency) -> Option<Latency> {
        let is_past = |time: &Latency| unit.of(*time) <= unit.of(now);
        let later = |a: Latency, b: Latency| if unit.of(b) > unit.of(a) { b } else { a };
        match &self.phase {
            Phase::Waiting => None,
            Phase::Running { given, .. } => given.iter().flatten().map(|given| given.after).reduce(later),
            Phase::Ended(Ended { outcome: Status::Skipped, .. }) => None,
            Phase::Ended(Ended { start, end, arrivals, .. }) => {
                let last = arrivals.iter().chain([end]).copied().filter(is_past).reduce(later)?;
                let after = |last: f64, start: f64| (last - start).max(0.0);
                Some(Latency { tokens: after(last.tokens, start.tokens), seconds: after(last.seconds, start.seconds) })
            }
        }
    }

    /// What it has cost by `now`.
    pub fn charge(&self, unit: Unit, billing: Billing, now: Latency) -> Charge {
        let until = match &self.phase {
            Phase::Waiting => f64::NEG_INFINITY,
            Phase::Running { .. } => f64::INFINITY,
            Phase::Ended(ended) => ended.until(unit, unit.of(now)).min(ended.until),
        };
        let (usage, dropped) = (self.steps.spent(unit, until).usage, self.dropped(unit, until));
        Charge { usage, cost: dropped.cost(billing) }
    }

    /// Dollars, where it is dropped at `until`.
    fn dropped(&self, unit: Unit, until: f64) -> Dropped {
        let cost = |spent: Spent| spent.cost(self.backing.price);
        Dropped { share: cost(self.steps.spent(unit, until)), full: cost(self.steps.begun(unit, until)) }
    }

    fn wrote(&self, letters: usize) -> Vec<Written> {
        let solutions = match self.ended().map(|ended| &ended.effect) {
            Some(Effect::Append(solutions)) => solutions.as_slice(),
            Some(Effect::Replace(solution)) => std::slice::from_ref(solution),
            Some(Effect::Judge(marks)) => return vec![Written::new(&in_words(marks), None, letters)],
            Some(Effect::Unusable(reply)) => return vec![Written::new(reply, None, letters)],
            Some(Effect::Inform(context)) => return vec![Written::new(context, None, letters)],
            Some(Effect::Keep) | None => &[],
        };
        solutions.iter().map(|given| Written::new(&given.text, given.answer.as_deref(), letters)).collect()
    }

    /// The span of the finished choice.
    pub fn span(&self, unit: Unit, billing: Billing, letters: usize) -> Span {
        let (start, until, outcome) = match &self.phase {
            Phase::Ended(Ended { start, until, outcome, .. }) => (*start, *until, outcome.clone()),
            Phase::Waiting | Phase::Running { .. } => (Latency::default(), f64::NEG_INFINITY, Status::Skipped),
        };
        let spent = self.steps.spent(unit, until);
        let dropped = self.dropped(unit, until);
        let Spent { calls, retries, usage, tool_seconds, latency, queued, .. } = spent;
        Span {
            layer: self.layer,
            operator: self.id,
            calls,
            retries,
            usage,
            cost: dropped.cost(billing),
            dropped: (dropped.share != dropped.full).then_some(dropped),
            tool_seconds,
            latency,
            queued,
            started: start.seconds,
            start: unit.of(start),
            causes: self.causes.clone(),
            outcome,
            wrote: if letters > 0 { self.wrote(letters) } else { Vec::new() },
        }
    }
}

impl Ended {
    /// How much virtual time it gets if the plan ends at `end`; below 0 it has not started.
    pub fn until(&self, unit: Unit, end: f64) -> f64 {
        let start = unit.of(self.start);
        match end {
            _ if unit.of(self.end) <= end => f64::INFINITY,
            _ if start >= end && !self.arrivals.iter().any(|arrival| unit.of(*arrival) == end) => f64::NEG_INFINITY,
            _ => end - start,
        }
    }

    /// Undoes what came after `end`; `steps` are its own.
    pub fn cut(&mut self, unit: Unit, now: Latency, steps: &Steps) {
        let end = unit.of(now);
        if unit.of(self.end) <= end || self.outcome == Status::Skipped {
            return;
        }
        self.until = self.until(unit, end);
        if self.until < 0.0 {
            (self.outcome, self.effect) = (Status::Skipped, Effect::Keep);
            (self.end, self.arrivals) = (self.start, Vec::new());
            return;
        }
        if !self.arrivals.iter().any(|arrival| unit.of(*arrival) == end) {
            self.outcome = Status::Cancelled;
        }
        if let Effect::Append(solutions) = &mut self.effect {
            let mut given = self.arrivals.iter().map(|arrival| unit.of(*arrival) <= end);
            solutions.retain(|_| given.next() == Some(true));
        } else {
            self.effect = Effect::Keep;
        }
        self.arrivals.retain(|arrival| unit.of(*arrival) <= end);
        let lasted = steps.spent(unit, self.until).latency;
        self.end = match unit {
            Unit::Tokens => Latency { tokens: end, seconds: self.start.seconds + lasted.seconds },
            Unit::Seconds => Latency { tokens: self.start.tokens + lasted.tokens, seconds: end },
        };
    }
}

/// A judge's marks, a line for each solution.
fn in_words(marks: &[Option<Mark>]) -> String {
    let line = |(number, mark): (usize, &Option<Mark>)| match mark {
        Some(mark) => format!("solution {number}: {mark}"),
        None => format!("solution {number}: no mark"),
    };
    (1..).zip(marks).map(line).collect::<Vec<String>>().join("\n")
}

pub(super) fn appended(effect: &Effect) -> &[Solution] {
    match effect {
        Effect::Append(solutions) => solutions,
        Effect::Replace(_) | Effect::Judge(_) | Effect::Inform(_) | Effect::Keep | Effect::Unusable(_) => &[],
    }
}

/// Lets an operator act.
///
/// # Errors
/// The model refuses a request permanently, or outputs are recorded and none is of this operator.
pub(super) async fn act(
    acting: &mut Acting<'_>,
    board: &Board,
    recorder: Option<&Recorder<'_>>,
) -> Result<(Effect, Status), ExecuteError> {
    if acting.is_unrecorded(board) {
        return Err(ExecuteError::NoOutput { operator: acting.work.operator().name.clone() });
    }
    let result = match recorder {
        Some(recorder) => recorder.run(acting, board).await,
        None => acting.run(board).await,
    };
    match result {
        Ok(effect) => Ok((effect, Status::Done)),
        Err(error) if error.is_permanent() => {
            Err(ExecuteError::Model { operator: acting.work.operator().name.clone(), error })
        }
        Err(error) => Ok((Effect::Keep, Status::Failed(error.to_string()))),
    }
}
