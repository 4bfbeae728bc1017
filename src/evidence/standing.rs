//! The vote at one moment: the solutions that stand, and the places of those still to come.

use super::chosen::{Chosen, Stage};
use crate::operation::{Ballot, is_settled, winner};
use crate::plan::Kind;

/// Whether a plain vote comes last: nothing stands beside it or behind it but votes and stops, so that it gives what the vote
/// that ends every plan would give without it.
fn closes(vote: &Chosen<'_>, choices: &[Chosen<'_>]) -> bool {
    let is_plain = |other: &Chosen<'_>| match other.signature.kind {
        Kind::Ensemble => !other.signature.asks_model,
        kind => kind == Kind::Stop,
    };
    choices.iter().filter(|other| other.layer >= vote.layer && other.stage != Stage::Skipped).all(is_plain)
}

/// Ballots in plan order.
#[derive(Clone, Debug, Default)]
pub struct Standing<'a> {
    pub ballots: Vec<Ballot<'a>>,
    /// Whether each ballot is still to come.
    pub is_pending: Vec<bool>,
    /// The layer of each ballot.
    layers: Vec<usize>,
    /// Whether some may yet be replaced.
    pub is_open: bool,
}

impl<'a> Standing<'a> {
    /// Of a choice that has not ended only what it has given so far counts, and how much it may still give.
    pub fn of(choices: &[Chosen<'a>]) -> Self {
        let mut standing = Standing::default();
        for choice in choices.iter().filter(|choice| choice.stage != Stage::Skipped) {
            let has_ended = choice.stage == Stage::Ended;
            let most = if has_ended { choice.added.len() } else { choice.signature.solutions };
            for place in 0..most {
                match choice.added.get(place).copied().flatten() {
                    Some(solution) => standing.push(choice.layer, Ballot::from(solution), false),
                    None if has_ended => {}
                    None => standing.push(choice.layer, Ballot { answer: None, executed: choice.executes }, true),
                }
            }
            match choice.replaced {
                Some(solution) => standing.replace(choice.layer, Ballot::from(solution)),
                None => {
                    standing.is_open |=
                        !has_ended && choice.signature.kind == Kind::Ensemble && !closes(choice, choices)
                }
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

    /// Whether nothing that was committed can change the answer of the vote any more.
    pub fn is_settled(&self) -> bool {
        !self.is_open && is_settled(&self.ballots, &self.is_pending)
    }
}
