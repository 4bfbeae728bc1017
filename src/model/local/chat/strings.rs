//! Methods of Python's strings that templates use and minijinja's own collection lacks.

use minijinja::value::{Kwargs, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Calls a method that a value does not have.
///
/// # Errors
/// Python has no such method either, or refuses the arguments.
pub fn method(state: &State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else { return unknown_method_callback(state, value, name, arguments) };
    match name {
        "removeprefix" => {
            let (part,): (&str,) = from_args(arguments)?;
            Ok(text.strip_prefix(part).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (part,): (&str,) = from_args(arguments)?;
            Ok(text.strip_suffix(part).unwrap_or(text).into())
        }
        "partition" => {
            let (part,): (&str,) = from_args(arguments)?;
            let (before, found, after) = text.split_once(part).map_or((text, "", ""), |(a, b)| (a, part, b));
            Ok(list([before, found, after]))
        }
        "rpartition" => {
            let (part,): (&str,) = from_args(arguments)?;
            let (before, found, after) = text.rsplit_once(part).map_or(("", "", text), |(a, b)| (a, part, b));
            Ok(list([before, found, after]))
        }
        "rsplit" => rsplit(text, arguments),
        "index" => {
            let (part,): (&str,) = from_args(arguments)?;
            let missing = || Error::new(ErrorKind::InvalidOperation, "substring not found");
            text.find(part).map(|at| Value::from(text[..at].chars().count())).ok_or_else(missing)
        }
        "casefold" => Ok(text.to_lowercase().into()),
        "swapcase" => {
            let swapped = |letter: char| match letter.is_lowercase() {
                true => letter.to_uppercase().collect::<String>(),
                false => letter.to_lowercase().collect(),
            };
            Ok(text.chars().map(swapped).collect::<String>().into())
        }
        "ljust" | "rjust" | "center" | "zfill" => {
            let (width, fill): (usize, Option<&str>) = from_args(arguments)?;
            let (missing, fill) = (width.saturating_sub(text.chars().count()), fill.unwrap_or(" "));
            Ok(match name {
                "ljust" => format!("{text}{}", fill.repeat(missing)),
                "rjust" => format!("{}{text}", fill.repeat(missing)),
                "center" => {
                    let left = missing / 2 + (missing & width & 1);
                    format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
                }
                _ => {
                    let digits = text.trim_start_matches(['-', '+']);
                    format!("{}{}{digits}", &text[..text.len() - digits.len()], "0".repeat(missing))
                }
            }
            .into())
        }
        _ => unknown_method_callback(state, value, name, arguments),
    }
}

/// `rsplit`: parts from the right, at most so many splits.
fn rsplit(text: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (part, most, named): (Option<&str>, Option<i64>, Kwargs) = from_args(arguments)?;
    let most = most.or(named.get("maxsplit")?).and_then(|most| usize::try_from(most).ok());
    named.assert_all_used()?;
    let mut parts: Vec<&str> = match (part, most) {
        (Some(""), _) => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        (Some(part), None) => text.rsplit(part).collect(),
        (Some(part), Some(most)) => text.rsplitn(most.saturating_add(1), part).collect(),
        (None, None) => text.split_whitespace().rev().collect(),
        (None, Some(most)) => {
            let mut parts = Vec::new();
            let mut rest = text.trim();
            while parts.len() < most
                && let Some((before, last)) = rest.rsplit_once(char::is_whitespace)
            {
                parts.push(last);
                rest = before.trim_end();
            }
            parts.extend((!rest.is_empty()).then_some(rest));
            parts
        }
    };
    parts.reverse();
    Ok(list(parts))
}

fn list<'a>(parts: impl IntoIterator<Item = &'a str>) -> Value {
    parts.into_iter().map(Value::from).collect()
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    #[test]
    fn methods_do_what_python_does() {
        let check = |expression: &str, expected: &str| {
            let mut environment = Environment::new();
            environment.set_unknown_method_callback(super::method);
            let found = environment.render_str(&format!("{{{{ {expression} }}}}"), context! { s => "a-b-c" });
            assert_eq!(found.unwrap_or_else(|error| error.kind().to_string()), expected, "{expression}");
        };
        check("s.removeprefix('a-')", "b-c");
        check("s.removesuffix('x')", "a-b-c");
        check("s.partition('-')", "[\"a\", \"-\", \"b-c\"]");
        check("s.rpartition('-')[0]", "a-b");
        check("s.partition('+')", "[\"a-b-c\", \"\", \"\"]");
        check("s.rsplit('-', 1)", "[\"a-b\", \"c\"]");
        check("s.rsplit('-', maxsplit=1)[-1]", "c");
        check("' a  b c '.rsplit(None, 1)", "[\"a  b\", \"c\"]");
        check("s.split('-', 1)[1]", "b-c");
        check("s.index('b')", "2");
        check("s.index('z')", "invalid operation");
        check("'-7'.zfill(4) ~ '7'.rjust(2) ~ 'x'.ljust(2, '.') ~ 'ab'.center(5, '*')", "-007 7x.**ab*");
        check("s.startswith(('b', 'a')) and s.title() == 'A-B-C'", "True");
        check("s.strip('ac').upper()", "-B-");
        check("s.nothing()", "unknown method");
    }
}
