//! A line of a traces file, as people write it.

use anyhow::{Result, ensure};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What an operator once produced for a query: a line of a traces file. Unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceLine {
    /// Id of the problem; a whole number is read as its digits.
    #[serde(deserialize_with = "text_or_number")]
    pub query: String,
    /// Name of the operator in the catalogue.
    pub operator: String,
    /// Which of the operator's independent outputs for the query this is; if absent, the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// The solution that the operator wrote; `null` if it added none.
    pub output: Option<String>,
    /// The final answer. If absent, it is extracted from the output as the benchmark prescribes. If nothing is found
    /// and the answer's score is known, the whole output is the answer.
    #[serde(default, deserialize_with = "maybe_text_or_number", skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether the answer is right (`true`, `false`, 1 or 0). If both this and `score` are absent, the benchmark grades
    /// it.
    #[serde(default, deserialize_with = "truth", skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// The score of the answer, from 0 to 1, as given by a human or a judge; takes the place of `correct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether the answer was computed by a program that ran. If absent, this holds for the answers of `program`
    /// operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<bool>,
    /// For an operator that reads solutions: a digest of what it read, or `any` (the default), which matches whatever
    /// is on the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<String>,
    /// Model calls made.
    #[serde(default = "one")]
    pub calls: u32,
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens written by the model, call after call.
    pub tokens: u64,
    /// Seconds spent in tools, charged according to the benchmark's gamma; part of `seconds`.
    #[serde(default)]
    pub tool_seconds: f64,
    /// From the start of the operator to its end.
    pub seconds: f64,
    /// Dollars.
    #[serde(default)]
    pub cost: f64,
    /// Names of the fields that were not recorded but estimated.
    #[serde(default, deserialize_with = "names", skip_serializing_if = "Vec::is_empty")]
    pub estimated: Vec<String>,
}

impl TraceLine {
    /// The score that the line gives to its answer, from 0 to 1.
    ///
    /// # Errors
    /// The score is outside that range.
    pub fn score(&self) -> Result<Option<f64>> {
        if let Some(score) = self.score {
            ensure!((0.0..=1.0).contains(&score), "expected `score` from 0 to 1, found {score}");
        }
        Ok(self.score.or(self.correct.map(|correct| f64::from(u8::from(correct)))))
    }
}

fn one() -> u32 {
    1
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let found = Value::deserialize(deserializer)?;
    written(&found).ok_or_else(|| D::Error::custom(format!("expected text or a number, found `{found}`")))
}

fn maybe_text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        found => match written(&found) {
            Some(text) => Ok(Some(text)),
            None => Err(D::Error::custom(format!("expected text or a number, found `{found}`"))),
        },
    }
}

fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Bool(correct) => Ok(Some(correct)),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(Some(true)),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(Some(false)),
        found => {
            let found = found.to_string();
            Err(D::Error::invalid_value(Unexpected::Other(&found), &"true, false, 1 or 0 in `correct`"))
        }
    }
}

/// Values that are not names mark estimates in other programs, and are ignored.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects what is read from a line with these fields, added to those that every line needs.
    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(fields: &str, read: fn(TraceLine) -> T, expected: Result<T, &str>) {
        let line = format!(r#"{{"operator": "A", "output": "8", "tokens": 3, "seconds": 0.1, {fields}}}"#);
        match (serde_json::from_str(&line).map(read), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{line}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{line}: {error}"),
            (found, expected) => panic!("{line}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn lines_may_leave_out_what_is_not_needed() {
        let query = |line: TraceLine| line.query;
        check(r#""query": "q""#, |line| (line.sample, line.cost, line.calls), Ok((None, 0.0, 1)));
        check(r#""query": 17"#, query, Ok("17".to_owned()));
        check(r#""query": "17", "colour": ["red"]"#, query, Ok("17".to_owned()));
        check(r#""query": [17]"#, query, Err("expected text or a number, found `[17]`"));
        check(r#""id": 17"#, query, Err("missing field `query`"));
        let answer = |line: TraceLine| line.answer;
        check(r#""query": 1, "answer": 8"#, answer, Ok(Some("8".to_owned())));
        check(r#""query": 1, "answer": null"#, answer, Ok(None));
        let estimated = |line: TraceLine| line.estimated;
        check(r#""query": 1, "estimated": ["cost"]"#, estimated, Ok(vec!["cost".to_owned()]));
        check(r#""query": 1, "estimated": true"#, estimated, Ok(vec![]));
    }

    #[test]
    fn verdicts_have_several_spellings() {
        let score = |line: TraceLine| line.score().map_err(|error| error.to_string());
        let line = |verdict: &str| format!(r#""query": "q", {verdict}"#);
        for (verdict, expected) in [
            (r#""correct": true"#, Some(1.0)),
            (r#""correct": 1"#, Some(1.0)),
            (r#""correct": 0"#, Some(0.0)),
            (r#""correct": 0.0"#, Some(0.0)),
            (r#""correct": null"#, None),
            (r#""score": 0.25"#, Some(0.25)),
            (r#""correct": true, "score": 0.25"#, Some(0.25)),
        ] {
            check(&line(verdict), score, Ok(Ok(expected)));
        }
        check(&line(r#""correct": 2"#), score, Err("expected true, false, 1 or 0 in `correct`"));
        check(&line(r#""correct": "yes""#), score, Err("expected true, false, 1 or 0 in `correct`"));
        check(&line(r#""score": 7"#), score, Ok(Err("expected `score` from 0 to 1, found 7".to_owned())));
    }
}
