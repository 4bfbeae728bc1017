//! Plans run on recorded outputs, and controllers trained on them without a model.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use lamas::execute::Episode;
use lamas::execute::ExecuteError;
use lamas::operation::{Catalogue, Traces};
use lamas::plan::{OperatorId, Plan, Schedule, Unit};
use lamas::task::{ARITHMETIC, AnswerForm, Benchmark, Problem};

use crate::planned::Planned;

const GENERATE: u16 = 0;
const MULTI: u16 = 2;
const ENSEMBLE: u16 = 3;
const PROGRAMMER: u16 = 4;
const TEST: u16 = 5;
const REFINE: u16 = 6;
const STOP: u16 = 7;

/// Outputs for the first training problem: (operator, sample, output, tokens, tool seconds).
const OUTPUTS: [(&str, u64, &str, u64, f64); 8] = [
    ("Generate", 0, "\"it is 1\"", 2, 0.0),
    ("GenerateCoT", 0, "\"it is 1\"", 20, 0.0),
    ("MultiGenerateCoT", 0, "\"so 2\"", 30, 0.0),
    ("MultiGenerateCoT", 1, "\"so 3\"", 40, 0.0),
    ("MultiGenerateCoT", 5, "\"so 3 too\"", 50, 0.0),
    ("Programmer", 0, "null", 10, 0.02),
    ("Test", 0, "null", 0, 0.02),
    ("SelfRefine", 0, "\"rather 4\"", 25, 0.0),
];

fn system(query: &str) -> Result<Planned> {
    let line = |(operator, sample, output, tokens, tool): (&str, u64, &str, u64, f64)| {
        let seconds = tokens as f64 / 100.0;
        let correct = output.contains('3');
        format!(
            r#"{{"query": "{query}", "operator": "{operator}", "sample": {sample}, "output": {output}, "tokens": {tokens},
             "tool_seconds": {tool}, "seconds": {seconds}, "cost": 0.5, "correct": {correct}}}"#
        )
        .replace('\n', " ")
    };
    let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
    let traces = Traces::parse(&OUTPUTS.map(line).join("\n"), "t.jsonl", &catalogue, AnswerForm::Integer)?;
    Planned::from_traces(catalogue, Benchmark::load(ARITHMETIC)?, traces, Schedule::Layered)
}

fn first() -> Result<Problem> {
    Benchmark::load(ARITHMETIC)?.problems("train")?.into_iter().next().context("a problem")
}

async fn solve(layers: &[&[u16]], draw: u64) -> Result<Episode> {
    let problem = first()?;
    Ok(system(&problem.id)?.solve(&problem, &Plan::from_indices(layers), draw).await?)
}

#[tokio::test]
async fn a_plan_takes_what_its_recorded_outputs_took() -> Result<()> {
    let episode = solve(&[&[GENERATE, MULTI], &[PROGRAMMER, TEST, REFINE], &[ENSEMBLE], &[STOP]], 1).await?;
    // Tools are charged by gamma: 0.02 seconds are one token. The three chains run in parallel.
    assert_eq!(episode.trace.durations(Unit::Tokens), [2.0, 50.0, 11.0, 1.0, 25.0, 0.0, 0.0]);
    let started: Vec<f64> = episode.trace.spans.iter().map(|span| span.started).collect();
    assert_eq!(started, [0.0, 0.0, 0.5, 0.5, 0.5, 0.75, 0.75]);
    assert_eq!(episode.trace.spans[1].usage.completion_tokens, 120);
    assert_eq!(episode.trace.cost(), 0.5 * (1.0 + 3.0 + 1.0 + 1.0 + 1.0));
    // Of 1, 2, 3, 3, 4, two agree, and the line that calls this right is believed, whatever the benchmark's answer is.
    assert_eq!((episode.answer.as_deref(), episode.score), (Some("3"), 1.0));
    assert_eq!(solve(&[&[GENERATE], &[REFINE]], 1).await?.score, 0.0);
    Ok(())
}

#[tokio::test]
async fn samples_are_drawn_by_the_run() -> Result<()> {
    let (mut answers, problem) = (std::collections::BTreeSet::new(), first()?);
    let mut system = system(&problem.id)?;
    system.options.samples = &[(OperatorId(MULTI), 1)];
    let plan = Plan::from_indices(&[&[MULTI]]);
    for draw in 0..20 {
        let episode = system.solve(&problem, &plan, draw).await?;
        assert_eq!(episode, system.solve(&problem, &plan, draw).await?);
        answers.insert(episode.trace.spans[0].usage.completion_tokens);
    }
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [30, 40, 50]);
    assert_eq!(system.problems("train")?.len(), 1);
    let none = system.problems("test").map_err(|error| error.to_string());
    assert!(none.is_err_and(|error| {
        error.starts_with("t.jsonl: expected recorded outputs of every operator for problems of split `test`")
    }));
    let other = Problem { id: "other".into(), ..problem };
    let missing = system.solve(&other, &plan, 0).await;
    assert!(matches!(missing, Err(ExecuteError::NotRecorded { query, .. }) if query == "other"));
    Ok(())
}

#[test]
fn queries_of_another_benchmark_are_refused() {
    let error = system("elsewhere").map(|_| ()).map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.starts_with("t.jsonl:1: expected the id of a problem, found `elsewhere`")));
}

#[test]
fn short_lines_and_operators_without_prompts_are_enough() -> Result<()> {
    let operator =
        |name: &str| format!("[[operator]]\nname = \"{name}\"\nkind = \"generate\"\ndescription = \"Answers.\"\n");
    let catalogue = Catalogue::parse(["A", "B"].map(operator).concat(), "c.toml")?;
    let lines = r#"{"query": 1, "operator": "A", "output": "2", "correct": 1, "tokens": 3, "seconds": 0.1, "annotator": "x"}
{"query": "1", "operator": "A", "output": "3", "correct": 0, "tokens": 3, "seconds": 0.1}
{"query": 1, "operator": "B", "output": "about 2", "score": 0.5, "tokens": 9, "seconds": 1}"#;
    let traces = Traces::parse(lines, "t.jsonl", &catalogue, AnswerForm::Exact)?;
    let query = traces.query("1").context("the query")?;
    assert_eq!(["2", "3", "about 2", "4"].map(|answer| query.score(answer)), [Some(1.0), Some(0.0), Some(0.5), None]);
    traces.check_scored(|_| false)?;
    // A model cannot be asked without prompts.
    let error = catalogue.check_prompts().map_err(|error| error.to_string());
    assert_eq!(error, Err("c.toml:1: operator `A`: expected a `prompt`, found none".to_owned()));
    Ok(())
}

#[test]
fn a_controller_learns_from_traces_alone() -> Result<()> {
    let place = tempfile::tempdir()?;
    let lamas = |arguments: &str| -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamas"));
        command.args(arguments.split_whitespace()).current_dir(place.path());
        command.env("XDG_STATE_HOME", place.path().join("state"));
        Ok(command.env("LAMAS_DEVICE", "cpu").env("LAMAS_CACHE", place.path().join("cache")).output()?)
    };
    let utilities = |arguments: &str| -> Result<Vec<(String, f64)>> {
        // No model is opened: that folder contains none.
        let output = lamas(&format!("{arguments} --traces traces.jsonl --model nowhere --json"))?;
        ensure!(output.status.success(), "{}", String::from_utf8(output.stderr)?);
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
        let row = |row: &serde_json::Value| {
            let summary = &row["summary"];
            Some((summary["name"].as_str()?.to_owned(), summary["utility"]["mean"].as_f64()?))
        };
        rows.iter().map(|cells| row(cells).with_context(|| format!("no utility in {cells}"))).collect()
    };
    let recorded = lamas("traces --limit 24 --samples 2 --out traces.jsonl")?;
    ensure!(recorded.status.success(), "{}", String::from_utf8(recorded.stderr)?);
    let rows = utilities("train --epochs 6 --out run")?;
    let named = |name: &str| rows.iter().find(|row| row.0 == name).with_context(|| format!("`{name}` in {rows:?}"));
    let (trained, random) = (named("trained controller")?, named("random controller")?);
    assert!(rows.last() == Some(trained) && trained.1 > random.1 + 0.05, "{rows:?}");
    let again = utilities("evaluate run")?;
    assert_eq!(rows.last(), again.last());
    assert_eq!(utilities("baselines")?.last(), Some(random));

    let sweep = "sweep --weights 0.001,0.01 --seeds 1 --passes 1 --out sweep";
    let swept = utilities(sweep)?;
    let names: Vec<&str> = swept.iter().map(|(name, _)| name.as_str()).collect();
    let methods = ["LAMaS", "one for all", "adaptive"];
    assert_eq!(names, ["0.001", "0.01"].map(|weight| methods.map(|method| format!("{method} {weight}"))).concat());
    assert_eq!(utilities(sweep)?, swept, "what is trained is not trained again");
    let compared = utilities("compare --seeds 2 --passes 1 --only LAMaS --out compare")?;
    let names: Vec<&str> = compared.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        ["best in hindsight", "LAMaS", "ridge router", "controller", "stages"].iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    assert_eq!(names.last(), Some(&"adaptive"));
    let outcomes = std::fs::read_to_string(place.path().join("compare/outcomes.jsonl"))?;
    let line: serde_json::Value = serde_json::from_str(outcomes.lines().next().context("a line")?)?;
    let fields = ["method", "seed", "problem", "score", "seconds", "dollars", "utility", "operators"];
    assert!(fields.iter().all(|field| line.get(field).is_some()), "{line}");

    let text = std::fs::read_to_string(place.path().join("traces.jsonl"))?;
    let renamed = text.replacen("\"operator\":\"Programmer\"", "\"operator\":\"Coder\"", 1);
    let line = 1 + renamed.lines().position(|line| line.contains("Coder")).context("a renamed operator")?;
    std::fs::write(place.path().join("traces.jsonl"), renamed)?;
    let error = utilities("baselines").map_err(|error| error.to_string()).unwrap_err();
    assert!(error.contains(&format!("traces.jsonl:{line}: ")) && error.contains("found `Coder`"), "{error}");
    Ok(())
}
