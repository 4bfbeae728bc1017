//! Tables: a header, then a row for each output.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::options::{Input, Options};
use super::source::{Sample, Source, Sources, excerpt};

/// What a column may hold, and the headers that are recognised for it.
pub(super) const COLUMNS: [(&str, &[&str]); 16] = [
    ("id", &["id", "query", "question_id", "problem_id", "doc_id", "custom_id"]),
    ("question", &["question", "problem", "input", "prompt"]),
    ("answer", &["answer", "reference", "target", "expected", "gold"]),
    ("operator", &["operator", "system", "model"]),
    ("output", &["output", "response", "completion"]),
    ("prediction", &["prediction", "extracted", "parsed"]),
    ("correct", &["correct", "is_correct"]),
    ("score", &["score"]),
    ("prompt_tokens", &["prompt_tokens", "input_tokens"]),
    ("tokens", &["tokens", "completion_tokens", "output_tokens"]),
    ("seconds", &["seconds", "latency_seconds", "latency_s"]),
    ("cost", &["cost", "cost_usd", "dollars"]),
    ("split", &["split"]),
    ("sample", &["sample", "epoch"]),
    ("kind", &["kind", "category", "subject"]),
    ("model", &["model"]),
];

/// Reads the files; each operator in them is a setting of its own.
pub(super) fn read(options: &Options, sources: &mut Sources) -> Result<()> {
    for name in options.columns.keys() {
        let known = || COLUMNS.map(|(name, _)| name).join(", ");
        ensure!(
            COLUMNS.iter().any(|(known, _)| known == name),
            "expected one of the columns {}, found `{name}` in `--column`",
            known()
        );
    }
    // Without ids, equal questions are one problem.
    let mut questions = BTreeMap::new();
    for input in &options.files {
        let table = Table::read(&input.path, &options.columns)?;
        let of_file = of_table(input, table, &mut questions).with_context(|| input.path.display().to_string())?;
        sources.sources.extend(of_file);
    }
    Ok(())
}

fn of_table(input: &Input, table: Table, questions: &mut BTreeMap<String, usize>) -> Result<Vec<Source>> {
    let Input { operator: given, path } = input;
    table.needs(&["output"])?;
    table.needs(&["id", "question"])?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    let mut order = Vec::new();
    for row in &table.rows {
        let cell = |name: &str| table.cell(row, name).map(str::to_owned);
        let mut read = || -> Result<(String, Sample)> {
            let needed = |name: &str| {
                let text = cell(name).map(|text| text.trim().to_owned());
                text.with_context(|| format!("expected text in `{}`, found none", table.header(name)))
            };
            let id = if table.has("id") {
                needed("id")?
            } else {
                let next = questions.len();
                format!("row-{:05}", questions.entry(needed("question")?).or_insert(next))
            };
            let operator = match given {
                Some(given) => given.clone(),
                None if table.has("operator") => needed("operator")?,
                None => stem.clone(),
            };
            Ok((operator, sample(&table, row, id)?))
        };
        let (operator, sample) = read().with_context(|| row.place.clone())?;
        let model = cell("model");
        let source = sources.entry(operator.clone()).or_insert_with(|| {
            order.push(operator.clone());
            let whose = model.as_ref().filter(|model| **model != operator);
            let whose = whose.map_or(String::new(), |model| format!(" of {model}"));
            Source {
                operator: Some(operator.clone()),
                model: model.clone().or_else(|| Some(operator.clone())),
                description: format!("Answers{whose} by {operator}."),
                path: path.display().to_string(),
                ..Source::default()
            }
        });
        source.samples.push(sample);
    }
    Ok(order.iter().filter_map(|operator| sources.remove(operator)).collect())
}

fn sample(table: &Table, row: &Row, id: String) -> Result<Sample> {
    let cell = |name: &str| table.cell(row, name);
    let number = |name: &str| -> Result<Option<f64>> {
        let Some(text) = cell(name) else { return Ok(None) };
        let found = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        found.map(Some).with_context(|| {
            format!("expected a number from 0 up in `{}`, found `{}`", table.header(name), excerpt(text))
        })
    };
    let count = |name: &str| number(name).map(|number| number.map(|number| number.round() as u64));
    let correct = cell("correct").map(|text| truth(text, table.header("correct"))).transpose()?;
    let score = number("score")?;
    ensure!(
        score.is_none_or(|score| score <= 1.0),
        "expected a score from 0 to 1 in `{}`, found `{}`",
        table.header("score"),
        score.unwrap_or_default()
    );
    let score = score.or(correct);
    ensure!(
        cell("output").is_some() || score.is_none_or(|score| score == 0.0),
        "expected text in `{}` for a score of {}, found none",
        table.header("output"),
        score.unwrap_or_default()
    );
    let text = |name: &str| cell(name).map(str::to_owned);
    Ok(Sample {
        place: row.place.clone(),
        id,
        question: text("question"),
        reference: text("answer"),
        kind: text("kind"),
        split: text("split"),
        number: count("sample")?,
        output: text("output"),
        answer: text("prediction"),
        score,
        calls: 1,
        prompt_bytes: None,
        prompt_tokens: count("prompt_tokens")?,
        tokens: count("tokens")?,
        seconds: number("seconds")?,
        cost: number("cost")?,
    })
}

fn truth(text: &str, header: &str) -> Result<f64> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" | "right" | "correct" => Ok(1.0),
        "0" | "0.0" | "false" | "no" | "wrong" | "incorrect" => Ok(0.0),
        _ => Err(anyhow!("expected true, false, 1 or 0 in `{header}`, found `{}`", excerpt(text))),
    }
}

/// A table, and what its columns hold.
pub(super) struct Table {
    headers: Vec<String>,
    /// The position of a column by what it holds.
    columns: BTreeMap<&'static str, usize>,
    pub rows: Vec<Row>,
}

/// A row with its position.
pub(super) struct Row {
    pub place: String,
    cells: Vec<String>,
}

impl Table {
    /// Reads a file, whose separator is found from its header. `given` names the headers of some columns.
    pub(super) fn read(path: &Path, given: &BTreeMap<String, String>) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let header = text.lines().next().unwrap_or_default();
        let count = |separator: &u8| header.bytes().filter(|byte| byte == separator).count();
        // Of separators that occur equally often the last one, so a comma if there is none.
        let separator = [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
        let broken = |error: csv::Error| anyhow!("{}: expected a table, found {error}", path.display());
        let headers: Vec<String> =
            reader.headers().map_err(broken)?.iter().map(|header| header.trim().to_owned()).collect();
        let columns = columns(&headers, given).with_context(|| format!("{}:1", path.display()))?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let line = record.position().map_or(0, csv::Position::line);
            let place = format!("{}:{line}", path.display());
            ensure!(
                record.len() == headers.len(),
                "{place}: expected {} cells, as the header has, found {}; hint: a cell with commas, quotes or line ends \
                 must be in double quotes",
                headers.len(),
                record.len()
            );
            rows.push(Row { place, cells: record.iter().map(str::to_owned).collect() });
        }
        ensure!(!rows.is_empty(), "{}: expected at least one row below the header, found none", path.display());
        Ok(Table { headers, columns, rows })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// Checks that at least one of these columns exists.
    pub(super) fn needs(&self, names: &[&str]) -> Result<()> {
        if names.iter().any(|name| self.has(name)) {
            return Ok(());
        }
        bail!(
            "expected a column `{}`, found {}; hint: `--column {}=HEADER` says which column that is",
            names.join("` or `"),
            self.headers.iter().map(|header| format!("`{header}`")).collect::<Vec<_>>().join(", "),
            names.first().unwrap_or(&"id")
        )
    }

    /// The text of a cell; `None` if the column does not exist or the cell is empty.
    pub(super) fn cell<'a>(&self, row: &'a Row, name: &str) -> Option<&'a str> {
        let cell = row.cells.get(*self.columns.get(name)?)?;
        (!cell.trim().is_empty()).then_some(cell)
    }

    fn header(&self, name: &str) -> &str {
        self.columns.get(name).and_then(|place| self.headers.get(*place)).map_or("", String::as_str)
    }
}

/// The position of each column: under the given header, otherwise under the first usual one.
fn columns(headers: &[String], given: &BTreeMap<String, String>) -> Result<BTreeMap<&'static str, usize>> {
    let mut columns = BTreeMap::new();
    for (name, usual) in COLUMNS {
        let place = match given.get(name) {
            Some(wanted) => Some(headers.iter().position(|header| header == wanted).with_context(|| {
                let found: Vec<_> = headers.iter().map(|header| format!("`{header}`")).collect();
                format!("expected the header `{wanted}`, found {}", found.join(", "))
            })?),
            None => usual.iter().find_map(|usual| headers.iter().position(|header| header.eq_ignore_ascii_case(usual))),
        };
        columns.extend(place.map(|place| (name, place)));
    }
    Ok(columns)
}
