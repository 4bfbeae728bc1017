//! Small random checkpoints of every architecture against what transformers computes from them
//! (`scripts/tiny_checkpoints.py`), as safetensors and as the GGUF file that llama.cpp's converter would write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lamas::folder::Folder;
use lamas::model::local::{LocalModel, Options, logits};
use lamas::model::{FinishReason, Role};

use crate::local_files::{complete, written};
use crate::tiny_model::TinyModel;

/// What transformers computes of a checkpoint, in f32.
#[derive(serde::Deserialize)]
struct Expected {
    prompt: Vec<u32>,
    /// After so many tokens of the prompt.
    logits: BTreeMap<usize, Vec<f32>>,
    /// What greedy decoding adds to the whole prompt.
    greedy: Vec<u32>,
    /// The least distance of the two highest logits while it does.
    smallest_gap: f32,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/local_models").join(name)
}

fn run(place: &Path, tokens: &[u32]) -> Vec<f32> {
    logits(&Folder::Disk(place.into()), &Options::default(), tokens).unwrap_or_else(|error| panic!("{error:#}"))
}

fn highest(logits: &[f32]) -> u32 {
    (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1)).expect("logits").0
}

fn check(name: &str, file: Option<&str>) {
    let place = file.map_or(folder(name), |file| folder(name).join(file));
    let text = std::fs::read_to_string(folder(name).join("expected.json")).expect("a file");
    let expected: Expected = serde_json::from_str(&text).expect("JSON");
    let Expected { prompt, greedy, .. } = &expected;
    let mut worst = 0.0f32;
    for (length, expected) in &expected.logits {
        let found = run(&place, &prompt[..*length]);
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
        let difference = found.iter().zip(expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(difference < 1e-4 * largest, "{name}, {file:?}, {length} tokens: {difference} of {largest}");
        worst = worst.max(difference / largest);
    }
    assert!(expected.smallest_gap > 1e-3, "{name}: the choice of tokens is open");
    let mut tokens = prompt.clone();
    for _ in greedy {
        tokens.push(highest(&run(&place, &tokens)));
    }
    assert_eq!(&tokens[prompt.len()..], greedy, "{name}, {file:?}");
    println!("{name} {} differs by at most {worst:.1e} of the largest logit", file.unwrap_or("model.safetensors"));
}

/// Both formats.
fn check_both(name: &str) {
    check(name, None);
    check(name, Some("model.gguf"));
}

#[test]
fn llama_and_qwen_with_stretched_positions() {
    check_both("llama3");
    check_both("qwen2");
    check_both("qwen3");
    check("qwen2-window", None);
}

#[test]
fn mistral() {
    check_both("mistral");
    check("mistral-window", None);
}

#[test]
fn olmo() {
    check_both("olmo2");
    check_both("olmo3");
}

#[test]
fn smollm3() {
    check_both("smollm3");
}

#[test]
fn gemma() {
    check_both("gemma");
    check_both("gemma2");
    check("gemma2-scalar", None);
    check_both("gemma3");
}

#[test]
fn phi() {
    check_both("phi3");
    check_both("phi4-mini");
}

#[tokio::test]
async fn a_model_reads_long_texts_if_it_is_asked_to() {
    // Words for its tokens.
    let place = written(&TinyModel { vocabulary: 128, ..TinyModel::default() });
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(folder("phi4-mini").join(file), place.path().join(file)).expect("a writable folder");
    }
    let words = |tokens: &[u32]| tokens.iter().map(|token| format!("w{token}")).collect::<Vec<_>>().join(" ");
    let tokens: Vec<u32> = (0..40).map(|position| position * 7 % 120 + 3).collect();
    let with = |context| {
        let options = Options { context, ..Options::default() };
        LocalModel::load(&Folder::Disk(place.path().into()), &options).expect("a model")
    };
    let found = complete(&with(None), &[(Role::User, &words(&tokens))]).await;
    assert_eq!(found.finish, FinishReason::ContextExceeded, "it was first trained on 32 tokens");
    let found = complete(&with(Some(90)), &[(Role::User, &words(&tokens))]).await;
    let mut all: Vec<u32> = [0].into_iter().chain(tokens).collect();
    while all.len() < 41 + 8 {
        all.push(highest(&run(place.path(), &all)));
    }
    // Special tokens are not text.
    let text: Vec<u32> = all[41..].iter().copied().filter(|token| *token > 2).collect();
    assert!(found.usage.completion_tokens == 8 || found.finish == FinishReason::Stop, "{found:?}");
    assert!(words(&text).starts_with(&found.text) && !found.text.is_empty(), "{found:?}, expected {text:?}");
}
