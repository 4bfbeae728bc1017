//! Compares the local back end with transformers, using the file that `scripts/check_logits.py` writes:
//! `cargo run --release --example check_logits -- models/arithmetic-llama logits.json`.

use anyhow::{Context, Result, ensure};
use lamas::folder::Folder;
use lamas::model::local::{Options, logits};

#[derive(serde::Deserialize)]
struct Line {
    prompt: String,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

fn main() -> Result<()> {
    let [folder, file] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().ok().context("expected FOLDER FILE")?;
    let folder = Folder::Disk(folder.into());
    let lines: Vec<Line> = serde_json::from_slice(&std::fs::read(&file).with_context(|| format!("`{file}`"))?)?;
    for Line { prompt, ids, logits: expected } in lines {
        let found = logits(&folder, &Options::default(), &ids)?;
        ensure!(found.len() == expected.len(), "expected {} logits, found {}", expected.len(), found.len());
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{worst:.2e}  {prompt}");
        ensure!(worst < 1e-3, "logits differ by {worst}");
    }
    Ok(())
}
