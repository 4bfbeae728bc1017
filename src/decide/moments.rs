//! The moments at which a plan could end: what the halting head reads and is trained on.

use super::{Conclusion, Decider, Next};
use crate::evidence::{Known, Stage};
use crate::plan::Unit;

/// A moment at which a plan can end: a solution has arrived or an operator has ended, and there is an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// What is known, `[F]`; see [`inputs`].
    pub evidence: Vec<f32>,
    /// The winner of a vote taken now.
    pub answer: String,
    /// Time since the start of the query, in the clock's unit.
    pub latency: f64,
    /// Dollars spent if the plan ends now.
    pub cost: f64,
}

/// How many numbers describe the whole plan, and each operator of the catalogue.
const OF_PLAN: usize = 8;
const OF_OPERATOR: usize = 5;
/// Tokens and words of a question are divided by this; seconds are not.
const SCALE: f64 = 32.0;

/// `F`, how many numbers describe a moment, for a catalogue of `operators`.
pub fn inputs(operators: usize) -> usize {
    OF_PLAN + OF_OPERATOR * operators
}

impl Moment {
    /// None if there is no answer yet. `words` counts those of the question, `operators` those of the catalogue.
    pub fn of(known: &Known<'_>, words: usize, operators: usize, unit: Unit) -> Option<Self> {
        let standing = known.standing();
        let leader = standing.leader()?;
        let answer = leader.answer?;
        let scale = match unit {
            Unit::Tokens => SCALE,
            Unit::Seconds => 1.0,
        };
        let cast: Vec<&str> = standing.ballots.iter().filter_map(|ballot| ballot.answer).collect();
        let votes = |wanted: &str| cast.iter().filter(|other| **other == wanted).count() as f64;
        let supporters = votes(answer);
        let rival = cast.iter().filter(|other| **other != answer).map(|rival| votes(rival)).fold(0.0, f64::max);
        let pending = standing.is_pending.iter().filter(|is_pending| **is_pending).count();
        let latency = unit.of(known.now);
        let mut evidence = vec![
            latency / scale,
            words as f64 / SCALE,
            cast.len() as f64,
            supporters / cast.len() as f64,
            supporters - rival,
            f64::from(u8::from(leader.executed)),
            pending as f64,
            f64::from(u8::from(standing.is_open)),
        ];
        let mut of_operators = vec![[0.0; OF_OPERATOR]; operators];
        let mut cost = 0.0;
        for (number, choice) in known.choices.iter().enumerate().filter(|(_, choice)| choice.stage != Stage::Skipped) {
            let Some([agree, differ, to_come, running, ended]) = of_operators.get_mut(choice.operator.index()) else {
                continue;
            };
            cost += (known.charges)(number).cost;
            let given = choice.solutions().count();
            for other in choice.solutions().filter_map(|solution| solution.answer.as_deref()) {
                *(if other == answer { &mut *agree } else { &mut *differ }) += 1.0;
            }
            if choice.stage == Stage::Ended {
                *ended += 1.0;
            } else {
                *to_come += choice.signature.solutions.saturating_sub(given).max(1) as f64;
                *running += choice.started.map_or(0.0, |started| f64::max(latency - unit.of(started), 0.0) / scale);
            }
        }
        evidence.extend(of_operators.into_iter().flatten());
        let evidence = evidence.into_iter().map(|value| value as f32).collect();
        Some(Moment { evidence, answer: answer.to_owned(), latency, cost })
    }
}

/// Records the moments of another decider's plan, without ending it.
#[derive(Clone, Debug)]
pub struct Moments<D> {
    pub decider: D,
    pub seen: Vec<Moment>,
    /// Number of words in the question.
    pub words: usize,
    /// Number of operators in the catalogue.
    pub operators: usize,
    /// Unit of the clock.
    pub unit: Unit,
}

impl<D: Decider> Decider for Moments<D> {
    fn next(&mut self, known: &Known<'_>) -> Next {
        let next = self.decider.next(known);
        // Where nothing is under way the plan ends anyway.
        if next == Next::Wait && known.is_under_way() {
            self.seen.extend(Moment::of(known, self.words, self.operators, self.unit));
        }
        next
    }

    fn may_add(&self) -> bool {
        self.decider.may_add()
    }

    fn concludes(&self) -> Option<Conclusion> {
        self.decider.concludes()
    }
}
