//! Final answers that are numbers, as GSM8K has them: found in a text and written in one way.

use std::sync::LazyLock;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, Zero};
use regex::Regex;

use super::final_answer::{Announced, Mark, announced, marked, sentence};

/// Decimals beyond these are noise of binary arithmetic where a number has more of them: `7.000000001` is 7.
const DECIMALS: usize = 8;
/// Digits of the longest number that is read.
const LONGEST: usize = 100;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// One number: digits, in groups or not, decimals, a power of ten, a word for its size.
const NUMBER: &str = concat!(
    r"(?:(?:[0-9]{1,3}(?:[, ][0-9]{3})+\b|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)",
    r"(?:[eE][+-]?[0-9]{1,2}\b)?(?:\s(?:thousand|million|billion)\b)?"
);

/// Numbers joined by arithmetic, such as `2*3`, `1 1/2` or `88-78`.
static ARITHMETIC: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"{NUMBER}(?:\s{NUMBER}/{NUMBER}|\s?[*×·x/+–-]\s?[$€£]?{NUMBER})*")));
static PART: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?P<sign>[*×·x/+–-]|\s)?[\s$€£]*(?P<number>{NUMBER})")));
static DIGITS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^([0-9, ]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?(?:\s(thousand|million|billion))?$"));
static CHOICE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\beither\b|[0-9][^0-9.;=\n]{0,24}\bor\b[^0-9.;=\n]{0,12}[0-9]|\bbetween\b[^0-9\n]{0,12}[0-9.,]+ and ")
});
static REFUSAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:cannot|can['’]?t|unable to|impossible to|not possible to|don['’]t know|do not know|not enough|insufficient|no (?:valid |real )?(?:answer|solution))\b",
    )
});
static TEXT_COMMAND: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\(?:text|mbox|mathrm|textbf|boxed)\s*\{([^{}]*)\}"));
static FRACTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"));

/// The number that a text gives as its final answer, in its one spelling.
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

/// The number that a clause states: the first one, or after its last `=`.
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
    // In a list the dash before an item is no sign.
    let is_listed = may_be_listed && !result[found.end()..].trim().is_empty();
    let number = computed(found.as_str())?;
    Some(if !is_listed && is_negative(&result[..found.start()]) { -number } else { number })
}

/// The last number of a text that announces nothing.
fn concluded(text: &str) -> Option<BigRational> {
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    if REFUSAL.is_match(line) || CHOICE.is_match(line) {
        return None;
    }
    let line = text.lines().rev().find(|line| ARITHMETIC.is_match(line) || in_words(line).is_some())?;
    let line = plain(line);
    let Some(found) = ARITHMETIC.find_iter(&line).last() else { return in_words(&line) };
    let number = computed(found.as_str())?;
    Some(if is_negative(&line[..found.start()]) { -number } else { number })
}

/// Without the LaTeX around numbers.
fn plain(text: &str) -> String {
    let text = text.replace("{,}", ",").replace(",\\!", ",").replace("\\!", "").replace("\\,", " ");
    let text = text.replace("\\$", "$").replace("\\%", "%").replace("\\times", "*").replace("\\cdot", "*");
    let text = text.replace(['−', '‑'], "-").replace("**", "").replace('\u{a0}', " ");
    let text = TEXT_COMMAND.replace_all(&text, " $1 ");
    FRACTION.replace_all(&text, "$1/$2").replace('$', "").replace("\\(", "").replace("\\)", "")
}

/// Whether the text before a number ends with its sign.
fn is_negative(before: &str) -> bool {
    let before = before.trim_end_matches(['$', '€', '£']);
    let Some(rest) = before.strip_suffix('-') else { return false };
    !rest.ends_with(|letter: char| letter.is_alphanumeric() || letter == ')')
}

/// The value of an arithmetic expression; none for what may be a range, such as `3-5`.
fn computed(expression: &str) -> Option<BigRational> {
    let mut sum = BigRational::zero();
    let mut product: Option<BigRational> = None;
    let mut pending: Option<BigRational> = None;
    for part in PART.captures_iter(expression) {
        let number = one(part.name("number")?.as_str())?;
        match (part.name("sign").map(|sign| sign.as_str()), product.take()) {
            (_, None) => product = Some(number),
            (Some("*" | "×" | "·" | "x"), Some(left)) => product = Some(left * number),
            (Some("/"), Some(left)) if !number.is_zero() => product = Some(left / number),
            (Some("+"), Some(left)) => {
                sum += left;
                product = Some(number);
            }
            // `1 1/2`: what comes next must divide.
            (Some(sign), Some(left)) if sign.trim().is_empty() && pending.is_none() => {
                pending = Some(left.clone());
                sum += left;
                product = Some(number);
            }
            _ => return None,
        }
    }
    let last = product?;
    if pending.is_some_and(|whole| !whole.is_integer() || last >= BigRational::one()) {
        return None;
    }
    Some(sum + last)
}

fn one(number: &str) -> Option<BigRational> {
    let parts = DIGITS.captures(number)?;
    let text = |group| parts.get(group).map_or("", |part| part.as_str());
    let (whole, decimals) = (text(1).replace([',', ' '], ""), text(2));
    if whole.len() + decimals.len() > LONGEST {
        return None;
    }
    let size = match text(4) {
        "thousand" => 3,
        "million" => 6,
        "billion" => 9,
        _ => 0,
    };
    let exponent: i32 = if text(3).is_empty() { 0 } else { text(3).parse().ok()? };
    let digits: BigInt = format!("{whole}{decimals}").parse().ok()?;
    let ten = || BigRational::from_integer(10.into());
    let power = i32::try_from(decimals.len()).ok()?;
    let number = BigRational::from_integer(digits) * Pow::pow(ten(), size + exponent - power);
    if decimals.len() <= DECIMALS {
        return Some(number);
    }
    let scale: BigRational = Pow::pow(ten(), DECIMALS);
    Some((number * &scale).round() / scale)
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
        } else if found && word == "and" {
            continue;
        } else {
            break;
        }
        found = true;
    }
    let number = BigRational::from_integer(total.checked_add(group)?.into());
    found.then(|| if is_negative { -number } else { number })
}

/// `n`, a decimal where it ends, else `n/d`.
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
