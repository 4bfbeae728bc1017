//! What the local back end reads of a folder: whole and sharded safetensors, chat templates, and further ends.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Tensor};
use lamas::folder::Folder;
use lamas::model::local::{LocalModel, Options, logits};
use lamas::model::{Completion, FinishReason, LanguageModel, Message, Request, Role, Sampling};
use serde_json::json;
use tempfile::TempDir;

use crate::tiny_model::TinyModel;

pub const TOKENS: [u32; 9] = [0, 7, 3, 59, 12, 7, 41, 5, 23];

pub fn written(model: &TinyModel) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    model.write(folder.path());
    folder
}

fn write(folder: &Path, file: &str, contents: impl AsRef<[u8]>) {
    std::fs::write(folder.join(file), contents).expect("a writable folder");
}

pub fn disk(path: &Path) -> Folder {
    Folder::Disk(path.into())
}

pub fn open(path: &Path) -> Result<LocalModel, String> {
    LocalModel::load(&disk(path), &Options::default()).map_err(|error| format!("{error:#}"))
}

pub fn run(path: &Path) -> Vec<f32> {
    logits(&disk(path), &Options::default(), &TOKENS).expect("logits")
}

pub async fn complete(model: &LocalModel, messages: &[(Role, &str)]) -> Completion {
    let messages = messages.iter().map(|(role, content)| Message { role: *role, content: (*content).into() }).collect();
    let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 8, stop: Vec::new() };
    let request = Request { model: String::new(), messages, sampling, sample: 0 };
    model.complete(&request).await.expect("a completion")
}

/// Moves the weights into two files with an index.
fn split(folder: &Path, tensors: &HashMap<String, Tensor>) {
    let (mut parts, mut places) = ([HashMap::new(), HashMap::new()], BTreeMap::new());
    for (name, tensor) in tensors {
        let part = name.len() % 2;
        parts[part].insert(name.clone(), tensor.clone());
        places.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", part + 1));
    }
    for (part, tensors) in (1..).zip(&parts) {
        let file = folder.join(format!("model-0000{part}-of-00002.safetensors"));
        candle_core::safetensors::save(tensors, file).expect("a writable folder");
    }
    let index = json!({"metadata": {}, "weight_map": places});
    write(folder, "model.safetensors.index.json", index.to_string());
    std::fs::remove_file(folder.join("model.safetensors")).expect("it was there");
}

#[test]
fn sharded_weights_are_the_same_weights() {
    let model = TinyModel { family: "Qwen2", dtype: DType::BF16, ..TinyModel::default() };
    let (whole, sharded) = (written(&model), written(&model));
    split(sharded.path(), &model.tensors());
    assert_eq!(run(whole.path()), run(sharded.path()));
    let model = open(sharded.path()).expect("a model");
    std::fs::remove_file(sharded.path().join("model-00002-of-00002.safetensors")).expect("it was there");
    let error = open(sharded.path()).err().expect("a shard is missing");
    assert!(error.contains("cannot read") && error.contains("model-00002-of-00002.safetensors"), "{error}");
    drop(model);
    let elsewhere = json!({"weight_map": {"model.norm.weight": "../model.safetensors"}});
    write(sharded.path(), "model.safetensors.index.json", elsewhere.to_string());
    let error = open(sharded.path()).err().expect("a file elsewhere");
    assert!(error.contains("in the same folder, found `../model.safetensors`"), "{error}");
}

#[tokio::test]
async fn a_chat_template_writes_the_prompt() {
    let model = TinyModel::default();
    let (plain, chat) = (written(&model), written(&model));
    let settings = json!({
        "bos_token": "<s>",
        "chat_template": "{{ bos_token }} {% for m in messages %}{{ {'system': 'w3', 'user': 'w4'}[m.role] }} \
            {{ m.content }} {% endfor %}{% if add_generation_prompt %}w5{% endif %}{% if enable_thinking %} w9{% endif %}",
    });
    write(chat.path(), "tokenizer_config.json", settings.to_string());
    let messages = [(Role::System, "w20 w21"), (Role::User, "w22")];
    let expected = complete(&open(plain.path()).expect("a model"), &[(Role::User, "w3 w20 w21 w4 w22 w5")]).await;
    let model = open(chat.path()).expect("a model");
    let found = complete(&model, &messages).await;
    assert_eq!((found.text, found.usage), (expected.text, expected.usage));
    assert_eq!(found.usage.prompt_tokens, 7, "the BOS once");

    let thinking = Options { template: [("enable_thinking".into(), true.into())].into(), ..Options::default() };
    let thinking = LocalModel::load(&disk(chat.path()), &thinking).expect("a model");
    assert_eq!(complete(&thinking, &messages).await.usage.prompt_tokens, 8);
    let names: Vec<_> = [plain.path(), chat.path()].map(|path| open(path).expect("a model").id().to_owned()).into();
    let digests = [&names[0], &names[1], &thinking.id().to_owned()].map(|id| id.rsplit('@').next().map(String::from));
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2], "{digests:?}");
}

#[tokio::test]
async fn a_context_that_is_asked_for_bounds_prompt_and_completion() {
    let folder = written(&TinyModel::default());
    let with = |context| LocalModel::load(&disk(folder.path()), &Options { context, ..Options::default() });
    let check = async |context: usize, prompt_tokens: u64, tokens: u64, finish: FinishReason| {
        let found = complete(&with(Some(context)).expect("a model"), &[(Role::User, "w3 w4")]).await;
        let usage = found.usage;
        let expected = (prompt_tokens, tokens, finish);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, found.finish), expected, "context of {context}");
    };
    check(96, 3, 8, FinishReason::Length).await;
    check(7, 3, 4, FinishReason::Length).await;
    check(3, 0, 0, FinishReason::ContextExceeded).await;
    let ids = [None, Some(96), Some(7)].map(|context| with(context).expect("a model").id().to_owned());
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    let error = format!("{:#}", with(Some(97)).err().expect("more than the model has"));
    assert!(error.contains("1 to the model's own 96 tokens, found 97"), "{error}");
}

#[tokio::test]
async fn ends_of_the_generation_settings_count() {
    let folder = written(&TinyModel::default());
    let before = complete(&open(folder.path()).expect("a model"), &[(Role::User, "w3 w4")]).await;
    assert_eq!((before.usage.completion_tokens, before.finish), (8, FinishReason::Length));
    let all: Vec<u32> = (0..60).collect();
    write(folder.path(), "generation_config.json", json!({"eos_token_id": all, "top_k": 20}).to_string());
    let after = complete(&open(folder.path()).expect("a model"), &[(Role::User, "w3 w4")]).await;
    assert_eq!((after.usage.completion_tokens, after.finish, after.text), (1, FinishReason::Stop, String::new()));
}
