//! Logs of other programs become benchmark folders that training can read; broken logs leave nothing behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lamas::folder::Folder;
use lamas::import::{Format, Input, Options, Precedence, Shares, Summary, import};
use lamas::model::Prices;
use lamas::operation::TraceLine;
use lamas::task::{AnswerForm, Benchmark};

pub const CHAIN: &str =
    "tests/logs/lm_eval/greedy/arithmetic-llama/samples_arith_chain_2026-11-28T02-52-17.422467.jsonl";
pub const DIRECT: &str =
    "tests/logs/lm_eval/greedy/arithmetic-llama/samples_arith_direct_2026-11-28T02-52-17.422467.jsonl";
const SAMPLED: &str =
    "tests/logs/lm_eval/sampled/arithmetic-llama/samples_arith_chain_2026-11-28T02-52-43.430856.jsonl";
const CHOICE: &str = "tests/logs/lm_eval/choice/arithmetic-llama/samples_arith_mc_2026-11-28T02-52-57.175607.jsonl";

/// A place to import to.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Result<Self> {
        Ok(Place(tempfile::tempdir()?))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn file(&self, name: &str, content: &str) -> Result<String> {
        fs::write(self.path(name), content)?;
        Ok(self.path(name).display().to_string())
    }

    /// The options to import these files to `out`.
    pub fn options(&self, format: Format, files: &[&str]) -> Options {
        let file = |file: &&str| file.parse::<Input>().expect("never fails");
        Options {
            format,
            files: files.iter().map(file).collect(),
            out: self.path("out"),
            prices: Prices::default(),
            precedence: Precedence::Neither,
            filter: None,
            metric: None,
            question: None,
            references: None,
            columns: BTreeMap::new(),
            form: None,
            seed: 1,
            shares: Shares::default(),
            speeds: Vec::new(),
        }
    }

    /// The lines of the traces that were written.
    pub fn traces(&self) -> Result<Vec<TraceLine>> {
        let text = fs::read_to_string(self.path("out").join("traces.jsonl"))?;
        text.lines().map(|line| serde_json::from_str(line).context("a recorded output")).collect()
    }

    pub fn benchmark(&self) -> Result<Benchmark> {
        Benchmark::load(Folder::Disk(self.path("out")))
    }

    /// There are only the files that tests wrote: nothing half done.
    pub fn holds_nothing_half_done(&self) -> bool {
        let entries = fs::read_dir(self.0.path()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(".unfinished"))
    }
}

/// Operators with the mean score of their outputs and how many are estimated: tokens, seconds, cost.
pub fn shown(summary: &Summary) -> Vec<(&str, f64, [usize; 3])> {
    let of =
        |outputs: &lamas::import::Outputs| [&outputs.tokens, &outputs.seconds, &outputs.cost].map(|it| it.estimated);
    let rounded = |score: Option<f64>| (score.unwrap_or(-1.0) * 1000.0).round() / 1000.0;
    summary.operators.iter().map(|outputs| (outputs.operator.as_str(), rounded(outputs.score), of(outputs))).collect()
}

#[test]
fn samples_of_lm_evaluation_harness_are_joined_by_document() -> Result<()> {
    let place = Place::new()?;
    let mut options = place.options(Format::LmEval, &[DIRECT, CHAIN, SAMPLED]);
    options.filter = Some("flexible-extract".into());
    let summary = import(&options)?;
    let expected = [
        ("arithmetic-llama_arith_direct", 0.333, [6, 6, 6]),
        ("arithmetic-llama_arith_chain_greedy", 1.0, [6, 6, 6]),
        ("arithmetic-llama_arith_chain_sampled", 1.0, [6, 6, 6]),
    ];
    assert_eq!(shown(&summary), expected);
    assert_eq!(summary.answers, AnswerForm::Number);
    assert_eq!(summary.problems.values().sum::<usize>(), 6);
    assert!(summary.notes.iter().any(|note| note.contains("filter `flexible-extract`, scored by `exact_match`")));
    let traces = place.traces()?;
    let first = traces.iter().find(|line| line.query == "5" && line.operator.ends_with("direct")).context("a line")?;
    assert_eq!((first.answer.as_deref(), first.correct, first.calls), (Some("12"), Some(false), 1));
    assert!(first.output.as_ref().is_some_and(|output| output.ends_with("+ 622 = 1252 . 12")));
    // 90 bytes of a prompt are at most 23 tokens.
    assert_eq!(first.estimated, ["prompt_tokens", "tokens", "seconds", "cost"]);
    assert_eq!(first.tokens, first.output.as_ref().map_or(0, |output| output.len().div_ceil(4) as u64));
    let problems = place.benchmark()?.problems("train")?;
    assert!(problems.iter().all(|problem| problem.kind.is_some() && !problem.question.contains("<|")), "{problems:?}");
    Ok(())
}

#[test]
fn choices_are_the_likeliest_ones() -> Result<()> {
    let place = Place::new()?;
    let mut options = place.options(Format::LmEval, &[&format!("tiny={CHOICE}")]);
    options.shares = "1:1:1".parse().map_err(anyhow::Error::msg)?;
    let summary = import(&options)?;
    assert_eq!(shown(&summary), [("tiny", 0.75, [4, 4, 4])]);
    assert!(summary.notes[0].contains("scored by `acc` (of acc, acc_norm)"), "{:?}", summary.notes);
    let answers = |split| -> Result<Vec<String>> {
        Ok(place.benchmark()?.problems(split)?.into_iter().map(|problem| problem.answer).collect())
    };
    let mut all = [answers("train")?, answers("validation")?, answers("test")?].concat();
    all.sort();
    assert_eq!(all, ["2592", "40", "42", "97"]);
    let first = place.traces()?.into_iter().find(|line| line.query == "0").context("a line")?;
    assert_eq!((first.output.as_deref(), first.correct, first.calls), (Some("2612"), Some(false), 4));
    Ok(())
}

#[test]
fn logs_of_inspect_bring_tokens_and_seconds() -> Result<()> {
    let import_of = |file: &str| -> Result<(Summary, Vec<TraceLine>)> {
        let place = Place::new()?;
        let files = [&format!("chain=tests/logs/inspect/{file}"), "tests/logs/inspect/arith_direct.json"];
        let summary = import(&place.options(Format::Inspect, &files))?;
        let problems = place.benchmark()?.problems("train")?;
        assert!(problems.iter().all(|problem| !problem.question.contains("<|")), "{problems:?}");
        Ok((summary, place.traces()?))
    };
    let (summary, traces) = import_of("arith_chain.eval")?;
    let expected = [("chain", 1.0, [0, 0, 6]), ("arithmetic-llama", 0.333, [0, 0, 6])];
    assert_eq!(shown(&summary), expected);
    let line = |query: &str, operator: &str| {
        traces.iter().find(|line| line.query == query && line.operator == operator).context("a line")
    };
    let first = line("test-00000", "chain")?;
    assert_eq!((first.prompt_tokens, first.tokens, first.answer.as_deref()), (38, 77, Some("2592")));
    assert!(first.seconds > 0.0 && first.estimated == ["cost"] && first.correct == Some(true));
    assert_eq!(line("test-00000", "arithmetic-llama")?.correct, Some(false));
    // Earlier versions deflated what newer ones compress with Zstandard.
    assert_eq!(import_of("arith_chain_deflated.eval")?.1, traces);
    Ok(())
}

/// Three lines of requests, and three of responses with these texts.
fn batch(model: &str, texts: [&str; 3]) -> [String; 2] {
    let request = |number: usize| {
        format!(
            r#"{{"custom_id": "q{number}", "method": "POST", "url": "/v1/chat/completions", "body": {{"model": "{model}", "messages":
            [{{"role": "system", "content": "Be brief."}}, {{"role": "user", "content": "What is {number} + {number}?"}}]}}}}"#
        )
        .replace('\n', " ")
    };
    let response = |(number, text): (usize, &str)| {
        format!(
            r#"{{"id": "r{number}", "custom_id": "q{number}", "response": {{"status_code": 200, "body": {{"model": "{model}-2026",
            "choices": [{{"message": {{"role": "assistant", "content": "{text}"}}}}],
            "usage": {{"prompt_tokens": 20, "completion_tokens": {number}0}}}}}}, "error": null}}"#
        )
        .replace('\n', " ")
    };
    [(1..=3).map(request).collect::<Vec<_>>(), (1..).zip(texts).map(response).collect()].map(|lines| lines.join("\n"))
}

#[test]
fn batches_are_joined_with_references_and_priced() -> Result<()> {
    let place = Place::new()?;
    let [asked, small] = batch("small", ["The answer is 2.", "It is 5", "6"]);
    let [asked_large, large] = batch("large", ["2", "4", "6"]);
    let files = [
        place.file("a.in.jsonl", &asked)?,
        place.file("b.in.jsonl", &asked_large)?,
        place.file("a.out.jsonl", &small)?,
        place.file("b.out.jsonl", &large)?,
    ];
    let files = files.each_ref().map(String::as_str);
    let mut options = place.options(Format::OpenAiBatch, &files);
    let unjudged = import(&options).map(|_| ()).map_err(|error| error.to_string()).unwrap_err();
    assert!(unjudged.contains("found neither for 6 outputs:\n  ") && unjudged.contains("a.out.jsonl:1: problem `q1`"));
    let references = "id,answer\nq1,2\nq2,4\nq3,6\nq9,1\n";
    options.references = Some(place.file("r.csv", references)?.into());
    options.prices = toml::from_str("[small]\nprice = 1\n")?;
    let unpriced = import(&options).map(|_| ()).map_err(|error| error.to_string()).unwrap_err();
    assert!(unpriced.contains("found neither for 3 of 6 (of `large`); hint: "), "{unpriced}");
    options.prices = toml::from_str("[small]\nprice = 1\n[large]\nprompt = 10\ncompletion = 100\n")?;
    options.speeds = vec!["100".parse().map_err(anyhow::Error::msg)?, "large=10".parse().map_err(anyhow::Error::msg)?];
    let summary = import(&options)?;
    assert_eq!(shown(&summary), [("small", -1.0, [0, 3, 3]), ("large", -1.0, [0, 3, 3])]);
    assert!(summary.notes.iter().any(|note| note.contains("references of 1 problems are not used")));
    let traces = place.traces()?;
    let of = |operator: &str, query: &str| {
        let line = traces.iter().find(|line| line.operator == operator && line.query == query).context("a line")?;
        Ok::<_, anyhow::Error>((line.tokens, line.seconds, line.cost))
    };
    assert_eq!(of("small", "q2")?, (20, 0.7, 40e-6));
    assert_eq!(of("large", "q2")?, (20, 2.5, 2.2e-3));
    assert_eq!(place.benchmark()?.problems("test")?[0].question.split(' ').next(), Some("What"));
    Ok(())
}

#[test]
fn failed_requests_are_left_out_aloud() -> Result<()> {
    let place = Place::new()?;
    let [asked, answers] = batch("m", ["2", "4", "6"]);
    let failed = r#"{"custom_id": "q4", "response": null, "error": {"code": "batch_expired", "message": "expired"}}"#;
    let refused = r#"{"custom_id": "q5", "response": {"status_code": 400, "body": {"error": {}}}, "error": null}"#;
    let files = [place.file("in.jsonl", &asked)?, place.file("out.jsonl", &format!("{answers}\n{failed}\n{refused}"))?];
    let mut options = place.options(Format::OpenAiBatch, &files.each_ref().map(String::as_str));
    let lines = "{\"id\": \"q1\", \"answer\": 2}\n{\"id\": \"q2\", \"answer\": 4}\n{\"id\": \"q3\", \"answer\": 6}";
    options.references = Some(place.file("r.jsonl", lines)?.into());
    let summary = import(&options)?;
    assert!(
        summary.notes.iter().any(|note| note.contains("2 requests that failed are left out")),
        "{:?}",
        summary.notes
    );
    assert_eq!(summary.problems.values().sum::<usize>(), 3);
    Ok(())
}

#[test]
fn what_is_there_is_not_overwritten() -> Result<()> {
    let place = Place::new()?;
    fs::create_dir(place.path("out"))?;
    let mut options = place.options(Format::LmEval, &[CHAIN]);
    options.filter = Some("strict-match".into());
    fs::write(place.path("out").join("mine"), "")?;
    let error = import(&options).map(|_| ()).map_err(|error| error.to_string()).unwrap_err();
    assert!(error.starts_with("expected a new or empty folder in `--out`, found "), "{error}");
    fs::remove_file(place.path("out").join("mine"))?;
    import(&options)?;
    assert!(Path::new(&place.path("out").join("benchmark.toml")).exists() && place.holds_nothing_half_done());
    Ok(())
}
