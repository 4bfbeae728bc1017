//! The local back end: the right numbers, the same text whatever runs beside it, and clear errors.

use std::path::Path;

use futures::future::join_all;
use lamas::folder::Folder;
use lamas::model::local::{LocalModel, Options};
use lamas::model::{Completion, FinishReason, LanguageModel, Message, Request, Role, Sampling};
use tempfile::TempDir;

use crate::tiny_model::TinyModel;

fn written(model: &TinyModel) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    model.write(folder.path());
    folder
}

fn load(folder: &Path, options: &Options) -> LocalModel {
    LocalModel::load(&Folder::Disk(folder.into()), options).expect("a model")
}

fn request(content: &str, sample: u64) -> Request {
    let message = Message { role: Role::User, content: content.into() };
    let sampling = Sampling { temperature: 1.0, top_p: 0.95, max_tokens: 12, stop: Vec::new() };
    Request { model: String::new(), messages: vec![message], sampling, sample }
}

/// A few dozen requests: several samples, shared beginnings, different lengths, one contained in another.
fn mixed_requests() -> Vec<Request> {
    let prompts =
        ["w5 w6 w7 w8 w9 w10", "w5 w6 w7 w8 w9 w11", "w5 w6", "w20", "w30 w31 w32 w33 w34 w35 w36 w37 w38", "w5"];
    prompts.iter().flat_map(|prompt| (0..6).map(|sample| request(prompt, sample))).collect()
}

async fn together(model: &LocalModel, requests: &[Request]) -> Vec<String> {
    let completions = join_all(requests.iter().map(|request| model.complete(request))).await;
    completions.into_iter().map(|completion| completion.expect("a completion").text).collect()
}

#[tokio::test]
async fn text_does_not_depend_on_what_runs_beside_it() {
    let folder = written(&TinyModel { ends: true, ..TinyModel::default() });
    let requests = mixed_requests();
    let mut alone = Vec::new();
    for request in &requests {
        // A fresh model has seen no prompt.
        let model = load(folder.path(), &Options { threads: Some(1), rows: 1, ..Options::default() });
        alone.push(model.complete(request).await.expect("a completion").text);
    }
    assert!(alone.iter().collect::<std::collections::BTreeSet<_>>().len() > 30, "samples should differ");
    let reversed: Vec<_> = requests.iter().rev().cloned().collect();
    for (rows, threads, kept_tokens) in [(64, Some(1), 1000), (64, Some(2), 1000), (7, None, 1000), (3, Some(2), 0)] {
        let model = load(folder.path(), &Options { threads, rows, kept_tokens, ..Options::default() });
        assert_eq!(together(&model, &requests).await, alone, "{rows} rows, {threads:?} threads");
        let mut backwards = together(&model, &reversed).await;
        backwards.reverse();
        assert_eq!(backwards, alone, "backwards, {rows} rows, {threads:?} threads");
    }
}

#[tokio::test]
async fn counts_tokens_and_says_why_it_ended() {
    let folder = written(&TinyModel { ends: true, ..TinyModel::default() });
    let model = load(folder.path(), &Options::default());
    let completions: Vec<Completion> = join_all((0..40).map(|sample| {
        let model = &model;
        async move { model.complete(&request("w3 w4", sample)).await.expect("a completion") }
    }))
    .await;
    for completion in &completions {
        let words = completion.text.split_whitespace().count() as u64;
        let end = u64::from(completion.finish == FinishReason::Stop);
        assert_eq!(completion.usage.prompt_tokens, 3, "<s> counts");
        // Special tokens in the middle are not text.
        assert!(words + end <= completion.usage.completion_tokens, "{completion:?}");
        assert!(completion.finish == FinishReason::Stop || completion.usage.completion_tokens == 12, "{completion:?}");
        assert!(completion.timing.first_token <= completion.timing.total);
    }
    assert!(completions.iter().any(|completion| completion.finish == FinishReason::Stop));
    assert!(completions.iter().any(|completion| completion.finish == FinishReason::Length));
}

#[tokio::test]
async fn greedy_text_is_the_same_for_every_sample() {
    let folder = written(&TinyModel::default());
    let model = load(folder.path(), &Options::default());
    let greedy = |sample| {
        let mut request = request("w3 w4 w5", sample);
        request.sampling.temperature = 0.0;
        request
    };
    let texts = together(&model, &[greedy(0), greedy(1), greedy(2)]).await;
    assert!(texts[0] == texts[1] && texts[1] == texts[2] && !texts[0].is_empty(), "{texts:?}");
}

#[tokio::test]
async fn ends_before_a_stop_text_and_at_the_token_limit() {
    let folder = written(&TinyModel::default());
    let model = load(folder.path(), &Options::default());
    let greedy = |max_tokens: u32, stop: &[&str]| {
        let mut request = request("w3 w4 w5", 0);
        let stop = stop.iter().map(|stop| stop.to_string()).collect();
        request.sampling = Sampling { temperature: 0.0, top_p: 1.0, max_tokens, stop };
        request
    };
    let full = model.complete(&greedy(12, &[])).await.expect("a completion").text;
    let third = full.split(' ').nth(2).expect("three words");
    let before = full.find(third).expect("it was found");
    let check = async |max_tokens: u32, stop: &[&str], text: &str, tokens: u64, finish: FinishReason| {
        let completion = model.complete(&greedy(max_tokens, stop)).await.expect("a completion");
        let found = (completion.text.as_str(), completion.usage.completion_tokens, completion.finish);
        assert_eq!(found, (text, tokens, finish), "at most {max_tokens}, stop at {stop:?}");
    };
    // Special tokens are not text, so the number of tokens up to the third word is found by trial.
    let mut until_third = 1;
    while !model.complete(&greedy(until_third, &[])).await.expect("a completion").text.contains(third) {
        until_third += 1;
    }
    let until_third = u64::from(until_third);
    check(12, &[third], &full[..before], until_third, FinishReason::Stop).await;
    check(12, &["not there", third, ""], &full[..before], until_third, FinishReason::Stop).await;
    check(12, &["not there"], &full, 12, FinishReason::Length).await;
    let first = full.split(' ').next().expect("a word");
    check(1, &[], first, 1, FinishReason::Length).await;
    check(0, &[], "", 0, FinishReason::Length).await;
}

#[tokio::test]
async fn a_dropped_request_frees_its_row() {
    let endless = TinyModel { context: 1 << 20, ..TinyModel::default() };
    let folder = written(&endless);
    let model = load(folder.path(), &Options { rows: 1, ..Options::default() });
    let mut long = request("w3", 0);
    long.sampling.max_tokens = u32::MAX;
    {
        let mut running = std::pin::pin!(model.complete(&long));
        assert!(futures::poll!(&mut running).is_pending());
        // The only row is taken: a second request waits behind the first and is dropped with it.
        let mut waiting = std::pin::pin!(model.complete(&long));
        assert!(futures::poll!(&mut waiting).is_pending());
    }
    // This would never end while the first one holds the row.
    model.complete(&request("w4", 0)).await.expect("a completion");
}

#[tokio::test]
async fn refuses_what_it_cannot_complete() {
    let folder = written(&TinyModel::default());
    let model = load(folder.path(), &Options::default());
    let check = async |change: fn(&mut Request), expected: &str| {
        let mut request = request("w3 w4", 0);
        change(&mut request);
        let error = model.complete(&request).await.expect_err(expected);
        assert!(error.is_permanent() && error.to_string().contains(expected), "{error}");
    };
    // If the context is too small, that is the result for this question.
    let mut long = request("w3 w4", 0);
    long.messages[0].content = "w3 ".repeat(95);
    let given = model.complete(&long).await.expect("an empty completion");
    assert_eq!((given.text.as_str(), given.finish), ("", FinishReason::ContextExceeded));
    check(|request| request.sampling.temperature = -1.0, "temperature of 0 or more, found -1").await;
    check(|request| request.sampling.temperature = f32::NAN, "temperature of 0 or more, found NaN").await;
    check(|request| request.sampling.top_p = 0.0, "top-p in (0, 1], found 0").await;
    let mut last = request("w3", 0);
    last.messages[0].content = "w3 ".repeat(93);
    let completion = model.complete(&last).await.expect("a completion");
    assert_eq!(
        (completion.usage.completion_tokens, completion.finish),
        (2, FinishReason::Length),
        "the context is full"
    );
}

#[tokio::test]
async fn reads_messages_one_after_another() {
    let folder = written(&TinyModel::default());
    let model = load(folder.path(), &Options::default());
    let mut request = request("w3 ", 0);
    request.messages.push(Message { role: Role::Assistant, content: "w4 w5".into() });
    assert_eq!(model.complete(&request).await.expect("a completion").usage.prompt_tokens, 4);
}

#[tokio::test]
async fn damaged_weights_are_told_not_sampled() {
    let folder = written(&TinyModel::default());
    let mut tensors = TinyModel::default().tensors();
    let norm = tensors.get("model.norm.weight").expect("a norm").affine(f64::NAN, 0.0).expect("a tensor");
    tensors.insert("model.norm.weight".into(), norm);
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).expect("a writable folder");
    let model = load(folder.path(), &Options::default());
    let error = model.complete(&request("w3", 0)).await.expect_err("damaged weights");
    assert!(error.to_string().contains("expected finite logits"), "{error}");
}

#[test]
fn a_broken_folder_gets_a_clear_error() {
    let check = |break_it: &dyn Fn(&Path), expected: &[&str]| {
        let folder = written(&TinyModel::default());
        break_it(folder.path());
        let error = LocalModel::load(&Folder::Disk(folder.path().into()), &Options::default());
        let error = format!("{:#}", error.err().expect("a broken folder"));
        assert!(expected.iter().all(|part| error.contains(part)), "expected {expected:?}, found: {error}");
    };
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        check(&|folder| std::fs::remove_file(folder.join(file)).expect("it was there"), &["cannot read", file]);
        let cut = |folder: &Path| {
            let bytes = std::fs::read(folder.join(file)).expect("it is there");
            std::fs::write(folder.join(file), &bytes[..bytes.len() * 2 / 3]).expect("a writable folder");
        };
        check(&cut, &[file]);
    }
    let cut = |length: usize| {
        move |folder: &Path| {
            let bytes = std::fs::read(folder.join("model.safetensors")).expect("it is there");
            std::fs::write(folder.join("model.safetensors"), &bytes[..bytes.len() - length])
                .expect("a writable folder");
        }
    };
    check(&cut(1), &["not a whole safetensors file"]);
    let config = |from: &'static str, to: &'static str| {
        move |folder: &Path| {
            let text = std::fs::read_to_string(folder.join("config.json")).expect("it is there");
            assert!(text.contains(from), "{text}");
            std::fs::write(folder.join("config.json"), text.replace(from, to)).expect("a writable folder");
        }
    };
    check(
        &config("LlamaForCausalLM", "GPT2LMHeadModel"),
        &["expected one of the architectures", "found `GPT2LMHeadModel`"],
    );
    check(
        &config("\"intermediate_size\": 48", "\"intermediate_size\": 50"),
        &["`model.layers.0.mlp.gate_proj.weight`", "expected shape [50, 32], found [48, 32]"],
    );
    check(&config("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"), &["no tensor `model.layers.2."]);
    check(&config("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"), &["expected no tensor `model.layers.1."]);
    check(&config("\"vocab_size\": 60", "\"vocab_size\": 50"), &["below the model's vocabulary of 50, found 59"]);
    check(&config("\"rms_norm_eps\"", "\"epsilon\""), &["missing field `rms_norm_eps`"]);
}
