//! A query whose operators somebody else executes: a program with its own stack asks what to start, says what came of it, and
//! asks again. Nothing runs here but plain votes.

mod choice;
mod fit;
mod lines;
mod report;
mod step;

pub use report::{Report, Told, Used, What};
pub use step::{Action, Ending, Start, Step};

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use self::choice::{Choice, Phase};
use self::fit::fits;
use self::lines::{Lines, Shown};
use super::Agent;
use super::ask::{Ask, Chosen as First};
use crate::decide::{Decider, Halting, Next, Quorum};
use crate::evidence::{Charge, Known};
use crate::operation::{Board, Effect, Mark, Solution, Weight, standing, vote};
use crate::plan::{Latency, Layer, Plan, Prepared};
use crate::record::{Asked, Record};

/// A decider that keeps committing must stop somewhere.
const MOST_LAYERS: usize = 64;

/// A query in progress.
pub struct Session {
    agent: Arc<Agent>,
    first: First,
    decider: Box<dyn Decider>,
    plan: Plan,
    choices: Vec<Choice>,
    /// Choices that have been named to be started.
    named: BTreeSet<usize>,
    began: Instant,
    now: Latency,
    has_ended: bool,
    record: Option<(Arc<Record>, Lines)>,
}

impl Session {
    /// A query that has not begun. What ends is written to `record`, which nothing is taken from. Of `ask`, what only running
    /// needs (the clock, the observer, the samples, the conversation) has no effect.
    ///
    /// # Errors
    /// Those of [`Agent::plan`].
    pub fn new(agent: Arc<Agent>, question: &str, ask: &Ask<'_>, record: Option<Arc<Record>>) -> Result<Self> {
        let first = agent.plan(question, ask)?;
        let (decider, head) = agent.decider(&first, ask);
        let execution = agent.execution();
        let (words, operators) = (question.split_whitespace().count(), agent.solver().catalogue().operators().len());
        let decider: Box<dyn Decider> = match head.filter(|_| execution.halting) {
            Some(head) => Box::new(Halting { decider, head, words, operators, unit: agent.objective().unit }),
            None => decider,
        };
        let decider = if execution.quorum { Box::new(Quorum(decider)) } else { decider };
        let benchmark = agent.solver().benchmark();
        let examples = benchmark.examples(question);
        let asked = Asked::new(question, benchmark.answer, examples.as_ref(), ask.purpose.draw(ask.draw));
        let record = record.map(|record| (record, Lines { asked, called: ask.called.to_owned() }));
        Ok(Session {
            agent,
            first,
            decider,
            plan: Plan::default(),
            choices: Vec::new(),
            named: BTreeSet::new(),
            began: Instant::now(),
            now: Latency::default(),
            has_ended: false,
            record,
        })
    }

    /// The plan that the query begins with.
    pub fn first(&self) -> &First {
        &self.first
    }

    /// Takes the news since the last decision, all at once, and decides.
    ///
    /// # Errors
    /// The query has ended, or a report does not fit what was asked for (then none of them counts); or the record cannot be
    /// written.
    pub fn next(&mut self, reports: Vec<Report>) -> Result<Step> {
        ensure!(!self.has_ended, "expected a query in progress, found one that has ended");
        self.check(&reports)?;
        for report in reports {
            self.take(report)?;
        }
        self.settle_free();
        let action = match self.decide() {
            Next::Commit(layers) if layers.iter().any(|layer| !layer.operators.is_empty()) => self.commit(layers)?,
            Next::Drop(choices) if choices.iter().any(|&choice| self.is_under_way(choice)) => self.cancel(&choices),
            Next::End => self.end(),
            Next::Commit(_) | Next::Wait | Next::Drop(_) => {
                if self.choices.iter().any(Choice::is_under_way) {
                    Action::Wait
                } else {
                    self.end()
                }
            }
        };
        let ready = self.settle_free();
        let start = ready.into_iter().map(|number| self.start(number)).collect();
        Ok(Step { action, start })
    }

    fn is_under_way(&self, choice: usize) -> bool {
        self.choices.get(choice).is_some_and(Choice::is_under_way)
    }

    /// # Errors
    /// Names the first report that does not fit.
    fn check(&self, reports: &[Report]) -> Result<()> {
        let mut ended = BTreeSet::new();
        for Report { choice: number, at, what } in reports {
            let Some(choice) = self.choices.get(*number).filter(|_| self.named.contains(number)) else {
                bail!("expected the number of a choice that was to be started, found {number}");
            };
            ensure!(
                choice.is_under_way() && !ended.contains(number),
                "choice {number}: expected one under way, found one that has ended or was cancelled"
            );
            ensure!(at.is_none_or(f64::is_finite), "choice {number}: expected `at` in seconds, found {at:?}");
            fits(choice, what).with_context(|| format!("choice {number} ({})", self.name(choice)))?;
            if matches!(what, What::Ended { .. } | What::Failed(_)) {
                ended.insert(*number);
            }
        }
        Ok(())
    }

    /// Takes in a report, which fits.
    fn take(&mut self, Report { choice: number, at, what }: Report) -> Result<()> {
        let seconds = at.unwrap_or_else(|| self.began.elapsed().as_secs_f64()).max(self.now.seconds);
        let form = self.agent.solver().benchmark().answer;
        let choice = &mut self.choices[number];
        let give = |choice: &mut Choice, told: Told| {
            let answer = match &told.answer {
                Some(answer) => Some(form.spelled(answer)),
                None => form.extract(&told.text),
            };
            choice.give(told, answer, seconds);
        };
        match what {
            What::Started => {
                choice.phase = Phase::Running { start: Latency { seconds, ..choice.start().unwrap_or(self.now) } }
            }
            What::Arrived(told) => {
                give(choice, told);
                let arrived = choice.start().zip(choice.given.last()).map(|(start, given)| start.then(given.arrival));
                self.now = self.now.beside(arrived.unwrap_or_default());
            }
            What::Ended { solutions, marks, context, used } => {
                solutions.into_iter().for_each(|told| give(choice, told));
                choice.use_up(&used, seconds);
                let effect = match context {
                    _ if marks.iter().any(Option::is_some) => {
                        Effect::Judge(marks.into_iter().map(|mark| mark.and_then(Mark::new)).collect())
                    }
                    Some(context) => Effect::Inform(context),
                    None => match choice.given.last() {
                        Some(given) if choice.signature.replaces => Effect::Replace(given.solution.clone()),
                        _ => choice.appended(),
                    },
                };
                choice.ends(effect, seconds);
                self.keep(number)?;
            }
            What::Failed(_) => choice.ends(choice.appended(), seconds),
        }
        self.now.seconds = self.now.seconds.max(seconds);
        self.now = self.now.beside(self.choices[number].end().unwrap_or_default());
        Ok(())
    }

    /// Writes the line of a choice that has ended.
    fn keep(&self, number: usize) -> Result<()> {
        let Some((record, lines)) = &self.record else { return Ok(()) };
        let (solver, choice) = (self.agent.solver(), &self.choices[number]);
        let at = choice.operator.index();
        let (Some(backing), Some(identity)) = (solver.backings().get(at), solver.identities().get(at)) else {
            return Ok(());
        };
        let shown = Shown { operator: self.name(choice), model: &backing.shown, identity, price: backing.price };
        lines.of(choice, &shown).map_or(Ok(()), |line| record.append(line))
    }

    fn name(&self, choice: &Choice) -> &str {
        self.agent.solver().catalogue().operator(choice.operator).map_or("", |operator| operator.name.as_str())
    }

    fn decide(&mut self) -> Next {
        let Session { agent, decider, plan, choices, now, .. } = self;
        let known: Vec<_> = choices.iter().map(Choice::known).collect();
        let backings = agent.solver().backings();
        let charges = |number: usize| {
            let choice = choices.get(number);
            let price = choice.and_then(|choice| backings.get(choice.operator.index())).map(|backing| backing.price);
            choice.zip(price).map_or(Charge::default(), |(choice, price)| choice.charge(price))
        };
        decider.next(&Known { now: *now, layers: plan.layers.len(), choices: &known, charges: &charges })
    }

    fn commit(&mut self, layers: Vec<Layer>) -> Result<Action> {
        let first = self.choices.len();
        let layers: Vec<Layer> = layers.into_iter().filter(|layer| !layer.operators.is_empty()).collect();
        let catalogue = self.agent.solver().catalogue();
        let signatures = catalogue.signatures();
        let name = |id: &crate::plan::OperatorId| {
            let operator = catalogue.operator(*id);
            operator.map(|operator| operator.name.clone()).context("expected operators of the catalogue, found others")
        };
        let names: Vec<Vec<String>> =
            layers.iter().map(|layer| layer.operators.iter().map(name).collect()).collect::<Result<_>>()?;
        self.plan.layers.extend(layers);
        ensure!(
            self.plan.layers.len() <= MOST_LAYERS,
            "expected at most {MOST_LAYERS} layers, found more; hint: the decider keeps committing layers"
        );
        let Prepared { runs, dependencies } = self.agent.execution().schedule.prepare(&self.plan, &signatures);
        let committed: Vec<_> = self.plan.choices().zip(runs).zip(dependencies.0).skip(first).collect();
        for (((layer, operator), runs), waits_for) in committed {
            self.choices.push(Choice {
                layer,
                operator,
                signature: signatures[operator.index()],
                turn: self.choices.iter().filter(|choice| choice.operator == operator).count(),
                runs,
                waits_for,
                committed: self.now,
                phase: if runs { Phase::Waiting } else { Phase::Skipped },
                board: Board::default(),
                given: Vec::new(),
                calls: Vec::new(),
            });
        }
        Ok(Action::Commit { first, layers: names })
    }

    fn cancel(&mut self, dropped: &[usize]) -> Action {
        let choices: Vec<usize> = dropped.iter().copied().filter(|&choice| self.is_under_way(choice)).collect();
        for &number in &choices {
            self.stop(number);
        }
        Action::Drop { choices }
    }

    /// Ends a choice that is no longer wanted: what had arrived from it counts.
    fn stop(&mut self, number: usize) {
        let seconds = self.now.seconds;
        let choice = &mut self.choices[number];
        match choice.phase {
            Phase::Running { .. } => choice.ends(choice.appended(), seconds),
            _ => choice.phase = Phase::Skipped,
        }
    }

    fn end(&mut self) -> Action {
        self.has_ended = true;
        let running = |number: &usize| matches!(self.choices[*number].phase, Phase::Running { .. });
        let cancel: Vec<usize> = (0..self.choices.len()).filter(running).collect();
        let ended = self.choices.iter().filter_map(Choice::end).fold(Latency::default(), Latency::beside);
        for number in 0..self.choices.len() {
            if self.choices[number].is_under_way() {
                self.stop(number);
            }
        }
        let solutions = self.board(usize::MAX).solutions;
        let chosen = vote(&solutions);
        let (answer, confidence) = match self.decider.concludes() {
            Some(conclusion) => (conclusion.answer, Some(conclusion.confidence)),
            None => (chosen.and_then(|solution| solution.answer.clone()), None),
        };
        let given = |solution: &&Solution| answer.is_some() && solution.answer == answer;
        let text = solutions.iter().rev().find(given).or(chosen).map(|solution| solution.text.clone());
        let backings = self.agent.solver().backings();
        let price = |choice: &Choice| backings.get(choice.operator.index()).map(|backing| backing.price);
        let cost = self.choices.iter().filter_map(|choice| Some(choice.charge(price(choice)?).cost)).sum();
        Action::End(Ending { answer, confidence, text, cancel, took: ended, cost })
    }

    /// What the layers before `layer` left.
    fn board(&self, layer: usize) -> Board {
        let before = self.choices.iter().filter(|choice| choice.layer < layer);
        let effects = || before.clone().filter_map(|choice| Some((choice.layer, choice.effect()?)));
        let context = effects().filter_map(|(_, effect)| match effect {
            Effect::Inform(text) => Some(text.clone()),
            _ => None,
        });
        Board { solutions: standing(effects()), context: context.collect() }
    }

    /// Does what is ready and needs no call, such as a plain vote; returns what else is ready.
    fn settle_free(&mut self) -> Vec<usize> {
        // Every choice waits only for earlier ones, so one pass reaches all.
        (0..self.choices.len()).filter(|&number| self.is_ready(number)).collect()
    }

    fn is_ready(&mut self, number: usize) -> bool {
        let choice = &self.choices[number];
        let is_over = |before: &usize| !self.choices[*before].is_under_way();
        if !matches!(choice.phase, Phase::Waiting) || !choice.waits_for.iter().all(is_over) {
            return false;
        }
        let (signature, start) = (choice.signature, self.earliest(choice));
        let Board { solutions, context } = self.board(choice.layer);
        let board = Board {
            solutions: if signature.reads_solutions { solutions } else { Vec::new() },
            context: if signature.reads_context { context } else { Vec::new() },
        };
        // As operators of these kinds do it themselves.
        let is_free = !signature.is_at_work()
            || signature.needs_solution && board.solutions.is_empty()
            || signature.replaces && board.solutions.len() <= 1;
        let choice = &mut self.choices[number];
        choice.board = board;
        if is_free {
            let alone = |best: &Solution| Effect::Replace(Solution { weight: Weight::default(), ..best.clone() });
            let effect = vote(&choice.board.solutions).filter(|_| signature.replaces).map_or(Effect::Keep, alone);
            choice.phase = Phase::Ended { start, end: start, effect };
        }
        !is_free
    }

    /// When all that a choice waits for had ended.
    fn earliest(&self, choice: &Choice) -> Latency {
        let ends = choice.waits_for.iter().filter_map(|&before| self.choices[before].end());
        ends.fold(choice.committed, Latency::beside)
    }

    fn start(&mut self, number: usize) -> Start {
        let earliest = self.earliest(&self.choices[number]);
        let seconds = self.began.elapsed().as_secs_f64().max(self.now.seconds).max(earliest.seconds);
        self.choices[number].phase = Phase::Running { start: Latency { seconds, ..earliest } };
        self.named.insert(number);
        let choice = &self.choices[number];
        Start {
            choice: number,
            operator: self.name(choice).to_owned(),
            layer: choice.layer,
            samples: choice.signature.solutions.max(1),
            solutions: choice.board.solutions.iter().map(|solution| solution.text.clone()).collect(),
            context: choice.board.context.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
