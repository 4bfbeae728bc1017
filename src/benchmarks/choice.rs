//! Final answers that are the letter of a choice.

use std::sync::LazyLock;

use regex::Regex;

use super::final_answer::{Mark, announced, marked, sentence};

/// A letter right at the start, whatever brackets, words and commands stand around it.
static FIRST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\W*(?:(?:text(?:bf|rm)?|mathrm|mathbf)\b\W*)?(?:(?i:option|choice|letter)\W+)?([A-J])\b")
        .expect("a valid pattern")
});
/// A letter in brackets, or a capital that is not a word of English.
static ANYWHERE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(([A-Ja-j])\)|\b([B-HJ])\b").expect("a valid pattern"));

/// The capital letter that a text chooses.
pub(super) fn extract(text: &str) -> Option<String> {
    let text = text.trim();
    let found = match marked(text) {
        Mark::Answer(answer) => first(answer),
        Mark::Withdrawn => None,
        Mark::None => match announced(text) {
            Some(found) => {
                let clause = sentence(found?.clause);
                FIRST.captures(clause).and_then(|found| Some(found.get(1)?.as_str())).or_else(|| last(clause))
            }
            None => first(text).or_else(|| last(text)),
        },
    };
    found.map(str::to_ascii_uppercase)
}

/// The letter that a text begins with, or that it is.
fn first(text: &str) -> Option<&str> {
    let bare = text.trim_matches(|letter: char| !letter.is_alphanumeric());
    let is_letter =
        bare.len() == 1 && bare.starts_with(|letter: char| ('a'..='j').contains(&letter.to_ascii_lowercase()));
    if is_letter { Some(bare) } else { FIRST.captures(text)?.get(1).map(|found| found.as_str()) }
}

fn last(text: &str) -> Option<&str> {
    let found = ANYWHERE.captures_iter(text).last()?;
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
        check("The answer is not B.", None);
    }
}
