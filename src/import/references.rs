//! Reference answers, questions and splits from a separate file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::json::{self, written};
use super::table::{COLUMNS, Table};

/// By problem id.
pub(super) type References = BTreeMap<String, Reference>;

/// What a file says about a problem.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reference {
    pub answer: Option<String>,
    pub question: Option<String>,
    pub split: Option<String>,
    /// File and line.
    pub place: String,
}

/// Reads a table (`.csv`, `.tsv`) or JSON lines.
///
/// # Errors
/// Names the file and the faulty line.
pub(super) fn read(path: &Path) -> Result<References> {
    let is_table = path.extension().is_some_and(|extension| extension == "csv" || extension == "tsv");
    let read = if is_table { of_table(path)? } else { of_lines(path)? };
    let mut references = References::new();
    for (id, reference) in read {
        let place = reference.place.clone();
        match references.insert(id.clone(), reference) {
            Some(first) if first.place != place => {
                bail!("{place}: expected a unique id, found `{id}` of {} again", first.place)
            }
            _ => {}
        }
    }
    Ok(references)
}

fn of_table(path: &Path) -> Result<Vec<(String, Reference)>> {
    let table = Table::read(path, &BTreeMap::new())?;
    table
        .needs(&["id"])
        .and_then(|()| table.needs(&["answer", "question", "split"]))
        .with_context(|| path.display().to_string())?;
    let reference = |row| {
        let cell = |name: &str| table.cell(row, name).map(str::to_owned);
        let id = cell("id").with_context(|| format!("{}: expected an id, found none", row.place))?;
        let place = row.place.clone();
        Ok((id, Reference { answer: cell("answer"), question: cell("question"), split: cell("split"), place }))
    };
    table.rows.iter().map(reference).collect()
}

fn of_lines(path: &Path) -> Result<Vec<(String, Reference)>> {
    let names = |name: &str| COLUMNS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, usual)| usual);
    let reference = |(place, line): (String, json::Object)| {
        let field = |name: &str| names(name).iter().find_map(|usual| line.get(*usual).and_then(written));
        let [id, answer, question, split] = ["id", "answer", "question", "split"].map(field);
        let id = id.with_context(|| format!("{place}: expected a field `id`, found none"))?;
        ensure!(
            answer.is_some() || question.is_some() || split.is_some(),
            "{place}: expected a field `answer`, `question` or `split`, found none"
        );
        Ok((id, Reference { answer, question, split, place }))
    };
    json::lines(path, "an object with `id` and `answer`")?.into_iter().map(reference).collect()
}
