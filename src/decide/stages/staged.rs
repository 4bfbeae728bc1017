//! The decider of stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Set, Stages, known};
use super::vote::Said;
use crate::decide::{Conclusion, Decider, Next};
use crate::evidence::{Chosen, Known, Stage};
use crate::operators::{Ballot, winner};
use crate::plan::Layer;

/// Starts with a layer, and after each answer ends, waits, or asks on.
#[derive(Clone, Debug)]
pub struct Staged {
    stages: Arc<Stages>,
    start: Option<Layer>,
    /// Asks on while the leader's posterior is below, and gives no answer where it stays so.
    confidence: f64,
    has_ended: bool,
    /// By what was known at the last decision.
    conclusion: Conclusion,
}

/// The answers that have arrived.
struct Heard<'a> {
    /// By the number of the operator in [`Stages`].
    said: Vec<Said>,
    arrived: Set,
    pending: Set,
    answers: Vec<&'a str>,
}

impl Staged {
    /// A decider that has not committed yet.
    pub fn new(stages: Arc<Stages>, start: Layer, confidence: Option<f64>) -> Self {
        Staged {
            stages,
            start: Some(start),
            confidence: confidence.unwrap_or_default(),
            has_ended: false,
            conclusion: Conclusion::default(),
        }
    }

    fn hear<'a>(&self, known: &Known<'a>) -> Heard<'a> {
        let mut heard = Heard {
            said: vec![Said::Unasked; self.stages.operators.len()],
            arrived: 0,
            pending: 0,
            answers: Vec::new(),
        };
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        for choice in known.choices {
            let Some(at) = self.stages.operators.iter().position(|id| *id == choice.operator) else { continue };
            match choice.stage {
                Stage::Waiting | Stage::Running => heard.pending |= 1 << at,
                Stage::Skipped => {}
                Stage::Ended => {
                    heard.arrived |= 1 << at;
                    heard.said[at] = match answer(choice) {
                        None => Said::Nothing,
                        Some(answer) => {
                            let next = numbers.len() as u32;
                            let number = *numbers.entry(answer).or_insert(next);
                            if number == next {
                                heard.answers.push(answer);
                            }
                            Said::Answer(number)
                        }
                    };
                }
            }
        }
        heard
    }

    /// What waiting saves against asking the pending operators anew: they have run for a while, and cost already.
    fn begun(&self, known: &Known<'_>) -> f64 {
        let Stages { latency_weight, cost_weight, unit, .. } = *self.stages;
        let pending = known.choices.iter().enumerate().filter(|(_, choice)| choice.stage == Stage::Running);
        let (mut elapsed, mut spent) = (0f64, 0.0);
        for (at, choice) in pending {
            let ran = choice.started.map_or(0.0, |started| unit.of(known.now) - unit.of(started));
            elapsed = elapsed.max(ran);
            spent += (known.charges)(at).cost;
        }
        latency_weight * elapsed + cost_weight * spent
    }

    fn decide(&mut self, query: &Known<'_>) -> Next {
        let Heard { said, arrived, pending, answers } = self.hear(query);
        let belief = self.stages.vote.believe(&said);
        let leader = belief.leader.and_then(|leader| answers.get(leader as usize));
        let answer = leader.filter(|_| belief.posterior >= self.confidence).map(|leader| (*leader).to_owned());
        self.conclusion = Conclusion { answer, confidence: belief.posterior };
        let end = if pending == 0 { Next::Wait } else { Next::End };
        if arrived == 0 && pending != 0 {
            return Next::Wait;
        }
        let Some(state) = self.stages.state(arrived) else { return Next::Wait };
        let known = known(&belief, &said);
        let is_unsure = belief.posterior < self.confidence;
        if pending != 0 {
            let wait = state.worth(&known).find(|(way, _)| *way == pending).map(|(_, worth)| worth + self.begun(query));
            return if is_unsure || wait.is_none_or(|wait| wait >= belief.posterior) { Next::Wait } else { end };
        }
        let best = state.worth(&known).reduce(|best, next| if next.1 > best.1 { next } else { best });
        match best {
            Some((way, worth)) if is_unsure || worth > belief.posterior => Next::Commit(vec![self.stages.layer(way)]),
            _ => end,
        }
    }
}

/// What an operator answers by itself.
fn answer<'a>(choice: &Chosen<'a>) -> Option<&'a str> {
    let ballots: Vec<Ballot<'a>> = choice.solutions().map(Ballot::from).collect();
    winner(&ballots).and_then(|best| ballots[best].answer)
}

impl Decider for Staged {
    fn next(&mut self, known: &Known<'_>) -> Next {
        if let Some(start) = self.start.take() {
            return Next::Commit(vec![start]);
        }
        let next = self.decide(known);
        self.has_ended = next == Next::End || (next == Next::Wait && !known.is_under_way());
        next
    }

    fn may_add(&self) -> bool {
        !self.has_ended
    }

    fn concludes(&self) -> Option<Conclusion> {
        Some(self.conclusion.clone())
    }
}
