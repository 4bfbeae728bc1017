//! Exact evaluation of small integer programs, `a = 5 * 12 ; b = a - 7 ; return b`, and of the equations in a text.

use std::sync::LazyLock;

use regex::Regex;

use super::arithmetic::{self, Variables};

/// Longer programs and expressions are refused unread.
const MAX_LENGTH: usize = 4096;
/// Arithmetic at the end and at the start of a text.
static SUFFIX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:[0-9 +\-*/%()]|\b(?:max|min)\b)+$").expect("a valid pattern"));
static PREFIX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:[0-9 +\-*/%()]|\b(?:max|min)\b)+").expect("a valid pattern"));
/// Operators that are words.
const PICKS: [&str; 2] = ["max", "min"];

/// Evaluates integer arithmetic on 64 bits without rounding.
///
/// Programs have `+ - * /` and parentheses. Equations may also have `%`, `a max b` and `a min b`. The last two bind
/// most loosely and cannot stand inside parentheses.
///
/// A division with a remainder is an error, and so are an overflow and a division by zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evaluator;

/// A program that ran to its `return`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    pub value: i64,
    /// The intermediate computations, in numbers: `5 * 12 = 60`.
    pub steps: Vec<String>,
}

/// Why a program gave no value. The model caused this; it is not a fault of the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    #[error("expected at most {MAX_LENGTH} bytes, found {0}")]
    TooLong(usize),
    #[error("expected `letter = expression` or `return expression`, found `{0}`")]
    Statement(String),
    #[error("cannot read `{0}`")]
    Expression(String),
    #[error("`{expression}`: {reason}")]
    Arithmetic { expression: String, reason: String },
    #[error("the program returns nothing")]
    NoReturn,
}

impl Evaluator {
    /// Runs statements, separated by `;` or newlines, up to the first `return`.
    ///
    /// # Errors
    /// Tells the model what is wrong with its program.
    pub fn run(&self, program: &str) -> Result<Executed, ProgramError> {
        if program.len() > MAX_LENGTH {
            return Err(ProgramError::TooLong(program.len()));
        }
        let mut variables = Variables::new();
        let mut steps = Vec::new();
        for statement in program.split([';', '\n']).map(str::trim).filter(|statement| !statement.is_empty()) {
            let (variable, expression) =
                read_statement(statement).ok_or_else(|| ProgramError::Statement(statement.to_owned()))?;
            if expression.contains('%') || PICKS.iter().any(|word| last_word(expression, word).is_some()) {
                return Err(ProgramError::Expression(expression.to_owned()));
            }
            let value = self.evaluate(expression, &variables)?;
            if has_operator(expression) {
                steps.push(format!("{} = {value}", in_numbers(expression, &variables)));
            }
            match variable {
                Some(variable) => variables.insert(variable.to_owned(), value),
                None => return Ok(Executed { value, steps }),
            };
        }
        Err(ProgramError::NoReturn)
    }

    /// The first equation in `text` that does not hold, as it is written there. Text that is not an equation between
    /// integers, such as `x = 5` or `7 / 2 = 3.5`, is skipped.
    pub fn wrong_equation(&self, text: &str) -> Option<String> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let text = without_group_commas(text);
        text.match_indices('=').find_map(|(at, _)| {
            let left = arithmetic_suffix(&text[..at])?;
            let right = arithmetic_prefix(&text[at + 1..])?;
            let holds = (has_operator(left) || has_operator(right)).then(|| self.equal(left, right))??;
            (!holds).then(|| format!("{left} = {right}"))
        })
    }

    /// Whether both sides have the same value; `None` if a side is not arithmetic.
    fn equal(&self, left: &str, right: &str) -> Option<bool> {
        let side = |expression| match self.evaluate(expression, &Variables::new()) {
            Ok(value) => Some(Some(value)),
            Err(ProgramError::Arithmetic { .. }) => Some(None),
            Err(_) => None,
        };
        let (left, right) = (side(left)?, side(right)?);
        Some(left.is_some() && left == right)
    }

    fn evaluate(&self, expression: &str, variables: &Variables) -> Result<i64, ProgramError> {
        if let Ok(number) = expression.parse() {
            return Ok(number);
        }
        if let Some((at, word)) = PICKS.iter().filter_map(|word| Some((last_word(expression, word)?, *word))).max() {
            let left = self.evaluate(expression[..at].trim(), variables)?;
            let right = self.evaluate(expression[at + word.len()..].trim(), variables)?;
            return Ok(if word == "max" { left.max(right) } else { left.min(right) });
        }
        match arithmetic::evaluate(expression, variables) {
            None => Err(ProgramError::Expression(expression.to_owned())),
            Some(Err(reason)) => Err(ProgramError::Arithmetic { expression: expression.to_owned(), reason }),
            Some(Ok(value)) => Ok(value),
        }
    }
}

/// The last position at which `word` stands between spaces.
fn last_word(text: &str, word: &str) -> Option<usize> {
    text.rfind(&format!(" {word} ")).map(|space| space + 1)
}

/// The assigned variable (none for `return`) and the expression.
fn read_statement(statement: &str) -> Option<(Option<&str>, &str)> {
    if let Some(expression) = statement.strip_prefix("return").filter(|rest| rest.starts_with([' ', '('])) {
        return Some((None, expression.trim()));
    }
    let (variable, expression) = statement.split_once('=')?;
    let variable = variable.trim();
    let is_letter = variable.len() == 1 && variable.bytes().all(|byte| byte.is_ascii_lowercase());
    is_letter.then_some((Some(variable), expression.trim()))
}

/// Whether anything is computed; a sign before a single number does not count.
fn has_operator(expression: &str) -> bool {
    let expression = expression.trim_start_matches(['-', ' ']);
    expression.contains(['+', '-', '*', '/', '%', '(']) || PICKS.iter().any(|word| expression.contains(word))
}

/// The expression with variables replaced by their values.
fn in_numbers(expression: &str, variables: &Variables) -> String {
    let mut text = String::with_capacity(expression.len() + 8);
    let mut word = String::new();
    for c in expression.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        match variables.get(&word) {
            Some(value) if *value < 0 => text.push_str(&format!("({value})")),
            Some(value) => text.push_str(&value.to_string()),
            None => text.push_str(&word),
        }
        word.clear();
        text.push(c);
    }
    text.truncate(text.trim_end().len());
    text
}

/// The arithmetic at the end of `text`; `None` if it is cut off from an operand that is not an integer.
fn arithmetic_suffix(text: &str) -> Option<&str> {
    let (before, suffix) = text.split_at(SUFFIX.find(text)?.start());
    let is_decimal = before.ends_with('.') && suffix.starts_with(|c: char| c.is_ascii_digit());
    let suffix = suffix.trim();
    let lacks_operand = suffix.starts_with(['+', '*', '/', '%']) || suffix.starts_with("- ");
    (!is_decimal && !lacks_operand && !suffix.is_empty()).then_some(suffix)
}

/// The arithmetic at the start of `text`, after a currency sign; `None` if its last number is a decimal fraction.
fn arithmetic_prefix(text: &str) -> Option<&str> {
    let text = text.trim_start().trim_start_matches('$');
    let (prefix, after) = text.split_at(PREFIX.find(text)?.end());
    let is_decimal = prefix.ends_with(|c: char| c.is_ascii_digit())
        && after.strip_prefix('.').is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()));
    let prefix = prefix.trim();
    (!is_decimal && !prefix.is_empty()).then_some(prefix)
}

/// `1,000` as `1000`; other commas stay.
fn without_group_commas(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let groups = |at: usize| at > 0 && digit(at - 1) && (1..4).all(|i| digit(at + i)) && !digit(at + 4);
    text.char_indices().filter(|&(at, c)| c != ',' || !groups(at)).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(program: &str, expected: Result<i64, &str>) {
        let found = Evaluator.run(program).map(|executed| executed.value).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{program}");
    }

    #[test]
    fn programs_compute_exactly() {
        check("a = 5 * 12 ; b = a - 7 ; return b", Ok(53));
        check("return 42", Ok(42));
        check("a = 7\nreturn (a + 5) / 4", Ok(3));
        check("a = 17 ; return a % 5", Err("cannot read `a % 5`"));
        check("return 3 max 9", Err("cannot read `3 max 9`"));
        check("a = 3 ; a = a * a ; return -a", Ok(-9));
        check("a = 1 ; return a ; b = x", Ok(1));
        check("return 7 / 2", Err("`7 / 2`: 7 / 2 leaves 1"));
        check("return 7 / 0", Err("`7 / 0`: 7 / 0 has no value"));
        check("return a", Err("`a`: `a` has no value yet"));
        check("a = 5", Err("the program returns nothing"));
        check("", Err("the program returns nothing"));
        check("ab = 5", Err("expected `letter = expression` or `return expression`, found `ab = 5`"));
        check("return 8 // 3", Err("cannot read `8 // 3`"));
        check("return print(1)", Err("cannot read `print(1)`"));
        check("return \"a\"", Err("cannot read `\"a\"`"));
        check("return 1 +", Err("cannot read `1 +`"));
        assert!(Evaluator.run("return 9223372036854775807 + 1").is_err());
        assert!(Evaluator.run(&format!("return {}1{}", "(".repeat(500), ")".repeat(500))).is_err());
        assert!(Evaluator.run(&format!("return {}", "1 + ".repeat(2000))).is_err());
    }

    #[test]
    fn steps_are_worded_in_numbers() {
        let steps = |program| Evaluator.run(program).map(|executed| executed.steps);
        assert_eq!(steps("a = 5 ; b = a * 12 ; return b - 7"), Ok(vec!["5 * 12 = 60".into(), "60 - 7 = 53".into()]));
        assert_eq!(steps("a = 3 - 5 ; return a * 2"), Ok(vec!["3 - 5 = -2".into(), "(-2) * 2 = -4".into()]));
    }

    #[track_caller]
    fn check_equation(text: &str, wrong: Option<&str>) {
        assert_eq!(Evaluator.wrong_equation(text).as_deref(), wrong, "{text}");
    }

    #[test]
    fn wrong_equations_are_found() {
        check_equation("13 + 7 = 20 . 20 / 2 = 10 . the answer is 10", None);
        check_equation("13 + 7 = 21 . 20 / 2 = 10 .", Some("13 + 7 = 21"));
        check_equation("13 + 7 = 20 . 21 / 2 = 10 .", Some("21 / 2 = 10"));
        check_equation("so 1,200 * $2 = 2", None);
        check_equation("1,200 * 2 = $2,500", Some("1200 * 2 = 2500"));
        check_equation("17 = 3 * 5 + 1", Some("17 = 3 * 5 + 1"));
        check_equation("42", None);
        check_equation("x = 5 , y - 2 = 9 , 7 / 2 = 3.5 , 1.5 * 2 = 3", None);
        check_equation("2 * (3 + 4) = 15", Some("2 * (3 + 4) = 15"));
        check_equation("12 max 30 = 30 . 7 min 4 = 7 .", Some("7 min 4 = 7"));
        check_equation("30 max 12 = 12", Some("30 max 12 = 12"));
        check_equation("the climax 5 + 3 = 9 of max = 3", Some("5 + 3 = 9"));
        check_equation("5 = 6", None);
        check_equation("== = 3 + = é 2 = 2 +", None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}", sums in "[a-c0-9 =;.+*/%()-]{0,60}return [a-c0-9 +*/%()-]{0,20}") {
            let evaluator = Evaluator;
            for text in [text, sums] {
                evaluator.run(&text).ok();
                evaluator.wrong_equation(&text);
            }
        }

        #[test]
        fn right_equations_hold(a in -999i64..999, b in 1i64..999) {
            let evaluator = Evaluator;
            let text = format!("{a} + {b} = {} . {a} * {b} = {} . {} / {b} = {a}", a + b, a * b, a * b);
            prop_assert_eq!(evaluator.wrong_equation(&text), None);
            let wrong = format!("{a} - {b} = {}", a - b + 1);
            prop_assert_eq!(evaluator.wrong_equation(&wrong), Some(wrong));
        }
    }
}
