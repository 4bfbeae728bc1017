//! `lamas init`: writes a benchmark folder to start from; its files are built into the binary.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use super::output::say;
use crate::checkpoint::write_atomic;
use crate::disk::create_folder;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lamas init mine\n  lamas init mine --kind choice\n  lamas train --benchmark mine \
                        --model-name gpt-4.1-nano --dry-run"
)]
pub struct Args {
    /// Folder to make
    folder: PathBuf,
    /// What the answers are: a letter, an exact text, a number, or Python code that is tested
    #[arg(long, value_enum, default_value_t = Kind::Number)]
    kind: Kind,
}

/// The kind of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Choice,
    Exact,
    Number,
    Code,
}

const BENCHMARK: &str = include_str!("../../data/init/benchmark.toml");
const CATALOGUE: &str = include_str!("../../data/init/catalogue.toml");

/// The three question files of a kind.
macro_rules! questions {
    ($kind:literal) => {
        [
            ("train.jsonl", include_str!(concat!("../../data/init/", $kind, "-train.jsonl"))),
            ("validation.jsonl", include_str!(concat!("../../data/init/", $kind, "-validation.jsonl"))),
            ("test.jsonl", include_str!(concat!("../../data/init/", $kind, "-test.jsonl"))),
        ]
    };
}

impl Kind {
    /// The value of `answer` in `benchmark.toml`.
    fn answer(self) -> &'static str {
        match self {
            Kind::Choice => "choice",
            Kind::Exact => "exact",
            Kind::Number => "number",
            Kind::Code => "python",
        }
    }

    fn questions(self) -> [(&'static str, &'static str); 3] {
        match self {
            Kind::Choice => questions!("choice"),
            Kind::Exact => questions!("exact"),
            Kind::Number => questions!("number"),
            Kind::Code => questions!("code"),
        }
    }

    /// What a line of questions has beyond what every line has.
    fn lines(self) -> &'static str {
        match self {
            Kind::Choice => "# The choices are part of the question, each with its letter.\n",
            Kind::Exact | Kind::Number => "",
            Kind::Code => {
                "# For code also `entry_point`, the name of the function, and `test`, which defines `check(candidate)`; `answer`\n\
                 # is the body of a correct solution.\n"
            }
        }
    }

    /// How a model is told to end its answer.
    fn end(self) -> &'static str {
        match self {
            Kind::Choice => "End with a line \"The answer is (X)\", where X is the letter.",
            Kind::Exact => "End with a line \"Answer: \" and the answer alone.",
            Kind::Number => "End with a line that holds `####` and the final number, without a unit.",
            Kind::Code => "End with the whole function in one Python code block.",
        }
    }

    fn brief(self) -> String {
        match self {
            Kind::Code => {
                "Complete this Python function. Reply with the whole function in one Python code block only.".into()
            }
            _ => format!("Be brief. {}", self.end()),
        }
    }
}

pub fn run(args: Args) -> Result<()> {
    let Args { folder, kind } = args;
    let is_empty = std::fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
    ensure!(is_empty, "`{}`: expected a new or empty folder, found files in it", folder.display());
    create_folder(&folder)?;
    let name = folder.file_name().map_or("mine".into(), |name| name.to_string_lossy());
    let name: String = name.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
    let name = if name.is_empty() { "mine" } else { &name };
    let benchmark =
        BENCHMARK.replace("@NAME@", name).replace("@ANSWER@", kind.answer()).replace("@LINES@", kind.lines());
    let catalogue = CATALOGUE.replace("@BRIEF@", &kind.brief()).replace("@END@", kind.end());
    let files = [("benchmark.toml", benchmark.as_str()), ("catalogue.toml", catalogue.as_str())];
    for (file, text) in files.into_iter().chain(kind.questions()) {
        let path = folder.join(file);
        let text = text.replace("FOLDER", &folder.display().to_string());
        write_atomic(&path, text.as_bytes())?;
        eprintln!("wrote {}", path.display());
    }
    say(format_args!(
        "put your questions into `{0}`, then: lamas train --benchmark {0} --model-name MODEL --dry-run",
        folder.display()
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;
    use crate::operation::Catalogue;
    use crate::task::Benchmark;

    #[test]
    fn what_is_written_is_a_benchmark_whose_own_answers_are_right() -> Result<()> {
        let place = tempfile::tempdir()?;
        for kind in [Kind::Choice, Kind::Exact, Kind::Number, Kind::Code] {
            let folder = place.path().join(format!("my {kind:?}"));
            run(Args { folder: folder.clone(), kind })?;
            let benchmark = Benchmark::load(Folder::Disk(folder.clone()))?;
            assert_eq!(benchmark.name, format!("my{kind:?}"));
            let catalogue = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
            catalogue.check_prompts()?;
            for (split, count) in [("train", 8), ("validation", 4), ("test", 4)] {
                let problems = benchmark.problems(split)?;
                assert_eq!((problems.len(), problems[0].id.as_str()), (count, format!("{split}-1").as_str()));
                assert!(problems.iter().all(|it| (kind == Kind::Code) == it.tests.is_some() && !it.answer.is_empty()));
            }
            let again = run(Args { folder, kind }).map_err(|error| error.to_string()).unwrap_err();
            assert!(again.contains("expected a new or empty folder"), "{again}");
        }
        Ok(())
    }
}
