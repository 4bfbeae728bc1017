//! When an operator may start: the dependencies between the choices of a plan, and which of them run at all.

use serde::{Deserialize, Serialize};

use super::{Kind, OperatorId, Plan, Signature};

/// Which operators wait for which. What an operator reads is the same under all: what earlier layers left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// One operator after another, in plan order (MaAS).
    Sequential,
    /// A layer starts when the one before it has ended (LAMaS, E4).
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
    /// What is known of a run of `plan` before it; `signatures` are those of the operators.
    pub fn prepare(self, plan: &Plan, signatures: &[Signature]) -> Prepared {
        let is_stop = |id: &OperatorId| signatures.get(id.index()).is_some_and(|operator| operator.kind == Kind::Stop);
        let last = plan.layers.iter().position(|layer| layer.operators.iter().any(is_stop)).unwrap_or(usize::MAX);
        Prepared {
            runs: plan.choices().map(|(layer, _)| layer <= last).collect(),
            dependencies: self.dependencies(plan, signatures),
        }
    }

    /// Dependencies of `plan` under this schedule; every edge points to an earlier choice. `signatures` are those of
    /// the operators.
    ///
    /// Who reads solutions comes after every choice of the earlier layers, through one step or several.
    pub fn dependencies(self, plan: &Plan, signatures: &[Signature]) -> Dependencies {
        let reads = |id: OperatorId| signatures.get(id.index()).is_none_or(|operator| operator.reads_solutions);
        let mut waits_for: Vec<Vec<usize>> = Vec::with_capacity(plan.len());
        let mut previous = 0..0;
        // The last layer with a reader, which has waited for all before it, and the layers after it.
        let mut unread = 0..0;
        for layer in &plan.layers {
            let start = waits_for.len();
            for (position, &id) in layer.operators.iter().enumerate() {
                waits_for.push(match self {
                    Schedule::Sequential => (start + position).checked_sub(1).into_iter().collect(),
                    Schedule::Layered => previous.clone().collect(),
                    Schedule::Dataflow if reads(id) => unread.clone().collect(),
                    Schedule::Dataflow => Vec::new(),
                });
            }
            previous = start..waits_for.len();
            let from = if layer.operators.iter().any(|&id| reads(id)) { start } else { unread.start };
            unread = from..waits_for.len();
        }
        Dependencies(waits_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kind;

    /// Operators 0 and 1 read the question only, 2 and 3 the solutions.
    #[track_caller]
    fn check(layers: &[&[u16]], schedule: Schedule, expected: &[&[usize]]) {
        let kinds = [Kind::Generate, Kind::Program, Kind::Ensemble, Kind::Refine];
        let found = schedule.dependencies(&Plan::from_indices(layers), &kinds.map(Signature::of));
        assert_eq!(found.0, expected, "{layers:?} {schedule:?}");
    }

    #[test]
    fn nothing_runs_behind_the_layer_of_a_stop() {
        let kinds = [Kind::Generate, Kind::Stop].map(Signature::of);
        let runs = |layers: &[&[u16]]| Schedule::Layered.prepare(&Plan::from_indices(layers), &kinds).runs;
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
    }
}
