//! The small plans: what is worth trying on every problem.

use super::{Kind, Layer, OperatorId, Plan};

/// How operators that are to act one after another, or side by side where they read only the question, are laid out as a
/// plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All that answer by themselves in one layer, of at most so many operators; each of the others in a layer of its own.
    Sets { width: usize },
    /// One operator a layer, closed by the first stop where there is one and room is left: how a controller draws whatever it
    /// is sure of (E2).
    OneByOne,
}

impl Layout {
    /// The plan of some operators of a catalogue of these `kinds`, those first that answer by themselves; none if it takes
    /// more than `layers`.
    pub fn plan(self, kinds: &[Kind], layers: usize, operators: &[OperatorId]) -> Option<Plan> {
        let generates = |id: &OperatorId| kinds.get(id.index()).is_some_and(|kind| kind.generates());
        let single = |&id: &OperatorId| Layer { operators: vec![id] };
        let plan = match self {
            Layout::Sets { width } => {
                let (first, rest): (Vec<OperatorId>, Vec<OperatorId>) = operators.iter().partition(|id| generates(id));
                if first.len() > width {
                    return None;
                }
                let first = std::iter::once(Layer { operators: first });
                Plan { layers: first.chain(rest.iter().map(single)).collect() }
            }
            Layout::OneByOne => {
                let stop = kinds.iter().position(|kind| *kind == Kind::Stop).filter(|_| operators.len() < layers);
                let stop = stop.map(|at| OperatorId(at as u16));
                Plan { layers: operators.iter().chain(&stop).map(single).collect() }
            }
        };
        (!operators.is_empty() && plan.layers.len() <= layers).then_some(plan)
    }
}

/// The operators that answer by themselves.
pub fn generators(kinds: &[Kind]) -> impl Iterator<Item = OperatorId> + '_ {
    of_kind(kinds, Kind::generates)
}

/// The operators that test or improve a solution. Ensembles are none, because every plan ends in a vote.
pub fn improvers(kinds: &[Kind]) -> impl Iterator<Item = OperatorId> + '_ {
    of_kind(kinds, |kind| matches!(kind, Kind::Test | Kind::Refine))
}

fn of_kind(kinds: &[Kind], wanted: fn(Kind) -> bool) -> impl Iterator<Item = OperatorId> + '_ {
    let found = kinds.iter().enumerate().filter(move |(_, kind)| wanted(**kind));
    found.filter_map(|(index, _)| u16::try_from(index).ok().map(OperatorId))
}

/// The plans of one to `most` operators, smallest first and at most `limit` of them: generators in catalogue order, at the
/// end perhaps one operator that tests or refines.
pub fn small_plans(layout: Layout, kinds: &[Kind], layers: usize, most: usize, limit: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut smaller: Vec<Vec<OperatorId>> = vec![Vec::new()];
    for _ in 0..most {
        let improved = smaller.iter().filter(|chosen| !chosen.is_empty());
        let improved = improved.flat_map(|chosen| improvers(kinds).map(|last| [chosen.as_slice(), &[last]].concat()));
        let improved: Vec<_> = improved.take(limit).collect();
        let longer = smaller.iter().flat_map(|chosen| {
            let after = chosen.last().copied();
            let next = generators(kinds).filter(move |&id| after.is_none_or(|after| id > after));
            next.map(|id| [chosen.as_slice(), &[id]].concat())
        });
        smaller = longer.take(limit).collect();
        plans.extend(smaller.iter().chain(&improved).filter_map(|chosen| layout.plan(kinds, layers, chosen)));
    }
    plans.truncate(limit);
    plans
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Ensemble, Generate, Program, Refine, Stop, Test};

    const SETS: Layout = Layout::Sets { width: 4 };

    #[track_caller]
    fn check(layout: Layout, kinds: &[Kind], [layers, most, limit]: [usize; 3], expected: &[&[&[u16]]]) {
        let found = small_plans(layout, kinds, layers, most, limit);
        let expected: Vec<Plan> = expected.iter().map(|layers| Plan::from_indices(layers)).collect();
        assert_eq!(found, expected, "{layout:?} {kinds:?} {layers} {most} {limit}");
    }

    #[test]
    fn small_plans_are_listed_once_and_smallest_first() {
        let kinds = [Generate, Program, Refine];
        check(Layout::OneByOne, &[Generate, Ensemble, Stop], [4, 2, 9], &[&[&[0], &[2]]]);
        check(SETS, &[Generate, Ensemble, Stop], [4, 2, 9], &[&[&[0]]]);
        check(Layout::OneByOne, &kinds, [4, 2, 9], &[&[&[0]], &[&[1]], &[&[0], &[1]], &[&[0], &[2]], &[&[1], &[2]]]);
        check(SETS, &kinds, [4, 2, 9], &[&[&[0]], &[&[1]], &[&[0, 1]], &[&[0], &[2]], &[&[1], &[2]]]);
        check(SETS, &kinds, [4, 3, 9], &[&[&[0]], &[&[1]], &[&[0, 1]], &[&[0], &[2]], &[&[1], &[2]], &[&[0, 1], &[2]]]);
        check(SETS, &kinds, [1, 2, 9], &[&[&[0]], &[&[1]], &[&[0, 1]]]);
        check(Layout::Sets { width: 1 }, &kinds, [1, 2, 9], &[&[&[0]], &[&[1]]]);
        check(Layout::OneByOne, &kinds, [1, 2, 9], &[&[&[0]], &[&[1]]]);
        check(Layout::OneByOne, &[Generate, Stop, Refine], [2, 2, 9], &[&[&[0], &[1]], &[&[0], &[2]]]);
        check(SETS, &kinds, [4, 2, 3], &[&[&[0]], &[&[1]], &[&[0, 1]]]);
        check(SETS, &[Refine, Stop], [4, 3, 9], &[]);
        check(SETS, &[], [4, 3, 9], &[]);
        let paper = [Generate, Generate, Generate, Ensemble, Program, Test, Refine, Stop];
        for layout in [SETS, Layout::OneByOne] {
            assert_eq!(small_plans(layout, &paper, 4, 3, 99).len(), 4 + (6 + 4 * 2) + (4 + 6 * 2));
        }
    }
}
