//! Files left by version 0.1.0, before the event loop, still open: a run folder, its checkpoint and its catalogue.

use std::path::Path;

use anyhow::{Context, Result};
use lamas::agent::{Agent, Ask, newest};
use lamas::checkpoint::Checkpoint;
use lamas::execute::Episode;
use lamas::plan::Unit;
use lamas::report::jsonl;
use lamas::settings::{Preset, of_checkpoint};

const RUN: &str = "tests/runs/earlier";

fn checkpoint() -> Result<Checkpoint> {
    Ok(newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join(RUN))?.0)
}

#[test]
fn settings_say_what_is_gone_and_keep_the_rest() -> Result<()> {
    let (settings, gone) = of_checkpoint(&checkpoint()?)?;
    let expected = ["optimize", "agreement"]
        .map(|name| format!("setting `training.execution.{name}` no longer exists and has no effect"));
    assert_eq!(gone, expected);
    let (training, ours) = (&settings.training, Preset::Adaptive.settings().training);
    assert_eq!((training.objective.latency_weight, training.objective.unit), (0.001, Unit::Tokens));
    assert_eq!((training.credit, training.loss, training.execution), (ours.credit, ours.loss, ours.execution));
    assert_eq!((training.survey.plans, settings.controller.hidden), (4, 4));
    Ok(())
}

#[test]
fn episodes_are_read_with_the_paths_that_they_had() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RUN).join("test-episodes.jsonl");
    let episodes: Vec<Episode> = jsonl::read(&path)?;
    assert_eq!(episodes.len(), 8);
    let paths: f64 = episodes.iter().map(|episode| episode.trace.path(Unit::Tokens).length).sum();
    assert_eq!(paths / 8.0, MEAN_PATH);
    Ok(())
}

/// As that version printed it.
const MEAN_PATH: f64 = 16.75;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_answers() -> Result<()> {
    // The run names its benchmark by a path relative to where it was started.
    let place = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(root.join(RUN).join("settings.json"))?;
    text = text.replace("\"tiny\"", &format!("{:?}", root.join("tests/benchmarks/tiny")));
    let mut checkpoint = checkpoint()?;
    checkpoint.provenance.configuration = serde_json::from_str(&text)?;
    let file = place.path().join("checkpoint.safetensors");
    checkpoint.save(&file)?;
    std::fs::copy(root.join(RUN).join("latency.json"), place.path().join("latency.json"))?;
    let agent = Agent::open(&file).await?;
    assert_eq!(agent.remarks().len(), 2, "{:?}", agent.remarks());
    let answered = agent.answer("what is 3 and 5 ?", Ask::default()).await?;
    let predicted = answered.chosen.predicted.context("a prediction")?;
    assert!(predicted.path.tokens > 0.0 && answered.trace.path(Unit::Tokens).length > 0.0);
    Ok(())
}
