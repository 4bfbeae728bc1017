//! Both networks against candle's own Llama, and against themselves in other company.

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{self, Llama, LlamaConfig};

use super::config::Config;
use super::cpu::CpuNetwork;
use super::device::DeviceNetwork;
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
    let config: LlamaConfig = serde_json::from_value(model.config()).expect("a configuration");
    let config = config.into_config(false);
    let tensors = model.tensors().into_iter().map(|(name, tensor)| (name, tensor.to_dtype(DType::F32).expect("f32")));
    let weights = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    let network = Llama::load(weights, &config).expect("a network");
    let logits = |count: usize| -> candle_core::Result<Vec<f32>> {
        let mut cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu)?;
        network.forward(&Tensor::new(&TOKENS[..count], &Device::Cpu)?.unsqueeze(0)?, 0, &mut cache)?.i(0)?.to_vec1()
    };
    (1..=TOKENS.len()).map(|count| logits(count).expect("logits")).collect()
}

/// Runs `tokens` after what each cache holds.
fn logits<N: Network>(network: &N, chunks: &mut [(&[u32], N::Cache)]) -> Vec<Vec<f32>> {
    let mut passed: Vec<_> = chunks.iter_mut().map(|(tokens, cache)| Chunk { tokens, cache }).collect();
    let logits = network.forward(&mut passed).expect("logits");
    logits.chunks_exact(logits.len() / chunks.len()).map(<[f32]>::to_vec).collect()
}

fn check<N: Network>(network: &N, expected: &[Vec<f32>]) {
    let alone: Vec<_> =
        (1..=TOKENS.len()).map(|count| logits(network, &mut [(&TOKENS[..count], network.empty())]).remove(0)).collect();
    for (found, expected) in alone.iter().zip(expected) {
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4 && found.len() == expected.len(), "differs by {worst}");
    }

    let mut together: Vec<_> = (1..=TOKENS.len()).map(|count| (&TOKENS[..count], network.empty())).collect();
    assert_eq!(logits(network, &mut together), alone, "in company");

    let mut cache = network.empty();
    for (token, alone) in TOKENS.iter().zip(&alone) {
        let mut one = [(std::slice::from_ref(token), cache)];
        assert_eq!(&logits(network, &mut one)[0], alone, "token by token");
        let [(_, next)] = one;
        cache = next;
    }

    // Each fork continues from a beginning of its own, then forks again.
    let mut second = cache.fork(66);
    let mut forks =
        [(&TOKENS[66..68], second.fork(66)), (&TOKENS[40..65], second.fork(40)), (&TOKENS[13..], cache.fork(13))];
    assert_eq!(logits(network, &mut forks), [67, 64, 69].map(|last| alone[last].clone()), "forks");
    let [(_, mut third), ..] = forks;
    let mut forks = [(&TOKENS[68..69], third.fork(68)), (&TOKENS[67..70], third.fork(67))];
    assert_eq!(logits(network, &mut forks), [68, 69].map(|last| alone[last].clone()), "forks of forks");
}

#[test]
fn both_networks_agree_with_candle_and_with_themselves() {
    let plain = TinyModel::default();
    let odd = TinyModel { hidden: 40, feed_forward: 70, heads: 4, key_value_heads: 1, vocabulary: 77, ..plain.clone() };
    let equal_heads = TinyModel { key_value_heads: 4, ..plain.clone() };
    for model in [
        TinyModel { tied: true, dtype: DType::F16, ..equal_heads.clone() },
        TinyModel { dtype: DType::BF16, ..equal_heads },
        plain,
        odd,
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        model.write(folder.path());
        let folder = Folder::Disk(folder.path().into());
        let config = Config::load(&folder).expect("a configuration");
        let expected = reference(&model);
        check(&CpuNetwork::load(&folder, config.clone()).expect("a network"), &expected);
        check(&DeviceNetwork::load(&folder, config, &Device::Cpu, DType::F32).expect("a network"), &expected);
    }
}
