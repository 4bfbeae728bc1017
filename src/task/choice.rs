//! Final answers that are the letter of a choice.

use std::sync::LazyLock;

use regex::Regex;

use super::final_answer::{Mark, announced, marked, sentence};

/// A letter right at the start, possibly surrounded by brackets, words and commands.
static FIRST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\W*(?:(?:text(?:bf|rm)?|mathrm|mathbf)\b\W*)?(?:(?i:option|choice|letter)\W+)?([A-J])\b")
        .expect("a valid pattern")
});
/// A letter in brackets, or a capital letter that is not an English word.
static ANYWHERE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(([A-Ja-j])\)|\b([B-HJ])\b").expect("a valid pattern"));

/// Two letters, neither of which is chosen.
static SEVERAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b[A-J]\b(?:\\text|\W){0,6}(?:or|and|/|&)\W{0,4}[A-J]\b\)?").expect("a valid pattern")
});

/// The capital letter that a text chooses.
pub(super) fn extract(text: &str) -> Option<String> {
    let text = text.trim();
    let found = match marked(text) {
        Mark::Answer(answer) if SEVERAL.is_match(answer) => None,
        Mark::Answer(answer) => first(answer),
        Mark::Withdrawn => None,
        Mark::None => match announced(text) {
            Some(found) => {
                let clause = sentence(found?.clause);
                if SEVERAL.find(clause).is_some_and(|several| clause[..several.start()].len() <= 4) {
                    return None;
                }
                begins(clause)
            }
            None => bare(text).or_else(|| begins(text)),
        },
    };
    found.map(str::to_ascii_uppercase)
}

/// The letter that a text consists of or begins with.
fn first(text: &str) -> Option<&str> {
    bare(text).or_else(|| FIRST.captures(text)?.get(1).map(|found| found.as_str()))
}

/// The letter that a text begins with, or its last one. Where the text begins with the word A or I, its last one counts.
fn begins(text: &str) -> Option<&str> {
    let Some(found) = FIRST.captures(text).and_then(|found| found.get(1)) else { return last(text) };
    let (letter, mut rest) = (found.as_str(), text[found.end()..].chars());
    let goes_on = match rest.next() {
        Some('\'' | '\u{2019}') => true,
        Some(' ') => rest.next().is_some_and(char::is_lowercase),
        _ => false,
    };
    match letter {
        "I" if goes_on => last(text),
        "A" if goes_on => last(text).or(Some(letter)),
        _ => Some(letter),
    }
}

/// The letter that a text consists of.
fn bare(text: &str) -> Option<&str> {
    let bare = text.trim_matches(|letter: char| !letter.is_alphanumeric());
    let is_letter =
        bare.len() == 1 && bare.starts_with(|letter: char| ('a'..='j').contains(&letter.to_ascii_lowercase()));
    is_letter.then_some(bare)
}

fn last(text: &str) -> Option<&str> {
    let found = ANYWHERE.captures_iter(text).last()?;
    let end = found.get(0)?.end();
    if SEVERAL.find_iter(text).any(|several| several.end() == end) {
        return None;
    }
    found.get(1).or(found.get(2)).map(|found| found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_letter_is_found() {
        let check = |text, letter: Option<&str>| assert_eq!(extract(text).as_deref(), letter, "{text}");
        check("(C)", Some("C"));
        check("c", Some("C"));
        check("B. Because it is larger", Some("B"));
        check("The answer is option D, as shown.", Some("D"));
        check("Answer: \\text{(A)}", Some("A"));
        check("I compared A and B; the correct answer is therefore (B).", Some("B"));
        check("After a while I would choose (E).", Some("E"));
        check("A long story", Some("A"));
        check("A closer look shows that (D) holds.", Some("D"));
        check("I think it is (B).", Some("B"));
        check("I'd say C", Some("C"));
        check("I cannot say.", None);
        check("I", Some("I"));
        check("I. Since it is smaller", Some("I"));
        check("The answer is I think (B)", Some("B"));
        check("no idea", None);
        check("The answer is (A) or (B).", None);
        check("Answer: B and C", None);
        check("\\boxed{A \\text{ or } C}", None);
        check("Torn between B and C", None);
        check("The answer is C, as A and B are too small.", Some("C"));
        check("The answer is not B.", None);
    }
}
