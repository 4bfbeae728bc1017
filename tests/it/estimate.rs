//! What a run is expected to ask for, compared with what it then asked for.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use lamas::random;
use serde_json::{Value, json};

use crate::run_folder::{check, lamas};
use crate::server::{Reply, Server, streamed};

const CATALOGUE: &str = r#"
[[operator]]
name = "Generate"
kind = "generate"
description = "Says the answer."
prompt = "Say it: {{ question }}"
max_tokens = 20

[[operator]]
name = "GenerateCoT"
kind = "generate"
description = "Thinks step by step."
prompt = "Think: {{ question }}"
max_tokens = 200

[[operator]]
name = "SelfRefine"
kind = "refine"
description = "Improves a solution."
prompt = "Improve: {{ question }} {{ solution }}"
max_tokens = 200
"#;

fn benchmark(folder: &Path) -> Result<()> {
    let text = "name = \"sums\"\ndescription = \"Sums.\"\nanswer = \"integer\"\ncatalogue = \"catalogue.toml\"\n[splits]\ntrain = \"train.jsonl\"\n\
                validation = \"validation.jsonl\"\ntest = \"test.jsonl\"\n[reward]\nlatency_weight = 0.001\n\
                cost_weight = 3.0\ngamma = 50.0\n";
    fs::create_dir_all(folder)?;
    fs::write(folder.join("benchmark.toml"), text)?;
    fs::write(folder.join("catalogue.toml"), CATALOGUE)?;
    for (split, count) in [("train", 40), ("validation", 20), ("test", 24)] {
        let line = |at: usize| json!({ "id": format!("{split}-{at}"), "question": format!("{split} {at} + 1 ?"), "answer": "42" });
        let lines: Vec<String> = (0..count).map(|at| line(at).to_string()).collect();
        fs::write(folder.join(format!("{split}.jsonl")), lines.join("\n"))?;
    }
    Ok(())
}

/// Right or wrong, and longer or shorter, depending only on the request.
fn answer(body: &Value) -> Reply {
    let prompt = body["messages"].to_string();
    let draw = random::key(&[&body["messages"], &body["seed"]]);
    let is_right = !draw.is_multiple_of(if prompt.contains("Think") { 8 } else { 2 });
    let tokens = if prompt.contains("Say it") { 3 + draw % 4 } else { 40 + draw % 60 };
    streamed(if is_right { "The answer is 42." } else { "The answer is 7." }, 30, tokens)
}

/// The dollars before the last ` $` on the first line that contains `part`.
fn dollars(text: &str, part: &str) -> Result<f64> {
    let line = text.lines().find(|line| line.contains(part)).with_context(|| format!("`{part}` in: {text}"))?;
    let figure = line.split(" $").next().and_then(|before| before.split_whitespace().last()).context("a figure")?;
    Ok(figure.parse()?)
}

fn model(server: &Server) -> [&str; 10] {
    let files = ["--config", "settings.toml", "--benchmark", "sums"];
    let [config, settings, benchmark, sums] = files;
    [config, settings, benchmark, sums, "--model-name", "m", "--price", "100", "--endpoint", &server.url]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_costs_about_what_its_probes_say() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    benchmark(&here.join("sums"))?;
    let server = Server::start(|_, body| answer(body)).await;
    // What is learned matters little here.
    fs::write(here.join("settings.toml"), "[training.survey]\npasses = 2\n[training.halting]\npasses = 2\n")?;
    let model = model(&server);
    let run = |arguments: &[&str]| {
        let command = lamas(&[arguments, &model].concat(), here);
        tokio::task::block_in_place(|| check(0, command, &[]))
    };
    let probed = run(&["train", "--out", "run", "--dry-run"])?;
    let (expected, paid) = (dollars(&probed, "  all ")?, dollars(&probed, "endpoint: ")?);
    assert!(!here.join("run/seed-0").exists());
    let asked = server.seen().len();
    let whole = run(&["train", "--resume", "run"])?;
    let spent = paid + dollars(&whole, "endpoint: ")?;
    assert!((spent / expected - 1.0).abs() < 0.3, "{expected} $ expected, {spent} $ spent");
    assert!(paid < 0.5 * expected, "{paid} of {expected} $ for probes");
    // A paying user sees the estimate without asking for it, and nothing is asked twice.
    let again = run(&["train", "--out", "again", "--no-evaluation", "--max-cost", "0.5"])?;
    assert!(again.contains("estimate, from"), "{again}");
    assert!(again.contains("--max-cost 0.5 is lower: it will stop the run early"), "{again}");
    assert!(asked < server.seen().len() / 2);
    // What remains of the run, judging from its record.
    let (first, second) =
        (run(&["train", "--out", "two", "--dry-run"])?, run(&["train", "--resume", "two", "--dry-run"])?);
    let [all, same, left] =
        [(&first, "  all "), (&second, "  all "), (&second, "  to come ")].map(|(text, part)| dollars(text, part));
    let (all, same, left) = (all?, same?, left?);
    assert!((same / all - 1.0).abs() < 0.2 && left < all && left > 0.5 * all, "{all} $, then {same} $, {left} $ left");
    // Other commands that ask a model estimate too, on request.
    let found = run(&["evaluate", "run", "--cache-mode", "off"])?;
    assert!(!found.contains("endpoint: ") && found.contains("found in `run/record.jsonl`, 0 added"), "{found}");
    fs::remove_file(here.join("run/record.jsonl"))?;
    for command in [
        &["evaluate", "run", "--split", "train"][..],
        &["baselines", "--split", "train"],
        &["traces", "--out", "outputs.jsonl", "--samples", "2"],
    ] {
        let uncached = [command, &["--cache-mode", "off"]].concat();
        let probed = run(&[&uncached[..], &["--dry-run"]].concat())?;
        assert!(!here.join("outputs.jsonl").exists());
        let (expected, paid) = (dollars(&probed, "  all ")?, dollars(&probed, "endpoint: ")?);
        let spent = dollars(&run(&uncached)?, "endpoint: ")?;
        assert!((spent / expected - 1.0).abs() < 0.3, "{command:?}: {expected} $ expected, {spent} $ spent");
        assert!(paid < 0.8 * spent, "{command:?}: {paid} of {spent} $ for probes");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn experiments_cost_about_what_their_probes_say() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    benchmark(&here.join("sums"))?;
    let server = Server::start(|_, body| answer(body)).await;
    fs::write(here.join("settings.toml"), "[training.survey]\npasses = 2\n[training.halting]\npasses = 2\n")?;
    let model = model(&server);
    let run = |arguments: &[&str]| {
        let command = lamas(&[arguments, &model].concat(), here);
        tokio::task::block_in_place(|| check(0, command, &[]))
    };
    for command in [
        &["compare", "--seeds", "1", "--passes", "1", "--only", "LAMaS"][..],
        &["sweep", "--seeds", "1", "--passes", "1", "--weights", "0.001,0.002"],
    ] {
        let uncached = [command, &["--cache-mode", "off", "--out", command[0]]].concat();
        let probed = run(&[&uncached[..], &["--dry-run"]].concat())?;
        assert!(probed.contains(&format!("`lamas {0} --out {0}`, with the same options", command[0])), "{probed}");
        let (expected, paid) = (dollars(&probed, "  all ")?, dollars(&probed, "endpoint: ")?);
        let spent = paid + dollars(&run(&uncached)?, "endpoint: ")?;
        assert!((spent / expected - 1.0).abs() < 0.3, "{command:?}: {expected} $ expected, {spent} $ spent");
        assert!(paid < 0.6 * spent, "{command:?}: {paid} of {spent} $ for probes");
    }
    Ok(())
}
