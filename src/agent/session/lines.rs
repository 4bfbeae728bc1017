//! Lines of the record for operators that somebody else executed.

use super::choice::Choice;
use crate::model::Price;
use crate::operation::{Call, Effect, Identity, Turn};
use crate::random;
use crate::record::{Asked, Change, Given, Key, Line};

/// What all lines of a session have in common.
pub(super) struct Lines {
    pub asked: Asked,
    /// The id of the problem.
    pub called: String,
}

/// An operator, as a line shows it.
pub(super) struct Shown<'a> {
    pub operator: &'a str,
    pub model: &'a str,
    pub identity: &'a Identity,
    pub price: Price,
}

impl Lines {
    /// The line of a choice that has ended; none of one that has not.
    pub fn of(&self, choice: &Choice, shown: &Shown<'_>) -> Option<Line> {
        let effect = choice.effect()?;
        let (change, marks, context) = match effect {
            Effect::Append(_) => (Change::Append, Vec::new(), None),
            Effect::Replace(_) => (Change::Replace, Vec::new(), None),
            Effect::Judge(marks) => (Change::Judge, marks.clone(), None),
            Effect::Inform(text) => (Change::Inform, Vec::new(), Some(text.clone())),
            Effect::Keep | Effect::Unusable(_) => (Change::Keep, Vec::new(), None),
        };
        let has_solutions = matches!(change, Change::Append | Change::Replace);
        let given = choice.given.iter().filter(|_| has_solutions);
        let solutions: Vec<Given> = given
            .map(|given| Given {
                text: given.solution.text.clone(),
                answer: given.solution.answer.clone(),
                score: given.score,
                executed: given.solution.executed,
                tokens: given.call.usage.completion_tokens,
                prompt_tokens: given.call.usage.prompt_tokens,
                seconds: given.call.seconds,
                cost: given.call.cost(shown.price),
                arrival: given.arrival,
            })
            .collect();
        // Of several solutions, each has one call; whatever else was used belongs to the last one.
        let mut calls: Vec<Call> = choice.all_calls().copied().collect();
        if solutions.len() > 1 {
            let others = calls.split_off(solutions.len());
            let last = calls.iter_mut().last();
            last.into_iter().for_each(|last| others.iter().for_each(|other| add(last, other, shown.price)));
        }
        let own: [&[u8]; 3] = [b"outside", shown.operator.as_bytes(), &shown.identity.fingerprint.to_be_bytes()];
        // What others execute is no call of ours, and may end differently each time, whatever the catalogue says of it.
        let identity = Identity { fingerprint: random::digest(&own), is_random: true, ..*shown.identity };
        let (turn, read) = (Turn::Plan(choice.turn), identity.read(&choice.board));
        let [draw, turn_name] = self.asked.which(&identity, turn);
        Some(Line {
            key: self.asked.key(&identity, read, turn),
            problem: self.called.clone(),
            operator: shown.operator.to_owned(),
            model: shown.model.to_owned(),
            draw,
            turn: turn_name,
            read: read.map(Key),
            effect: change,
            solutions,
            marks,
            context,
            unusable: if let Effect::Unusable(reply) = effect { Some(reply.clone()) } else { None },
            cost: calls.iter().map(|call| call.cost(shown.price)).sum(),
            calls,
            reference: None,
        })
    }
}

fn add(call: &mut Call, other: &Call, price: Price) {
    let cost = call.cost(price) + other.cost(price);
    if call.hedged.is_some() || other.hedged.is_some() {
        call.hedged = Some(crate::model::Hedged { cost, ..call.hedged.or(other.hedged).unwrap_or_default() });
    }
    call.usage += other.usage;
    call.seconds += other.seconds;
}
