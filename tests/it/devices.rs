//! A CUDA or Metal device gives the CPU's numbers. Without a device the test says that it is skipped.

use candle_core::{Device, Tensor};
use lamas::controller::{Controller, ControllerConfig, Policy};
use lamas::device::DeviceChoice;
use lamas::encoder::EncoderChoice;
use lamas::learn::{gradients, policy_loss};
use lamas::model::local::{self, ARITHMETIC_LLAMA, Options};
use lamas::plan::{Plan, Signature};
use lamas::random;
use rand::Rng;

const SIGNATURES: [Signature; 4] = [Signature::ANSWERS, Signature::VOTES, Signature::COMPUTES, Signature::IMPROVES];

fn device() -> Option<Device> {
    let (device, _) = DeviceChoice::Auto.open().expect("`auto` never fails");
    if device.is_cpu() {
        eprintln!("skipped: no CUDA or Metal device in reach");
        return None;
    }
    Some(device)
}

fn vectors(count: usize, width: usize) -> Vec<f32> {
    let mut rng = random::stream(1, &[&"vectors", &count]);
    (0..count * width).map(|_| rng.random_range(-0.1..0.1)).collect()
}

fn controller(device: &Device) -> Controller {
    let operators =
        Tensor::from_vec(vectors(SIGNATURES.len(), 384), (SIGNATURES.len(), 384), device).expect("a matrix");
    Controller::new(ControllerConfig::default(), SIGNATURES.to_vec(), &operators, 1, device).expect("a controller")
}

fn nearly_equal(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: differs by {worst}, expected at most {tolerance}");
}

/// Log-probabilities, loss and gradients of one batch.
fn learn(device: &Device, plans: &[Plan], advantages: &[f32]) -> (Vec<f32>, f32, Vec<f32>) {
    let controller = controller(device);
    let queries = Tensor::from_vec(vectors(plans.len(), 384), (plans.len(), 384), device).expect("a matrix");
    let log_probs = controller.log_probs(&queries, plans).expect("plans of this controller");
    let loss = policy_loss(&log_probs, &Tensor::new(advantages, device).expect("a vector")).expect("a loss");
    let vars: Vec<_> = controller.named_vars().map(|(_, var)| var).collect();
    let (gradients, _) = gradients(&loss.backward().expect("gradients"), &vars, 0.0).expect("gradients");
    let numbers = |tensor: &Tensor| tensor.flatten_all().and_then(|p| p.to_vec1::<f32>()).expect("numbers");
    let gradients = gradients.iter().flatten().flat_map(numbers).collect();
    (numbers(&log_probs), loss.to_scalar().expect("a number"), gradients)
}

#[test]
fn the_controller_learns_alike() {
    let Some(device) = device() else { return };
    let policy = Policy::new(&controller(&Device::Cpu)).expect("a policy");
    let queries = vectors(64, 384);
    let mut rng = random::stream(1, &[&"plans"]);
    let plans: Vec<Plan> = queries.chunks(384).map(|query| policy.sample(query, &mut rng)).collect();
    let choices = plans.iter().map(Plan::len).sum();
    let advantages: Vec<f32> = (0..choices).map(|_| rng.random_range(-1.0..1.0)).collect();
    let (log_probs, loss, gradients) = learn(&device, &plans, &advantages);
    let expected = learn(&Device::Cpu, &plans, &advantages);
    nearly_equal("log-probabilities", &log_probs, &expected.0, 1e-4);
    nearly_equal("loss", &[loss], &[expected.1], 1e-4);
    nearly_equal("gradients", &gradients, &expected.2, 1e-4);
}

#[test]
fn the_language_model_reads_alike() {
    let Some(device) = device() else { return };
    let logits = |device| {
        let options = Options { device, ..Options::default() };
        local::logits(&ARITHMETIC_LLAMA, &options, &[1, 40, 41, 42, 43, 44, 45, 46]).expect("logits")
    };
    nearly_equal("logits", &logits(device), &logits(Device::Cpu), 1e-3);
}

#[test]
fn encoders_agree() {
    let Some(device) = device() else { return };
    let minilm = std::env::var_os("LAMAS_MINILM").map(|folder| EncoderChoice::MiniLmFolder(folder.into()));
    let texts = ["sam has 13 apples .", "how many wheels do 8 bikes have ? count them one by one .", "a"];
    for choice in minilm.into_iter().chain([EncoderChoice::Static]) {
        let encode = |device: &Device| choice.open(device).expect("an encoder").encode(&texts).expect("embeddings");
        let (found, expected) = (encode(&device), encode(&Device::Cpu));
        for row in 0..texts.len() {
            nearly_equal(
                &format!("{choice}, text {row}"),
                found.row(row).expect("a row"),
                expected.row(row).expect("a row"),
                1e-4,
            );
        }
    }
}
