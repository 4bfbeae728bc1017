//! The options of an import.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use crate::model::Prices;
use crate::task::AnswerForm;

/// The format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `samples_*.jsonl` of lm-evaluation-harness (`--log_samples`).
    LmEval,
    /// Logs of Inspect: `.json`, or `.eval`.
    Inspect,
    /// Input and output files of the OpenAI batch API.
    OpenAiBatch,
    /// A table with a header.
    Csv,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The name of the operator whose outputs it holds, if given.
    pub operator: Option<String>,
    pub path: PathBuf,
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    /// Reads `NAME=PATH`, or only a path; anything that exists is a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split_once('=').filter(|(name, _)| !name.is_empty() && !PathBuf::from(text).exists());
        Ok(match named {
            Some((name, path)) => Input { operator: Some(name.to_owned()), path: path.into() },
            None => Input { operator: None, path: text.into() },
        })
    }
}

/// Everything that can be asked of an import.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    pub files: Vec<Input>,
    /// The folder to write.
    pub out: PathBuf,
    pub prices: Prices,
    pub precedence: Precedence,
    /// lm-eval: the filter to take answers from, if outputs passed through several.
    pub filter: Option<String>,
    /// lm-eval: the metric that scores an output; Inspect: the scorer.
    pub metric: Option<String>,
    /// lm-eval: the field of a document that holds the question.
    pub question: Option<String>,
    /// A file with `id`, and with `answer`, `question` or `split`.
    pub references: Option<PathBuf>,
    /// Tables: the header of each column.
    pub columns: BTreeMap<String, String>,
    /// The form of the answers; if absent, the one that the references suggest.
    pub form: Option<AnswerForm>,
    pub seed: u64,
    pub shares: Shares,
    pub speeds: Vec<Speed>,
}

/// Which of two contradicting lines counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precedence {
    First,
    Last,
    /// Neither: a contradiction is an error.
    #[default]
    Neither,
}

/// How fast an operator writes, to estimate seconds that were not recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Speed {
    /// `None` for all operators.
    pub operator: Option<String>,
    /// Tokens per second.
    pub tokens: f64,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (operator, tokens) = match text.rsplit_once('=') {
            Some((operator, tokens)) => (Some(operator.to_owned()), tokens),
            None => (None, text),
        };
        let found = tokens.trim().parse().ok().filter(|tokens: &f64| tokens.is_finite() && *tokens > 0.0);
        let tokens = found.ok_or_else(|| format!("expected N or OPERATOR=N with N tokens a second, found `{text}`"))?;
        Ok(Speed { operator, tokens })
    }
}

/// How the problems are divided into train, validation and test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares(pub(super) [u32; 3]);

impl Default for Shares {
    /// The shares of the built-in workload: 2,400, 300 and 1,200 problems.
    fn default() -> Self {
        Shares([8, 1, 4])
    }
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shares: Option<Vec<u32>> = text.split(':').map(|share| share.parse().ok()).collect();
        let shares = shares.and_then(|shares| <[u32; 3]>::try_from(shares).ok());
        let shares = shares.filter(|shares| shares.iter().all(|share| (1..=1_000_000).contains(share)));
        shares.map(Shares).ok_or_else(|| format!("expected shares from 1 up such as 8:1:4, found `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read() {
        let check = |text: &str, expected: Option<(Option<&str>, f64)>| {
            let found: Result<Speed, String> = text.parse();
            let expected = expected.map(|(name, tokens)| Speed { operator: name.map(str::to_owned), tokens });
            assert_eq!(found.ok(), expected, "{text}");
        };
        check("20", Some((None, 20.0)));
        check("a=b=5.5", Some((Some("a=b"), 5.5)));
        check("0", None);
        check("a=fast", None);
        check("inf", None);
    }

    #[test]
    fn files_may_bring_the_name_of_their_operator() {
        let check = |text: &str, operator: Option<&str>, path: &str| {
            let expected = Input { operator: operator.map(str::to_owned), path: path.into() };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        };
        check("a/b.jsonl", None, "a/b.jsonl");
        check("small=a/b=c.jsonl", Some("small"), "a/b=c.jsonl");
        check("=b", None, "=b");
    }
}
