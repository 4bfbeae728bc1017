//! Final answers that are numbers, as in GSM8K: found in a text and spelled in one way.

use std::sync::LazyLock;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, Zero};
use regex::Regex;

use super::final_answer::{Announced, Mark, announced, marked, sentence};
use super::numeral::{self, ARITHMETIC, plain};

/// The maximum number of digits of a decimal that is written out.
const LONGEST: usize = 100;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

static CHOICE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\beither\b|[0-9][^0-9.;=\n]{0,24}\bor\b[^0-9.;=\n]{0,12}[0-9]|\bbetween\b[^0-9\n]{0,12}[0-9.,]+ and ")
});
static REFUSAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:cannot|can['’]?t|unable to|impossible to|not possible to|don['’]t know|do not know|not enough|insufficient|no (?:valid |real )?(?:answer|solution))\b",
    )
});
/// The number that a text gives as its final answer, in its canonical spelling.
pub(super) fn extract(text: &str) -> Option<String> {
    let found = match marked(text) {
        Mark::Answer(answer) => stated(answer, false),
        Mark::Withdrawn => None,
        Mark::None => match announced(text) {
            Some(None) => None,
            Some(Some(Announced { clause, on_next_line })) => stated(sentence(clause), on_next_line),
            None => concluded(text),
        },
    };
    found.map(|number| spelling(&number))
}

/// The number that a clause states: the first one, or the one after its last `=`.
fn stated(clause: &str, may_be_listed: bool) -> Option<BigRational> {
    if CHOICE.is_match(clause) || REFUSAL.is_match(clause) {
        return None;
    }
    let clause = plain(clause);
    let holds_digits = |text: &&str| text.contains(|letter: char| letter.is_ascii_digit());
    let result = clause.rsplit('=').find(holds_digits).unwrap_or(&clause);
    if let Some(number) = in_words(result) {
        return Some(number);
    }
    let found = ARITHMETIC.find(result)?;
    // In a list, the dash before an item is not a sign.
    let is_item = result[..found.start()].contains("- ") || !result[found.end()..].trim().is_empty();
    numeral::value(result, found, may_be_listed && is_item)
}

/// The last number of a text without an announcement.
fn concluded(text: &str) -> Option<BigRational> {
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    if REFUSAL.is_match(line) || CHOICE.is_match(line) {
        return None;
    }
    let line = text.lines().rev().find(|line| ARITHMETIC.is_match(line) || in_words(line).is_some())?;
    let line = plain(line);
    let Some(found) = ARITHMETIC.find_iter(&line).last() else { return in_words(&line) };
    let is_list = text.trim().contains('\n');
    let is_item = is_list && line[..found.start()].trim_start().starts_with("- ");
    numeral::value(&line, found, is_item)
}

/// A number written in words at the start of a text.
fn in_words(text: &str) -> Option<BigRational> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    /// After a number in words, these change its value.
    const PARTS: [&str; 17] = [
        "quarters", "half", "halves", "third", "thirds", "quarter", "fourth", "fourths", "fifth", "fifths", "tenth",
        "tenths", "point", "to", "or", "plus", "minus",
    ];
    let lower = text.to_lowercase();
    let (mut total, mut group, mut found, mut is_negative) = (0_u64, 0_u64, false, false);
    for word in lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let position = |words: &[&str]| words.iter().position(|known| *known == word).map(|at| at as u64);
        if let Some(small) = position(&SMALL) {
            group += small;
        } else if let Some(tens) = position(&TENS) {
            group += 10 * (tens + 2);
        } else if word == "hundred" && found {
            group = group.checked_mul(100)?;
        } else if let Some(size) = position(&["thousand", "million"])
            && found
        {
            total = total.checked_add(group.checked_mul(1000_u64.pow(size as u32 + 1))?)?;
            group = 0;
        } else if !found && matches!(word, "a" | "exactly" | "about" | "is" | "therefore" | "thus") {
            continue;
        } else if !found && matches!(word, "minus" | "negative") {
            is_negative = true;
            continue;
        } else if found && matches!(word, "and" | "a") {
            continue;
        } else if found && PARTS.contains(&word) {
            return None;
        } else {
            break;
        }
        found = true;
    }
    let number = BigRational::from_integer(total.checked_add(group)?.into());
    found.then(|| if is_negative { -number } else { number })
}

/// `n`, as a decimal if that is finite, otherwise `n/d`.
fn spelling(number: &BigRational) -> String {
    let mut rest = number.denom().clone();
    let mut decimals = 0_usize;
    for factor in [2_u32, 5] {
        let mut count = 0;
        while (&rest % factor).is_zero() {
            rest /= factor;
            count += 1;
        }
        decimals = decimals.max(count);
    }
    if !rest.is_one() || decimals == 0 || decimals > LONGEST {
        return number.to_string();
    }
    let scaled = (number * BigRational::from_integer(Pow::pow(BigInt::from(10), decimals))).to_integer();
    let sign = if scaled.is_negative() { "-" } else { "" };
    let digits = format!("{:0>width$}", scaled.magnitude().to_string(), width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    format!("{sign}{whole}.{part}")
}
