//! Benchmarks: problems, how answers to them are read and judged, and what latency and cost weigh against them.

mod answer;
pub mod arithmetic;
mod code;
pub mod code_grading;
mod problems;

pub use answer::AnswerForm;
pub use code::{Tests, Trial};
pub use problems::Problem;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::sandbox::Sandbox;
use problems::{Fields, Reader, Source};

/// The file of a benchmark folder that describes it.
const FILE: &str = "benchmark.toml";

/// The embedded workload, compiled into the binary.
pub const ARITHMETIC: Folder = Folder::Embedded {
    name: "data/arithmetic",
    files: &[
        ("benchmark.toml", include_bytes!("../../data/arithmetic/benchmark.toml")),
        ("catalogue.toml", include_bytes!("../../data/arithmetic/catalogue.toml")),
        ("train.jsonl", include_bytes!("../../data/arithmetic/train.jsonl")),
        ("validation.jsonl", include_bytes!("../../data/arithmetic/validation.jsonl")),
        ("test.jsonl", include_bytes!("../../data/arithmetic/test.jsonl")),
        ("hard.jsonl", include_bytes!("../../data/arithmetic/hard.jsonl")),
    ],
};

/// The built-in price list, `prices.toml`.
pub const PRICES: Folder =
    Folder::Embedded { name: "data", files: &[("prices.toml", include_bytes!("../../data/prices.toml"))] };

/// What latency and money weigh against the score (E5).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// `lambda_t`: score per token of critical path.
    pub latency_weight: f64,
    /// `lambda_c`: score per dollar.
    pub cost_weight: f64,
    /// (E3) tokens per second of tool time.
    pub gamma: f64,
}

/// A task with its data, read from a folder; the problems are read when asked for.
#[derive(Clone, Debug)]
pub struct Benchmark {
    pub name: String,
    pub description: String,
    pub answer: AnswerForm,
    /// File of the operator catalogue, in the benchmark's folder.
    pub catalogue: String,
    pub reward: Weights,
    folder: Folder,
    fields: Fields,
    splits: BTreeMap<String, Source>,
    public_tests: Option<PublicTests>,
}

/// Tests that operators may run, in a file beside the problems.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicTests {
    file: String,
    /// Problems whose tests there are wrong.
    #[serde(default)]
    without: BTreeSet<String>,
}

/// The contents of `benchmark.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    description: String,
    answer: AnswerForm,
    catalogue: String,
    #[serde(default)]
    fields: Fields,
    splits: BTreeMap<String, Source>,
    #[serde(default)]
    public_tests: Option<PublicTests>,
    reward: Weights,
}

impl Benchmark {
    /// Reads `benchmark.toml`.
    ///
    /// # Errors
    /// Names the file and the line at fault.
    pub fn load(folder: Folder) -> Result<Self> {
        let Description { name, description, answer, catalogue, fields, splits, public_tests, reward } =
            folder.read_toml(FILE)?;
        Ok(Benchmark { name, description, answer, catalogue, reward, folder, fields, splits, public_tests })
    }

    /// Where the benchmark's files are.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Names of the splits, in alphabetical order.
    pub fn splits(&self) -> impl Iterator<Item = &str> {
        self.splits.keys().map(String::as_str)
    }

    /// Reads the problems of a split, in the order of its file.
    ///
    /// # Errors
    /// Names the missing split, or the file and the line at fault.
    pub fn problems(&self, split: &str) -> Result<Vec<Problem>> {
        let source = self.splits.get(split).with_context(|| {
            let known: Vec<_> = self.splits().collect();
            format!("expected a split of `{}` ({}), found `{split}`", self.name, known.join(", "))
        })?;
        let Benchmark { folder, fields, .. } = self;
        let mut problems = Reader { folder, data: folder, fields }.read(source)?;
        if let Some(PublicTests { file, without }) = &self.public_tests {
            problems::add_public_tests(&self.folder, file, without, &mut problems)?;
        }
        Ok(problems)
    }

    /// Whether grading runs Python.
    pub fn needs_python(&self) -> bool {
        self.answer == AnswerForm::Python
    }

    /// The score of `answer`: 1 for a right one, 0 for a wrong one or none.
    ///
    /// # Errors
    /// The answer is code, and there is no sandbox to test it in or the sandbox broke.
    pub async fn grade(&self, problem: &Problem, answer: Option<&str>, sandbox: Option<&Sandbox>) -> Result<f64> {
        let Some(answer) = answer else { return Ok(0.0) };
        let is_right = match &problem.tests {
            Some(tests) => {
                let sandbox = sandbox.context("expected a sandbox to run tests in, found none")?;
                tests.fault(&problem.question, answer, sandbox).await?.is_none()
            }
            None => self.answer.equal(&problem.answer, answer),
        };
        Ok(f64::from(u8::from(is_right)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(description: &str) -> Result<Benchmark> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(FILE), description)?;
        Benchmark::load(Folder::Disk(folder.path().to_owned()))
    }

    #[track_caller]
    fn check(description: &str, message: &str) {
        let error = load(description).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn broken_descriptions_are_named() -> Result<()> {
        let sound = ARITHMETIC.read_text(FILE)?;
        assert_eq!(load(&sound)?.reward.gamma, 50.0);
        check(&format!("colour = 1\n{sound}"), "benchmark.toml:1: unknown field `colour`");
        check(
            &sound.replacen("integer", "colour", 1),
            "benchmark.toml:4: unknown variant `colour`, expected `integer`",
        );
        check(&sound.replacen("gamma = 50.0", "", 1), "missing field `gamma`");
        check("", "benchmark.toml:1: missing field");
        assert!(load(&sound)?.problems("tset").is_err_and(|error| error.to_string().ends_with("found `tset`")));
        assert!(load(&sound)?.problems("test").is_err_and(|error| format!("{error:#}").contains("test.jsonl")));
        Ok(())
    }

    #[tokio::test]
    async fn right_answers_score_one() -> Result<()> {
        let benchmark = Benchmark::load(ARITHMETIC)?;
        let problem: Problem = serde_json::from_str(r#"{"id": "a", "question": "5 + 5", "answer": "10"}"#)?;
        for (answer, score) in [(Some("10"), 1.0), (Some("10.0"), 1.0), (Some("11"), 0.0), (None, 0.0)] {
            assert_eq!(benchmark.grade(&problem, answer, None).await?, score, "{answer:?}");
        }
        Ok(())
    }
}
