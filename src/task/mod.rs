//! Benchmarks: problems, how answers to them are read and judged, and what latency and cost weigh against them.

mod answer;
pub mod arithmetic;
mod built_in;
mod choice;
mod code;
pub mod code_grading;
mod docstring;
pub mod fetch;
mod final_answer;
pub mod grading;
mod mathematics;
mod number;
mod numeral;
mod problems;
mod verbatim;

pub use answer::AnswerForm;
pub use built_in::{ARITHMETIC, PRICES, built_in, data_folder};
pub use code::{TestResult, TestRun, Tests, Trial};
pub use problems::Problem;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::objective::Objective;
use crate::plan::Unit;
use crate::sandbox::Sandbox;
use built_in::BUILT_IN;
use problems::{Fields, Reader, Source};

/// The file that describes a benchmark folder.
const FILE: &str = "benchmark.toml";

/// What latency and money weigh against the score (E5).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// `lambda_t`: score per token, or second, of critical path.
    pub latency_weight: f64,
    /// `lambda_c`: score per dollar.
    pub cost_weight: f64,
    /// (E3) tokens per second of tool time.
    pub gamma: f64,
    /// The unit of the critical path.
    #[serde(default)]
    pub unit: Unit,
}

impl Weights {
    /// The objective for queries of the benchmark.
    pub fn objective(self) -> Objective {
        let Weights { latency_weight, cost_weight, unit, .. } = self;
        Objective { latency_weight, cost_weight, unit }
    }
}

/// What follows every plan, whatever the controller chose: the current solution is tested, and improved while it fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishConfig {
    /// The `test` operator of the catalogue that runs the tests, and whose prompt asks for an improvement.
    pub operator: String,
    /// The maximum number of improvements, one after another; each is tested.
    #[serde(default = "once")]
    pub improve: u32,
}

fn once() -> u32 {
    1
}

/// A task with its data, read from a folder. The problems are read on demand.
#[derive(Clone, Debug)]
pub struct Benchmark {
    pub name: String,
    pub description: String,
    pub answer: AnswerForm,
    /// File of the operator catalogue, in the benchmark's folder.
    pub catalogue: String,
    pub reward: Weights,
    /// If `None`, the vote has the last word.
    pub finish: Option<FinishConfig>,
    folder: Folder,
    /// Where the files of problems are.
    data: Folder,
    fields: Fields,
    splits: BTreeMap<String, Source>,
    public_tests: Option<PublicTests>,
}

/// Tests that operators may run, in a file next to the problems.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicTests {
    file: String,
    /// Problems whose tests in that file are wrong.
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
    #[serde(default)]
    finish: Option<FinishConfig>,
    reward: Weights,
}

impl Benchmark {
    /// Opens the benchmark in a folder, or the built-in one of that name; without a `place`, the embedded workload.
    ///
    /// # Errors
    /// Those of [`Benchmark::load`].
    pub fn open(place: Option<&Path>) -> Result<Self> {
        let Some(place) = place else { return Benchmark::load(ARITHMETIC) };
        match place.to_str().filter(|_| !place.is_dir()).and_then(built_in) {
            Some(folder) => {
                let data = place.to_str().and_then(data_folder).map_or(folder.clone(), Folder::Disk);
                Benchmark::load_with_data(folder, data)
            }
            None if place == Path::new(BUILT_IN[0]) && !place.is_dir() => Benchmark::load(ARITHMETIC),
            None => {
                ensure!(
                    place.is_dir(),
                    "expected the folder of a benchmark or the name of a built-in one ({}), found `{}`; hint: `lamas init {1}` \
                     writes a folder to start from",
                    BUILT_IN.join(", "),
                    place.display()
                );
                Benchmark::load(Folder::Disk(place.to_owned()))
            }
        }
    }

    /// Reads `benchmark.toml`; the problems are in the same folder.
    ///
    /// # Errors
    /// Names the file and the faulty line.
    pub fn load(folder: Folder) -> Result<Self> {
        Self::load_with_data(folder.clone(), folder)
    }

    /// Reads `benchmark.toml`; the problems are in the folder `data`.
    ///
    /// # Errors
    /// Names the file and the faulty line.
    pub fn load_with_data(folder: Folder, data: Folder) -> Result<Self> {
        let Description { name, description, answer, catalogue, fields, splits, public_tests, finish, reward } =
            folder.read_toml(FILE)?;
        Ok(Benchmark {
            name,
            description,
            answer,
            catalogue,
            reward,
            finish,
            folder,
            data,
            fields,
            splits,
            public_tests,
        })
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
    /// Names the missing split, or the file and the faulty line.
    pub fn problems(&self, split: &str) -> Result<Vec<Problem>> {
        let source = self.splits.get(split).with_context(|| {
            let known: Vec<_> = self.splits().collect();
            format!("expected a split of `{}` ({}), found `{split}`", self.name, known.join(", "))
        })?;
        let Benchmark { folder, data, fields, answer, .. } = self;
        let problems = Reader { folder, data, fields, form: *answer }.read(source).and_then(|mut problems| {
            if let Some(PublicTests { file, without }) = &self.public_tests {
                problems::add_public_tests(data, file, without, &mut problems)?;
            }
            Ok(problems)
        });
        // The problems of the published benchmarks are not part of the crate.
        problems.map_err(|error| match built_in(&self.name) {
            Some(_) => anyhow!("{error:#}; hint: `lamas fetch {}` gets the problems, or says how to", self.name),
            None => error,
        })
    }

    /// What a question itself says that its answer must pass: the examples in the docstring of a function to write.
    pub fn examples(&self, question: &str) -> Option<Tests> {
        let examples = || docstring::tests(question);
        (self.answer == AnswerForm::Python).then(examples).flatten()
    }

    /// Whether grading runs Python.
    pub fn needs_python(&self) -> bool {
        self.answer == AnswerForm::Python
    }

    /// The score of `answer`: 1 if it is right, 0 if it is wrong or missing.
    ///
    /// # Errors
    /// The problem has no reference. Or the answer is code, and there is no sandbox to test it in, the sandbox broke,
    /// or the tests cannot be run there.
    pub async fn grade(&self, problem: &Problem, answer: Option<&str>, sandbox: Option<&Sandbox>) -> Result<f64> {
        let Some(answer) = answer else { return Ok(0.0) };
        let is_right = match &problem.tests {
            Some(tests) => {
                let sandbox = sandbox.context("expected a sandbox to run tests in, found none")?;
                match tests.grade(&problem.question, answer, Some(&problem.answer), sandbox).await? {
                    TestResult::Passed => true,
                    TestResult::Failed(_) => false,
                    TestResult::Doubtful { doubt, .. } => bail!("{doubt}; hint: leave this problem out"),
                }
            }
            None if problem.answer.is_empty() => bail!(
                "expected a reference answer to grade by, found none; hint: problems without one are learned from recorded \
                 outputs with a `score` (`--traces`)"
            ),
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
            "benchmark.toml:4: unknown variant `colour`, expected one of `integer`",
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
