//! Problems and their files: one JSON object per line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AnswerForm, Tests, docstring};
use crate::folder::Folder;

/// One question with its reference answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Unique within a data set. The random streams are keyed by it, so it never changes.
    pub id: String,
    pub question: String,
    /// The reference answer. It is empty if there is none; then only recorded scores say what answers are worth.
    pub answer: String,
    /// The kind of problem, for tables by kind; the controller never sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Lines of reasoning in the worked solution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// What code that answers the question must pass; other answers are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
}

impl Problem {
    /// The number of words in the question: its size, without a tokenizer.
    pub fn words(&self) -> usize {
        self.question.split_whitespace().count()
    }
}

/// The fields of a line that make up a problem.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fields {
    /// If absent, the id is made of the file's name and the row's number.
    id: String,
    question: String,
    /// The reference answer, or a worked solution that ends with it.
    answer: String,
    kind: String,
}

impl Default for Fields {
    fn default() -> Self {
        let [id, question, answer, kind] = ["id", "question", "answer", "kind"].map(str::to_owned);
        Fields { id, question, answer, kind }
    }
}

/// A file of problems, and which of its rows to use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Source {
    All(String),
    Rows {
        file: String,
        /// A file of row numbers, counted from 0; `#` begins a comment.
        rows: String,
    },
}

impl Source {
    pub(super) fn file(&self) -> &str {
        match self {
            Source::All(file) | Source::Rows { file, .. } => file,
        }
    }
}

/// How the problems of a benchmark are written.
pub(super) struct Reader<'a> {
    /// Where the files of row numbers are.
    pub folder: &'a Folder,
    /// Where the files of problems are.
    pub data: &'a Folder,
    pub fields: &'a Fields,
    pub form: AnswerForm,
}

impl Reader<'_> {
    /// Reads the problems of a split: the whole file, or its rows in their order.
    pub(super) fn read(&self, source: &Source) -> Result<Vec<Problem>> {
        let file = source.file();
        let text = self.data.read_text(file)?;
        let origin = format!("{}/{file}", self.data);
        let lines: Vec<(usize, &str)> = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
        let rows = match source {
            Source::All(_) => (0..lines.len()).collect(),
            Source::Rows { rows, .. } => {
                let text = self.folder.read_text(rows)?;
                row_numbers(&text, lines.len()).with_context(|| format!("{}/{rows}", self.folder))?
            }
        };
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let mut problems = Vec::with_capacity(rows.len());
        let mut seen = BTreeMap::new();
        for row in rows {
            let (number, line) = lines[row];
            let problem =
                self.problem(line, &format!("{stem}-{row:05}")).with_context(|| format!("{origin}:{number}"))?;
            if let Some(first) = seen.insert(problem.id.clone(), number) {
                bail!("{origin}:{number}: expected a unique id, found `{}` of line {first} again", problem.id);
            }
            problems.push(problem);
        }
        ensure!(!problems.is_empty(), "{origin}: expected at least one problem, found none");
        Ok(problems)
    }

    /// The answer in a field that may hold a worked solution.
    fn reference(&self, text: &str) -> Result<String> {
        self.form.reference(text).with_context(|| {
            let end: String = text.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
            format!("expected an answer in `{}`, found none in the text that ends with `{end}`", self.fields.answer)
        })
    }

    /// Reads one line; fields that a [`Problem`] does not have are ignored.
    fn problem(&self, line: &str, default_id: &str) -> Result<Problem> {
        let Fields { id, question, answer, kind } = self.fields;
        let object: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
            let shown: String = line.chars().take(60).collect();
            anyhow!("expected an object with `{question}` and `{answer}`, found `{shown}`: {error}")
        })?;
        let text = |field: &str| match object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(anyhow!("expected text in `{field}`, found `{other}`")),
        };
        let needed = |field: &str| {
            let value = text(field)?.with_context(|| format!("expected a field `{field}`, found none"))?;
            ensure!(!value.trim().is_empty(), "expected a non-empty `{field}`, found \"{value}\"");
            Ok(value)
        };
        let reference = match object.get(answer) {
            Some(Value::Null) => None,
            None => bail!(
                "expected a field `{answer}`, found none; hint: `\"{answer}\": null` says that there is no reference, where \
                 recorded outputs have a `score`"
            ),
            Some(_) => Some(needed(answer)?),
        };
        let id = if object.contains_key(id) { needed(id)? } else { default_id.to_owned() };
        Ok(Problem {
            id,
            question: needed(question)?,
            answer: match reference {
                Some(reference) => self.reference(&reference)?,
                None => String::new(),
            },
            kind: text(kind)?,
            steps: object.get("steps").and_then(Value::as_u64).and_then(|steps| u32::try_from(steps).ok()),
            tests: Tests::of(&object)?,
        })
    }
}

/// The numbers of the rows to use from a file of `count` rows.
fn row_numbers(text: &str, count: usize) -> Result<Vec<usize>> {
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        for word in line.split([' ', ',', '\t']).filter(|word| !word.is_empty()) {
            let row = word.parse::<usize>().ok().filter(|row| *row < count);
            rows.push(
                row.with_context(|| format!("line {number}: expected a row number below {count}, found `{word}`"))?,
            );
        }
    }
    Ok(rows)
}

/// One line of a file of public tests.
#[derive(Deserialize)]
struct PublicTests {
    problem_id: String,
    test: Vec<String>,
}

/// Gives problems, by id, the tests that operators may run: those in the file or, without a file, the examples in the
/// docstrings. Some problems have none.
pub(super) fn add_public_tests(
    folder: &Folder,
    file: &str,
    without: &BTreeSet<String>,
    problems: &mut [Problem],
) -> Result<()> {
    let testable = |problem: &&mut Problem| !without.contains(&problem.id);
    // It is not published with the problems.
    if matches!(folder, Folder::Disk(path) if !path.join(file).exists()) {
        for problem in problems.iter_mut().filter(testable) {
            if let Some(tests) = &mut problem.tests {
                tests.public = docstring::assertions(&problem.question, &tests.entry_point);
            }
        }
        return Ok(());
    }
    let mut tests = BTreeMap::new();
    let text = folder.read_text(file)?;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let line: PublicTests = serde_json::from_str(line)
            .with_context(|| format!("{folder}/{file}:{number}: expected an object with problem_id and test"))?;
        tests.insert(line.problem_id, line.test);
    }
    for problem in problems.iter_mut().filter(testable) {
        if let (Some(tested), Some(public)) = (&mut problem.tests, tests.remove(&problem.id)) {
            tested.public = public;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: AnswerForm, fields: &str, text: &str, rows: Option<&str>) -> Result<Vec<Problem>> {
        let place = tempfile::tempdir()?;
        std::fs::write(place.path().join("x.jsonl"), text)?;
        std::fs::write(place.path().join("x.rows"), rows.unwrap_or_default())?;
        let folder = Folder::Disk(place.path().to_owned());
        let fields = toml::from_str(fields)?;
        let file = "x.jsonl".to_owned();
        let source = if rows.is_some() { Source::Rows { file, rows: "x.rows".into() } } else { Source::All(file) };
        Reader { folder: &folder, data: &folder, fields: &fields, form }.read(&source)
    }

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        match (read(AnswerForm::Integer, "", text, None), expected) {
            (Ok(problems), Ok(count)) => assert_eq!(problems.len(), count, "{text}"),
            (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{error:#}"),
            (found, expected) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn broken_lines_are_named() {
        let line = |id: &str| format!(r#"{{"id": "{id}", "question": "1 + 1", "answer": "2", "program": null}}"#);
        let (a, b) = (line("a"), line("b"));
        check(&format!("{a}\n\n{b}\n"), Ok(2));
        check(&format!("{a}\r\n{b}"), Ok(2));
        check(&format!("{a}\n{{\"id\": 3}}\n"), Err("x.jsonl:2: expected a field `answer`, found none"));
        check(&format!("{a}\n{}", b.replace("\"2\"", "null")), Ok(2));
        check(&format!("{a}\n{}", b.replace("\"2\"", "\"\"")), Err("x.jsonl:2: expected a non-empty `answer`"));
        check(&format!("{a}\n{b}\n{a}"), Err("x.jsonl:3: expected a unique id, found `a` of line 1 again"));
        check(&format!("{a}\n{}", line(" ")), Err("x.jsonl:2: expected a non-empty `id`, found \" \""));
        check(&format!("{b}\n{}", &a[..20]), Err("x.jsonl:2: expected an object with `question` and `answer`"));
        check("\n", Err("x.jsonl: expected at least one problem"));
    }

    #[test]
    fn published_fields_are_mapped_and_rows_taken() -> Result<()> {
        let line =
            |n: u32| format!(r#"{{"problem": "{n} + {n}", "solution": "so $\\boxed{{{}}}$", "type": "sum"}}"#, 2 * n);
        let text = [1, 2, 3].map(line).join("\n");
        let fields = "question = \"problem\"\nanswer = \"solution\"\nkind = \"type\"";
        let problems = read(AnswerForm::Mathematics, fields, &text, Some("2 # the last\n0"))?;
        let seen: Vec<_> = problems.iter().map(|problem| (problem.id.as_str(), problem.answer.as_str())).collect();
        assert_eq!(seen, [("x-00002", "6"), ("x-00000", "2")]);
        assert_eq!(problems[0].kind.as_deref(), Some("sum"));
        let message = |rows| read(AnswerForm::Mathematics, fields, &text, Some(rows)).err().map(|e| format!("{e:#}"));
        assert!(
            message("1\n3").is_some_and(|m| m.ends_with("x.rows: line 2: expected a row number below 3, found `3`"))
        );
        assert!(message("1 1").is_some_and(|m| m.contains("expected a unique id")));
        let unanswered = read(AnswerForm::Number, "", r#"{"question": "?", "answer": "I do not know."}"#, None);
        assert!(unanswered.is_err_and(|error| format!("{error:#}").contains("expected an answer in `answer`")));
        Ok(())
    }
}
