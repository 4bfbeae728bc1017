//! A query in progress: what was committed, and the results so far. Both clocks work on it.

use super::choice::{Choice, Phase};
use super::error::ExecuteError;
use super::observe::Announced;
use super::options::Options;
use crate::decide::{Conclusion, Decider, Next};
use crate::evidence::{Charge, Chosen, Known};
use crate::operation::{Acting, Board, Effect, Query, Solution, Steps, Turn, standing};
use crate::plan::{Cause, Dependencies, Latency, Layer, Plan, Prepared, Signature, Status, Trace};

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Everything that was committed.
    pub plan: Plan,
    pub trace: Trace,
    /// The solutions at the end, in plan order; only one if the finish replaced all of them.
    pub solutions: Vec<Solution>,
    /// The decider's own answer, unless it leaves that to a vote.
    pub conclusion: Option<Conclusion>,
}

/// A decider that keeps committing must stop somewhere.
const MOST_LAYERS: usize = 64;

pub(super) struct Course<'a> {
    pub query: &'a Query<'a>,
    pub options: Options<'a>,
    pub plan: Plan,
    pub choices: Vec<Choice<'a>>,
    /// Time of the last thing the decider heard, from the start of the query.
    pub now: Latency,
    signatures: Vec<Signature>,
    announced: Announced,
}

/// What follows a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The decider is asked again at once.
    Asks,
    GoesOn,
    Ends,
}

/// Which of the ready operators to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    All,
    /// Those that take no time: plain votes, stops, and operators with nothing to act on.
    Free,
}

impl<'a> Course<'a> {
    pub fn new(query: &'a Query<'a>, options: Options<'a>) -> Self {
        Course {
            query,
            options,
            plan: Plan::default(),
            choices: Vec::new(),
            now: Latency::default(),
            signatures: query.signatures(),
            announced: Announced::default(),
        }
    }

    /// Asks the decider until it waits or ends. `drop` ends some choices, by number, and says whether to ask again at once.
    ///
    /// # Errors
    /// A committed layer does not fit the catalogue, or too many are committed.
    pub fn ask(
        &mut self,
        decider: &mut dyn Decider,
        mut drop: impl FnMut(&mut Self, &[usize]) -> Then,
    ) -> Result<Then, ExecuteError> {
        self.tell();
        loop {
            match self.next(decider) {
                Next::Commit(layers) if layers.iter().all(|layer| layer.operators.is_empty()) => break,
                Next::Commit(layers) => {
                    self.commit(layers)?;
                    if decider.is_idle() {
                        break;
                    }
                }
                Next::Wait => break,
                Next::Drop(choices) => {
                    let under_way = |&choice: &usize| self.choices.get(choice).is_some_and(|c| self.is_under_way(c));
                    let dropped: Vec<usize> = choices.into_iter().filter(under_way).collect();
                    if dropped.is_empty() || drop(self, &dropped) != Then::Asks {
                        break;
                    }
                }
                Next::End => return Ok(Then::Ends),
            }
        }
        Ok(Then::GoesOn)
    }

    fn next(&self, decider: &mut dyn Decider) -> Next {
        let Options { unit, billing, .. } = self.options;
        let chosen: Vec<Chosen<'_>> = self.choices.iter().map(|choice| choice.known(unit, self.now)).collect();
        let charges =
            |choice: usize| self.choices.get(choice).map_or(Charge::default(), |c| c.charge(unit, billing, self.now));
        decider.next(&Known { now: self.now, layers: self.plan.layers.len(), choices: &chosen, charges: &charges })
    }

    /// Whether the choice has not ended, as far as the decider knows.
    pub fn is_under_way(&self, choice: &Choice<'_>) -> bool {
        let unit = self.options.unit;
        choice.ended().is_none_or(|ended| unit.of(ended.end) > unit.of(self.now) && ended.outcome != Status::Skipped)
    }

    fn commit(&mut self, layers: Vec<Layer>) -> Result<(), ExecuteError> {
        self.plan.layers.extend(layers.into_iter().filter(|layer| !layer.operators.is_empty()));
        if self.plan.layers.len() > MOST_LAYERS {
            return Err(ExecuteError::TooManyLayers { most: MOST_LAYERS });
        }
        let causes = self.causes();
        let Prepared { runs, dependencies } = self.options.schedule.prepare(&self.plan, &self.signatures);
        let operators = self.query.catalogue.operators();
        self.choices.reserve(self.plan.len() - self.choices.len());
        let committed = self.plan.choices().zip(runs).zip(dependencies.0).skip(self.choices.len());
        for (((layer, id), runs), waits_for) in committed {
            let at = id.index();
            let (Some(operator), Some(backing), Some(&signature)) =
                (operators.get(at), self.query.backings.get(at), self.signatures.get(at))
            else {
                return Err(ExecuteError::UnknownOperator {
                    found: id.index(),
                    last: operators.len().saturating_sub(1),
                });
            };
            let turn = Turn::Plan(self.choices.iter().filter(|choice| choice.id == id).count());
            self.choices.push(Choice {
                layer,
                id,
                operator,
                backing,
                signature,
                turn,
                runs,
                waits_for,
                committed: self.now,
                causes: causes.clone(),
                steps: Steps::default(),
                phase: Phase::Waiting,
            });
        }
        Ok(())
    }

    /// What is known now about the choices so far: the causes of a decision made now.
    pub fn causes(&self) -> Vec<Cause> {
        let last = |choice: &Choice<'_>| choice.last_known(self.options.unit, self.now);
        let known = self.choices.iter().enumerate().filter_map(|(choice, c)| Some(Cause { choice, after: last(c)? }));
        known.collect()
    }

    /// Notes that choices are dropped: what waits for them is now caused by what is known.
    pub fn note_drop(&mut self, dropped: &[usize]) {
        let causes = self.causes();
        let waits = |choice: &&mut Choice<'_>| choice.waits_for.iter().any(|before| dropped.contains(before));
        self.choices.iter_mut().filter(waits).for_each(|choice| choice.causes.clone_from(&causes));
    }

    /// Passes ready operators to `begin`, with the number of their choice, and settles those that never run.
    pub fn start_ready(&mut self, ready: Ready, mut begin: impl FnMut(usize, Acting<'a>, Board)) {
        for at in 0..self.choices.len() {
            if !self.choices[at].is_waiting() {
                continue;
            }
            let Some(start) = self.start(&self.choices[at]) else { continue };
            if !self.choices[at].runs {
                self.choices[at].skip(start);
                continue;
            }
            let board = self.read_by(&self.choices[at]);
            let choice = &mut self.choices[at];
            let Some(acting) = choice.acting(self.query) else { continue };
            if ready == Ready::Free && !acting.is_free(&board) {
                continue;
            }
            choice.phase = Phase::Running { start, given: Vec::new() };
            begin(at, acting, board);
        }
    }

    /// When a choice starts, once everything it waits for has really ended.
    ///
    /// Computed from recorded durations, not from the wall clock, so that a replayed query shows the times of its recording.
    fn start(&self, choice: &Choice<'_>) -> Option<Latency> {
        choice
            .waits_for
            .iter()
            .try_fold(choice.committed, |latest, &before| Some(latest.beside(self.choices[before].ended()?.end)))
    }

    fn read_by(&self, choice: &Choice<'_>) -> Board {
        let Signature { reads_solutions, reads_context, .. } = choice.signature;
        let solutions = if reads_solutions { standing(self.effects(choice.layer)) } else { Vec::new() };
        let context = if reads_context { self.context(choice.layer) } else { Vec::new() };
        Board { solutions, context }
    }

    /// The effects of the operators before `layer`, with their layers, in plan order.
    fn effects(&self, layer: usize) -> impl Iterator<Item = (usize, &Effect)> {
        let before = self.choices.iter().filter(move |choice| choice.layer < layer);
        before.filter_map(|choice| Some((choice.layer, &choice.ended()?.effect)))
    }

    fn context(&self, layer: usize) -> Vec<String> {
        let context = |effect: &Effect| if let Effect::Inform(text) = effect { Some(text.clone()) } else { None };
        self.effects(layer).filter_map(|(_, effect)| context(effect)).collect()
    }

    /// Tells the observer what has become certain.
    pub fn tell(&mut self) {
        if let Some(observer) = self.options.observer {
            self.announced.tell(observer, &self.choices, self.options.unit, self.now);
        }
    }

    /// The result of the query, which has ended.
    pub fn execution(mut self, decider: &dyn Decider) -> Execution {
        self.tell();
        let conclusion = decider.concludes();
        self.settle_skipped();
        let solutions = standing(self.effects(usize::MAX));
        let Options { unit, billing, letters, .. } = self.options;
        let spans = self.choices.iter().map(|choice| choice.span(unit, billing, letters)).collect();
        let dependencies = Dependencies(self.choices.into_iter().map(|choice| choice.waits_for).collect());
        Execution { plan: self.plan, trace: Trace { spans, dependencies, finish: None }, solutions, conclusion }
    }

    /// Gives skipped choices a start: the end of the plan, at the latest.
    fn settle_skipped(&mut self) {
        let is_skipped = |choice: &Choice<'_>| choice.ended().is_none_or(|ended| ended.outcome == Status::Skipped);
        let ran = self.choices.iter().filter(|choice| !is_skipped(choice)).filter_map(Choice::ended);
        let end = ran.fold(Latency::default(), |latest, ended| latest.beside(ended.end));
        for choice in self.choices.iter_mut().filter(|choice| is_skipped(choice)) {
            let start = choice.ended().map_or(end, |ended| Latency {
                tokens: ended.start.tokens.min(end.tokens),
                seconds: ended.start.seconds.min(end.seconds),
            });
            choice.skip(start);
        }
    }
}
