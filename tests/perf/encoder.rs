//! What embedding a question costs: `cargo bench --bench encoder`.
//!
//! The transformer is measured if `LAMAS_MINILM` names its folder.

mod setting;

use divan::Bencher;
use divan::counter::ItemsCount;
use lamas::encoder::{Encoder, EncoderChoice};

/// A question of 44 words.
const QUESTION: &str = "Sam has 345 apples and gives 5 to Ann, who already keeps 12 boxes of 7 apples each in the \
    garden. If Ann then sells half of all her apples for 3 dollars each, how many dollars does she have in the end, and \
    how many apples?";

fn main() {
    divan::main();
}

fn measure(bencher: Bencher, choice: &EncoderChoice, questions: usize) {
    let encoder: Box<dyn Encoder> = choice.open(&setting::device()).expect("the encoder");
    let questions = vec![QUESTION; questions];
    bencher.counter(ItemsCount::new(questions.len())).bench_local(|| encoder.encode(&questions).expect("embeddings"));
}

#[divan::bench(args = [1, 64])]
fn static_table(bencher: Bencher, questions: usize) {
    measure(bencher, &EncoderChoice::Static, questions);
}

#[divan::bench]
fn load_static_table() -> Box<dyn Encoder> {
    EncoderChoice::Static.open(&setting::device()).expect("the table")
}

#[divan::bench(args = [1, 64], max_time = 5)]
fn minilm(bencher: Bencher, questions: usize) {
    match std::env::var_os("LAMAS_MINILM") {
        Some(folder) => measure(bencher, &EncoderChoice::MiniLmFolder(folder.into()), questions),
        None => eprintln!("skipped: set LAMAS_MINILM to a folder with all-MiniLM-L6-v2"),
    }
}
