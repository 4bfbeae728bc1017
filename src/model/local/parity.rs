//! Both networks against candle's own Llama, Qwen2 and Qwen3 and against transformers, and against themselves together
//! with other requests.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{self, Llama, LlamaConfig};
use candle_transformers::models::{qwen2, qwen3};

use super::config::Config;
use super::cpu::CpuNetwork;
use super::device::DeviceNetwork;
use super::files::Files;
use super::network::{Cache, Chunk, Network};
use crate::folder::Folder;

#[path = "../../../tests/it/tiny_model.rs"]
mod tiny_model;

use tiny_model::TinyModel;

/// More than a block of positions on either back end.
const TOKENS: [u32; 70] = {
    let mut tokens = [0; 70];
    let mut position = 0;
    while position < 70 {
        tokens[position] = (position * position * 7 % 60) as u32;
        position += 1;
    }
    tokens
};

/// Logits after each of [`TOKENS`].
fn reference(model: &TinyModel) -> Vec<Vec<f32>> {
    let tensors = model.tensors().into_iter().map(|(name, tensor)| (name, tensor.to_dtype(DType::F32).expect("f32")));
    let weights = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    match model.family {
        "Llama" => {
            let config: LlamaConfig = serde_json::from_value(model.config()).expect("a configuration");
            let config = config.into_config(false);
            let network = Llama::load(weights, &config).expect("a network");
            beginnings(|tokens| {
                let mut cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu)?;
                network.forward(tokens, 0, &mut cache)
            })
        }
        "Qwen2" => {
            let config: qwen2::Config = serde_json::from_value(model.config()).expect("a configuration");
            let mut network = qwen2::ModelForCausalLM::new(&config, weights).expect("a network");
            beginnings(|tokens| {
                network.clear_kv_cache();
                network.forward(tokens, 0)?.squeeze(1)
            })
        }
        _ => {
            let config: qwen3::Config = serde_json::from_value(model.config()).expect("a configuration");
            let mut network = qwen3::ModelForCausalLM::new(&config, weights).expect("a network");
            beginnings(|tokens| {
                network.clear_kv_cache();
                network.forward(tokens, 0)?.squeeze(1)
            })
        }
    }
}

/// What `forward` makes of the tokens (1, count) up to each: logits (1, vocabulary).
fn beginnings(mut forward: impl FnMut(&Tensor) -> candle_core::Result<Tensor>) -> Vec<Vec<f32>> {
    let mut logits = |count: usize| -> candle_core::Result<Vec<f32>> {
        forward(&Tensor::new(&TOKENS[..count], &Device::Cpu)?.unsqueeze(0)?)?.i(0)?.to_vec1()
    };
    (1..=TOKENS.len()).map(|count| logits(count).expect("logits")).collect()
}

/// Runs `tokens` after what each cache holds.
fn logits<N: Network>(network: &N, chunks: &mut [(&[u32], N::Cache)]) -> Vec<Vec<f32>> {
    let mut passed: Vec<_> = chunks.iter_mut().map(|(tokens, cache)| Chunk { tokens, cache }).collect();
    let logits = network.forward(&mut passed).expect("logits");
    logits.chunks_exact(logits.len() / chunks.len()).map(<[f32]>::to_vec).collect()
}

/// Checks what a network computes of [`TOKENS`], or of other tokens, and the logits after some of them.
fn check<N: Network>(network: &N, tokens: &[u32; 70], expected: &[(usize, Vec<f32>)]) {
    let alone: Vec<_> =
        (1..=70).map(|count| logits(network, &mut [(&tokens[..count], network.empty())]).remove(0)).collect();
    for (count, expected) in expected {
        let found = &alone[count - 1];
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4 && found.len() == expected.len(), "differs by {worst} after {count} tokens");
    }

    let mut together: Vec<_> = (1..=70).map(|count| (&tokens[..count], network.empty())).collect();
    assert_eq!(logits(network, &mut together), alone, "in company");

    let mut cache = network.empty();
    for (token, alone) in tokens.iter().zip(&alone) {
        let mut one = [(std::slice::from_ref(token), cache)];
        assert_eq!(&logits(network, &mut one)[0], alone, "token by token");
        let [(_, next)] = one;
        cache = next;
    }

    // Each fork continues from a beginning of its own, then forks again.
    let mut second = cache.fork(66);
    let mut forks =
        [(&tokens[66..68], second.fork(66)), (&tokens[40..65], second.fork(40)), (&tokens[13..], cache.fork(13))];
    assert_eq!(logits(network, &mut forks), [67, 64, 69].map(|last| alone[last].clone()), "forks");
    let [(_, mut third), ..] = forks;
    let mut forks = [(&tokens[68..69], third.fork(68)), (&tokens[67..70], third.fork(67))];
    assert_eq!(logits(network, &mut forks), [68, 69].map(|last| alone[last].clone()), "forks of forks");
}

/// Checks both networks on the weights of a folder.
fn check_networks(files: &Files, config: &Config, tokens: &[u32; 70], expected: &[(usize, Vec<f32>)]) {
    let weights = files.weights(config, &Device::Cpu, DType::F32).expect("weights");
    check(&CpuNetwork::new(weights, config.clone()).expect("a network"), tokens, expected);
    let weights = files.weights(config, &Device::Cpu, DType::F32).expect("weights");
    check(&DeviceNetwork::new(weights, config.clone()).expect("a network"), tokens, expected);
}

fn check_both(model: &TinyModel) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    model.write(folder.path());
    let files = Files::open(&Folder::Disk(folder.path().into())).expect("a checkpoint");
    let config = files.config().expect("a configuration");
    let expected: Vec<_> = (1..).zip(reference(model)).collect();
    check_networks(&files, &config, &TOKENS, &expected);
}

/// What transformers computes of a small random checkpoint; `tests/it/architectures.rs` says more.
#[derive(serde::Deserialize)]
struct Expected {
    prompt: Vec<u32>,
    logits: BTreeMap<usize, Vec<f32>>,
    greedy: Vec<u32>,
}

#[test]
fn both_networks_agree_with_transformers_and_with_themselves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/local_models");
    let mut names: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    names.sort();
    assert!(names.len() > 9, "{names:?}");
    for place in names {
        let text = std::fs::read_to_string(place.join("expected.json")).expect("a file");
        let Expected { prompt, logits, greedy } = serde_json::from_str(&text).expect("JSON");
        let tokens: Vec<u32> = prompt.into_iter().chain(greedy).cycle().take(70).collect();
        let files = Files::open(&Folder::Disk(place)).expect("a checkpoint");
        let mut config = files.config().expect("a configuration");
        // All tokens are read as parts of a text of 70, short texts of LongRoPE too.
        let least = if config.short_context() < 70 { config.short_context() + 1 } else { 1 };
        config.allow(70);
        let expected: Vec<_> = logits.into_iter().filter(|(count, _)| (least..=70).contains(count)).collect();
        assert!(!expected.is_empty());
        check_networks(&files, &config, tokens.first_chunk().expect("70 tokens"), &expected);
    }
}

#[test]
fn both_networks_agree_with_candle_and_with_themselves() {
    let plain = TinyModel::default();
    let odd = TinyModel { hidden: 40, feed_forward: 70, heads: 4, key_value_heads: 1, vocabulary: 77, ..plain.clone() };
    let equal_heads = TinyModel { key_value_heads: 4, ..plain.clone() };
    check_both(&TinyModel { tied: true, dtype: DType::F16, ..equal_heads.clone() });
    check_both(&TinyModel { dtype: DType::BF16, ..equal_heads });
    check_both(&plain);
    check_both(&odd);
}

#[test]
fn qwen2_has_biases() {
    let plain = TinyModel { family: "Qwen2", ..TinyModel::default() };
    check_both(&TinyModel { tied: true, dtype: DType::BF16, ..plain.clone() });
    check_both(&TinyModel { hidden: 40, heads: 5, key_value_heads: 1, ..plain });
}

#[test]
fn qwen3_has_head_norms_and_heads_of_their_own_size() {
    let plain = TinyModel { family: "Qwen3", ..TinyModel::default() };
    check_both(&TinyModel { tied: true, dtype: DType::BF16, head: Some(16), ..plain.clone() });
    check_both(&TinyModel { attention_bias: true, hidden: 40, heads: 4, key_value_heads: 1, head: Some(6), ..plain });
}

#[test]
fn half_precision_stays_near() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    TinyModel { family: "Qwen3", ..TinyModel::default() }.write(folder.path());
    let files = Files::open(&Folder::Disk(folder.path().into())).expect("a checkpoint");
    let config = files.config().expect("a configuration");
    let last = |dtype| {
        let weights = files.weights(&config, &Device::Cpu, dtype).expect("weights");
        let network = DeviceNetwork::new(weights, config.clone()).expect("a network");
        logits(&network, &mut [(&TOKENS, network.empty())]).remove(0)
    };
    let exact = last(DType::F32);
    let size = exact.iter().fold(0.0, |size: f32, x| size.max(x.abs()));
    for (dtype, within) in [(DType::F16, 0.01), (DType::BF16, 0.06)] {
        let worst = last(dtype).iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst > 0.0 && worst < within * size, "{dtype:?}: differs by {worst} of {size}");
    }
}
