//! Tokens per second of the local model, with random weights in the shape of the embedded one: `cargo bench --bench
//! generation`. One thread computes, whatever the machine has.

#[path = "../it/tiny_model.rs"]
mod tiny_model;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures::future::join_all;
use lamas::folder::Folder;
use lamas::llm::local::{LocalModel, Options};
use lamas::llm::{LanguageModel, Message, Request, Role, Sampling};
use tiny_model::TinyModel;

/// Like a story of the arithmetic benchmark.
const PROMPT_TOKENS: usize = 60;
/// Like a chain of thought.
const COMPLETION_TOKENS: u32 = 50;

fn main() {
    divan::main();
}

/// Completion tokens, prompt and channels included. Each pass reads its prompt anew.
#[divan::bench(args = [1, 8, 32])]
fn samples_of_one_prompt(bencher: Bencher, samples: u64) {
    generate(bencher, samples, |sample| (0, sample));
}

/// As above, each request with a prompt of its own.
#[divan::bench(args = [32])]
fn prompts(bencher: Bencher, prompts: u64) {
    generate(bencher, prompts, |prompt| (prompt, 0));
}

fn generate(bencher: Bencher, count: u64, which: impl Fn(u64) -> (u64, u64) + Sync) {
    let model = load();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut pass = 0;
    bencher
        .counter(ItemsCount::new(count * u64::from(COMPLETION_TOKENS)))
        .with_inputs(|| {
            pass += 1;
            (0..count).map(which_request(pass, &which)).collect::<Vec<_>>()
        })
        .bench_local_values(|requests| {
            let completions = runtime.block_on(join_all(requests.iter().map(|request| model.complete(request))));
            for completion in completions {
                let completion = completion.expect("a completion");
                assert_eq!(completion.usage.completion_tokens, u64::from(COMPLETION_TOKENS));
            }
        });
}

fn which_request(pass: u64, which: &impl Fn(u64) -> (u64, u64)) -> impl Fn(u64) -> Request {
    move |index| {
        let (prompt, sample) = which(index);
        // The first words differ from pass to pass and from prompt to prompt: nothing is known beforehand.
        let words = (0..PROMPT_TOKENS as u64 - 1).map(|word| match word {
            0 => format!("w{}", 3 + pass % 390),
            1 => format!("w{}", 3 + pass / 390 % 390),
            2 => format!("w{}", 3 + prompt),
            word => format!("w{}", 3 + word),
        });
        let content = words.collect::<Vec<_>>().join(" ");
        let sampling = Sampling { temperature: 1.0, top_p: 1.0, max_tokens: COMPLETION_TOKENS, stop: Vec::new() };
        Request { model: String::new(), messages: vec![Message { role: Role::User, content }], sampling, sample }
    }
}

fn load() -> LocalModel {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = TinyModel {
        hidden: 128,
        feed_forward: 384,
        layers: 4,
        heads: 4,
        key_value_heads: 4,
        vocabulary: 400,
        context: 512,
        tied: true,
        ..TinyModel::default()
    };
    model.write(folder.path());
    let options = Options { threads: Some(1), ..Options::default() };
    LocalModel::load(&Folder::Disk(folder.path().into()), &options).expect("a model")
}
