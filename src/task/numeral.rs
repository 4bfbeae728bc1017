//! Numbers as texts write them: groups of digits, sizes, fractions, arithmetic, and surrounding text that changes their
//! value.

use std::sync::LazyLock;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, ToPrimitive, Zero};
use regex::{Captures, Match, Regex};

/// If a number is an integer up to this many decimals, the rest is noise of binary arithmetic: `7.000000001` is 7.
const DECIMALS: usize = 8;
/// The maximum number of digits of a number that is read.
const LONGEST: usize = 100;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// One number: digits, in groups or not, decimals, a power, a word for its size.
const NUMBER: &str = concat!(
    r"(?:(?:[0-9]{1,3}(?:(?:,[0-9]{3})+|(?: [0-9]{3})+|(?:_[0-9]{3})+|(?:['’][0-9]{3})+)\b|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)",
    r"(?:[eE][+-]?[0-9]{1,2}\b|\s?\^\s?(?:[0-9]{1,3}|\{[0-9]{1,3}\}))?",
    r"(?:(?:\s?k|K|M|mn|B|bn)\b|\s(?:hundred|thousand|million|billion|trillion|lakh|crore)\b)?"
);

/// Numbers joined by arithmetic, such as `2*3`, `1 1/2` or `88-78`.
pub(super) static ARITHMETIC: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"{NUMBER}(?:\s{NUMBER}/{NUMBER}|\s?[*×·x/+-]\s?[$€£]?{NUMBER})*")));
static PART: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?P<sign>[*×·x/+-]|\s)?[\s$€£]*(?P<number>{NUMBER})")));
static DIGITS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^([0-9, _'’]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?(?:\s?\^\s?\{?([0-9]+)\}?)?",
        r"(?:\s?(k|K|M|mn|B|bn|hundred|thousand|million|billion|trillion|lakh|crore))?$"
    ))
});

/// Text right before a number that changes its value or makes it only part of a number.
static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)(?: [0-9][,.:_'’^] | (?:^|\s)[<>]=? | [≤≥≠±√] | [0-9)]\s(?:plus|minus|times|divided\sby) | \\sqrt\{? | sqrt\(
        | \b(?:more|less|fewer|greater|higher|lower|bigger|smaller|larger)\sthan
        | (?:^|\b(?:is|are|was|just|well))\s*(?:over|under|above|below) | \b(?:almost|nearly|not) )\s*[$€£]?$",
    )
});
/// Text right after a number that changes its value: more digits, a time, a range, a unit that is a fraction.
static AFTER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?x)^(?: !?[0-9\^(] | (?:[,:_'’]|\.+)[0-9] | \s:\s[0-9] | \s?(?:π|√|\\pi|\\sqrt|pi\b|sqrt|±|\+/-) | [xyznie]\b
        | \s?(?:and|&|to|through)\s?[$€£]?[0-9] | ,\s?[0-9][0-9.,]*\s*$ | \s?-\s?[0-9]
        | \s(?:plus|minus|times|divided\sby|multiplied\sby)\s[$€£]?[0-9]
        | [\s-]?(?:tenth|hundredth|thousandth|millionth|third|fifth|sixth|seventh|eighth|ninth|twelfth)s\b
        | [\s-]?(?:half|halves)\b )",
    )
});
static PART_OF_ONE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s+and\s+(a|one|two|three)[\s-](half|third|quarter|fourth)s?\b"));
static NEGATIVE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?:^|[^0-9)\s]\s*|^\s*)\b(?:negative|minus)\s*[$€£]?$"));

static TEXT_COMMAND: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\\(?:text|mbox|mathrm|textbf|mathbf|boxed)\s*\{([^{}]*)\}"));
static FRACTION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|([0-9]))\s*(?:\{([^{}]*)\}|([0-9]))"));
/// A full hour is a number of hours.
static HOUR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(1?[0-9]):00\s?([ap]\.?m\b|o['’]clock)"));
static STARS: LazyLock<Regex> = LazyLock::new(|| pattern(r"([0-9)])\s?\*\*\s?([0-9])"));

/// A text without the LaTeX around its numbers, with each sign written in one way.
pub(super) fn plain(text: &str) -> String {
    let text = text.replace("{,}", ",").replace(",\\!", ",").replace("\\!", "").replace("\\,", " ");
    let text = text.replace("\\$", "$").replace("\\%", "%").replace("\\times", "*").replace("\\cdot", "*");
    let text = text.replace("— ", " ").replace(['−', '‑', '‐', '‒', '–', '—', '－', '﹣'], "-");
    let text = HOUR.replace_all(&text, "$1 $2");
    let text = STARS.replace_all(&text, "$1^$2").replace("**", "");
    let text = text.replace(['\u{a0}', '\u{2009}', '\u{202f}'], " ").replace("\\left", "").replace("\\right", "");
    let text = TEXT_COMMAND.replace_all(&text, " $1 ");
    let fraction = |found: &Captures<'_>| {
        let part =
            |groups: [usize; 2]| groups.iter().find_map(|group| found.get(*group)).map_or("", |part| part.as_str());
        // In `2\frac12` the fraction belongs to a mixed number.
        let follows_digit =
            text[..found.get(0).map_or(0, |whole| whole.start())].ends_with(|letter: char| letter.is_ascii_digit());
        format!("{}{}/{}", if follows_digit { " " } else { "" }, part([1, 2]), part([3, 4]))
    };
    let text = FRACTION.replace_all(&text, fraction);
    small_digits(&text).replace('$', "").replace("\\(", "").replace("\\)", "")
}

/// `½` as ` 1/2` and `³` as `^3`.
fn small_digits(text: &str) -> String {
    const FRACTIONS: [(char, &str); 9] = [
        ('½', " 1/2"),
        ('⅓', " 1/3"),
        ('⅔', " 2/3"),
        ('¼', " 1/4"),
        ('¾', " 3/4"),
        ('⅕', " 1/5"),
        ('⅛', " 1/8"),
        ('⅜', " 3/8"),
        ('⅞', " 7/8"),
    ];
    let mut plain = String::with_capacity(text.len());
    let mut is_raised = false;
    for letter in text.chars() {
        let raised = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == letter);
        match raised.and_then(|digit| char::from_digit(digit as u32, 10)) {
            Some(digit) => {
                plain.extend((!is_raised).then_some('^'));
                plain.push(digit);
            }
            None => match FRACTIONS.iter().find(|(fraction, _)| *fraction == letter) {
                Some((_, written)) => plain += written,
                None => plain.push(letter),
            },
        }
        is_raised = raised.is_some();
    }
    plain
}

/// The value of the arithmetic found in a text, unless the surrounding text changes it.
///
/// A dash followed by a space is a sign only after `=`, `:` or `(`, or if nothing precedes it; the latter not if
/// `may_be_listed`.
pub(super) fn value(text: &str, found: Match<'_>, may_be_listed: bool) -> Option<BigRational> {
    let (before, after) = (&text[..found.start()], &text[found.end()..]);
    let has_decimals = found.as_str().contains('.');
    let goes_on = has_decimals && (after.starts_with("...") || after.starts_with('…'));
    if goes_on || BEFORE.is_match(before) || AFTER.is_match(after) {
        return None;
    }
    let number = computed(found.as_str())? + part_of_one(after);
    Some(if is_negative(before, may_be_listed) { -number } else { number })
}

/// `and a half` after a number.
fn part_of_one(after: &str) -> BigRational {
    let Some(found) = PART_OF_ONE.captures(after) else { return BigRational::zero() };
    let count = match &found[1] {
        "two" => 2,
        "three" => 3,
        _ => 1,
    };
    let parts = match &found[2] {
        "half" => 2,
        "third" => 3,
        _ => 4,
    };
    BigRational::new(count.into(), parts.into())
}

/// Whether the text before a number ends with its sign.
fn is_negative(before: &str, may_be_listed: bool) -> bool {
    if NEGATIVE.is_match(before) {
        return true;
    }
    let before = before.trim_end_matches(['$', '€', '£']);
    let dash = before.trim_end();
    let Some(rest) = dash.strip_suffix('-') else { return false };
    let is_glued = dash.len() == before.len();
    let rest = if is_glued { rest } else { rest.trim_end() };
    if is_glued {
        let is_joined = rest.ends_with(|letter: char| letter.is_alphanumeric() || letter == ')');
        let is_item = may_be_listed && rest.trim().is_empty();
        !is_joined && !is_item
    } else {
        (rest.is_empty() && !may_be_listed) || rest.ends_with(['=', ':', '('])
    }
}

/// The value of an arithmetic expression; `None` if it may be a range, such as `3-5`.
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
            // `1 1/2`: a division must follow.
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
    let (whole, decimals) = (text(1).replace([',', ' ', '_', '\'', '’'], ""), text(2));
    if whole.len() + decimals.len() > LONGEST {
        return None;
    }
    let size = match text(5) {
        "hundred" => 2,
        "thousand" | "k" | "K" => 3,
        "lakh" => 5,
        "million" | "M" | "mn" => 6,
        "crore" => 7,
        "billion" | "B" | "bn" => 9,
        "trillion" => 12,
        _ => 0,
    };
    let exponent: i32 = if text(3).is_empty() { 0 } else { text(3).parse().ok()? };
    let digits: BigInt = format!("{whole}{decimals}").parse().ok()?;
    let ten = || BigRational::from_integer(10.into());
    let mut number = BigRational::from_integer(digits) / Pow::pow(ten(), i32::try_from(decimals.len()).ok()?);
    if decimals.len() > DECIMALS {
        let scale: BigRational = Pow::pow(ten(), DECIMALS);
        let rounded = (&number * &scale).round() / scale;
        number = if rounded.is_integer() { rounded } else { number };
    }
    if !text(4).is_empty() {
        let power: u32 = text(4).parse().ok()?;
        let length = (whole.len() + decimals.len()).to_u32()?;
        number = if power * length > 3 * LONGEST as u32 { return None } else { Pow::pow(number, power) };
    }
    Some(number * Pow::pow(ten(), size + exponent))
}
