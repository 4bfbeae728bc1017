//! The key, which comes only from the environment, and its removal from a server's messages.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::printable::{is_invisible, printable};

/// Environment variables that may hold the key; the first one set counts.
pub const KEY_VARIABLES: [&str; 2] = ["LAMAS_API_KEY", "OPENAI_API_KEY"];
/// Characters of the key that may not stand together. A key that is shorter is a name, such as `ollama`, and no secret.
const TELLING: usize = 8;
/// Letters of a text that are looked at before it is shortened. A run of the key that the end cuts is hidden like any other.
const LOOKED_AT: usize = 1 << 16;
/// Longest part of a server's words that is shown, in letters.
const SHOWN: usize = 300;

/// The secret that an endpoint asks for, if it asks for one. Shown nowhere.
#[derive(Clone, Default)]
pub struct Key(Option<String>);

impl Key {
    /// A key, or none for a server that needs none.
    pub fn new(key: Option<String>) -> Self {
        Key(key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()))
    }

    /// The key of this process's environment.
    pub fn from_environment() -> Self {
        Key::new(KEY_VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|key| !key.trim().is_empty())))
    }

    /// Whether there is none.
    pub fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn secret(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What a server or a library said, on one line, without the key, without commands to a terminal, and no longer than
    /// is read.
    pub(super) fn said(&self, text: &str) -> String {
        let end = text.char_indices().nth(LOOKED_AT).map_or(text.len(), |(at, _)| at);
        let text = self.hide(&text[..end]);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = match line.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{}...", &line[..at]),
            None => line,
        };
        printable(&line).into_owned()
    }

    /// `text` without any part of the key of [`TELLING`] characters or more: in small letters or capitals, with white
    /// space or signs in between, as it is or in base64, in hexadecimal digits or as part of a URL.
    fn hide(&self, text: &str) -> String {
        let Some(key) = self.secret().filter(|key| key.chars().count() >= TELLING) else { return text.to_owned() };
        let letters = letters(text);
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for form in forms(key) {
            let all = |letter: char| !letter.is_whitespace();
            hidden.extend(runs(&letters, &form, all));
            hidden.extend(runs(&letters, &form, char::is_alphanumeric));
        }
        hidden.sort_unstable_by_key(|range| range.start);
        let (mut shown, mut from) = (String::with_capacity(text.len()), None);
        for range in hidden {
            let before = from.unwrap_or(0);
            if range.start > before || from.is_none() {
                shown.push_str(&text[before..range.start]);
                shown.push_str("[key]");
            }
            from = from.max(Some(range.end));
        }
        shown.push_str(&text[from.unwrap_or(0)..]);
        shown
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "Key([key])" } else { "Key(none)" })
    }
}

/// The key as it may be written, and how many letters of that tell [`TELLING`] characters of it.
struct Form {
    text: String,
    telling: usize,
}

fn forms(key: &str) -> Vec<Form> {
    let escaped = |kept: &str| {
        let letter = |byte: u8| match byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02x}"),
        };
        key.bytes().map(letter).collect::<String>()
    };
    let plain = [key.to_owned(), escaped(""), escaped("-._~")].map(|text| Form { text, telling: TELLING });
    let digits = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let hexadecimal = Form { text: digits, telling: 2 * TELLING };
    // Four letters stand for three bytes; which ones depends on what stands before the key. The first and the last of
    // them stand in part for something else.
    let encoded = (0..3).flat_map(|before| {
        let bytes = [&[0; 2][..before], key.as_bytes()].concat();
        let whole = bytes.len() * 4 / 3;
        [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|alphabet| {
            let text = alphabet.encode(&bytes).chars().take(whole).skip((before * 4).div_ceil(3)).collect();
            Form { text, telling: TELLING * 4 / 3 }
        })
    });
    plain.into_iter().chain([hexadecimal]).chain(encoded).collect()
}

/// A letter as it is compared, and the bytes of the text where it stands.
type Letter = (char, Range<usize>);

/// The letters of a text that a reader sees: no control sequences of terminals, no escaped white space.
fn letters(text: &str) -> Vec<Letter> {
    let mut found = Vec::with_capacity(text.len());
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map_or('\0', |&(_, next)| next);
        match letter {
            '\\' if matches!(next, 'n' | 'r' | 't') => _ = letters.next(),
            '\u{1b}' if next == '[' => {
                letters.next();
                // Ends with a letter or one of a few signs.
                letters.find(|(_, letter)| matches!(letter, '@'..='~'));
            }
            letter if letter.is_control() && !letter.is_whitespace() || is_invisible(letter) => {}
            letter => found.push((folded(letter), at..at + letter.len_utf8())),
        }
    }
    found
}

fn folded(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

/// Where the text holds parts of a form, compared by the letters that `counts` keeps.
fn runs(letters: &[Letter], form: &Form, counts: fn(char) -> bool) -> Vec<Range<usize>> {
    let form_letters: Vec<char> = form.text.chars().map(folded).filter(|&letter| counts(letter)).collect();
    let telling: HashSet<&[char]> = form_letters.windows(form.telling).collect();
    let (letters, places): (Vec<char>, Vec<&Range<usize>>) =
        letters.iter().filter(|(letter, _)| counts(*letter)).map(|(letter, place)| (*letter, place)).unzip();
    let places = places.windows(form.telling);
    let found = letters.windows(form.telling).zip(places).filter(|(part, _)| telling.contains(part));
    found.map(|(_, places)| places[0].start..places[form.telling - 1].end).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "sk-Proj_4f9+hunter2/xyzABC";

    fn key() -> Key {
        Key::new(Some(SECRET.into()))
    }

    #[test]
    fn the_key_is_shown_nowhere() {
        let key = Key::new(Some(" sk-hunter2\n".into()));
        assert_eq!(format!("{key:?} {:?}", Key::new(Some(String::new()))), "Key([key]) Key(none)");
        assert_eq!(key.said("Incorrect API key provided: sk-hunter2."), "Incorrect API key provided: [key].");
        assert_eq!(key.secret(), Some("sk-hunter2"));
    }

    /// That nothing of `hidden` is shown, but all that stands around it.
    #[track_caller]
    fn check(hidden: &str) {
        let said = key().said(&format!("wrong: {hidden} (401)"));
        assert!(said.starts_with("wrong: ") && said.ends_with(" (401)") && said.contains("[key]"), "{said}");
        let rest = said.trim_start_matches("wrong: ").trim_end_matches(" (401)").replace("[key]", "");
        let telling = |from: usize| SECRET.get(from..from + TELLING).map(str::to_lowercase);
        assert!((0..SECRET.len()).filter_map(telling).all(|part| !rest.to_lowercase().contains(&part)), "{said}");
        assert!(rest.len() < 12, "{hidden}: {said}");
    }

    #[test]
    fn no_way_of_writing_the_key_shows_it() {
        check(SECRET);
        check(&SECRET.to_uppercase());
        check(&SECRET[..8]);
        check(&SECRET[3..20]);
        check(&SECRET.replace("hun", "hun\n   "));
        check(&SECRET.replace("hun", "hun\\n"));
        check(&SECRET.chars().map(|letter| format!("{letter} ")).collect::<String>());
        check(&SECRET.replace("hun", "hun\u{200b}\u{1b}[31m\u{0}"));
        check(&SECRET.replace("hun", "hun-\"").replace('+', ""));
        check(&SECRET.replace('+', "%2B").replace('/', "%2F"));
        check(&SECRET.replace('+', "%2b").replace('/', "%2f").replace('-', "%2d").replace('_', "%5f"));
        check(&SECRET.bytes().map(|byte| format!("{byte:02X}")).collect::<String>());
        check(&SECRET.bytes().map(|byte| format!("{byte:02x}:")).collect::<String>());
        for before in ["", "x", "Bearer ", "user:"] {
            let text = format!("{before}{SECRET}");
            let (one, other) = (STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text));
            let from = before.len() * 4 / 3;
            check(&one[from..]);
            check(&format!("{}\n{}", &other[from..from + 14], &other[from + 14..]));
            check(&one[from..].to_uppercase());
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in ["sk-Proj", "no such model `hunter`", "größer: 数学", ""] {
            assert_eq!(key().said(text), text);
        }
        assert_eq!(Key::new(Some("ollama".into())).said("ollama has no such model"), "ollama has no such model");
        assert_eq!(Key::default().said("a\n b"), "a b");
    }

    #[test]
    fn words_are_hidden_before_they_are_cut() {
        for before in 270..310 {
            let said = key().said(&format!("{}{SECRET}", "é".repeat(before)));
            assert!(!said.contains("sk-Proj_"), "{said}");
        }
        assert_eq!(key().said(&"é".repeat(400)), format!("{}...", "é".repeat(300)));
        let said = key().said(&format!("{} {SECRET}", "x".repeat(LOOKED_AT - 12)));
        assert!(said.len() < 400);
        assert_eq!(key().said("\u{1b}[2Jgone\u{7}"), "\\u{1b}[2Jgone\\u{7}");
    }

    proptest! {
        #[test]
        fn no_part_of_the_key_is_shown_however_it_is_told(
            before in "\\PC{0,20}",
            (from, to) in (0..SECRET.len(), 0..=SECRET.len()),
            breaks in prop::collection::vec((any::<prop::sample::Index>(), "[ \n\t\u{200b}]{1,3}"), 0..4),
            is_loud in any::<bool>(),
            after in "\\PC{0,20}",
        ) {
            let mut part = SECRET[from.min(to)..to.max(from)].to_owned();
            for (place, gap) in breaks {
                let places: Vec<usize> = part.char_indices().map(|(at, _)| at).chain([part.len()]).collect();
                part.insert_str(places[place.index(places.len())], &gap);
            }
            let part = if is_loud { part.to_uppercase() } else { part };
            let said = key().said(&format!("{before}{part}{after}")).to_lowercase();
            let said: String = said.replace("\\u{200b}", "").split_whitespace().collect();
            let shows = |from: usize| SECRET.get(from..from + TELLING).is_some_and(|part| said.contains(&part.to_lowercase()));
            prop_assert!((0..SECRET.len()).all(|from| !shows(from)), "{said}");
        }
    }
}
