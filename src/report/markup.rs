//! Templates of pages and drawings. All foreign text in them is escaped and inert.

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Value, escape_formatter};

use crate::printable::printable;

/// An environment whose templates escape their values, and spell out characters that would hide letters or change their
/// order.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if value.kind() == ValueKind::String && !value.is_safe() => {
            escape_formatter(out, state, &Value::from(printable(text).as_ref()))
        }
        _ => escape_formatter(out, state, value),
    });
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn texts_are_inert() {
        let check = |text: &str, expected: &str| {
            let found = environment().render_str("<a title=\"{{ text }}\">", context! { text });
            assert_eq!(found.unwrap_or_default(), format!("<a title=\"{expected}\">"));
        };
        check("größer\n\t2", "größer\n\t2");
        check(
            "</script><img onerror=\"x('1')\">",
            "&lt;&#x2f;script&gt;&lt;img onerror=&quot;x(&#x27;1&#x27;)&quot;&gt;",
        );
        check("\u{1b}[31m\u{202e}\u{200b}", "\\u{1b}[31m\\u{202e}\\u{200b}");
        let safe = environment().render_str("{{ text }}", context! { text => Value::from_safe_string("<b>".into()) });
        assert_eq!(safe.unwrap_or_default(), "<b>");
    }
}
