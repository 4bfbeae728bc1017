//! When an operator may start: the dependencies between the choices of a plan, and which of them run at all.

use serde::{Deserialize, Serialize};

use super::{OperatorId, Plan, Signature};

/// Which operators wait for which. What an operator reads is the same under every schedule: what earlier layers left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// One operator after another, in plan order (MaAS).
    Sequential,
    /// A layer starts when the previous one has ended (LAMaS, E4).
    #[default]
    Layered,
    /// An operator starts when what it reads exists: at once if that is only the question.
    Dataflow,
}

/// For each choice, in the order of [`Plan::choices`], the earlier choices that it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dependencies(pub Vec<Vec<usize>>);

/// How a plan is going to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Whether each choice runs: what follows the layer of a stop does not.
    pub runs: Vec<bool>,
    pub dependencies: Dependencies,
}

impl Schedule {
    /// How `plan` is going to run; `signatures` are those of the operators.
    pub fn prepare(self, plan: &Plan, signatures: &[Signature]) -> Prepared {
        let ends = |id: &OperatorId| signatures.get(id.index()).is_some_and(|operator| operator.ends);
        let last = plan.layers.iter().position(|layer| layer.operators.iter().any(ends)).unwrap_or(usize::MAX);
        Prepared {
            runs: plan.choices().map(|(layer, _)| layer <= last).collect(),
            dependencies: self.dependencies(plan, signatures),
        }
    }

    /// Dependencies of `plan` under this schedule; every edge points to an earlier choice. `signatures` are those of
    /// the operators.
    ///
    /// An operator that reads solutions comes after every earlier choice that may change them, directly or through other choices;
    /// one that reads context comes after every choice that leaves some.
    pub fn dependencies(self, plan: &Plan, signatures: &[Signature]) -> Dependencies {
        let of = |id: OperatorId| signatures.get(id.index()).copied().unwrap_or(Signature::IMPROVES);
        let mut waits_for: Vec<Vec<usize>> = Vec::with_capacity(plan.len());
        let mut previous = 0..0;
        let (mut solutions, mut context) = (Unread::default(), Unread::default());
        for layer in &plan.layers {
            let start = waits_for.len();
            for (position, &id) in layer.operators.iter().enumerate() {
                waits_for.push(match self {
                    Schedule::Sequential => (start + position).checked_sub(1).into_iter().collect(),
                    Schedule::Layered => previous.clone().collect(),
                    Schedule::Dataflow => match (of(id).reads_solutions, of(id).reads_context) {
                        (false, false) => Vec::new(),
                        (true, false) => solutions.0.clone(),
                        (false, true) => context.0.clone(),
                        (true, true) => solutions.with(&context),
                    },
                });
            }
            previous = start..waits_for.len();
            let layer: Vec<Signature> = layer.operators.iter().map(|&id| of(id)).collect();
            solutions.pass(start, layer.iter().map(|it| [it.reads_solutions, it.moves_solutions()]));
            context.pass(start, layer.iter().map(|it| [it.reads_context, it.informs]));
        }
        Dependencies(waits_for)
    }
}

/// The choices that left something which no later reader has waited for. They are in the last layer in which some choice both read
/// and left such a thing (it has waited for everything before), and in the layers after that one.
#[derive(Default)]
struct Unread(Vec<usize>);

impl Unread {
    /// Passes a layer whose choices begin with number `start`. `choices` says of each whether it reads such things, and whether it
    /// leaves some.
    fn pass(&mut self, start: usize, choices: impl Iterator<Item = [bool; 2]>) {
        let choices: Vec<[bool; 2]> = choices.collect();
        if choices.contains(&[true, true]) {
            self.0.clear();
        }
        self.0.extend((start..).zip(choices).filter(|(_, [_, leaves])| *leaves).map(|(choice, _)| choice));
    }

    fn with(&self, other: &Unread) -> Vec<usize> {
        let mut all = [self.0.as_slice(), &other.0].concat();
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::Rng;

    use super::*;
    use crate::random;

    const RETRIEVES: Signature = Signature { informs: true, uses_tool: true, ..Signature::IDLE };
    const READS_ALL: Signature = Signature { reads_context: true, ..Signature::IMPROVES };
    const ALL: [Signature; 7] = [
        Signature::ANSWERS,
        Signature::COMPUTES,
        Signature::VOTES,
        Signature::IMPROVES,
        RETRIEVES,
        Signature { reads_context: true, ..Signature::ANSWERS },
        READS_ALL,
    ];

    /// Operators 0 and 1 read the question only, 2 and 3 the solutions; 4 leaves context, 5 reads it, and 6 reads both.
    #[track_caller]
    fn check(layers: &[&[u16]], schedule: Schedule, expected: &[&[usize]]) {
        let found = schedule.dependencies(&Plan::from_indices(layers), &ALL);
        assert_eq!(found.0, expected, "{layers:?} {schedule:?}");
    }

    #[test]
    fn nothing_runs_behind_the_layer_of_a_stop() {
        let signatures = [Signature::ANSWERS, Signature::ENDS];
        let runs = |layers: &[&[u16]]| Schedule::Layered.prepare(&Plan::from_indices(layers), &signatures).runs;
        assert_eq!(runs(&[&[0], &[0]]), [true; 2]);
        assert_eq!(runs(&[&[1, 0], &[0, 1], &[0]]), [true, true, false, false, false]);
    }

    #[test]
    fn who_waits_for_whom() {
        check(&[&[0, 1], &[1, 3]], Schedule::Sequential, &[&[], &[0], &[1], &[2]]);
        check(&[&[0, 1], &[1, 3]], Schedule::Layered, &[&[], &[], &[0, 1], &[0, 1]]);
        check(&[&[0, 1], &[1, 3]], Schedule::Dataflow, &[&[], &[], &[], &[0, 1]]);
        check(&[&[0], &[1], &[2]], Schedule::Dataflow, &[&[], &[], &[0, 1]]);
        check(&[&[0], &[2, 1], &[3]], Schedule::Dataflow, &[&[], &[0], &[], &[1, 2]]);
        check(&[&[0], &[2], &[1], &[3]], Schedule::Dataflow, &[&[], &[0], &[], &[1, 2]]);
        check(&[&[4, 0], &[5, 3], &[6]], Schedule::Dataflow, &[&[], &[], &[0], &[1], &[0, 2, 3]]);
        check(&[&[4], &[6], &[4], &[5]], Schedule::Dataflow, &[&[], &[0], &[], &[0, 2]]);
        check(&[&[4, 0], &[5, 3], &[6]], Schedule::Layered, &[&[], &[], &[0, 1], &[0, 1], &[2, 3]]);
    }

    #[test]
    fn readers_wait_for_all_that_leave_what_they_read_and_for_nobody_else() {
        let mut rng = random::stream(3, &[&"schedule"]);
        for _ in 0..2_000 {
            let layers: Vec<Vec<u16>> = (0..rng.random_range(1..=5))
                .map(|_| (0..rng.random_range(1..=3)).map(|_| rng.random_range(0..ALL.len()) as u16).collect())
                .collect();
            let plan = Plan::from_indices(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let Dependencies(waits_for) = Schedule::Dataflow.dependencies(&plan, &ALL);
            let choices: Vec<(usize, Signature)> = plan.choices().map(|(layer, id)| (layer, ALL[id.index()])).collect();
            let mut before: Vec<BTreeSet<usize>> = Vec::new();
            for (at, (layer, reader)) in choices.iter().enumerate() {
                let leaves = |of: &Signature| {
                    reader.reads_solutions && of.moves_solutions() || reader.reads_context && of.informs
                };
                let read: BTreeSet<usize> =
                    (0..at).filter(|&other| choices[other].0 < *layer && leaves(&choices[other].1)).collect();
                let direct: BTreeSet<usize> = waits_for[at].iter().copied().collect();
                let all = direct.iter().flat_map(|&other| before[other].iter().copied().chain([other])).collect();
                assert!(direct.is_subset(&read) && read.is_subset(&all), "{layers:?}: {at} waits for {direct:?}");
                before.push(all);
            }
        }
    }
}
