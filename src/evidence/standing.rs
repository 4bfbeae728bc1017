//! The vote at one moment: the current solutions, and places for those still to come.

use super::chosen::{Chosen, Stage};
use crate::operation::{Ballot, Mark, is_settled, winner};

/// Whether a plain vote comes last: only votes and stops are beside or after it. It then gives what the vote at the end of every
/// plan would give without it.
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
    /// Whether some ballots may still be replaced, or change their weight.
    pub is_open: bool,
}

impl<'a> Standing<'a> {
    /// For a choice that has not ended, only what it has given so far counts, and how much it may still give.
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

    /// The numbers of the ballots that have arrived.
    fn known(&self) -> Vec<usize> {
        let known = self.places.iter().zip(&self.is_pending).filter(|(_, is_pending)| !**is_pending);
        known.map(|([_, number], _)| *number).collect()
    }

    /// Weighs the ballots with these numbers, if they are still there.
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

    /// Whether nothing committed can change the answer of the vote any more.
    pub fn is_settled(&self) -> bool {
        !self.is_open && is_settled(&self.ballots, &self.is_pending)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::Rng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::operation::{Effect, Solution, standing, vote};
    use crate::plan::{OperatorId, Signature};
    use crate::random;

    const JUDGES: Signature = Signature { solutions: 0, scores: true, ..Signature::IMPROVES };

    /// An operator of a plan, and what it does once it has ended.
    #[derive(Debug)]
    struct Acted {
        layer: usize,
        signature: Signature,
        effect: Effect,
        has_ended: bool,
    }

    impl Acted {
        fn chosen(&self) -> Chosen<'_> {
            let chosen = Chosen {
                layer: self.layer,
                operator: OperatorId(0),
                signature: self.signature,
                stage: Stage::Running,
                started: None,
                added: Vec::new(),
                replaced: None,
                marks: &[],
            };
            if self.has_ended { chosen.ended(&self.effect) } else { chosen }
        }

        /// What it may come to.
        fn ends(&self, solutions: usize) -> Vec<Effect> {
            let marks = [None, Mark::new(0.0), Mark::new(1.0)];
            match () {
                () if self.has_ended => vec![self.effect.clone()],
                () if self.signature.scores => {
                    let mut all = vec![Vec::new()];
                    for _ in 0..solutions {
                        all = all
                            .iter()
                            .flat_map(|said: &Vec<_>| marks.map(|mark| [said, &[mark][..]].concat()))
                            .collect();
                    }
                    all.into_iter().map(Effect::Judge).collect()
                }
                () => ["7", "8", "new"]
                    .map(|answer| Effect::Append(vec![solution(answer)]))
                    .into_iter()
                    .chain([Effect::Keep])
                    .collect(),
            }
        }
    }

    fn solution(answer: &str) -> Solution {
        Solution { answer: Some(answer.to_owned()), ..Solution::default() }
    }

    /// Two to four generators, of which those that have ended gave 7 or 8, and perhaps a judge behind them.
    fn draw(rng: &mut ChaCha8Rng) -> Vec<Acted> {
        let mut acted: Vec<Acted> = (0..rng.random_range(2..=4))
            .map(|_| Acted {
                layer: 0,
                signature: Signature::ANSWERS,
                effect: Effect::Append(vec![solution(["7", "8"][rng.random_range(0..2)])]),
                has_ended: rng.random_bool(0.8),
            })
            .collect();
        let has_read = acted.iter().all(|generator| generator.has_ended);
        if rng.random_bool(0.6) {
            let marks = acted.iter().map(|_| Mark::new(rng.random_range(0..=4) as f64 / 4.0)).collect();
            let has_ended = has_read && rng.random_bool(0.6);
            acted.push(Acted { layer: 1, signature: JUDGES, effect: Effect::Judge(marks), has_ended });
        }
        acted
    }

    #[test]
    fn no_vote_is_settled_that_something_to_come_can_change() {
        let mut rng = random::stream(7, &[&"standing"]);
        let (mut settled, mut open) = (0, 0);
        for _ in 0..5_000 {
            let acted = draw(&mut rng);
            let chosen: Vec<Chosen<'_>> = acted.iter().map(Acted::chosen).collect();
            let standing_now = Standing::of(&chosen);
            let judges = acted.iter().any(|acted| acted.signature.scores && !acted.has_ended);
            assert!(!(judges && standing_now.is_settled()), "{acted:?}");
            if !standing_now.is_settled() {
                open += 1;
                continue;
            }
            settled += 1;
            let mut all: Vec<Vec<Effect>> = vec![Vec::new()];
            for one in &acted {
                let ends = one.ends(acted.len() - 1);
                all = all
                    .iter()
                    .flat_map(|before| ends.iter().map(|end| [before.as_slice(), std::slice::from_ref(end)].concat()))
                    .collect();
            }
            let answers: BTreeSet<Option<String>> = all
                .iter()
                .map(|effects| {
                    let solutions = standing(acted.iter().map(|acted| acted.layer).zip(effects));
                    vote(&solutions).and_then(|best| best.answer.clone())
                })
                .collect();
            let leader = standing_now.leader().and_then(|ballot| ballot.answer).map(str::to_owned);
            assert_eq!(answers, BTreeSet::from([leader]), "{acted:?}");
        }
        assert!(settled > 500 && open > 500, "{settled} {open}");
    }

    #[test]
    fn a_judge_that_has_ended_weighs_the_ballots() {
        let generated = |answer: &str| Acted {
            layer: 0,
            signature: Signature::ANSWERS,
            effect: Effect::Append(vec![solution(answer)]),
            has_ended: true,
        };
        let check = |has_ended: bool, expected: Option<&str>, is_settled: bool| {
            let marks = Effect::Judge(vec![Mark::new(0.9), Mark::new(0.1)]);
            let judge = Acted { layer: 1, signature: JUDGES, effect: marks, has_ended };
            let acted = [generated("7"), generated("8"), judge];
            let chosen: Vec<Chosen<'_>> = acted.iter().map(Acted::chosen).collect();
            let standing = Standing::of(&chosen);
            assert_eq!(standing.leader().and_then(|ballot| ballot.answer), expected);
            assert_eq!(standing.is_settled(), is_settled);
        };
        check(false, Some("8"), false);
        check(true, Some("7"), true);
    }
}
