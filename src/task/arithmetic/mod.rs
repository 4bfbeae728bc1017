//! Arithmetic word problems from a seeded grammar, each with its solution in every form that the operators use.
//!
//! A hash of its text assigns each question to one split, so splits never share a question, whatever the seeds.

mod families;
mod lists;
mod mix;
mod money;
mod people;
mod products;
mod short;
mod story;
#[cfg(test)]
mod tests;
mod things;
mod words;
mod working;
mod wrong;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use anyhow::bail;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::random;
use mix::Kind;
use working::Draft;

/// A problem and its solutions. All text is lower case, with words and punctuation separated by single spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// For example `test-00042`.
    pub id: String,
    pub question: String,
    pub answer: String,
    pub kind: String,
    /// Lines of reasoning in the chain.
    pub steps: u32,
    /// The answer, if a model should learn to give it at once: for questions of at most one step.
    pub direct: Option<String>,
    /// `13 + 7 = 20 . 20 / 2 = 10 . the answer is 10`.
    pub chain: String,
    /// `a = 5 * 12 ; b = a - 7 ; return b`, for the kinds that a program of `+ - * /` can express.
    pub program: Option<String>,
    /// Chains that end in a wrong answer, to train the refine mode on; only in the corpus.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<String>,
}

/// A share of all questions, disjoint from the other splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What the language model is trained on; questions may repeat.
    Corpus,
    /// What controllers are trained on.
    Train,
    Validation,
    Test,
    /// Different wordings from all other splits, and one or two more steps.
    Hard,
}

impl Split {
    pub const ALL: [Split; 5] = [Split::Corpus, Split::Train, Split::Validation, Split::Test, Split::Hard];

    /// The hundredths of the hash range that belong to the split.
    fn buckets(self) -> Range<u64> {
        match self {
            Split::Corpus => 0..70,
            Split::Train => 70..80,
            Split::Validation => 80..85,
            Split::Test => 85..95,
            Split::Hard => 95..100,
        }
    }

    fn holds(self, hash: u64) -> bool {
        self.buckets().contains(&(hash % 100))
    }
}

impl fmt::Display for Split {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Split::Corpus => "corpus",
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
            Split::Hard => "hard",
        })
    }
}

impl FromStr for Split {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Split> {
        match Split::ALL.into_iter().find(|split| split.to_string() == name) {
            Some(split) => Ok(split),
            None => bail!("expected a split (corpus, train, validation, test or hard), found `{name}`"),
        }
    }
}

/// The endless examples of a split. The same split and seed give the same examples in the same order.
///
/// No question occurs twice, except in the corpus.
pub fn generate(split: Split, seed: u64) -> impl Iterator<Item = Example> {
    let mut rng = random::stream(seed, &[&"arithmetic", &split]);
    let mut seen = HashSet::new();
    (0..).map(move |index| {
        let (kind, draft) = draw(split, &mut seen, &mut rng);
        example(split, index, kind, draft, &mut rng)
    })
}

/// How many times one kind is redrawn before another is drawn, in case a small kind runs out of new questions.
const REDRAWS: usize = 2000;

fn draw(split: Split, seen: &mut HashSet<u64>, rng: &mut ChaCha8Rng) -> (&'static Kind, Draft) {
    loop {
        let kind = Kind::draw(rng);
        for _ in 0..REDRAWS {
            let draft = kind.draft(split == Split::Hard, rng);
            let hash = random::key(&[&draft.question]);
            if split.holds(hash) && (split == Split::Corpus || seen.insert(hash)) {
                return (kind, draft);
            }
        }
    }
}

fn example(split: Split, index: usize, kind: &Kind, draft: Draft, rng: &mut ChaCha8Rng) -> Example {
    let results = draft.working.results(None).unwrap_or_default();
    let answer = draft.working.answer(&results);
    let wrong = if split == Split::Corpus { wrong::wrong_chains(&draft.working, answer, rng) } else { Vec::new() };
    let steps = draft.working.steps.len();
    Example {
        id: format!("{split}-{index:05}"),
        answer: answer.to_string(),
        kind: kind.name.to_string(),
        steps: u32::try_from(steps).unwrap_or(u32::MAX),
        direct: (steps <= 1).then(|| answer.to_string()),
        chain: draft.working.chain(&results),
        program: draft.program,
        question: draft.question,
        wrong,
    }
}
