//! What asking further operators is worth, for each set of operators that have answered.

use serde::{Deserialize, Serialize};

use super::vote::{Belief, Said, Vote};
use crate::plan::{Layer, OperatorId, Unit};

/// A set of operators of [`Stages`]: bit `k` is operator `k`.
pub type Set = u32;
/// Most operators that fit into a set.
pub const MOST_OPERATORS: usize = Set::BITS as usize;

/// What is worth asking, given the answers that have arrived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// The operators to choose from; those after the first `MOST_OPERATORS` are never asked.
    pub operators: Vec<OperatorId>,
    pub vote: Vote,
    /// Sorted by their sets.
    pub states: Vec<State>,
    /// What a unit of latency costs, in score.
    pub latency_weight: f64,
    /// What a dollar costs, in score.
    pub cost_weight: f64,
    pub unit: Unit,
}

/// What may follow once these operators have answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub asked: Set,
    /// The sets that may follow.
    pub ways: Vec<Set>,
    /// Intercept of the predicted utility of each way, `[W]`.
    pub base: Vec<f32>,
    /// Slopes on [`known`], `[W][F]`.
    pub slopes: Vec<Vec<f32>>,
}

impl Stages {
    /// What may follow these operators; none if nothing was learned about it.
    pub fn state(&self, asked: Set) -> Option<&State> {
        let at = self.states.binary_search_by_key(&asked, |state| state.asked).ok()?;
        self.states.get(at)
    }

    /// The operators of a set as a layer.
    pub fn layer(&self, set: Set) -> Layer {
        let members = self.operators.iter().take(MOST_OPERATORS).enumerate().filter(|(at, _)| set >> at & 1 == 1);
        Layer { operators: members.map(|(_, id)| *id).collect() }
    }
}

impl State {
    /// Predicted utility of each way, not counting what was spent before.
    pub fn worth<'a>(&'a self, known: &'a [f32]) -> impl Iterator<Item = (Set, f64)> + 'a {
        let predicted = self.base.iter().zip(&self.slopes).map(move |(&base, slopes)| {
            f64::from(base) + slopes.iter().zip(known).map(|(&slope, &x)| f64::from(slope) * f64::from(x)).sum::<f64>()
        });
        self.ways.iter().copied().zip(predicted)
    }
}

/// What the answers of a set of operators show, `[7 + 2 members]`: the posteriors of the leader, of the runner-up and of none, how
/// open and how certain that is; for each member, whether it supports the leader and whether it answered at all; how many
/// support the leader, and whether all do.
pub fn known(belief: &Belief, said: &[Said]) -> Vec<f32> {
    let members = || said.iter().filter(|said| **said != Said::Unasked);
    let supports = |said: &Said| belief.leader.is_some_and(|leader| *said == Said::Answer(leader));
    let flag = |is: bool| f32::from(u8::from(is));
    let supporters = members().filter(|said| supports(said)).count();
    let certain = belief.posterior.clamp(1e-3, 1.0 - 1e-3);
    let numbers = [
        belief.posterior,
        belief.runner_up,
        belief.none,
        belief.posterior * (1.0 - belief.posterior),
        (certain / (1.0 - certain)).ln(),
    ];
    let mut known: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    known.extend(members().map(|said| flag(supports(said))));
    known.extend(members().map(|said| flag(*said != Said::Nothing)));
    known.extend([supporters as f32, flag(supporters == members().count())]);
    known
}

/// The sets of one to `most` operators of `among`, smaller numbers first.
pub fn subsets(among: Set, most: u32) -> Vec<Set> {
    let mut found: Vec<Set> = Vec::new();
    // Each step takes the next subset of `among`, from the whole downwards.
    let mut set = among;
    while set != 0 {
        if set.count_ones() <= most {
            found.push(set);
        }
        set = (set - 1) & among;
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_all_the_small_ones() {
        assert_eq!(subsets(0b1011, 1), [0b1, 0b10, 0b1000]);
        assert_eq!(subsets(0b1011, 2).len(), 6);
        assert_eq!(subsets(0, 3), [] as [Set; 0]);
    }

    #[test]
    fn states_are_found_by_their_set() {
        let state = |asked| State { asked, ways: vec![4], base: vec![0.5], slopes: vec![vec![2.0]] };
        let stages = Stages {
            operators: [7, 9, 3].map(OperatorId).into(),
            states: vec![state(1), state(3)],
            ..Stages::default()
        };
        assert_eq!(stages.layer(0b101), Layer { operators: [7, 3].map(OperatorId).into() });
        let worth: Vec<_> = stages.state(3).map(|state| state.worth(&[0.25]).collect()).unwrap_or_default();
        assert_eq!((worth, stages.state(2)), (vec![(4, 1.0)], None));
    }

    #[test]
    fn what_is_known_has_a_place_for_each_member() {
        let belief = Belief { leader: Some(1), posterior: 0.5, runner_up: 0.2, none: 0.3 };
        let found = known(&belief, &[Said::Answer(1), Said::Unasked, Said::Nothing]);
        assert_eq!(found, [0.5, 0.2, 0.3, 0.25, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    }
}
