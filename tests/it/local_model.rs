//! The local back end: the right numbers, the same text whatever runs beside it, and clear errors.

use std::path::Path;

use futures::future::join_all;
use lamas::folder::Folder;
use lamas::llm::local::{LocalModel, Options};
use lamas::llm::{Completion, Finish, LanguageModel, Message, Request, Role, Sampling};
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

/// A few dozen requests: several samples, shared beginnings, different lengths, one nested in another.
fn mixed_requests() -> Vec<Request> {
    let prompts = ["w5 w6 w7 w8 w9 w10", "w5 w6 w7 w8 w9 w11", "w5 w6", "w20", "w30 w31 w32 w33 w34 w35 w36 w37 w38", "w5"];
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
        // A fresh model knows no prompt.
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
        let end = u64::from(completion.finish == Finish::Stop);
        assert_eq!(completion.usage.prompt_tokens, 3, "<s> counts");
        // Special tokens in the midst are no text.
        assert!(words + end <= completion.usage.completion_tokens, "{completion:?}");
        assert!(completion.finish == Finish::Stop || completion.usage.completion_tokens == 12, "{completion:?}");
        assert!(completion.timing.first_token <= completion.timing.total);
    }
    assert!(completions.iter().any(|completion| completion.finish == Finish::Stop));
    assert!(completions.iter().any(|completion| completion.finish == Finish::Length));
}
