//! Makes foreign text (from servers, checkpoints, programs, models) safe to show on a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with all that moves a cursor, hides letters or turns their order written out, as `\u{1b}`; new lines and
/// tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_command(letter) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// JSON with the same letters written as JSON escapes, so that its values stay what they are.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_command) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for letter in json.chars() {
        if is_command(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

fn is_command(letter: char) -> bool {
    let is_layout = matches!(letter, '\n' | '\t');
    letter.is_control() && !is_layout || is_invisible(letter)
}

/// Whether a letter has no width, or changes the direction of those around it.
pub(crate) fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_values_and_holds_no_command() {
        let check = |text: &str, expected: &str| {
            let json = serde_json::to_string(text).unwrap_or_default();
            let shown = printable_json(&json);
            assert_eq!(shown, expected);
            assert_eq!(serde_json::from_str::<String>(&shown).ok().as_deref(), Some(text));
        };
        check("größer\n", r#""größer\n""#);
        check("\u{1b}[2J\u{9b}1m\u{7f}", r#""\u001b[2J\u009b1m\u007f""#);
        check("a\u{202e}b\u{e0041}\u{feff}", r#""a\u202eb\udb40\udc41\ufeff""#);
        assert_eq!(printable_json("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn no_command_reaches_a_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check("plain, größer, 数学\n\tand so on", "plain, größer, 数学\n\tand so on");
        check("\u{1b}[2J\u{7}\r\u{9b}31m", "\\u{1b}[2J\\u{7}\\u{d}\\u{9b}31m");
        check("a\u{202e}b\u{200b}c\u{7f}", "a\\u{202e}b\\u{200b}c\\u{7f}");
    }
}
