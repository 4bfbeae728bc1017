//! Grades files of predictions and references, line by line.

use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow};
use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AnswerForm;
use super::final_answer::{Mark, before_next_question, marked};

/// One line of a file to grade.
#[derive(Debug, Deserialize)]
struct Line {
    /// The answer itself; preferred to `text`.
    pred: Option<Value>,
    /// The text of a solution that contains the answer.
    text: Option<String>,
    #[serde(alias = "gold")]
    r#ref: Option<Value>,
}

/// The result for one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GradedLine {
    /// Counted from 1.
    pub line: usize,
    pub correct: bool,
    /// The answer found; `None` if there is none.
    pub extracted: Option<String>,
    pub reference: String,
}

/// The text of a file of JSON lines. Invalid UTF-8 and unpaired surrogates become replacement characters, so that a
/// model's mistake spoils only its own line.
pub fn decoded(bytes: &[u8]) -> String {
    static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
        let pair = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}";
        Regex::new(&format!(r"\\\\|{pair}|(\\u[dD][89a-fA-F][0-9a-fA-F]{{2}})")).expect("a valid pattern")
    });
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let repaired =
        |found: &Captures<'_>| if found.get(1).is_some() { r"\ufffd".to_owned() } else { found[0].to_owned() };
    ESCAPE.replace_all(text, repaired).into_owned()
}

/// Grades JSON lines with `pred` or `text` against `ref` or `gold`; `origin` names the file in errors.
///
/// # Errors
/// Names the first line that is not such an object.
pub fn grade(form: AnswerForm, lines: &str, origin: &str) -> Result<Vec<GradedLine>> {
    let numbered = (1..).zip(lines.lines()).filter(|(_, line)| !line.trim().is_empty());
    let verdicts =
        numbered.map(|(number, line)| verdict(form, number, line).with_context(|| format!("{origin}:{number}")));
    verdicts.collect()
}

fn verdict(form: AnswerForm, number: usize, line: &str) -> Result<GradedLine> {
    let row: Line = serde_json::from_str(line).map_err(|error| {
        let shown: String = line.chars().take(60).collect();
        anyhow!("expected an object with `pred` or `text` and `ref` or `gold`, found `{shown}`: {error}")
    })?;
    let reference = row.r#ref.and_then(written).context("expected a reference in `ref` or `gold`, found none")?;
    let extracted = match (row.pred, row.text) {
        (Some(pred), _) => given(form, &written(pred).context("expected text or a number in `pred`")?),
        (None, Some(text)) => form.find(&text),
        (None, None) => return Err(anyhow!("expected an answer in `pred` or `text`, found neither")),
    };
    let correct = extracted.as_ref().is_some_and(|answer| form.equal(&reference, answer));
    Ok(GradedLine { line: number, correct, extracted, reference })
}

/// The answer in `pred`: the whole text, unless an answer is marked in it.
fn given(form: AnswerForm, pred: &str) -> Option<String> {
    let pred = before_next_question(pred);
    match (form, marked(pred)) {
        (AnswerForm::Mathematics, Mark::None) => Some(pred.trim().to_owned()).filter(|answer| !answer.is_empty()),
        _ => form.find(pred),
    }
}

fn written(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_graded() -> Result<()> {
        let lines = r#"{"pred": "\\frac{1}{2}", "text": "\\boxed{7}", "ref": "0.5"}

{"text": "so \\boxed{\\frac{1}{3}}.", "gold": "0.5"}
{"text": "no idea yet", "ref": "0.5", "other": []}
{"pred": 3, "ref": 3.0}"#;
        let verdicts = grade(AnswerForm::Mathematics, lines, "x.jsonl")?;
        let seen: Vec<_> = verdicts.iter().map(|verdict| (verdict.line, verdict.correct)).collect();
        assert_eq!(seen, [(1, true), (3, false), (4, false), (5, true)]);
        assert_eq!(verdicts[1].extracted.as_deref(), Some("\\frac{1}{3}"));
        Ok(())
    }

    #[test]
    fn what_is_no_text_spoils_its_own_line_only() -> Result<()> {
        let lines: &[&[u8]] = &[
            b"\xef\xbb\xbf{\"text\": \"#### 5\", \"gold\": \"5\"}",
            br#"{"text": "\ud83d is cut, #### 6", "gold": "6"}"#,
            br#"{"text": "\ude00\ud83d #### 7", "gold": "7"}"#,
            br#"{"text": "\ud83d\ude00 \\ud83d\n#### 8", "gold": "8"}"#,
            b"{\"text\": \"caf\xe9 \xff\\n#### 9\", \"gold\": \"9\"}",
        ];
        let text = decoded(&lines.join(&b'\n'));
        assert!(text.contains(r"\ud83d\ude00 \\ud83d"), "{text}");
        let verdicts = grade(AnswerForm::Number, &text, "x.jsonl")?;
        assert_eq!(verdicts.iter().map(|verdict| verdict.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(verdicts.iter().all(|verdict| verdict.correct), "{verdicts:?}");
        Ok(())
    }

    #[test]
    fn broken_lines_are_named() {
        let check = |line: &str, message: &str| {
            let error = grade(AnswerForm::Number, &format!("\n{line}"), "x.jsonl").err();
            let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.starts_with("x.jsonl:2: ") && error.contains(message), "{error}");
        };
        check("{", "expected an object with `pred` or `text`");
        check("[]", "expected an object with `pred` or `text`");
        check(r#"{"pred": "1"}"#, "expected a reference in `ref` or `gold`, found none");
        check(r#"{"ref": "1"}"#, "expected an answer in `pred` or `text`, found neither");
        check(r#"{"pred": [1], "ref": "1"}"#, "expected text or a number in `pred`");
    }
}
