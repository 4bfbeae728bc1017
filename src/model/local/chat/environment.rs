//! What templates may use: Jinja as transformers extends it.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::{day, strings};

/// A date as `YYYY-MM-DD` that [`environment`]'s `strftime_now` takes for today's.
pub const TODAY: &str = "today";

/// An environment whose templates are written as transformers expects them.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(strings::method);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |state: &State, format: String| -> Result<String, Error> {
        let today = state.lookup(TODAY).and_then(|today| today.as_str().map(String::from));
        day::format(today.as_deref().unwrap_or(day::USUAL), &format)
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    environment.add_filter("tojson", to_json);
    // What minijinja iterates over includes none.
    environment.add_test("iterable", |value: &Value| {
        !matches!(value.kind(), ValueKind::None | ValueKind::Bool | ValueKind::Number)
    });
    environment
}

/// `{% generation %}` marks what a model wrote, for training: nothing that a prompt depends on. It becomes a block that
/// is always there.
pub fn without_marks(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        let word = tag.trim_start_matches("{%").trim_end_matches("%}");
        match word.trim_matches(['-', '+']).trim() {
            name @ "generation" => text.push_str(&tag.replacen(name, "if true", 1)),
            name @ "endgeneration" => text.push_str(&tag.replacen(name, "endif", 1)),
            _ => text.push_str(tag),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// JSON with the spaces that Python's `json.dumps` writes.
fn to_json(value: Value, arguments: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let ascii: Option<bool> = arguments.get("ensure_ascii")?;
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    // Keys of a template's objects are sorted or in the order of the text; both are as in Python.
    let _: Option<bool> = arguments.get("sort_keys")?;
    arguments.assert_all_used()?;
    let spaces = " ".repeat(indent.unwrap_or_default());
    let [item, key] = match separators.as_deref() {
        Some([item, key]) => [item.as_str(), key.as_str()],
        _ => [", ", ": "],
    };
    let text = match indent {
        Some(_) => written(&value, PrettyFormatter::with_indent(spaces.as_bytes()))?,
        None => written(&value, Spaced { item, key })?,
    };
    Ok(if ascii == Some(true) { escaped(&text) } else { text })
}

fn written(value: &Value, formatter: impl Formatter) -> Result<String, Error> {
    let refused = |error: String| Error::new(ErrorKind::BadSerialization, error);
    let mut bytes = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| refused(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| refused(error.to_string()))
}

/// Characters beyond ASCII as `\u` and their code units.
fn escaped(text: &str) -> String {
    let mut units = [0; 2];
    let escape = |letter: char| match letter.is_ascii() {
        true => letter.to_string(),
        false => letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    text.chars().map(escape).collect()
}

/// What stands between items, and between a key and its value.
struct Spaced<'a> {
    item: &'a str,
    key: &'a str,
}

impl Formatter for Spaced<'_> {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn templates_use_what_transformers_gives_them() {
        let check = |template: &str, expected: &str| {
            let context = context! { list => vec!["a", "é"], map => context! { k => 1 }, today => "2025-02-03" };
            let found = environment().render_str(&without_marks(template), context);
            assert_eq!(found.unwrap_or_else(|error| error.to_string()), expected, "{template}");
        };
        check("{{ list is iterable }} {{ none is iterable }} {{ 'a' is iterable }}", "True False True");
        check("{{ list | tojson }}", r#"["a", "é"]"#);
        check("{{ map | tojson }}", r#"{"k": 1}"#);
        check("{{ list | tojson(ensure_ascii=true) }}", r#"["a", "\u00e9"]"#);
        check("{{ map | tojson(separators=(',', ':')) }}", r#"{"k":1}"#);
        check("{{ list | tojson(indent=2) }}", "[\n  \"a\",\n  \"é\"\n]");
        check("{{ strftime_now('%d %b %Y') }}", "03 Feb 2025");
        check("{{ strftime_now('%Q') }}", "invalid operation: expected a format of dates, found `%Q` (in <string>:1)");
        check("a {%- generation %} b {% endgeneration -%} c", "a b c");
        check("{% generation %}\nb{% endgeneration %}\nc {{ '{% raw %}' }}", "bc {% raw %}");
        check(
            "{{ 'x' }} {% generation",
            "syntax error: unexpected end of input, expected end of block (in <string>:1)",
        );
    }
}
