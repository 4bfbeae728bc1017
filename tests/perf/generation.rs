//! Speed of the local model, in completion tokens and in questions per second: `cargo bench --bench generation`. It
//! computes on one thread, whatever the machine has.

#[path = "../it/tiny_model.rs"]
mod tiny_model;

mod setting;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures::future::join_all;
use lamas::folder::Folder;
use lamas::model::local::{ARITHMETIC_LLAMA, LocalModel, Options};
use lamas::model::{LanguageModel, Message, Request, Role, Sampling};
use tiny_model::TinyModel;

/// As in a story of the arithmetic benchmark.
const PROMPT_TOKENS: u64 = 60;
/// As in a chain of thought.
const COMPLETION_TOKENS: u32 = 50;
/// The vocabulary of the random model.
const VOCABULARY: u64 = 400;

fn main() {
    divan::main();
}

/// Random weights in the shape of the built-in model. Completion tokens are counted; each pass reads its prompt anew.
#[divan::bench(args = [1, 8, 32])]
fn samples_of_one_prompt(bencher: Bencher, samples: u64) {
    let requests = move |pass| (0..samples).map(|sample| words(pass, 0, sample)).collect();
    complete(bencher, &random_model(), samples * u64::from(COMPLETION_TOKENS), requests);
}

/// As above, but each request has its own prompt.
#[divan::bench(args = [8, 32])]
fn prompts(bencher: Bencher, prompts: u64) {
    let requests = move |pass| (0..prompts).map(|prompt| words(pass, prompt, 0)).collect();
    complete(bencher, &random_model(), prompts * u64::from(COMPLETION_TOKENS), requests);
}

/// The built-in model: a direct answer, a program and five chains of thought for each question.
#[divan::bench(args = [1, 16])]
fn questions(bencher: Bencher, questions: u64) {
    let model = load(&ARITHMETIC_LLAMA);
    let requests = move |pass| (0..questions).flat_map(|question| every_mode(pass * questions + question)).collect();
    complete(bencher, &model, questions, requests);
}

fn complete(bencher: Bencher, model: &LocalModel, items: u64, requests: impl Fn(u64) -> Vec<Request>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut pass = 0;
    let next = || {
        pass += 1;
        requests(pass)
    };
    bencher.counter(ItemsCount::new(items)).with_inputs(next).bench_local_values(|requests| {
        let completions = runtime.block_on(join_all(requests.iter().map(|request| model.complete(request))));
        completions.into_iter().map(|completion| completion.expect("a completion").usage.completion_tokens).sum::<u64>()
    });
}

fn random_model() -> LocalModel {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = TinyModel {
        hidden: 128,
        feed_forward: 384,
        layers: 4,
        heads: 4,
        key_value_heads: 4,
        vocabulary: VOCABULARY as usize,
        context: 512,
        tied: true,
        ..TinyModel::default()
    };
    model.write(folder.path());
    load(&Folder::Disk(folder.path().into()))
}

fn load(folder: &Folder) -> LocalModel {
    LocalModel::load(folder, &Options { device: setting::device(), threads: Some(1), ..Options::default() })
        .expect("a model")
}

/// The first words differ between passes and between prompts, so nothing is known beforehand.
fn words(pass: u64, prompt: u64, sample: u64) -> Request {
    let first = [pass % 390, pass / 390 % 390, prompt];
    let words = first.into_iter().chain(3..PROMPT_TOKENS - 1).map(|word| format!("w{}", 3 + word));
    request(words.collect::<Vec<_>>().join(" "), COMPLETION_TOKENS, sample)
}

fn every_mode(question: u64) -> Vec<Request> {
    let (apples, more) = (2 + question % 97, 2 + question / 97 % 97);
    let story = format!("sam has {apples} apples . sam finds {more} more apples . how many apples does sam have now ?");
    let one = |mode: &str, sample| request(format!("{story} <|{mode}|>"), 128, sample);
    let chains = (0..5).map(|sample| one("chain", sample));
    [one("direct", 0), one("program", 0)].into_iter().chain(chains).collect()
}

fn request(content: String, max_tokens: u32, sample: u64) -> Request {
    let sampling = Sampling { temperature: 1.0, top_p: 1.0, max_tokens, stop: Vec::new() };
    Request { model: String::new(), messages: vec![Message { role: Role::User, content }], sampling, sample }
}
