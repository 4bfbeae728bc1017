//! Laws of the controller: draws, exact log-probabilities, agreement of its two implementations.

use candle_core::{Device, Tensor};
use lamas::controller::{Controller, ControllerConfig, LatencyWeights, Policy, Selection};
use lamas::plan::{Layer, OperatorId, Plan, Signature, feasible};
use lamas::random;
use proptest::prelude::*;
use rand::Rng;

const SIGNATURES: [Signature; 5] =
    [Signature::ANSWERS, Signature::VOTES, Signature::COMPUTES, Signature::IMPROVES, Signature::ENDS];
const EMBEDDING: usize = 12;

fn vectors(count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = random::stream(seed, &[&"vectors"]);
    (0..count).map(|_| (0..EMBEDDING).map(|_| rng.random_range(-1.0..1.0)).collect()).collect()
}

fn matrix(rows: &[Vec<f32>]) -> Tensor {
    Tensor::from_vec(rows.concat(), (rows.len(), EMBEDDING), &Device::Cpu).expect("a matrix")
}

fn controller(config: ControllerConfig, signatures: &[Signature], seed: u64) -> Controller {
    let operators = matrix(&vectors(signatures.len(), seed));
    Controller::new(config, signatures.to_vec(), &operators, seed, &Device::Cpu).expect("a controller")
}

/// The latency weight adds nothing at first, so this sets numbers as after some training.
fn draw_latency_sides(controller: &Controller, seed: u64) {
    let mut rng = random::stream(seed, &[&"latency sides"]);
    for (_, var) in controller.named_vars().filter(|(name, _)| name.contains("latency_encoder")) {
        let values: Vec<f32> = (0..var.elem_count()).map(|_| rng.random_range(-0.5..0.5)).collect();
        let values = Tensor::from_vec(values, var.shape(), var.device()).expect("a tensor");
        var.set(&values).expect("the same shape");
    }
}

fn config(selection: Selection, layers: usize, threshold: f64) -> ControllerConfig {
    ControllerConfig {
        layers,
        hidden: 6,
        embedding: EMBEDDING,
        selection,
        width: 3,
        threshold,
        initial_temperature: 0.4,
        ..ControllerConfig::default()
    }
}

const SELECTIONS: [Selection; 3] = [Selection::Sets, Selection::Threshold, Selection::Published];

fn any_config() -> impl Strategy<Value = ControllerConfig> {
    let switches = (1usize..5, 0.0f64..1.0, prop::sample::select(SELECTIONS.to_vec()), any::<bool>(), 0.05f64..2.0);
    switches.prop_map(|(layers, threshold, selection, weighted, temperature)| ControllerConfig {
        latency_weights: weighted.then(|| LatencyWeights::new(1e-4, 1e-2).expect("a range")),
        initial_temperature: temperature,
        ..config(selection, layers, threshold)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_draw_stops_at_the_threshold_and_repeats_nothing(config in any_config(), seed in any::<u64>(), greedy: bool) {
        let policy = Policy::new(&controller(config.clone(), &SIGNATURES, seed)).expect("a policy");
        let query = &vectors(1, seed ^ 1)[0];
        let mut rng = random::stream(seed, &[&"draw"]);
        let plan = if greedy { policy.greedy(query) } else { policy.sample(query, &mut rng) };

        prop_assert!((1..=config.layers).contains(&plan.layers.len()));
        let is_set = config.selection == Selection::Sets;
        let probabilities = policy.probabilities(query, &plan);
        for (index, (layer, probabilities)) in plan.layers.iter().zip(&probabilities).enumerate() {
            let ids = &layer.operators;
            let mut distinct = ids.clone();
            distinct.sort();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), ids.len());
            let allowed = feasible(&SIGNATURES, &plan.layers[..index], config.layers);
            if config.is_masked() {
                prop_assert!(ids.iter().all(|id| allowed[id.index()]));
            } else if index == 0 {
                prop_assert!(ids.iter().any(|id| SIGNATURES[id.index()].opens()));
                prop_assert!(ids.iter().all(|id| !SIGNATURES[id.index()].ends));
            }
            let stops = ids.iter().any(|id| SIGNATURES[id.index()].ends);
            if is_set {
                prop_assert!(&distinct == ids && ids.len() <= config.width && !stops);
                prop_assert!(probabilities.iter().sum::<f32>() < config.width as f32 + 1e-5);
                continue;
            }
            prop_assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            // Without masks, a first layer may have been replaced by a Generate of any probability.
            if config.is_masked() || index > 0 {
                let mass = |ids: &[OperatorId]| ids.iter().map(|id| probabilities[id.index()]).sum::<f32>();
                let threshold = config.threshold as f32;
                prop_assert!(mass(ids) > threshold - 1e-6);
                prop_assert!(ids.len() == 1 || mass(&ids[..ids.len() - 1]) <= threshold + 1e-6);
            }
            prop_assert_eq!(index + 1 == plan.layers.len(), stops || index + 1 == config.layers);
        }
    }

    #[test]
    fn both_sides_agree(config in any_config(), seed in any::<u64>(), count in 1usize..6) {
        let controller = controller(config, &SIGNATURES, seed);
        draw_latency_sides(&controller, seed);
        let policy = Policy::new(&controller).expect("a policy");
        let queries = vectors(count, seed ^ 1);
        let mut rng = random::stream(seed, &[&"draw"]);
        let weights: Vec<f64> = (0..count).map(|_| rng.random_range(0.0..0.02)).collect();
        let policies: Vec<Policy> = weights.iter().map(|&weight| policy.at(weight)).collect();
        let plans: Vec<Plan> =
            queries.iter().zip(&policies).map(|(query, policy)| policy.sample(query, &mut rng)).collect();
        let log_probs = controller.log_probs_at(&matrix(&queries), &weights, &plans).expect("log-probabilities");
        let log_probs: Vec<f32> = log_probs.to_vec1().expect("a vector");
        prop_assert_eq!(log_probs.len(), plans.iter().map(Plan::len).sum::<usize>());
        let mut learning = log_probs.into_iter().map(f64::from);
        for ((query, plan), policy) in queries.iter().zip(&plans).zip(&policies) {
            let learning: f64 = learning.by_ref().take(plan.len()).sum();
            let acting = policy.log_probability(query, plan);
            prop_assert!((learning - acting).abs() < 1e-3 && acting <= 1e-9, "{} {}", learning, acting);
        }
    }
}

/// Every plan of sets that a controller with this many layers can draw.
fn all_plans_of_sets(signatures: &[Signature], layers: usize, width: usize, before: Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    if before.layers.len() == layers {
        return vec![before];
    }
    let allowed = feasible(signatures, &before.layers, layers);
    for bits in 1u16..1 << signatures.len() {
        let chosen = (0..signatures.len()).filter(|at| bits >> at & 1 == 1);
        let operators: Vec<OperatorId> = chosen.map(|at| OperatorId(at as u16)).collect();
        let fits = |id: &OperatorId| allowed[id.index()] && !signatures[id.index()].ends;
        if operators.len() <= width && operators.iter().all(fits) {
            let mut plan = before.clone();
            plan.layers.push(Layer { operators });
            plans.extend(all_plans_of_sets(signatures, layers, width, plan));
        }
    }
    plans.extend((!before.is_empty()).then_some(before));
    plans
}

#[test]
fn the_probabilities_of_all_plans_of_sets_sum_to_one() {
    for seed in 1..4 {
        let config = config(Selection::Sets, 2, 0.3);
        let plans = all_plans_of_sets(&SIGNATURES, config.layers, config.width, Plan::default());
        let controller = controller(config, &SIGNATURES, seed);
        let query = &vectors(1, seed ^ 1)[0];
        let policy = Policy::new(&controller).expect("a policy");
        let sum: f64 = plans.iter().map(|plan| policy.log_probability(query, plan).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{} plans sum to {sum}", plans.len());
        let likeliest = plans.iter().filter(|plan| plan.layers.len() == 1);
        let likeliest =
            likeliest.max_by(|a, b| policy.log_probability(query, a).total_cmp(&policy.log_probability(query, b)));
        let drawn = policy.greedy(query);
        if drawn.layers.len() == 1 {
            assert_eq!(Some(&drawn), likeliest);
        }
    }
}

/// Every plan that `policy` can draw, in every order.
fn all_plans(policy: &Policy, query: &[f32], before: Plan) -> Vec<Plan> {
    let stopped = before.choices().any(|(_, operator)| policy.signatures()[operator.index()].ends);
    if stopped || before.layers.len() == policy.config().layers {
        return vec![before];
    }
    let mut probed = before.clone();
    probed.layers.push(Layer::default());
    let probabilities = policy.probabilities(query, &probed).pop().expect("the layer after");
    let mut full = Vec::new();
    let mut open = vec![(Layer::default(), 0.0f32)];
    while let Some((layer, mass)) = open.pop() {
        let left = (0..probabilities.len()).map(|index| OperatorId(index as u16));
        let left: Vec<_> = left.filter(|id| probabilities[id.index()] > 0.0 && !layer.operators.contains(id)).collect();
        if left.is_empty() || (!layer.operators.is_empty() && mass > policy.config().threshold as f32) {
            full.push(layer);
            continue;
        }
        for id in left {
            let mut longer = layer.clone();
            longer.operators.push(id);
            open.push((longer, mass + probabilities[id.index()]));
        }
    }
    let then = |layer| {
        let mut plan = before.clone();
        plan.layers.push(layer);
        all_plans(policy, query, plan)
    };
    full.into_iter().flat_map(then).collect()
}

/// The log-probability of each plan that can be drawn, as used for learning, `[plans]`.
fn enumerate(selection: Selection, threshold: f64, seed: u64) -> (Controller, Tensor) {
    let settings = config(selection, 2, threshold);
    let query = &vectors(1, seed ^ 1)[0];
    let controller = controller(settings.clone(), &SIGNATURES[1..], seed);
    let plans = match selection {
        Selection::Sets => all_plans_of_sets(&SIGNATURES[1..], settings.layers, settings.width, Plan::default()),
        _ => all_plans(&Policy::new(&controller).expect("a policy"), query, Plan::default()),
    };
    let queries = matrix(&vec![query.clone(); plans.len()]);
    let log_probs = controller.log_probs(&queries, &plans).expect("log-probabilities");
    let mut owners = vec![0f32; plans.len() * log_probs.elem_count()];
    let mut column = 0;
    for (row, plan) in plans.iter().enumerate() {
        for _ in plan.choices() {
            owners[row * log_probs.elem_count() + column] = 1.0;
            column += 1;
        }
    }
    let owners = Tensor::from_vec(owners, (plans.len(), column), &Device::Cpu).expect("a matrix");
    let sums = owners.matmul(&log_probs.unsqueeze(1).expect("a column")).and_then(|sums| sums.squeeze(1));
    (controller, sums.expect("sums"))
}

fn probabilities(log_probs: &Tensor) -> Vec<f32> {
    log_probs.to_vec1::<f32>().expect("a vector").into_iter().map(f32::exp).collect()
}

#[test]
fn the_probabilities_of_all_draws_sum_to_one() {
    for (threshold, seed) in [(0.0, 1), (0.3, 2), (0.3, 3), (0.6, 4), (1.0, 5)] {
        let (_, log_probs) = enumerate(Selection::Threshold, threshold, seed);
        let probabilities = probabilities(&log_probs);
        let sum: f32 = probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "threshold {threshold}: {} plans sum to {sum}", probabilities.len());
    }
}

/// The largest entry of the expected gradient if every plan earns 1.
fn drift(selection: Selection) -> f32 {
    let (controller, log_probs) = enumerate(selection, 0.6, 4);
    let weights = Tensor::new(probabilities(&log_probs), &Device::Cpu).expect("weights");
    let expected = (log_probs * weights).and_then(|terms| terms.sum_all()).expect("a scalar");
    let store = expected.backward().expect("gradients");
    let largest = |var: &Tensor| {
        let gradient = store.get(var).expect("a gradient").abs().and_then(|g| g.flatten_all()).expect("numbers");
        gradient.max(0).and_then(|largest| largest.to_scalar::<f32>()).expect("a number")
    };
    controller.named_vars().map(|(_, var)| largest(&var)).fold(0.0, f32::max)
}

#[test]
fn a_constant_reward_moves_nothing() {
    let [sets, exact, published] = SELECTIONS.map(drift);
    assert!(sets < 2e-6, "log-probabilities of sets drift by {sets}");
    assert!(exact < 2e-6, "exact log-probabilities drift by {exact}");
    assert!(published > 1e-2, "the published log-probabilities drift, here only by {published}");
}

#[test]
fn plans_that_cannot_be_drawn_are_refused() {
    let controller = controller(config(Selection::Sets, 2, 0.3), &SIGNATURES, 1);
    let query = matrix(&vectors(1, 2));
    let check = |layers: &[&[u16]], expected: &str| {
        let error = controller.log_probs(&query, &[Plan::from_indices(layers)]).expect_err("an error").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&[&[0], &[0], &[0]], "at most 2 layers, found 3");
    check(&[&[]], "at least one operator in layer 0");
    check(&[&[9]], "below 5 in layer 0, found 9");
    check(&[&[0, 0]], "operator 0 cannot be drawn in layer 0");
    check(&[&[1]], "operator 1 cannot be drawn in layer 0");
    check(&[&[0], &[4]], "operator 4 cannot be drawn in layer 1");
    check(&[&[0], &[0, 1, 2, 3]], "at most 3 operators in layer 1, found 4");
    let error = controller.log_probs(&query, &[]).expect_err("an error").to_string();
    assert!(error.contains("expected shape [0, 12], found [1, 12]"), "{error}");
}

#[test]
fn the_latency_weight_changes_only_controllers_that_read_it() {
    let query = &vectors(1, 3)[0];
    let plan = Plan::from_indices(&[&[0], &[2]]);
    let probabilities = |latency_weights| {
        let controller =
            controller(ControllerConfig { latency_weights, ..config(Selection::Threshold, 2, 0.3) }, &SIGNATURES, 1);
        draw_latency_sides(&controller, 1);
        let policy = Policy::new(&controller).expect("a policy");
        [0.0, 1e-3, 1.0].map(|weight| policy.at(weight).probabilities(query, &plan))
    };
    let blind = probabilities(None);
    assert!(blind[0] == blind[1] && blind[1] == blind[2]);
    let reading = probabilities(Some(LatencyWeights::new(1e-4, 1e-2).expect("a range")));
    // Both were drawn alike at the middle of the scale; the ends lie elsewhere.
    assert!(reading[1] == blind[1] && reading[0] != reading[1] && reading[2] != reading[1]);
}

#[test]
fn a_uniform_policy_prefers_nothing() {
    let policy = Policy::uniform(config(Selection::Threshold, 3, 0.3), SIGNATURES.to_vec());
    let query = vec![0.5; EMBEDDING];
    let plan = policy.greedy(&query);
    assert_eq!(plan, Plan::from_indices(&[&[0], &[0, 1], &[0, 1]]));
    assert_eq!(policy.probabilities(&query, &plan)[0], [0.5, 0.0, 0.5, 0.0, 0.0]);
}
