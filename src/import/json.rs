//! Reads JSON as evaluation programs write it.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value};

use super::source::excerpt;
use crate::task::grading::decoded;

pub(super) type Object = Map<String, Value>;

/// The text of a file; invalid UTF-8 becomes replacement characters.
pub(super) fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(decoded(&bytes))
}

/// The non-empty lines of a file of JSON objects, with their positions.
///
/// # Errors
/// Names the first line that is not an object; `expected` says what should be there.
pub(super) fn lines(path: &Path, expected: &str) -> Result<Vec<(String, Object)>> {
    let text = text(path)?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let object = |(number, line): (usize, &str)| {
        let place = format!("{}:{number}", path.display());
        let object = parse(line).with_context(|| format!("{place}: expected {expected}"))?;
        Ok((place, object))
    };
    let lines: Vec<_> = lines.map(object).collect::<Result<_>>()?;
    match lines.is_empty() {
        true => Err(anyhow!("{}: expected {expected} a line, found no line", path.display())),
        false => Ok(lines),
    }
}

/// An object. NaN and infinities, which Python writes although JSON does not allow them, become null.
pub(super) fn parse(text: &str) -> Result<Object> {
    let parsed = serde_json::from_str::<Value>(text).or_else(|error| {
        let repaired = without_specials(text).filter(|repaired| repaired != text);
        repaired.and_then(|repaired| serde_json::from_str(&repaired).ok()).ok_or(error)
    });
    match parsed {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(anyhow!("found `{}`", excerpt(&other.to_string()))),
        Err(error) => Err(anyhow!("found `{}`: {error}", excerpt(&text.chars().take(400).collect::<String>()))),
    }
}

/// The text with `NaN` and infinities outside strings replaced by `null`.
fn without_specials(text: &str) -> Option<String> {
    const SPECIALS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let mut written = String::with_capacity(text.len());
    let (mut rest, mut is_inside) = (text, false);
    while let Some(letter) = rest.chars().next() {
        let special = SPECIALS.into_iter().find(|special| !is_inside && rest.starts_with(special));
        let width = match (special, letter) {
            (Some(special), _) => {
                written.push_str("null");
                rest = rest.get(special.len()..)?;
                continue;
            }
            (None, '\\') if is_inside => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, _) => letter.len_utf8(),
        };
        is_inside ^= letter == '"';
        let (head, tail) = rest.split_at_checked(width)?;
        written.push_str(head);
        rest = tail;
    }
    Some(written)
}

/// Text, or a number or boolean as it is written.
pub(super) fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The id in a field: text or a whole number.
pub(super) fn id(object: &Object, field: &str) -> Result<String> {
    let found = object.get(field).with_context(|| format!("expected a field `{field}`, found none"))?;
    let id = written(found).filter(|id| !id.trim().is_empty());
    id.with_context(|| format!("expected text or a number in `{field}`, found `{}`", excerpt(&found.to_string())))
}

/// A non-negative number; `None` if it is missing or null.
pub(super) fn amount(object: &Object, field: &str) -> Result<Option<f64>> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => {
            let number = found.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
            let shown = || format!("expected a number from 0 up in `{field}`, found `{}`", excerpt(&found.to_string()));
            number.map(Some).with_context(shown)
        }
    }
}

/// A non-negative whole number; `None` if it is missing or null.
pub(super) fn count(object: &Object, field: &str) -> Result<Option<u64>> {
    Ok(amount(object, field)?.map(|number| number.round() as u64))
}

/// A score from 0 to 1; booleans count as 1 and 0.
pub(super) fn score(value: &Value, of: &str) -> Result<f64> {
    let number = value.as_f64().or(value.as_bool().map(|truth| f64::from(u8::from(truth))));
    number.filter(|number| (0.0..=1.0).contains(number)).with_context(|| {
        format!(
            "expected a score from 0 to 1 in `{of}`, found `{}`; hint: another score is chosen with `--metric NAME`",
            excerpt(&value.to_string())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let check = |text: &str, expected: &str| {
            let found = parse(text).map_or_else(|error| error.to_string(), |object| Value::Object(object).to_string());
            assert_eq!(found, expected, "{text}");
        };
        check(r#"{"a": NaN, "b": [-Infinity, Infinity]}"#, r#"{"a":null,"b":[null,null]}"#);
        check(r#"{"a": "NaN \" NaN", "b": NaN}"#, r#"{"a":"NaN \" NaN","b":null}"#);
        check("[1]", "found `[1]`");
        assert!(parse("{\"a\": NaN").is_err_and(|error| error.to_string().starts_with("found `{\"a\": NaN`: ")));
        assert!(parse("{\"é\\").is_err());
    }
}
