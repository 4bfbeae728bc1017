//! The vote at one moment: the solutions that stand, and the places of those still to come.

use super::chosen::{Chosen, Stage};
use crate::operators::{Ballot, Mark, is_settled, winner};

/// Whether a plain vote comes last: nothing stands beside it or behind it but votes and stops, so that it gives what the vote
/// that ends every plan would give without it.
fn closes(vote: &Chosen<'_>, choices: &[Chosen<'_>]) -> bool {
    let mut behind = choices.iter().filter(|other| other.layer >= vote.layer && other.stage != Stage::Skipped);
    behind.all(|other| !other.signature.is_at_work())
}

/// Ballots in plan order.
#[derive(Clone, Debug, Default)]
pub struct Standing<'a> {
    pub ballots: Vec<Ballot<'a>>,
    /// Whether each ballot is still to come.
    pub is_pending: Vec<bool>,
    /// The layer of each ballot, and its number in the order of the plan.
    places: Vec<[usize; 2]>,
    /// Whether some may yet be replaced, or weigh otherwise.
    pub is_open: bool,
}

impl<'a> Standing<'a> {
    /// Of a choice that has not ended only what it has given so far counts, and how much it may still give.
    pub fn of(choices: &[Chosen<'a>]) -> Self {
        let mut standing = Standing::default();
        let (mut numbers, mut read, mut read_by) = (0.., Vec::new(), usize::MAX);
        for choice in choices.iter().filter(|choice| choice.stage != Stage::Skipped) {
            if read_by != choice.layer {
                read_by = choice.layer;
                read = standing.known();
            }
            let mut push = |standing: &mut Self, ballot, is_pending| {
                let number = numbers.next().unwrap_or_default();
                standing.push([choice.layer, number], ballot, is_pending);
            };
            let has_ended = choice.stage == Stage::Ended;
            let most = if has_ended { choice.added.len() } else { choice.signature.solutions };
            for place in 0..most {
                match choice.added.get(place).copied().flatten() {
                    Some(solution) => push(&mut standing, Ballot::from(solution), false),
                    None if has_ended => {}
                    None => {
                        let to_come = Ballot { executed: choice.signature.executes, ..Ballot::default() };
                        push(&mut standing, to_come, true);
                    }
                }
            }
            if let Some(solution) = choice.replaced {
                standing.keep(|[layer, _]| layer >= choice.layer);
                push(&mut standing, Ballot::from(solution), false);
            }
            standing.judge(&read, choice.marks);
            let replaces = choice.signature.replaces && !closes(choice, choices);
            standing.is_open |= !has_ended && (replaces || choice.signature.scores);
        }
        standing
    }

    fn push(&mut self, place: [usize; 2], ballot: Ballot<'a>, is_pending: bool) {
        self.ballots.push(ballot);
        self.is_pending.push(is_pending);
        self.places.push(place);
    }

    fn keep(&mut self, stays: impl Fn([usize; 2]) -> bool) {
        let kept: Vec<usize> = (0..self.places.len()).filter(|&at| stays(self.places[at])).collect();
        self.ballots = kept.iter().map(|&at| self.ballots[at]).collect();
        self.is_pending = kept.iter().map(|&at| self.is_pending[at]).collect();
        self.places = kept.iter().map(|&at| self.places[at]).collect();
    }

    /// The numbers of the ballots that are there.
    fn known(&self) -> Vec<usize> {
        let known = self.places.iter().zip(&self.is_pending).filter(|(_, is_pending)| !**is_pending);
        known.map(|([_, number], _)| *number).collect()
    }

    /// Weighs the ballots of these numbers, as far as they stand.
    fn judge(&mut self, numbers: &[usize], marks: &[Option<Mark>]) {
        for (number, mark) in numbers.iter().zip(marks) {
            let at = self.places.iter().position(|[_, other]| other == number);
            if let (Some(at), Some(mark)) = (at, mark) {
                self.ballots[at].weight = self.ballots[at].weight.with(*mark);
            }
        }
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
