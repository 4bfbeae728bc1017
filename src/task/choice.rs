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
                FIRST.captures(clause).and_then(|found| Some(found.get(1)?.as_str())).or_else(|| last(clause))
            }
            None => first(text).or_else(|| last(text)),
        },
    };
    found.map(str::to_ascii_uppercase)
}

/// The letter that a text consists of or begins with.
fn first(text: &str) -> Option<&str> {
    let bare = text.trim_matches(|letter: char| !letter.is_alphanumeric());
    let is_letter =
        bare.len() == 1 && bare.starts_with(|letter: char| ('a'..='j').contains(&letter.to_ascii_lowercase()));
    if is_letter { Some(bare) } else { FIRST.captures(text)?.get(1).map(|found| found.as_str()) }
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
        check("no idea", None);
        check("The answer is (A) or (B).", None);
        check("Answer: B and C", None);
        check("\\boxed{A \\text{ or } C}", None);
        check("Torn between B and C", None);
        check("The answer is C, as A and B are too small.", Some("C"));
        check("The answer is not B.", None);
    }
}
