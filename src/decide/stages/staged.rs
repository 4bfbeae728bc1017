//! The decider of stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{MOST_OPERATORS, Set, Stages, known};
use super::vote::Said;
use crate::decide::{Conclusion, Decider, Next};
use crate::evidence::{Chosen, Known, Stage};
use crate::operation::{Ballot, winner};
use crate::plan::Layer;

/// Starts with a layer, and after each answer ends, waits, or asks more operators.
#[derive(Clone, Debug)]
pub struct Staged {
    stages: Arc<Stages>,
    start: Option<Layer>,
    /// Keeps asking while the leader's posterior is below this; gives no answer if it stays below.
    confidence: f64,
    has_ended: bool,
    /// From what was known at the last decision.
    conclusion: Conclusion,
}

/// The answers that have arrived.
struct Heard<'a> {
    /// Indexed by the number of the operator in [`Stages`].
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
            let Some(at) = self.stages.operators.iter().take(MOST_OPERATORS).position(|id| *id == choice.operator)
            else {
                continue;
            };
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

    /// What waiting saves compared with asking the pending operators again: they have already run for a while and cost something.
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
        if arrived == 0 && pending != 0 {
            return Next::Wait;
        }
        let Some(state) = self.stages.state(arrived) else { return Next::Wait };
        let known = known(&belief, &said);
        let is_unsure = belief.posterior < self.confidence;
        if pending != 0 {
            let wait = state.worth(&known).find(|(way, _)| *way == pending).map(|(_, worth)| worth + self.begun(query));
            return if is_unsure || wait.is_none_or(|wait| wait >= belief.posterior) { Next::Wait } else { Next::End };
        }
        let best = state.worth(&known).reduce(|best, next| if next.1 > best.1 { next } else { best });
        match best {
            Some((way, worth)) if is_unsure || worth > belief.posterior => Next::Commit(vec![self.stages.layer(way)]),
            // Nothing is under way, so waiting ends the plan.
            _ => Next::Wait,
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

#[cfg(test)]
mod tests {
    use super::super::state::State;
    use super::super::vote::Vote;
    use super::*;
    use crate::evidence::Charge;
    use crate::operation::Solution;
    use crate::plan::{Latency, OperatorId, Signature, Unit};

    /// Two small operators, of which each is right with a good half, and a large one, which is asked where they differ.
    fn stages() -> Arc<Stages> {
        let mut vote = Vote::new(3);
        vote.weights[..3].copy_from_slice(&[0.5, 0.5, 3.0]);
        // Those who agree are right.
        vote.weights[3] = 4.0;
        let state = |asked, ways: Vec<Set>, base: Vec<f32>| {
            let width = 7 + 2 * Set::count_ones(asked) as usize;
            State { asked, slopes: vec![vec![0.0; width]; ways.len()], ways, base }
        };
        let states = vec![state(0b001, vec![0b010], vec![0.2]), state(0b011, vec![0b100], vec![0.7])];
        Arc::new(Stages {
            operators: [4, 5, 6].map(OperatorId).into(),
            vote,
            states,
            latency_weight: 0.1,
            cost_weight: 0.0,
            unit: Unit::Tokens,
        })
    }

    fn start() -> Layer {
        Layer { operators: [4, 5].map(OperatorId).into() }
    }

    /// What each operator has answered by `now`; none while it runs.
    fn next(decider: &mut Staged, now: f64, answers: &[(u16, Option<&str>)]) -> Next {
        let solution = |answer: &&str| Solution {
            text: String::new(),
            answer: Some((*answer).to_owned()).filter(|answer| !answer.is_empty()),
            ..Solution::default()
        };
        let solutions: Vec<Option<Solution>> =
            answers.iter().map(|(_, answer)| answer.as_ref().map(solution)).collect();
        let chosen = answers.iter().zip(&solutions).map(|((id, _), solution)| Chosen {
            layer: 0,
            operator: OperatorId(*id),
            signature: Signature::ANSWERS,
            stage: if solution.is_some() { Stage::Ended } else { Stage::Running },
            started: Some(Latency::default()),
            added: vec![solution.as_ref()],
            replaced: None,
            marks: &[],
        });
        let choices: Vec<Chosen<'_>> = chosen.collect();
        let charges = |_| Charge::default();
        let now = Latency { tokens: now, seconds: 0.0 };
        decider.next(&Known { now, layers: usize::from(!answers.is_empty()), choices: &choices, charges: &charges })
    }

    #[test]
    fn more_is_asked_only_where_the_answers_differ() {
        let mut decider = Staged::new(stages(), start(), None);
        assert_eq!(next(&mut decider, 0.0, &[]), Next::Commit(vec![start()]));
        // One alone is right with .62 (1.65 of 2.65); waiting is worth no more than .2 + .1.
        assert_eq!(next(&mut decider.clone(), 1.0, &[(4, Some("7")), (5, None)]), Next::End);
        // After six tokens of the other one's time waiting is worth .8.
        assert_eq!(next(&mut decider.clone(), 6.0, &[(4, Some("7")), (5, None)]), Next::Wait);
        assert_eq!(next(&mut decider.clone(), 9.0, &[(4, Some("7")), (5, Some("7"))]), Next::Wait);
        let differ = next(&mut decider, 9.0, &[(4, Some("7")), (5, Some("8"))]);
        assert_eq!(differ, Next::Commit(vec![Layer { operators: vec![OperatorId(6)] }]));
        let all = [(4, Some("7")), (5, Some("8")), (6, Some("8"))];
        assert_eq!((next(&mut decider, 20.0, &all), decider.may_add()), (Next::Wait, false));
        let Conclusion { answer, confidence } = decider.concludes().unwrap_or_default();
        assert!(answer.as_deref() == Some("8") && confidence > 0.9, "{answer:?} {confidence}");
    }

    #[test]
    fn an_answer_that_is_not_sure_enough_is_none() {
        let mut decider = Staged::new(stages(), start(), Some(0.995));
        next(&mut decider, 0.0, &[]);
        assert_eq!(next(&mut decider.clone(), 1.0, &[(4, Some("7")), (5, None)]), Next::Wait);
        // They agree, and still one more is asked.
        let agree = next(&mut decider, 9.0, &[(4, Some("7")), (5, Some("7"))]);
        assert_eq!(agree, Next::Commit(vec![Layer { operators: vec![OperatorId(6)] }]));
        next(&mut decider, 20.0, &[(4, Some("7")), (5, Some("7")), (6, Some(""))]);
        let Conclusion { answer, confidence } = decider.concludes().unwrap_or_default();
        assert!(answer.is_none() && confidence > 0.9 && confidence < 0.999, "{answer:?} {confidence}");
    }
}
