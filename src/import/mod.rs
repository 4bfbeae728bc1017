//! Turns existing logs into a benchmark folder with recorded outputs.
//!
//! Each format has a file that reads it into `Source`s: the samples of one file and one setting. The rest is the same for all:
//! operators get names, samples are joined by the ids of their problems, missing values are estimated, problems are split, and
//! the folder is written completely or not at all.

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
mod options;
mod references;
mod served;
mod served_lines;
mod source;
mod split;
mod summary;
mod table;
mod verdicts;

use anyhow::{Result, ensure};

pub use options::{Format, Input, Options, Precedence, Shares, Speed};
pub use served::{Served, ServedSummary, import_served};
pub use summary::{Outputs, Quantity, Summary};

/// Reads the files and writes the folder.
///
/// # Errors
/// Names the file and the line at fault, what was expected and what to do; of conflicts it lists all, up to a bound. Nothing
/// is left of a folder then.
pub fn import(options: &Options) -> Result<Summary> {
    ensure!(!options.files.is_empty(), "expected at least one file, found none");
    for Input { path, operator } in &options.files {
        let is_pattern = operator.is_some() && path.to_string_lossy().contains('*');
        let hint = if is_pattern {
            "; hint: a shell does not expand `*` after `NAME=`: list the files one by one"
        } else {
            ""
        };
        let is_there = path.exists() && !path.is_dir();
        ensure!(is_there, "cannot read `{}`: expected a file, found none{hint}", path.display());
    }
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
    coverage::check(&mut joined)?;
    let form = form::choose(options.form, &joined)?;
    verdicts::settle(&mut joined, form)?;
    estimate::fill(&mut joined, &options.prices, &options.speeds)?;
    split::assign(&mut joined, options.seed, options.shares)?;
    folder::write(&options.out, &joined, form.answers)?;
    Ok(Summary::new(&options.out, &joined, form.answers))
}
