//! Recorded completions: killed and crowded processes lose nothing and ask for nothing twice; replay gives equal
//! numbers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lamas::model::{Mode, Price, Prices, Replay, Reply, Request, Scripted, Store};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule};
use lamas::task::{ARITHMETIC, Benchmark};

use crate::planned::Planned;

/// A folder with a small benchmark in which commands run.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new(problems: usize) -> Result<Self> {
        let place = Place(tempfile::tempdir()?);
        let folder = place.path("benchmark");
        fs::create_dir(&folder)?;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/arithmetic"))? {
            let path = entry?.path();
            let text = fs::read_to_string(&path)?;
            let is_split = path.extension().is_some_and(|ending| ending == "jsonl");
            let kept = if is_split { text.lines().take(problems).collect::<Vec<_>>().join("\n") } else { text };
            fs::write(folder.join(path.file_name().unwrap_or_default()), kept)?;
        }
        Ok(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command on the built-in model whose calls are recorded in `cache`. Its embeddings are kept here too.
    pub fn lamas(&self, arguments: &str, cache: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamas"));
        command.args(arguments.split_whitespace()).args(["--benchmark", "benchmark", "--cache", cache]);
        command.current_dir(self.0.path()).env("LAMAS_DEVICE", "cpu").env("LAMAS_CACHE", self.path("embeddings"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn recorded(&self, cache: &str) -> Result<u64> {
        let path = self.path(cache).join("completions.sqlite");
        if !path.is_file() {
            return Ok(0);
        }
        Ok(Store::open_existing(&path)?.holdings()?.iter().map(|holding| holding.completions).sum())
    }

    /// Kills the process without warning once it has recorded something; returns how much was recorded.
    fn kill(&self, mut process: Child, cache: &str) -> Result<u64> {
        while self.recorded(cache)? < 20 {
            ensure!(process.try_wait()?.is_none(), "the process ended too early");
            std::thread::yield_now();
        }
        let seen = self.recorded(cache)?;
        process.kill()?;
        ensure!(process.wait()?.code().is_none(), "the process was not killed");
        let found = self.recorded(cache)?;
        ensure!(found >= seen, "{seen} completions were recorded, and {found} are left");
        Ok(found)
    }
}

/// What a command wrote to standard output, and how many calls it had to make.
fn finished(output: Output) -> Result<(String, u64)> {
    let errors = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{errors}");
    let line = errors.lines().find_map(|line| line.strip_prefix("model calls: ")).context("no line of counts")?;
    let made = line.rsplit_once(", ").and_then(|(_, made)| made.strip_suffix(" not")).context("no count")?;
    Ok((String::from_utf8(output.stdout)?, made.parse()?))
}

const TRAIN: &str = "train --epochs 2 --no-evaluation --out";
const OPERATORS: &str = "operators --split validation --draws 2";

#[test]
fn a_killed_recording_goes_on_without_asking_twice() -> Result<()> {
    let place = Place::new(10)?;
    let whole = finished(place.lamas(OPERATORS, "whole").output()?)?;
    assert_eq!(whole.1, place.recorded("whole")?);
    let recorded = place.kill(place.lamas(OPERATORS, "killed").spawn()?, "killed")?;
    let rest = finished(place.lamas(OPERATORS, "killed").output()?)?;
    assert_eq!((rest.0, recorded + rest.1), whole);
    assert_eq!(place.recorded("killed")?, whole.1);
    Ok(())
}

#[test]
fn a_killed_training_goes_on_without_asking_twice() -> Result<()> {
    let place = Place::new(6)?;
    let whole = finished(place.lamas(&format!("{TRAIN} run"), "whole").output()?)?;
    let recorded = place.kill(place.lamas(&format!("{TRAIN} stopped"), "killed").spawn()?, "killed")?;
    let resumed = "train --epochs 2 --no-evaluation --resume stopped";
    let rest = finished(place.lamas(resumed, "killed").output()?)?;
    assert_eq!(recorded + rest.1, whole.1);
    for file in ["checkpoint.safetensors", "metrics.jsonl", "state.safetensors"] {
        let [one, other] = ["run", "stopped"].map(|run| fs::read(place.path(run).join("seed-0").join(file)));
        assert!(one? == other?, "{file}");
    }
    // The same training, from the recording alone.
    let again = finished(place.lamas(&format!("{TRAIN} again --cache-mode replay"), "whole").output()?)?;
    assert_eq!(again.1, 0);
    let [one, other] = ["run", "again"].map(|run| fs::read(place.path(run).join("seed-0/checkpoint.safetensors")));
    assert!(one? == other?);
    Ok(())
}

#[test]
fn two_processes_share_a_store() -> Result<()> {
    let place = Place::new(10)?;
    let both = [place.lamas(OPERATORS, "shared").spawn()?, place.lamas(OPERATORS, "shared").spawn()?];
    let [one, other] = both.map(|process| finished(process.wait_with_output()?));
    let (one, other) = (one?, other?);
    assert_eq!(one.0, other.0);
    let recorded = place.recorded("shared")?;
    assert!(one.1.max(other.1) <= recorded && one.1 + other.1 >= recorded, "{} + {}: {recorded}", one.1, other.1);
    let replayed = finished(place.lamas(&format!("{OPERATORS} --cache-mode replay"), "shared").output()?)?;
    assert_eq!(replayed, (one.0, 0));
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_run_and_loses_nothing() -> Result<()> {
    let place = Place::new(10)?;
    let whole = finished(place.lamas(OPERATORS, "whole").output()?)?;
    // No file may grow beyond a few hundred kilobytes. The signal for this is ignored, as on a full disk.
    let full = place.lamas(OPERATORS, "full");
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh"]).arg(full.get_program());
    limited.args(full.get_args()).current_dir(place.0.path()).env("LAMAS_DEVICE", "cpu");
    let output = limited.env("LAMAS_CACHE", place.path("embeddings")).output()?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("is there room on the disk?") && errors.contains("completions.sqlite"), "{errors}");
    let recorded = place.recorded("full")?;
    assert!(recorded > 0 && recorded < whole.1, "{recorded} of {}", whole.1);
    let rest = finished(place.lamas(OPERATORS, "full").output()?)?;
    assert_eq!((rest.0, recorded + rest.1), whole);
    Ok(())
}

#[test]
fn exported_records_answer_elsewhere() -> Result<()> {
    let place = Place::new(4)?;
    let whole = finished(place.lamas(OPERATORS, "here").output()?)?;
    let cache = |arguments: &str| -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamas"));
        Ok(command.arg("cache").args(arguments.split_whitespace()).current_dir(place.0.path()).output()?)
    };
    assert!(cache("export --cache here --out calls.jsonl")?.status.success());
    assert!(cache("import --cache there calls.jsonl")?.status.success());
    let replayed = finished(place.lamas(&format!("{OPERATORS} --cache-mode replay"), "there").output()?)?;
    assert_eq!(replayed, (whole.0, 0));
    let listed: serde_json::Value = serde_json::from_slice(&cache("list --json --cache there")?.stdout)?;
    assert_eq!(listed[0]["completions"], whole.1);
    assert!(listed[0]["model"].as_str().is_some_and(|model| model.starts_with("arithmetic-llama@")), "{listed}");
    assert!(listed[0]["dollars"].as_f64().is_some_and(|dollars| dollars > 0.0), "{listed}");
    assert_eq!(cache("prune --cache there")?.status.code(), Some(1), "everything only when asked for");
    assert!(cache("prune --cache there --model arithmetic-llama --older-than 1")?.status.success());
    assert!(cache("prune --cache there --older-than 0")?.status.success());
    assert_eq!(place.recorded("there")?, 0);
    // A line that is not a record: nothing is imported.
    let lines = fs::read_to_string(place.path("calls.jsonl"))?;
    fs::write(place.path("calls.jsonl"), lines + "{\"model\": 3}\n")?;
    let refused = cache("import --cache there calls.jsonl")?;
    let errors = String::from_utf8(refused.stderr)?;
    assert!(refused.status.code() == Some(1) && errors.contains("calls.jsonl` line "), "{errors}");
    assert_eq!(place.recorded("there")?, 0);
    Ok(())
}

#[test]
fn what_cannot_be_replayed_is_named() -> Result<()> {
    let place = Place::new(4)?;
    let ask = |more: &str| -> Result<String> {
        let output = place.lamas(&format!("run --plan GenerateCoT question {more}"), "calls").output()?;
        ensure!(output.status.code() == Some(1), "{output:?}");
        Ok(String::from_utf8(output.stderr)?)
    };
    assert!(ask("--cache-mode sometimes")?.contains("expected use, record, replay or off, found `sometimes`"));
    assert!(ask("--cache-mode replay")?.contains("completions.sqlite`, found no such file"));
    let other = place.lamas("run --plan Generate question", "calls").output()?;
    assert!(other.status.success(), "{other:?}");
    let missing = ask("--cache-mode replay")?;
    let named = missing.contains("operator `GenerateCoT`") && missing.contains("prompt `question <|chain|>`");
    assert!(named && missing.contains("model `arithmetic-llama@"), "{missing}");
    fs::write(place.path("calls/completions.sqlite"), "not a database ".repeat(100))?;
    assert!(ask("")?.contains("found another kind of file"));
    Ok(())
}

/// Chains of ten tokens, programs of nine, half a second before the first token.
fn system(path: &Path, mode: Mode) -> Result<Planned> {
    let script = |request: &Request| {
        let prompt = request.messages.first().map_or("", |message| &message.content);
        let (text, tokens) = if prompt.ends_with("<|program|>") { ("return 8", 9) } else { ("the answer is 8", 10) };
        let delay = Duration::from_millis(500 + 20 * tokens + request.sample % 100);
        Ok(Reply::new(text, tokens).after(delay))
    };
    let model = Replay::open(Scripted::new("scripted", script), path, mode)?;
    let prices = Prices([("scripted".to_owned(), Price { prompt: 1.0, completion: 10.0, ..Price::default() })].into());
    let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
    Planned::new(catalogue, Benchmark::load(ARITHMETIC)?, Arc::new(model), &prices, Schedule::Layered)
}

#[tokio::test(start_paused = true)]
async fn replay_shows_the_recorded_times_and_takes_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("completions.sqlite");
    let plans: [&[&[u16]]; 3] = [&[&[2, 4], &[6, 3]], &[&[1], &[6], &[5]], &[&[0, 4], &[7]]];
    let mut passes = Vec::new();
    for mode in [Mode::Use, Mode::Replay] {
        let (system, clock) = (system(&path, mode)?, tokio::time::Instant::now());
        let mut episodes = Vec::new();
        for (problem, plan) in system.problems("validation")?.iter().zip(plans) {
            episodes.push(system.solve(problem, &Plan::from_indices(plan), 3).await?);
        }
        passes.push((episodes, clock.elapsed()));
    }
    let [(recorded, spent), (replayed, saved)] = passes.as_slice() else { anyhow::bail!("two passes") };
    assert_eq!(recorded, replayed);
    assert!(*spent > Duration::from_secs(3) && *saved < Duration::from_millis(10), "{spent:?} {saved:?}");
    let slowest = &replayed[0].trace.spans[1].latency;
    assert!(slowest.seconds >= 0.68 && slowest.tokens == 10.0, "{slowest:?}");
    Ok(())
}
