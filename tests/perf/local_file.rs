//! Speed of a model file, one request at a time: `LAMAS_SMOLLM=FILE.gguf cargo bench --bench local_file`.
//! `RAYON_NUM_THREADS` sets the threads. Medians of five rounds, in tokens a second.

use lamas::folder::Folder;
use lamas::model::local::{LocalModel, Options};
use lamas::model::{Completion, LanguageModel, Message, Request, Role, Sampling};

const ROUNDS: u32 = 5;
/// About 256 tokens with the template around them.
const WORDS: usize = 220;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(file) = std::env::var_os("LAMAS_SMOLLM") else {
        println!("skipped: set LAMAS_SMOLLM to a GGUF file");
        return Ok(());
    };
    let started = std::time::Instant::now();
    let model = LocalModel::load(&Folder::Disk(file.into()), &Options::default())?;
    println!("loaded in {:.2} s", started.elapsed().as_secs_f64());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let complete = |round: u32, text: String, max_tokens: u32| -> Result<Completion, lamas::model::Error> {
        let message = Message { role: Role::User, content: format!("{round}{round}. {text}") };
        let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_tokens, stop: Vec::new() };
        let request = Request { model: String::new(), messages: vec![message], sampling, sample: 0 };
        runtime.block_on(model.complete(&request))
    };
    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let read = complete(round, "river ".repeat(WORDS), 1)?;
        let written = complete(round, "Write a very long story about a ship and its crew.".into(), 128)?;
        let (tokens, timing) = (written.usage.completion_tokens - 1, written.timing);
        // The first round warms up.
        if round > 0 {
            reading.push(read.usage.prompt_tokens as f64 / read.timing.first_token);
            writing.push(tokens as f64 / (timing.total - timing.first_token));
            println!("{} tokens read, {tokens} written", read.usage.prompt_tokens);
        }
    }
    println!("reading {:.1} tokens a second, writing {:.1}", median(reading), median(writing));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
