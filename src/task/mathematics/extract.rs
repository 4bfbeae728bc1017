//! Finds the final answer in the text of a solution.

use std::sync::LazyLock;

use regex::Regex;

use super::super::final_answer::{Announced, Mark, announced, marked, sentence};

/// Longer texts without a mark are not bare answers.
const LONGEST: usize = 200;

static MATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$((?:[^$\\]|\\.)+)\$").expect("a valid pattern")
});

/// The last boxed or marked answer that is not withdrawn. Otherwise the announced answer. Otherwise the formula at the
/// end of the text, or the whole of a short text.
pub(super) fn find(text: &str) -> Option<String> {
    let found = match marked(text) {
        Mark::Answer(answer) => answer,
        Mark::Withdrawn => return None,
        Mark::None => match announced(text) {
            Some(found) => stated(found?)?,
            None => concluded(text)?,
        },
    };
    let found = without_emphasis(found);
    (!found.is_empty()).then(|| found.to_owned())
}

/// The formula at the beginning of a clause, or the first one in its sentence, or the sentence.
fn stated(Announced { clause, .. }: Announced<'_>) -> Option<&str> {
    let sentence = sentence(clause);
    let formula = MATH.captures(clause).and_then(|found| {
        let start = found.get(0)?.start();
        let inside = found.iter().skip(1).flatten().next()?;
        // In `$5$ or $6$` the answer continues.
        let rest = sentence.get(found.get(0)?.end()..).unwrap_or_default().trim_start();
        let goes_on =
            ["and ", "or ", ", $", ", and", ", or"].iter().any(|word| rest.starts_with(word) && rest.contains('$'));
        (start < sentence.len().max(1) && !goes_on).then_some((start, inside.as_str()))
    });
    Some(match formula {
        // In `5 or $6$` the words before the formula belong to the answer.
        Some((start, inside)) if !clause[..start].contains(|letter: char| letter.is_ascii_digit()) => inside,
        _ => sentence,
    })
}

fn concluded(text: &str) -> Option<&str> {
    let text = text.trim();
    let formulas: Vec<_> = MATH.captures_iter(text).collect();
    if let Some(last) = formulas.last() {
        let whole = last.get(0)?;
        // A formula followed by more text is not a conclusion.
        let ends_text = text[whole.end()..].trim().trim_end_matches('.').is_empty();
        return if ends_text { Some(last.iter().skip(1).flatten().next()?.as_str()) } else { None };
    }
    let is_bare = text.chars().count() <= LONGEST && (text.lines().count() == 1 || text.contains("\\begin"));
    is_bare.then_some(text)
}

fn without_emphasis(text: &str) -> &str {
    text.trim().trim_start_matches("**").trim_end_matches("**").trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, answer: Option<&str>) {
        assert_eq!(find(text).as_deref(), answer, "{text}");
    }

    #[test]
    fn the_final_answer_is_found() {
        check(r"So $\boxed{\frac{1}{2}}$.", Some(r"\frac{1}{2}"));
        check(r"The answer is \[ x^2 \]", Some("x^2"));
        check("The answer is\n\\[\n5\n\\]\n", Some("5"));
        check("Final Answer: The final answer is $-4$. I hope it is correct.", Some("-4"));
        check("**Answer:** $10+9\\sqrt{2}$", Some("10+9\\sqrt{2}"));
        check("The answer is 3.5.", Some("3.5"));
        check("The answer is **7**", Some("7"));
        check("The answer is 5 or $6$", Some("5 or $6$"));
        check("The answer is $5$ or $6$.", Some("$5$ or $6$"));
        check("#### \\frac{2}{3}", Some("\\frac{2}{3}"));
        check("Adding up.\nTherefore $x = 5$.", Some("x = 5"));
        check("We have $x = 5$ and so", None);
        check("\\frac{1}{2}", Some("\\frac{1}{2}"));
        check("$5$", Some("5"));
        check("The answer is not $5$.", None);
        check("", None);
    }
}
