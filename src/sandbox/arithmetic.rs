//! Exact arithmetic on 64-bit integers: `5 * (a - 7) / 2`.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = factor { ("*" | "/" | "%") factor }
//! factor  = ("-" | "+") factor | number | variable | "(" sum ")"
//! ```

use std::collections::BTreeMap;

/// Limit on nested signs and parentheses; recursion goes no deeper.
const MAX_DEPTH: usize = 32;
/// Pairs of signs with a meaning of their own in other languages, so the writer may not mean two separate signs.
const OTHER_LANGUAGES: [&str; 5] = ["//", "/*", "**", "++", "--"];

/// Values of variables.
pub(super) type Variables = BTreeMap<String, i64>;

/// The value of an expression, or why it has none.
pub(super) type Value = Result<i64, String>;

/// The value of an expression; `None` if the text is not an expression.
///
/// Nothing is rounded. A division with a remainder has no value, nor has anything that does not fit in 64 bits.
pub(super) fn evaluate(expression: &str, variables: &Variables) -> Option<Value> {
    if OTHER_LANGUAGES.iter().any(|pair| expression.contains(pair)) {
        return None;
    }
    let mut reader = Reader { rest: expression, variables };
    let value = reader.sum(0)?;
    reader.rest.trim_start().is_empty().then_some(value)
}

/// Reads an expression from left to right and computes as it goes.
struct Reader<'a> {
    rest: &'a str,
    variables: &'a Variables,
}

impl Reader<'_> {
    fn sum(&mut self, depth: usize) -> Option<Value> {
        let mut value = self.product(depth)?;
        while let Some(sign) = self.sign(&['+', '-']) {
            value = combine(value, sign, self.product(depth)?);
        }
        Some(value)
    }

    fn product(&mut self, depth: usize) -> Option<Value> {
        let mut value = self.factor(depth)?;
        while let Some(sign) = self.sign(&['*', '/', '%']) {
            value = combine(value, sign, self.factor(depth)?);
        }
        Some(value)
    }

    fn factor(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.sign(&['+', '-', '(']) {
            Some('(') => {
                let value = self.sum(depth + 1)?;
                self.sign(&[')'])?;
                Some(value)
            }
            Some('-') => Some(self.factor(depth + 1)?.and_then(negative)),
            Some(_) => self.factor(depth + 1),
            None => self.operand(),
        }
    }

    fn operand(&mut self) -> Option<Value> {
        let text = self.rest.trim_start();
        let length = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        let (word, rest) = text.split_at(length);
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(Ok(word.parse().ok()?));
        }
        let value = self.variables.get(word).copied().ok_or_else(|| format!("`{word}` has no value yet"));
        (!word.is_empty()).then_some(value)
    }

    /// Takes the next character if it is one of `signs`.
    fn sign(&mut self, signs: &[char]) -> Option<char> {
        let text = self.rest.trim_start();
        let sign = text.chars().next().filter(|sign| signs.contains(sign))?;
        self.rest = &text[sign.len_utf8()..];
        Some(sign)
    }
}

fn negative(a: i64) -> Value {
    a.checked_neg().ok_or_else(|| format!("-({a}) has no value"))
}

/// `a sign b`, if both have a value.
fn combine(a: Value, sign: char, b: Value) -> Value {
    let (a, b) = (a?, b?);
    let value = match sign {
        '+' => a.checked_add(b),
        '-' => a.checked_sub(b),
        '*' => a.checked_mul(b),
        '%' => a.checked_rem(b),
        _ => match a.checked_rem(b) {
            Some(0) | None => a.checked_div(b),
            Some(rest) => return Err(format!("{a} / {b} leaves {rest}")),
        },
    };
    value.ok_or_else(|| format!("{a} {sign} {b} has no value"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(expression: &str, expected: Option<Result<i64, &str>>) {
        let variables = Variables::from([("a".into(), 3), ("b".into(), -4)]);
        let expected = expected.map(|value| value.map_err(str::to_owned));
        assert_eq!(evaluate(expression, &variables), expected, "{expression}");
    }

    #[test]
    fn products_bind_closer_than_sums_and_signs_closest() {
        check("1 + 2 * 3", Some(Ok(7)));
        check("10 - 4 - 3", Some(Ok(3)));
        check("100 / 5 / 2", Some(Ok(10)));
        check("-a * b", Some(Ok(12)));
        check("(1 + 2) * (3 - -4)", Some(Ok(21)));
        check("17 % 5 + +1", Some(Ok(3)));
        check(" a*b ", Some(Ok(-12)));
    }

    #[test]
    fn what_has_no_value_says_why() {
        check("7 / 2", Some(Err("7 / 2 leaves 1")));
        check("7 / (a - 3)", Some(Err("7 / 0 has no value")));
        check("7 % 0", Some(Err("7 % 0 has no value")));
        check("c + 1", Some(Err("`c` has no value yet")));
        check("9223372036854775807 + 1", Some(Err("9223372036854775807 + 1 has no value")));
        check("-(-9223372036854775807 - 1)", Some(Err("-(-9223372036854775808) has no value")));
        check("(-9223372036854775807 - 1) / -1", Some(Err("-9223372036854775808 / -1 has no value")));
    }

    #[test]
    fn what_is_no_expression_has_neither() {
        for text in
            ["", "1 +", "(1", "1)", "()", "1 2", "a b", "2a", "8 // 3", "2 ** 3", "5--3", "7 / 0 +", "f(1)", "é", "1.5"]
        {
            check(text, None);
        }
        check("99999999999999999999", None);
        check(&format!("{}1{}", "(".repeat(500), ")".repeat(500)), None);
        check(&"- ".repeat(4000), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}", sums in "[a-c0-9 +*/%()-]{0,60}") {
            evaluate(&text, &Variables::new());
            evaluate(&sums, &Variables::from([("a".into(), i64::MIN)]));
        }

        #[test]
        fn sums_are_those_of_the_processor(a in -999i64..999, b in -999i64..999, c in 1i64..99) {
            let text = format!("({a}) * {c} - ({b}) + {c} * ({a} + {c})");
            prop_assert_eq!(evaluate(&text, &Variables::new()), Some(Ok(a * c - b + c * (a + c))));
        }
    }
}
