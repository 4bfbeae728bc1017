//! Baselines for a trained controller: fixed plans, and plans drawn at random.

use rand::Rng;

use crate::plan::{Layer, OperatorId, Plan, Signature, feasible};

/// Chains of thought in the self-consistency baseline, as in the paper.
const CHAINS: u32 = 5;

/// One plan for every query.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    pub name: &'static str,
    pub plan: Plan,
    /// Operators with another number of samples than in the catalogue.
    pub samples: Vec<(OperatorId, u32)>,
}

/// A baseline that the catalogue has no operators for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub name: &'static str,
    pub reason: String,
}

/// The fixed plans, for operators given by name and signature in catalogue order.
///
/// Five chains with a vote are one `MultiGenerateCoT` with five samples. All run in parallel, so the critical path is the longest
/// chain; the vote is the one at the end of every plan.
pub fn fixed(names: &[String], signatures: &[Signature]) -> Vec<Result<Baseline, Skipped>> {
    let named = |wanted: &str| {
        let position = names.iter().position(|name| name == wanted);
        position.and_then(operator_id).ok_or_else(|| format!("the catalogue has no operator `{wanted}`"))
    };
    let that = |wanted: fn(&Signature) -> bool| -> Vec<OperatorId> {
        signatures.iter().enumerate().filter(|(_, it)| wanted(it)).filter_map(|(at, _)| operator_id(at)).collect()
    };
    let program = || {
        let program = that(|it| it.opens() && it.asks_model && it.executes).first().copied();
        program.ok_or_else(|| "the catalogue has no operator of kind `program`".to_string())
    };
    let everything = || {
        let generators = that(Signature::opens);
        if generators.is_empty() {
            return Err("the catalogue has no operator that generates".to_string());
        }
        let improvers = that(|it| it.improves() && !it.replaces);
        Ok(vec![that(Signature::prepares), generators, improvers, that(|it| it.replaces)])
    };
    let chains = named("MultiGenerateCoT");
    let samples = chains.iter().map(|&operator| (operator, CHAINS)).collect();
    vec![
        baseline("Generate", named("Generate").map(|operator| vec![vec![operator]])),
        baseline("GenerateCoT", named("GenerateCoT").map(|operator| vec![vec![operator]])),
        baseline("CoT x 5, vote", chains.clone().map(|operator| vec![vec![operator]]))
            .map(|plain| Baseline { samples, ..plain }),
        baseline("program + chains", program().and_then(|first| Ok(vec![vec![first, chains?]]))),
        baseline("every operator", everything()),
    ]
}

/// The controller's draw with equal probabilities: feasible operators without replacement, until they have more than `threshold`
/// of the probability (E2), for at most `layers` layers.
pub fn random_plan(signatures: &[Signature], layers: usize, threshold: f64, rng: &mut impl Rng) -> Plan {
    let mut plan = Plan::default();
    while plan.layers.len() < layers {
        let mut left: Vec<usize> = feasible(signatures, &plan.layers, layers)
            .iter()
            .enumerate()
            .filter(|(_, can)| **can)
            .map(|(at, _)| at)
            .collect();
        let candidates = left.len() as f64;
        let mut layer = Layer::default();
        while !left.is_empty() && layer.operators.len() as f64 / candidates <= threshold {
            let drawn = left.remove(rng.random_range(0..left.len()));
            layer.operators.extend(operator_id(drawn));
        }
        if layer.operators.is_empty() {
            break;
        }
        let stops = layer.operators.iter().any(|operator| signatures.get(operator.index()).is_some_and(|it| it.ends));
        plan.layers.push(layer);
        if stops {
            break;
        }
    }
    plan
}

fn operator_id(position: usize) -> Option<OperatorId> {
    u16::try_from(position).ok().map(OperatorId)
}

fn baseline(name: &'static str, layers: Result<Vec<Vec<OperatorId>>, String>) -> Result<Baseline, Skipped> {
    let layers = layers.map_err(|reason| Skipped { name, reason })?;
    let filled = layers.into_iter().filter(|operators| !operators.is_empty());
    Ok(Baseline {
        name,
        plan: Plan { layers: filled.map(|operators| Layer { operators }).collect() },
        samples: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random;

    const CATALOGUE: [(&str, Signature); 7] = [
        ("Generate", Signature::ANSWERS),
        ("GenerateCoT", Signature::ANSWERS),
        ("MultiGenerateCoT", Signature::ANSWERS),
        ("ScEnsemble", Signature::VOTES),
        ("Programmer", Signature::COMPUTES),
        ("SelfRefine", Signature::IMPROVES),
        ("EarlyStop", Signature::ENDS),
    ];

    fn plans(catalogue: &[(&str, Signature)]) -> Vec<Result<Baseline, Skipped>> {
        let names: Vec<String> = catalogue.iter().map(|(name, _)| name.to_string()).collect();
        let signatures: Vec<Signature> = catalogue.iter().map(|(_, kind)| *kind).collect();
        fixed(&names, &signatures)
    }

    #[test]
    fn plans_of_the_papers_catalogue() {
        let found: Vec<Baseline> = plans(&CATALOGUE).into_iter().flatten().collect();
        let plans: Vec<Plan> = found.iter().map(|baseline| baseline.plan.clone()).collect();
        let expected: [&[&[u16]]; 5] = [&[&[0]], &[&[1]], &[&[2]], &[&[4, 2]], &[&[0, 1, 2, 4], &[5], &[3]]];
        assert_eq!(plans, expected.map(Plan::from_indices));
        let overrides: Vec<_> = found.into_iter().flat_map(|baseline| baseline.samples).collect();
        assert_eq!(overrides, [(OperatorId(2), 5)]);
    }

    #[test]
    fn missing_operators_are_named() {
        let reasons: Vec<String> =
            plans(&CATALOGUE[..1]).into_iter().filter_map(Result::err).map(|skipped| skipped.reason).collect();
        assert_eq!(
            reasons,
            [
                "the catalogue has no operator `GenerateCoT`",
                "the catalogue has no operator `MultiGenerateCoT`",
                "the catalogue has no operator of kind `program`"
            ]
        );
        assert!(plans(&[]).iter().all(Result::is_err));
    }

    proptest! {
        #[test]
        fn random_plans_are_plans(
            signatures in prop::collection::vec(
                prop::sample::select(vec![Signature::ANSWERS, Signature::COMPUTES, Signature::VOTES, Signature::IMPROVES, Signature::ENDS]), 0..9),
            layers in 0usize..6,
            threshold in 0.0..1.2,
            seed: u64,
        ) {
            let draw = || random_plan(&signatures, layers, threshold, &mut random::stream(seed, &[&"plan"]));
            let plan = draw();
            prop_assert_eq!(&plan, &draw());
            prop_assert!(plan.layers.len() <= layers);
            for (index, layer) in plan.layers.iter().enumerate() {
                let allowed = feasible(&signatures, &plan.layers[..index], layers);
                let mut seen: Vec<_> = layer.operators.clone();
                seen.sort_unstable();
                seen.dedup();
                prop_assert_eq!(seen.len(), layer.operators.len());
                prop_assert!(!seen.is_empty() && seen.iter().all(|operator| allowed[operator.index()]));
                let share = |drawn: usize| drawn as f64 / allowed.iter().filter(|can| **can).count() as f64;
                prop_assert!(share(seen.len() - 1) <= threshold && (share(seen.len()) > threshold || share(seen.len()) == 1.0));
                let stops = layer.operators.iter().any(|operator| signatures[operator.index()].ends);
                prop_assert!(!stops || index + 1 == plan.layers.len());
            }
        }
    }
}
