//! The small plans: what is worth trying on every problem before anything is learned.

use super::{Kind, Layer, OperatorId, Plan};

/// The plans of one to `most` operators over a catalogue of these `kinds`, smallest first and at most `limit` of them:
/// generators in catalogue order, at the end perhaps one operator that tests or refines, one operator a layer, closed by
/// the first stop where there is one and `layers` leave room.
///
/// Ensembles are left out, because every plan ends in a vote. One operator a layer is how a controller draws whatever it
/// is sure of (E2); where operators start as soon as what they read exists, it costs no time.
pub fn small_plans(kinds: &[Kind], layers: usize, most: usize, limit: usize) -> Vec<Plan> {
    let ids = |wanted: fn(Kind) -> bool| -> Vec<OperatorId> {
        let found = kinds.iter().enumerate().filter(|(_, kind)| wanted(**kind));
        found.filter_map(|(index, _)| u16::try_from(index).ok().map(OperatorId)).collect()
    };
    let generators = ids(Kind::generates);
    let improvers = ids(|kind| matches!(kind, Kind::Test | Kind::Refine));
    let stop = ids(|kind| kind == Kind::Stop).first().copied();
    let mut plans = Vec::new();
    let mut smaller: Vec<Vec<OperatorId>> = vec![Vec::new()];
    for size in 1..=most.min(layers) {
        let improved = smaller.iter().filter(|chosen| !chosen.is_empty());
        let improved = improved.flat_map(|chosen| improvers.iter().map(|&last| [chosen.as_slice(), &[last]].concat()));
        let improved: Vec<_> = improved.take(limit).collect();
        let longer = smaller.iter().flat_map(|chosen| {
            let after = chosen.last().copied();
            let next = generators.iter().filter(move |&&id| after.is_none_or(|after| id > after));
            next.map(|&id| [chosen.as_slice(), &[id]].concat())
        });
        smaller = longer.take(limit).collect();
        for chosen in smaller.iter().cloned().chain(improved) {
            let closing = stop.filter(|_| size < layers);
            let layer = |id| Layer { operators: vec![id] };
            plans.push(Plan { layers: chosen.into_iter().chain(closing).map(layer).collect() });
        }
    }
    plans.truncate(limit);
    plans
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Ensemble, Generate, Program, Refine, Stop, Test};

    #[track_caller]
    fn check(kinds: &[Kind], layers: usize, most: usize, limit: usize, expected: &[&[u16]]) {
        let found = small_plans(kinds, layers, most, limit);
        let expected: Vec<Plan> = expected
            .iter()
            .map(|ids| Plan::from_indices(&ids.iter().map(std::slice::from_ref).collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, expected, "{kinds:?} {layers} {most} {limit}");
    }

    #[test]
    fn small_plans_are_listed_once_and_smallest_first() {
        check(&[Generate, Ensemble, Stop], 4, 2, 9, &[&[0, 2]]);
        check(&[Generate, Program, Refine], 4, 1, 9, &[&[0], &[1]]);
        check(&[Generate, Program, Refine], 4, 2, 9, &[&[0], &[1], &[0, 1], &[0, 2], &[1, 2]]);
        check(&[Generate, Program, Refine], 1, 2, 9, &[&[0], &[1]]);
        check(&[Generate, Stop, Refine], 2, 2, 9, &[&[0, 1], &[0, 2]]);
        check(&[Generate, Program, Refine], 4, 2, 3, &[&[0], &[1], &[0, 1]]);
        check(&[Refine, Stop], 4, 3, 9, &[]);
        check(&[], 4, 3, 9, &[]);
        let paper = [Generate, Generate, Generate, Ensemble, Program, Test, Refine, Stop];
        assert_eq!(small_plans(&paper, 4, 3, 99).len(), 4 + (6 + 4 * 2) + (4 + 6 * 2));
    }
}
