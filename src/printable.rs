//! Text of others (servers, checkpoints, programs, models) as it may stand on a terminal.

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
    fn no_command_reaches_a_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check("plain, größer, 数学\n\tand so on", "plain, größer, 数学\n\tand so on");
        check("\u{1b}[2J\u{7}\r\u{9b}31m", "\\u{1b}[2J\\u{7}\\u{d}\\u{9b}31m");
        check("a\u{202e}b\u{200b}c\u{7f}", "a\\u{202e}b\\u{200b}c\\u{7f}");
    }
}
