//! Mathematical answers as the MATH benchmark has them: LaTeX or plain text, compared exactly wherever that is possible.
//!
//! A text becomes tokens, tokens an expression, its parts exact values. What is not understood is compared as it is
//! written. No text takes long: length, nesting and work are limited.

mod approximate;
mod arithmetic;
mod digits;
mod equal;
mod evaluate;
mod exact;
mod expression;
mod extract;
mod parse;
mod spelling;
mod token;
mod words;

use evaluate::Budget;

/// Answers that would be longer than this, such as `1000!`, are spelled as they were written.
const LONGEST_SPELLING: usize = 300;

/// Whether two answers are the same. Different numbers never are, except that `20` may stand for `20%`, by convention.
pub(super) fn equal(reference: &str, answer: &str) -> bool {
    let (reference, answer) = (tidy(reference), tidy(answer));
    if reference.is_empty() || answer.is_empty() {
        return false;
    }
    if reference.split_whitespace().eq(answer.split_whitespace()) {
        return true;
    }
    let written = |text| token::tokens(text, true);
    if written(reference).is_some_and(|tokens| !tokens.is_empty() && Some(tokens) == written(answer)) {
        return true;
    }
    let budget = Budget::new();
    let is_equal = |joins_commas| {
        let read = |text| parse::parse(text, joins_commas);
        read(reference).zip(read(answer)).is_some_and(|(left, right)| equal::equal(&left, &right, &budget))
    };
    // `225,227` may be a number or a list.
    is_equal(true) || is_equal(false)
}

/// The final answer in a text, as it is written there.
pub(super) fn find(text: &str) -> Option<String> {
    extract::find(text)
}

/// The one spelling of an answer.
pub(super) fn spelling(answer: &str) -> String {
    let answer = tidy(answer);
    let spelled = parse::parse(answer, true).and_then(|expression| spelling::spell(&expression, &Budget::new()));
    spelled.filter(|spelled| spelled.len() <= LONGEST_SPELLING).unwrap_or_else(|| answer.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn tidy(text: &str) -> &str {
    text.trim_start().trim_end_matches(|letter: char| letter.is_whitespace() || ".,;:".contains(letter))
}
