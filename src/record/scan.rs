//! Reads a file line by line, no further than needed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use super::key::Key;
use super::line::{Graded, Line};

/// What an index needs to know about a line.
#[derive(Deserialize)]
pub(super) struct Glance {
    /// The key of a call; a line without one is a score.
    pub key: Option<Key>,
    pub reference: Option<Key>,
    #[serde(default)]
    pub solutions: Vec<Seen>,
    pub answer: Option<String>,
    pub score: Option<f64>,
}

/// What an index needs to know about a solution.
#[derive(Deserialize)]
pub(super) struct Seen {
    pub answer: Option<String>,
    pub score: Option<f64>,
}

impl Glance {
    /// # Errors
    /// It is not a line of a record.
    pub fn of(line: &[u8]) -> Result<Self> {
        let glance: Glance =
            serde_json::from_slice(line).map_err(|error| anyhow!("expected a line of a record: {error}"))?;
        let is_score = glance.reference.is_some() && glance.answer.is_some() && glance.score.is_some();
        ensure!(glance.key.is_some() || is_score, "expected a line of a record, found neither a call nor a score");
        Ok(glance)
    }
}

/// A complete line, or the rest of one.
pub(super) struct Found<'a> {
    /// Counted from 1.
    pub number: usize,
    pub offset: u64,
    /// Without the newline.
    pub bytes: &'a [u8],
    /// Whether the newline is missing because the writer was interrupted.
    pub is_torn: bool,
}

/// Passes each line of a file to `see`, except blank lines.
///
/// # Errors
/// The file cannot be read, and those of `see`.
pub(super) fn scan(file: impl Read, mut see: impl FnMut(Found<'_>) -> Result<()>) -> Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut offset) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).context("cannot read it")?;
        if length == 0 {
            break;
        }
        let is_torn = line.last() != Some(&b'\n');
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        if is_torn || !bytes.trim_ascii().is_empty() {
            see(Found { number, offset, bytes, is_torn })?;
        }
        offset += length as u64;
    }
    Ok(())
}

/// Passes each call of a record to `see`, with its line number. Returns a remark on everything that is not a complete
/// line of a record.
///
/// # Errors
/// The file cannot be read, and those of `see`.
pub fn each_call(path: &Path, mut see: impl FnMut(usize, Line) -> Result<()>) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    read(path, |found| {
        match Entry::of(&found) {
            Ok(Entry::Call(line)) => see(found.number, *line)?,
            Ok(Entry::Score(_)) => {}
            Err(fault) => remarks.push(format!("`{}` line {}: {fault:#}", path.display(), found.number)),
        }
        Ok(())
    })?;
    Ok(remarks)
}

/// Like [`scan`], but opens the file.
pub(super) fn read(path: &Path, see: impl FnMut(Found<'_>) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    scan(file, see).with_context(|| format!("`{}`", path.display()))
}

/// A line, read in full.
pub(super) enum Entry {
    Call(Box<Line>),
    Score(Graded),
}

impl Entry {
    /// # Errors
    /// The line is unfinished, or is not a line of a record.
    pub fn of(found: &Found<'_>) -> Result<Self> {
        ensure!(!found.is_torn, "expected a complete line, found an unfinished one");
        let is_call = Glance::of(found.bytes)?.key.is_some();
        let parsed = match is_call {
            true => serde_json::from_slice(found.bytes).map(|line| Entry::Call(Box::new(line))),
            false => serde_json::from_slice(found.bytes).map(Entry::Score),
        };
        let entry = parsed.map_err(|error| anyhow!("expected a line of a record: {error}"))?;
        if let Entry::Call(line) = &entry {
            line.check()?;
        }
        Ok(entry)
    }
}

/// Whether the file is a record, judging by its first line.
///
/// # Errors
/// It cannot be read.
pub fn is_record(path: &Path) -> Result<bool> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut first = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        first = line.with_context(|| format!("cannot read `{}`", path.display()))?;
        if !first.trim_ascii().is_empty() {
            break;
        }
    }
    Ok(Glance::of(&first).is_ok())
}
