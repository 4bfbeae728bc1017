//! The text that an operator wrote, shortened for readers.

use serde::{Deserialize, Serialize};

/// One solution as its operator wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Only its beginning and its end, if it is longer than the limit.
    pub text: String,
    /// The final answer found in it, shortened in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Letters left out of the middle of the text.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Marks where letters were left out.
const GAP: &str = " [...] ";

impl Written {
    /// At most `letters` of the text, and a quarter as many of the answer.
    pub fn new(text: &str, answer: Option<&str>, letters: usize) -> Self {
        let (text, omitted) = shortened(text, letters);
        Written { text, answer: answer.map(|answer| shortened(answer, letters / 4).0), omitted }
    }
}

/// At most `letters` of a text, from its beginning and end, and how many were left out.
pub fn shortened(text: &str, letters: usize) -> (String, usize) {
    // A letter takes at least one byte, so most texts need not be counted.
    if text.len() <= letters {
        return (text.to_owned(), 0);
    }
    let count = text.chars().count();
    if count <= letters {
        return (text.to_owned(), 0);
    }
    let first = letters * 3 / 5;
    let head: String = text.chars().take(first).collect();
    let tail: String = text.chars().skip(count - (letters - first)).collect();
    (format!("{head}{GAP}{tail}"), count - letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_their_beginning_and_their_end() {
        let check = |text: &str, letters, expected: &str, omitted| {
            assert_eq!(shortened(text, letters), (expected.to_owned(), omitted), "{text}");
        };
        check("", 0, "", 0);
        check("0123456789", 10, "0123456789", 0);
        check("0123456789", 5, "012 [...] 89", 5);
        check("größer", 6, "größer", 0);
        check("数学数学数", 3, "数 [...] 学数", 2);
        check("abc", 0, " [...] ", 3);
        let line = "x".repeat(1 << 20);
        let written = Written::new(&line, Some(&line), 4000);
        assert_eq!((written.text.len(), written.omitted), (4000 + GAP.len(), (1 << 20) - 4000));
        assert_eq!(written.answer.map(|answer| answer.len()), Some(1000 + GAP.len()));
    }
}
