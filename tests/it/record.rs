//! The record: plans are computed from the calls in it, and exactly the missing calls are made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, ensure};
use lamas::execute::{Answer, Clock, ExecutionConfig, SolveOptions};
use lamas::model::{Error, Price, Prices, Reply, Request, Scripted};
use lamas::operation::Catalogue;
use lamas::plan::{OperatorId, Plan, Schedule, Unit};
use lamas::record::Record;
use lamas::task::{ARITHMETIC, Benchmark, Problem};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::planned::Planned;
use crate::recording::Place;
use crate::schedule::{GENERATE, MULTI, REFINE, SCHEDULES, plans, random_script, run, scripted};

/// Like the random script, but nothing fails, because failures are not recorded.
fn steady(request: &Request) -> Result<Reply, Error> {
    random_script(request).or_else(|_| Ok(Reply::new("the answer is 1", 4)))
}

fn silent(request: &Request) -> Result<Reply, Error> {
    Err(Error::Permanent(format!("nobody is to be asked `{}`", request.messages[0].content)))
}

/// A catalogue that can be changed, a named model that counts its requests, and a record that stays.
struct Change<'a> {
    folder: &'a Path,
    catalogue: String,
    model: &'static str,
}

impl Change<'_> {
    /// Runs some plans on two problems; returns the requests made, the calls added to the record, and the scores.
    async fn made(&self) -> Result<(u64, u64, Vec<f64>)> {
        let requests = Arc::new(AtomicU64::new(0));
        let count = requests.clone();
        let model = Scripted::new(self.model, move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            steady(request)
        });
        let prices = Prices([(self.model.to_owned(), Price::default())].into());
        let catalogue = Catalogue::parse(self.catalogue.clone(), "catalogue.toml")?;
        let benchmark = Benchmark::load(ARITHMETIC)?;
        let record = Arc::new(Record::open(&self.folder.join("record.jsonl"))?);
        let named = |names: &[&str]| names.iter().map(|name| catalogue.find(name)).collect::<Result<Vec<OperatorId>>>();
        let mut plans = Vec::new();
        for layers in
            [&[&["GenerateCoT", "Programmer"][..], &["SelfRefine"]][..], &[&["MultiGenerateCoT", "GenerateCoT"]]]
        {
            let layers = layers.iter().map(|names| named(names)).collect::<Result<Vec<_>>>()?;
            let layers: Vec<Vec<u16>> =
                layers.into_iter().map(|ids| ids.into_iter().map(|id| id.0).collect()).collect();
            plans.push(Plan::from_indices(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        }
        let problems: Vec<Problem> = benchmark.problems("train")?.into_iter().take(2).collect();
        let solver =
            Planned::new(catalogue, benchmark, Arc::new(model), &prices, Schedule::Dataflow)?.with_record(&record);
        let mut scores = Vec::new();
        for problem in &problems {
            for plan in &plans {
                scores.push(solver.solve(problem, plan, 0).await?.score);
            }
        }
        Ok((requests.load(Ordering::Relaxed), record.added(), scores))
    }
}

#[tokio::test(start_paused = true)]
async fn exactly_the_calls_that_are_new_are_made() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = ARITHMETIC.read_text("catalogue.toml")?;
    let own = Change { folder: folder.path(), catalogue: text.clone(), model: "one" };
    let lines = || Ok::<_, std::io::Error>(fs::read_to_string(folder.path().join("record.jsonl"))?.lines().count());
    let first = own.made().await?;
    // On each of two problems: a chain, a program (in one or two calls), its refinement, and three chains.
    assert_eq!((first.1, lines()?), (8, 8));
    assert_eq!(own.made().await?, (0, 0, first.2.clone()));
    let refined = Change { catalogue: text.replace("<|candidate|>", "<|draft|>"), ..own };
    assert_eq!(refined.made().await?.1, 2, "the prompt of the refinement is another");
    let added = "[[operator]]\nname = \"New\"\nkind = \"stop\"\ndescription = \"Ends.\"\n";
    let own = Change { folder: folder.path(), catalogue: format!("{added}{text}"), model: "one" };
    assert_eq!(own.made().await?, (0, 0, first.2.clone()), "an operator more, and all positions others");
    let renamed = Change {
        catalogue: text.replace("States the final", "Tells the final").replace("samples = 3", "samples = 2"),
        ..own
    };
    assert_eq!(renamed.made().await?.0, 0, "fewer samples, and another description");
    let more = Change { folder: folder.path(), catalogue: text.replace("samples = 3", "samples = 5"), model: "one" };
    let (requests, calls, _) = more.made().await?;
    assert_eq!((requests, calls), (4, 2), "two samples more for each problem");
    let other = Change { folder: folder.path(), catalogue: text, model: "two" };
    let all = other.made().await?;
    assert_eq!(all.1, 8, "another model");
    assert_eq!(lines()?, 8 + 2 + 2 + 8);
    Ok(())
}

/// A record that all cases of a test fill.
fn shared() -> (tempfile::TempDir, Arc<Record>) {
    let folder = tempfile::tempdir().expect("a folder");
    let record = Arc::new(Record::open(&folder.path().join("record.jsonl")).expect("a record"));
    (folder, record)
}

static SHARED: LazyLock<(tempfile::TempDir, Arc<Record>)> = LazyLock::new(shared);

/// The result, without the time spent waiting.
fn told(answer: &Answer) -> (Vec<Value>, Option<&str>, usize) {
    let span = |span: &lamas::plan::Span| {
        let mut span = serde_json::to_value(span).expect("a span");
        span.as_object_mut().expect("an object").remove("queued");
        span
    };
    (answer.trace.all().map(span).collect(), answer.answer.as_deref(), answer.solutions.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// A record changes no result, and once it holds a plan's calls nobody is asked.
    #[test]
    fn a_plan_from_the_record_is_the_plan_that_ran(plan in plans(), draw in 0u64..3, quorum: bool) {
        for schedule in SCHEDULES {
            let execution = || ExecutionConfig { quorum, ..schedule.into() };
            let alone = run(&scripted(execution(), steady), &plan, draw).0;
            let first = run(&scripted(execution(), steady).with_record(&SHARED.1), &plan, draw).0;
            let again = run(&scripted(execution(), silent).with_record(&SHARED.1), &plan, draw).0;
            prop_assert_eq!(told(&alone), told(&first));
            prop_assert_eq!(told(&alone), told(&again));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn equal_calls_at_once_are_made_once() -> Result<()> {
    let (_folder, record) = shared();
    let solver = scripted(ExecutionConfig::from(Schedule::Layered), steady).with_record(&record);
    let problem = &solver.problems("train")?[0];
    let plan = Plan::from_indices(&[&[MULTI], &[REFINE]]);
    let together = futures::future::join_all((0..8).map(|_| solver.solve(problem, &plan, 0))).await;
    let first = together[0].as_ref().map_err(Clone::clone)?;
    for episode in &together {
        assert_eq!(
            episode.as_ref().map_err(Clone::clone)?.trace.durations(Unit::Tokens),
            first.trace.durations(Unit::Tokens)
        );
    }
    assert_eq!(record.added(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_failed_or_was_dropped_is_no_line() -> Result<()> {
    let (folder, record) = shared();
    let failing = |request: &Request| match request.messages[0].content.contains("<|chain|>") {
        true => Err(Error::Transient("busy".into())),
        false => steady(request),
    };
    let solver = scripted(ExecutionConfig::from(Schedule::Layered), failing).with_record(&record);
    let problem = &solver.problems("train")?[0];
    let episode = solver.solve(problem, &Plan::from_indices(&[&[GENERATE, MULTI]]), 0).await?;
    assert!(!episode.is_complete());
    assert_eq!(record.added(), 1);
    // Dropped half way.
    let slow = scripted(ExecutionConfig::from(Schedule::Layered), steady).with_record(&record);
    let plan = Plan::from_indices(&[&[MULTI]]);
    assert!(futures::poll!(Box::pin(slow.solve(problem, &plan, 0))).is_pending());
    assert_eq!(record.added(), 1);
    // On the wall clock a recorded call takes no time, and ends as it did.
    let options = SolveOptions { clock: Clock::Live, ..solver.options.clone() };
    let live = Planned { options, ..scripted(ExecutionConfig::from(Schedule::Layered), silent) }.with_record(&record);
    let again = live.solve(problem, &Plan::from_indices(&[&[GENERATE]]), 0).await?;
    assert_eq!(again.trace.spans[0].usage, episode.trace.spans[0].usage);
    assert_eq!(fs::read_to_string(folder.path().join("record.jsonl"))?.lines().count(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn answers_are_judged_once_and_by_their_own_reference() -> Result<()> {
    let (folder, record) = shared();
    let solver = scripted(ExecutionConfig::from(Schedule::Layered), |_| Ok(Reply::new("the answer is 8", 2)));
    let solver = solver.with_record(&record);
    let mut problem = solver.problems("train")?.swap_remove(0);
    let plan = Plan::from_indices(&[&[GENERATE]]);
    let mut scores = Vec::new();
    for reference in ["8", "9", "8", "9"] {
        problem.answer = reference.to_owned();
        scores.push(solver.solve(&problem, &plan, 0).await?.score);
    }
    assert_eq!(scores, [1.0, 0.0, 1.0, 0.0]);
    let text = fs::read_to_string(folder.path().join("record.jsonl"))?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.len(), 2);
    let first = &lines[0];
    assert_eq!([&first["problem"], &first["operator"]], [&json!(problem.id), &json!("Generate")]);
    assert_eq!([&first["solutions"][0]["score"], &first["solutions"][0]["tokens"]], [&json!(1.0), &json!(2)]);
    assert_eq!([&lines[1]["answer"], &lines[1]["score"]], [&json!("8"), &json!(0.0)]);
    Ok(())
}

/// The lines of a record, without measured values.
fn lines(path: &Path) -> Result<BTreeSet<String>> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("seconds");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let mut value: Value = serde_json::from_str(line)?;
        strip(&mut value);
        ensure!(found.insert(value.to_string()), "a line stands twice: {line}");
    }
    Ok(found)
}

/// Runs a command of the built-in model without recorded completions; returns its standard error.
fn finished(command: &mut Command) -> Result<String> {
    let Output { status, stderr, .. } = command.output()?;
    let errors = String::from_utf8(stderr)?;
    ensure!(status.success(), "{errors}");
    Ok(errors)
}

#[test]
fn a_record_is_the_same_killed_sharded_and_made_at_once() -> Result<()> {
    let place = Place::new(10)?;
    let command = |more: &str| {
        let mut command = place.lamas(&format!("record --draws 3 {more}"), "unused");
        command.args(["--cache-mode", "off"]);
        command
    };
    finished(&mut command("--out whole.jsonl"))?;
    let whole = lines(&place.path("whole.jsonl"))?;
    // On ten problems: one direct answer, which is not random, and three draws of a chain, of three chains and of a
    // program.
    assert_eq!(whole.len(), 10 * (1 + 3 * 3));

    let killed = place.path("killed.jsonl");
    let mut process = command("--out killed.jsonl").spawn()?;
    while fs::read(&killed).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count() < 20 {
        ensure!(process.try_wait()?.is_none(), "the process ended too early");
        std::thread::yield_now();
    }
    process.kill()?;
    process.wait()?;
    let left = fs::read(&killed)?;
    let kept = left.iter().filter(|&&byte| byte == b'\n').count();
    ensure!((20..100).contains(&kept), "the process was killed after {kept} lines");
    // As if it had been killed while writing.
    fs::write(&killed, [&left[..], b"{\"key\":\"00"].concat())?;
    let errors = finished(&mut command("--out killed.jsonl"))?;
    assert!(errors.contains("was left unfinished, and is dropped"), "{errors}");
    assert!(
        errors.contains(&format!("operator calls: {kept} found in `killed.jsonl`, {} added", 100 - kept)),
        "{errors}"
    );
    assert_eq!(lines(&killed)?, whole);

    for shard in 0..4 {
        finished(&mut command(&format!("--shard {shard}/4 --out shard-{shard}.jsonl")))?;
    }
    let merge = |files: &str, out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamas"));
        command.args(["record", "merge"]).args(files.split(' ')).args(["--out", out]).current_dir(place.path(""));
        finished(&mut command)
    };
    merge("shard-3.jsonl shard-0.jsonl shard-2.jsonl shard-1.jsonl", "merged.jsonl")?;
    assert_eq!(lines(&place.path("merged.jsonl"))?, whole);
    // The same order, whatever the order of the files.
    merge("shard-0.jsonl shard-1.jsonl shard-2.jsonl shard-3.jsonl", "again.jsonl")?;
    assert!(fs::read(place.path("merged.jsonl"))? == fs::read(place.path("again.jsonl"))?);
    let errors = merge("merged.jsonl killed.jsonl whole.jsonl", "all.jsonl")?;
    assert!(errors.contains("wrote 100 calls to `all.jsonl`, merged 200 duplicates"), "{errors}");
    assert!(fs::read(place.path("merged.jsonl"))? == fs::read(place.path("all.jsonl"))?);

    let mut show = Command::new(env!("CARGO_BIN_EXE_lamas"));
    let shown = show.args(["record", "show", "--json", "all.jsonl"]).current_dir(place.path("")).output()?;
    let shown: Value = serde_json::from_slice(&shown.stdout)?;
    assert_eq!(
        [&shown["MultiGenerateCoT"]["lines"], &shown["MultiGenerateCoT"]["solutions"]],
        [&json!(30), &json!(90)]
    );
    assert_eq!([&shown["Generate"]["lines"], &shown["Generate"]["problems"]], [&json!(10), &json!(10)]);
    Ok(())
}

#[test]
fn a_training_from_a_full_record_asks_nothing() -> Result<()> {
    let place = Place::new(6)?;
    let train = |more: &str| {
        let mut command = place.lamas(&format!("train --epochs 2 --no-evaluation {more}"), "unused");
        command.args(["--cache-mode", "off"]);
        finished(&mut command)
    };
    train("--out one")?;
    let record = place.path("one/record.jsonl");
    let recorded = lines(&record)?;
    assert!(recorded.len() > 6 * 4);
    let errors = train("--out two --record one/record.jsonl")?;
    assert!(errors.contains("found in `one/record.jsonl`, 0 added"), "{errors}");
    assert_eq!(lines(&record)?, recorded);
    assert!(!place.path("two/record.jsonl").exists());
    let checkpoint = |run: &str| fs::read(place.path(run).join("seed-0/checkpoint.safetensors"));
    assert!(checkpoint("one")? == checkpoint("two")?);
    let refused = train("--out three --traces one/record.jsonl --record one/record.jsonl");
    assert!(refused.is_err_and(|error| error.to_string().contains("found both")));
    Ok(())
}

#[test]
fn a_record_stands_in_for_a_model() -> Result<()> {
    let place = Place::new(6)?;
    let lamas = |arguments: &str| finished(place.lamas(arguments, "unused").args(["--cache-mode", "off"]));
    for split in ["train", "validation"] {
        lamas(&format!("record --readers --draws 2 --split {split} --out r.jsonl"))?;
    }
    let train = "train --epochs 2 --no-evaluation --traces r.jsonl --out";
    let errors = lamas(&format!("{train} one"))?;
    assert!(errors.contains("outputs of ") && errors.contains("are approximate"), "{errors}");
    lamas(&format!("{train} two"))?;
    let checkpoint = |run: &str| fs::read(place.path(run).join("seed-0/checkpoint.safetensors"));
    assert!(checkpoint("one")? == checkpoint("two")?);
    // A file that lacks an operator is refused just like a file of traces.
    let text = fs::read_to_string(place.path("r.jsonl"))?;
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("\"operator\":\"Programmer\"")).collect();
    fs::write(place.path("r.jsonl"), kept.join("\n") + "\n")?;
    let refused = lamas(&format!("{train} three"));
    assert!(refused.is_err_and(|error| error.to_string().contains("found none of `Programmer`")));
    Ok(())
}
