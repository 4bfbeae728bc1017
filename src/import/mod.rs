//! Logs as people have them, made into a benchmark folder with recorded outputs.
//!
//! Each format has a file that reads it into [`source::Source`]s: the samples of one file, of one setting. What follows is
//! the same for all: operators get names, samples are joined by the ids of their problems, what is not recorded is estimated,
//! problems are split, and the folder is written whole or not at all.

mod archive;
mod coverage;
mod estimate;
mod folder;
mod form;
mod inspect;
mod join;
mod json;
mod lm_eval;
mod messages;
mod names;
mod openai_batch;
mod references;
mod source;
mod split;
mod summary;
mod table;
mod verdicts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, ensure};

use crate::benchmarks::AnswerForm;
use crate::llm::Prices;

pub use estimate::Speed;
pub use join::Precedence;
pub use split::Shares;
pub use summary::{Outputs, Quantity, Summary};

/// What the files are.
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
    /// Name of the operator whose outputs it holds, where that is given.
    pub operator: Option<String>,
    pub path: PathBuf,
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    /// Reads `NAME=PATH`, or a path alone; what exists is a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split_once('=').filter(|(name, _)| !name.is_empty() && !PathBuf::from(text).exists());
        Ok(match named {
            Some((name, path)) => Input { operator: Some(name.to_owned()), path: path.into() },
            None => Input { operator: None, path: text.into() },
        })
    }
}

/// All that an import is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    pub files: Vec<Input>,
    /// The folder to write.
    pub out: PathBuf,
    pub prices: Prices,
    pub precedence: Precedence,
    /// lm-eval: whose answers are taken where outputs passed several filters.
    pub filter: Option<String>,
    /// lm-eval: what scores an output; Inspect: the scorer.
    pub metric: Option<String>,
    /// lm-eval: the field of a document that holds the question.
    pub question: Option<String>,
    /// A file with `id` and `answer`, `question` or `split`.
    pub references: Option<PathBuf>,
    /// Tables: which header a column has.
    pub columns: BTreeMap<String, String>,
    /// What the answers are; where absent, what the references look like.
    pub form: Option<AnswerForm>,
    pub seed: u64,
    pub shares: Shares,
    pub speeds: Vec<Speed>,
}

/// Reads the files and writes the folder.
///
/// # Errors
/// Names the file and the line at fault, what was expected and what to do; of conflicts it lists all, up to a bound. Nothing
/// is left of a folder then.
pub fn import(options: &Options) -> Result<Summary> {
    ensure!(!options.files.is_empty(), "expected at least one file, found none");
    folder::check_free(&options.out)?;
    let mut sources = source::Sources::default();
    match options.format {
        Format::LmEval => lm_eval::read(options, &mut sources)?,
        Format::Inspect => inspect::read(options, &mut sources)?,
        Format::OpenAiBatch => openai_batch::read(options, &mut sources)?,
        Format::Csv => table::read(options, &mut sources)?,
    }
    let references = options.references.as_deref().map(references::read).transpose()?.unwrap_or_default();
    let named = names::assign(sources)?;
    let mut joined = join::join(named, &references, options.precedence)?;
    coverage::keep_complete(&mut joined)?;
    let form = form::choose(options.form, &joined)?;
    verdicts::settle(&mut joined, form)?;
    estimate::fill(&mut joined, &options.prices, &options.speeds)?;
    split::assign(&mut joined, options.seed, options.shares)?;
    folder::write(&options.out, &joined, form.answers)?;
    Ok(Summary::new(&options.out, &joined, form.answers))
}
