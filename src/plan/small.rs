//! Small plans, which are worth trying on every problem.

use super::{Layer, OperatorId, Plan, Signature};

/// How a plan is built from operators that act one after another, or in parallel if they read only the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All operators that answer by themselves in one layer, of at most this many; each of the others in its own layer.
    Sets { width: usize },
    /// One operator per layer, ended by the first stop operator if there is one and there is room. This is how a controller that is
    /// certain of each operator draws (E2).
    OneByOne,
}

impl Layout {
    /// The plan of some operators of a catalogue with these `signatures`: first those that prepare context, then those that answer
    /// by themselves, then the others; none if it needs more than `layers`.
    pub fn plan(self, signatures: &[Signature], layers: usize, operators: &[OperatorId]) -> Option<Plan> {
        let is = |id: &OperatorId, wanted: fn(&Signature) -> bool| signatures.get(id.index()).is_some_and(wanted);
        let (first, rest): (Vec<OperatorId>, Vec<OperatorId>) =
            operators.iter().partition(|id| is(id, Signature::prepares));
        let single = |&id: &OperatorId| Layer { operators: vec![id] };
        let plan = match self {
            Layout::Sets { width } => {
                let (openers, rest): (Vec<OperatorId>, Vec<OperatorId>) =
                    rest.iter().partition(|id| is(id, Signature::opens));
                if first.len().max(openers.len()) > width {
                    return None;
                }
                let sets = [first, openers].into_iter().filter(|operators| !operators.is_empty());
                let sets = sets.map(|operators| Layer { operators });
                Plan { layers: sets.chain(rest.iter().map(single)).collect() }
            }
            Layout::OneByOne => {
                let stop = signatures.iter().position(|signature| signature.ends);
                let stop = stop.filter(|_| operators.len() < layers).map(|at| OperatorId(at as u16));
                Plan { layers: first.iter().chain(&rest).chain(&stop).map(single).collect() }
            }
        };
        (!operators.is_empty() && plan.layers.len() <= layers).then_some(plan)
    }
}

/// The operators that answer by themselves.
pub fn openers(signatures: &[Signature]) -> impl Iterator<Item = OperatorId> + '_ {
    that(signatures, Signature::opens)
}

/// The operators that a survey adds to those that answer by themselves: all others that ask a model or use a tool. A plain vote
/// does neither, and every plan ends in one anyway.
pub fn improvers(signatures: &[Signature]) -> impl Iterator<Item = OperatorId> + '_ {
    that(signatures, |signature| signature.improves() || signature.prepares())
}

/// Whether adding `last` to `chosen` has an effect: context is useful only if something reads it.
pub fn is_of_use(signatures: &[Signature], chosen: &[OperatorId], last: OperatorId) -> bool {
    let of = |id: &OperatorId| signatures.get(id.index());
    of(&last)
        .is_some_and(|last| !last.prepares() || chosen.iter().filter_map(of).any(|signature| signature.reads_context))
}

fn that(signatures: &[Signature], wanted: fn(&Signature) -> bool) -> impl Iterator<Item = OperatorId> + '_ {
    let found = signatures.iter().enumerate().filter(move |(_, signature)| wanted(signature));
    found.filter_map(|(index, _)| u16::try_from(index).ok().map(OperatorId))
}

/// The plans with one to `most` operators, smallest first, at most `limit` of them: operators that answer by themselves, in
/// catalogue order, and possibly one other.
pub fn small_plans(layout: Layout, signatures: &[Signature], layers: usize, most: usize, limit: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut smaller: Vec<Vec<OperatorId>> = vec![Vec::new()];
    for _ in 0..most {
        let improved = smaller.iter().filter(|chosen| !chosen.is_empty()).flat_map(|chosen| {
            let others = improvers(signatures).filter(|&last| is_of_use(signatures, chosen, last));
            others.map(|last| [chosen.as_slice(), &[last]].concat())
        });
        let improved: Vec<_> = improved.take(limit).collect();
        let longer = smaller.iter().flat_map(|chosen| {
            let after = chosen.last().copied();
            let next = openers(signatures).filter(move |&id| after.is_none_or(|after| id > after));
            next.map(|id| [chosen.as_slice(), &[id]].concat())
        });
        smaller = longer.take(limit).collect();
        plans.extend(smaller.iter().chain(&improved).filter_map(|chosen| layout.plan(signatures, layers, chosen)));
    }
    plans.truncate(limit);
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: Signature = Signature::ANSWERS;
    const COMPUTES: Signature = Signature::COMPUTES;
    const VOTES: Signature = Signature::VOTES;
    const IMPROVES: Signature = Signature::IMPROVES;
    const ENDS: Signature = Signature::ENDS;
    const SETS: Layout = Layout::Sets { width: 4 };

    #[track_caller]
    fn check(layout: Layout, signatures: &[Signature], [layers, most, limit]: [usize; 3], expected: &[&[&[u16]]]) {
        let found = small_plans(layout, signatures, layers, most, limit);
        let expected: Vec<Plan> = expected.iter().map(|layers| Plan::from_indices(layers)).collect();
        assert_eq!(found, expected, "{layout:?} {signatures:?} {layers} {most} {limit}");
    }

    #[test]
    fn small_plans_are_listed_once_and_smallest_first() {
        let signatures = [ANSWERS, COMPUTES, IMPROVES];
        check(Layout::OneByOne, &[ANSWERS, VOTES, ENDS], [4, 2, 9], &[&[&[0], &[2]]]);
        check(SETS, &[ANSWERS, VOTES, ENDS], [4, 2, 9], &[&[&[0]]]);
        check(
            Layout::OneByOne,
            &signatures,
            [4, 2, 9],
            &[&[&[0]], &[&[1]], &[&[0], &[1]], &[&[0], &[2]], &[&[1], &[2]]],
        );
        check(SETS, &signatures, [4, 2, 9], &[&[&[0]], &[&[1]], &[&[0, 1]], &[&[0], &[2]], &[&[1], &[2]]]);
        check(
            SETS,
            &signatures,
            [4, 3, 9],
            &[&[&[0]], &[&[1]], &[&[0, 1]], &[&[0], &[2]], &[&[1], &[2]], &[&[0, 1], &[2]]],
        );
        check(SETS, &signatures, [1, 2, 9], &[&[&[0]], &[&[1]], &[&[0, 1]]]);
        check(Layout::Sets { width: 1 }, &signatures, [1, 2, 9], &[&[&[0]], &[&[1]]]);
        check(Layout::OneByOne, &signatures, [1, 2, 9], &[&[&[0]], &[&[1]]]);
        check(Layout::OneByOne, &[ANSWERS, ENDS, IMPROVES], [2, 2, 9], &[&[&[0], &[1]], &[&[0], &[2]]]);
        check(SETS, &signatures, [4, 2, 3], &[&[&[0]], &[&[1]], &[&[0, 1]]]);
        check(SETS, &[IMPROVES, ENDS], [4, 3, 9], &[]);
        check(SETS, &[], [4, 3, 9], &[]);
        let retrieves = Signature { informs: true, uses_tool: true, ..Signature::IDLE };
        let informed = Signature { reads_context: true, ..ANSWERS };
        check(SETS, &[ANSWERS, retrieves], [4, 2, 9], &[&[&[0]]]);
        check(SETS, &[informed, retrieves], [4, 2, 9], &[&[&[0]], &[&[1], &[0]]]);
        check(Layout::OneByOne, &[informed, retrieves], [4, 2, 9], &[&[&[0]], &[&[1], &[0]]]);
        let chooses = Signature { asks_model: true, ..VOTES };
        check(SETS, &[ANSWERS, chooses], [4, 2, 9], &[&[&[0]], &[&[0], &[1]]]);
        let paper = [ANSWERS, ANSWERS, ANSWERS, VOTES, COMPUTES, IMPROVES, IMPROVES, ENDS];
        for layout in [SETS, Layout::OneByOne] {
            assert_eq!(small_plans(layout, &paper, 4, 3, 99).len(), 4 + (6 + 4 * 2) + (4 + 6 * 2));
        }
    }
}
