//! Which plans are worth trying, and which are worth learning from. The outcomes of smaller plans decide, never an operator's
//! position in its catalogue.

use std::collections::HashSet;

use super::crossfit::first_best;
use super::outcomes::{Outcomes, PlanOutcomes};
use crate::plan::{Layout, OperatorId, Plan, Signature, improvers, is_of_use, openers};

/// The plans to choose from.
pub(super) struct Space<'a> {
    pub signatures: &'a [Signature],
    pub layers: usize,
    pub layout: Layout,
    /// Most operators in a plan.
    pub operators: usize,
    /// Most plans to learn from.
    pub plans: usize,
    /// Latency weights at which plans are judged.
    pub latency_weights: &'a [f64],
}

/// Most pairs that are tried; with up to 24 operators, that is all of them.
const PAIRS: usize = 300;
/// How many of the best plans of a size are extended by an operator that answers by itself. This needs no new calls.
const EXTENDED: usize = 16;
/// Most operators that rules are made of.
const PAIRING: usize = 8;
/// How many of the best plans of a size are extended by an operator that reads their solutions. Each needs new calls.
const IMPROVED: usize = 4;

impl Space<'_> {
    /// The plans of `size` operators to try next, once the plans with one operator less were tried.
    pub fn candidates(&self, tried: &Outcomes, size: usize) -> Vec<Plan> {
        let operators: Vec<OperatorId> = openers(self.signatures).collect();
        let smaller = self.best_of_size(tried, size - 1);
        let prepares = |id: &OperatorId| self.signatures.get(id.index()).is_some_and(Signature::prepares);
        let is_basis = |chosen: &[OperatorId]| chosen.iter().all(|id| operators.contains(id) || prepares(id));
        let extended = self.plans.div_ceil(4).max(EXTENDED);
        let mut chosen: Vec<Vec<OperatorId>> = match size {
            1 => operators.iter().map(|&id| vec![id]).collect(),
            2 => self.pairs(tried),
            _ => smaller
                .iter()
                .filter(|chosen| is_basis(chosen))
                .take(extended)
                .flat_map(|chosen| {
                    let others = operators.iter().filter(|id| !chosen.contains(id));
                    others.map(|&id| sorted([chosen.as_slice(), &[id]].concat()))
                })
                .collect(),
        };
        let unimproved: Vec<_> = smaller.iter().filter(|chosen| is_basis(chosen)).collect();
        let added = |best: &[OperatorId], id: OperatorId| [best, &[id]].concat();
        for best in unimproved.iter().take(IMPROVED) {
            chosen.extend(improvers(self.signatures).filter(|id| !prepares(id)).map(|id| added(best, id)));
        }
        // The best plans whose operators read context: without it they may be the worst of all.
        for id in improvers(self.signatures).filter(prepares) {
            let readers = unimproved.iter().filter(|best| is_of_use(self.signatures, best, id) && !best.contains(&id));
            chosen.extend(readers.take(IMPROVED).map(|best| added(best, id)));
        }
        let mut seen = HashSet::new();
        chosen.retain(|chosen| seen.insert(chosen.clone()));
        let plans = chosen.iter().filter_map(|chosen| self.layout.plan(self.signatures, self.layers, chosen));
        plans.filter(|plan| !tried.has(plan)).collect()
    }

    /// Keeps the plans worth learning from, one of each class of equal outcomes. It picks in turn the plan with the highest mean
    /// utility and the plan that adds most to the best of each problem so far, at one latency weight after another.
    pub fn keep_worthwhile(&self, tried: &mut Outcomes) {
        tried.pairing = self.pairing(tried);
        tried.complete = tried.pairing.iter().copied().filter(|&id| self.known(tried, id) >= 0.95).collect();
        tried.partial = openers(self.signatures).filter(|&id| self.known(tried, id) < 1.0).collect();
        let mut left = distinct(tried);
        let mut best = vec![vec![f64::NEG_INFINITY; tried.problems()]; self.latency_weights.len()];
        let mut kept = Vec::new();
        while !left.is_empty() && kept.len() < self.plans {
            let turn = kept.len();
            let at = turn / 2 % self.latency_weights.len();
            let weight = self.latency_weights[at];
            let worth = |plan: usize| match turn % 2 {
                0 => mean(tried.utility(plan, weight)),
                _ => mean(tried.utility(plan, weight).zip(&best[at]).map(|(own, best)| own.max(*best))),
            };
            let Some(position) = first_best(left.iter().map(|&plan| worth(plan))) else { break };
            let plan = left.remove(position);
            for (best, &weight) in best.iter_mut().zip(self.latency_weights) {
                best.iter_mut().zip(tried.utility(plan, weight)).for_each(|(best, own)| *best = best.max(own));
            }
            kept.push(plan);
        }
        tried.keep(&kept);
    }

    /// The operators of the best pairs, in catalogue order.
    fn pairing(&self, tried: &Outcomes) -> Vec<OperatorId> {
        let mut operators: Vec<OperatorId> = Vec::new();
        for id in self.pairs(tried).into_iter().flatten() {
            if operators.len() < PAIRING && !operators.contains(&id) {
                operators.push(id);
            }
        }
        sorted(operators)
    }

    /// Pairs of operators that answer by themselves; first those that would do best if the better one answered each problem.
    fn pairs(&self, tried: &Outcomes) -> Vec<Vec<OperatorId>> {
        let singles: Vec<(OperatorId, usize)> =
            openers(self.signatures).filter_map(|id| Some((id, self.single(tried, id)?))).collect();
        let pairs =
            singles.iter().enumerate().flat_map(|(at, one)| singles[at + 1..].iter().map(move |other| (one, other)));
        let both = |&(&(_, one), &(_, other)): &(&(OperatorId, usize), &(OperatorId, usize)), weight: f64| {
            // Where one of them is unknown, the larger one is unknown too.
            let larger = |(one, other): (f64, f64)| match one.is_nan() || other.is_nan() {
                true => f64::NAN,
                false => one.max(other),
            };
            mean(tried.utility(one, weight).zip(tried.utility(other, weight)).map(larger))
        };
        let pairs = self.best_first(pairs.collect(), both).into_iter().take(PAIRS.max(self.plans));
        pairs.map(|(&(one, _), &(other, _))| vec![one, other]).collect()
    }

    /// The index of the plan of one operator.
    fn single(&self, tried: &Outcomes, id: OperatorId) -> Option<usize> {
        tried.plans.iter().position(|tried| self.operators_of(&tried.plan) == [id])
    }

    /// The share of the problems on which the outcome of an operator alone is known.
    fn known(&self, tried: &Outcomes, id: OperatorId) -> f64 {
        let known = self.single(tried, id).map_or(0, |at| tried.measured(at).flatten().count());
        known as f64 / tried.problems().max(1) as f64
    }

    /// The operators of the tried plans of a size, highest utility first.
    fn best_of_size(&self, tried: &Outcomes, size: usize) -> Vec<Vec<OperatorId>> {
        let plans = tried.plans.iter().enumerate().map(|(at, PlanOutcomes { plan, .. })| (at, self.operators_of(plan)));
        let of_size = plans.filter(|(_, operators)| operators.len() == size).collect();
        let best_first = self.best_first(of_size, |&(at, _), weight| mean(tried.utility(at, weight)));
        best_first.into_iter().map(|(_, operators)| operators).collect()
    }

    /// Orders items by their best rank over the latency weights.
    fn best_first<T>(&self, items: Vec<T>, worth: impl Fn(&T, f64) -> f64) -> Vec<T> {
        let mut best_rank = vec![usize::MAX; items.len()];
        for &weight in self.latency_weights {
            let worths: Vec<f64> = items.iter().map(|item| worth(item, weight)).collect();
            let mut order: Vec<usize> = (0..items.len()).collect();
            order.sort_by(|&one, &other| worths[other].total_cmp(&worths[one]));
            order.into_iter().enumerate().for_each(|(rank, at)| best_rank[at] = best_rank[at].min(rank));
        }
        let mut ranked: Vec<(usize, T)> = best_rank.into_iter().zip(items).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, item)| item).collect()
    }

    /// The operators of a plan, without those that end it.
    pub fn operators_of(&self, plan: &Plan) -> Vec<OperatorId> {
        let ends = |id: OperatorId| self.signatures.get(id.index()).is_some_and(|signature| signature.ends);
        plan.choices().map(|(_, id)| id).filter(|&id| !ends(id)).collect()
    }
}

/// The first plan of each class of equal outcomes.
fn distinct(tried: &Outcomes) -> Vec<usize> {
    let mut seen = HashSet::new();
    let columns = |PlanOutcomes { score, cost, path, .. }: &PlanOutcomes| -> Vec<u32> {
        [score, cost, path].into_iter().flatten().map(|number| number.to_bits()).collect()
    };
    (0..tried.plans.len()).filter(|&at| seen.insert(columns(&tried.plans[at]))).collect()
}

fn sorted(mut operators: Vec<OperatorId>) -> Vec<OperatorId> {
    operators.sort_unstable();
    operators
}

/// Mean of the known numbers; minus infinity if there are none.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let known = values.filter(|value| value.is_finite());
    let (sum, count) = known.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { f64::NEG_INFINITY } else { sum / f64::from(count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::Episode;
    use crate::learn::Credit;
    use crate::learn::testing::episode;
    use crate::objective::Objective;

    const SIGNATURES: [Signature; 5] =
        [Signature::ANSWERS, Signature::ANSWERS, Signature::ANSWERS, Signature::IMPROVES, Signature::ENDS];
    const PROBLEMS: usize = 4;

    fn space(plans: usize) -> Space<'static> {
        let layout = Layout::Sets { width: 3 };
        Space { signatures: &SIGNATURES, layers: 3, layout, operators: 3, plans, latency_weights: &[0.01] }
    }

    /// Operator 2 is right on all problems but the first, operator 0 on the first alone, operator 1 on none; each takes ten
    /// tokens, so that only what is right more often is worth more.
    fn run(plan: &Plan, problem: usize) -> Episode {
        let right = if problem == 0 { OperatorId(0) } else { OperatorId(2) };
        let layers: Vec<Vec<u16>> =
            plan.layers.iter().map(|layer| layer.operators.iter().map(|id| id.0).collect()).collect();
        let layers: Vec<&[u16]> = layers.iter().map(Vec::as_slice).collect();
        let score = f64::from(u8::from(plan.choices().any(|(_, id)| id == right)));
        episode("p", &layers, &vec![10.0; plan.len()], score, 0.0)
    }

    fn tried(space: &Space<'_>, most: usize) -> Outcomes {
        let mut outcomes = Outcomes::new(PROBLEMS, Objective::default(), Credit::Marginal);
        for size in 1..=most {
            for plan in space.candidates(&outcomes, size) {
                let place = outcomes.add(plan.clone());
                (0..PROBLEMS).for_each(|problem| outcomes.record(place, problem, &[run(&plan, problem)]));
            }
        }
        outcomes
    }

    #[test]
    fn candidates_grow_from_what_was_worth_most() {
        let space = space(9);
        let found = |size| space.candidates(&tried(&space, size - 1), size);
        let plans = |plans: &[&[&[u16]]]| plans.iter().map(|layers| Plan::from_indices(layers)).collect::<Vec<_>>();
        assert_eq!(found(1), plans(&[&[&[0]], &[&[1]], &[&[2]]]));
        let pairs: [&[&[u16]]; 6] = [&[&[0, 2]], &[&[1, 2]], &[&[0, 1]], &[&[2], &[3]], &[&[0], &[3]], &[&[1], &[3]]];
        assert_eq!(found(2), plans(&pairs));
        let triples: [&[&[u16]]; 4] = [&[&[0, 1, 2]], &[&[0, 2], &[3]], &[&[1, 2], &[3]], &[&[0, 1], &[3]]];
        assert_eq!(found(3), plans(&triples));
        assert_eq!(Space { layers: 1, ..space }.candidates(&tried(&space, 1), 2).len(), 3);
    }

    #[test]
    fn one_plan_of_each_class_is_kept_and_the_best_come_first() {
        let space = space(3);
        let mut outcomes = tried(&space, 2);
        space.keep_worthwhile(&mut outcomes);
        let kept: Vec<Plan> = outcomes.plans.iter().map(|tried| tried.plan.clone()).collect();
        // Both are right together on all problems; alone operator 2 is next, and nothing adds to the first.
        assert_eq!(kept[0], Plan::from_indices(&[&[0, 2]]));
        assert_eq!(kept.len(), 3);
        let mut all = tried(&space, 2);
        let before = all.plans.len();
        Space { plans: 99, ..space }.keep_worthwhile(&mut all);
        // `{1}` and `{1}; refine` differ in length, `{0, 1}` and `{0}` in nothing.
        assert!(all.plans.len() < before);
    }
}
