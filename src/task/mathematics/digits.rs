//! Numbers in a text: groups of three digits, repeating decimals, powers of ten, digits beyond nine.

use std::sync::LazyLock;

use regex::Regex;

use super::token::{Lexer, Token};
use super::words;

/// The beginning of a numeral with its base as a subscript: `A3F_{16}`, `(2B)_{12}`, `\text{FF}_{\text{sixteen}}`.
static NUMERAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([0-9A-Za-z]+)\s*[)}]?\s*_\s*\{?\s*(?:\\(?:text|mathrm)\s*\{\s*)?([0-9]+|[a-z]+)")
        .expect("a valid pattern")
});
/// How many characters of a text are searched for a numeral with its base.
const LONGEST_NUMERAL: usize = 80;

/// How decimals show which digits repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Plain,
    /// Under a line, or in brackets.
    Line,
    /// Under a dot, which marks the first and the last repeating digit.
    Dot,
}

impl Lexer {
    /// Reads a number and joins its groups of three digits; `None` for groups that no number has, such as `1000,000`.
    pub(super) fn number(&mut self) -> Option<()> {
        let mut digits = self.digits();
        let may_have_groups = (1..=3).contains(&digits.len()) && !digits.starts_with('0');
        while may_have_groups && let Some(length) = self.separator() {
            self.at += length;
            digits += &self.digits();
        }
        let is_digit = |ahead| self.peek(ahead).is_some_and(|letter: char| letter.is_ascii_digit());
        if self.peek(0) == Some(',') && self.peek(1) == Some('0') && is_digit(2) {
            return None;
        }
        if self.peek(0) == Some('C') && is_digit(1) && !digits.is_empty() {
            return self.combinations(digits);
        }
        let mut repeating = String::new();
        if self.peek(0) == Some('.') {
            let point = self.at;
            self.at += 1;
            let marked = self.decimals();
            if marked.is_empty() && digits.is_empty() {
                return None;
            }
            if marked.is_empty() {
                self.at = point;
            } else {
                let (plain, repeats) = self.repetition(&marked)?;
                digits = format!("{digits}.{plain}");
                repeating = repeats;
            }
        }
        self.found.push(Token::Number { digits, repeating });
        self.scientific();
        Some(())
    }

    fn digits(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(|letter| letter.is_ascii_digit()) {
            self.at += 1;
        }
        self.source[start..self.at].iter().collect()
    }

    /// `10C3`
    fn combinations(&mut self, of: String) -> Option<()> {
        self.at += 1;
        let taken = self.digits();
        let braced = |digits| [Token::Sign('{'), number(digits), Token::Sign('}')];
        self.found.push(Token::Command("binom"));
        self.found.extend(braced(of).into_iter().chain(braced(taken)));
        Some(())
    }

    /// The length of a separator at this position that is followed by exactly three digits.
    fn separator(&self) -> Option<usize> {
        const ALWAYS: [&str; 9] = [",\\!\\!", ",\\!", "\\!,", "{,}", "{,\\!}", "\\,", "\\ ", "\\;", "{\\,}"];
        let plain = match self.peek(0)? {
            // No entry of a list is written `000`.
            ',' if self.peek(1) == Some('0') || (self.joins_commas && self.brackets == 0) => Some(1),
            ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '~' => Some(1),
            _ => None,
        };
        let always = ALWAYS.iter().find(|text| self.starts_with(self.at, text)).map(|text| text.chars().count());
        let length = always.or(plain)?;
        let is_digit = |ahead| self.peek(ahead).is_some_and(|letter: char| letter.is_ascii_digit());
        let is_group = (0..3).all(|offset| is_digit(length + offset)) && !is_digit(length + 3);
        // In `1 125/200` the fraction belongs to a mixed number.
        let after = (length + 3..).map_while(|ahead| self.peek(ahead)).find(|letter| *letter != ' ');
        (is_group && !(self.peek(0) == Some(' ') && after == Some('/'))).then_some(length)
    }

    /// The digits after a point, each with its mark.
    fn decimals(&mut self) -> Vec<(char, Mark)> {
        let mut found = Vec::new();
        loop {
            let mark = match self.peek(0) {
                Some(digit) if digit.is_ascii_digit() => {
                    self.at += 1;
                    let mark = match self.peek(0) {
                        Some('\u{304}' | '\u{305}') => Mark::Line,
                        Some('\u{307}') => Mark::Dot,
                        _ => Mark::Plain,
                    };
                    self.at += usize::from(mark != Mark::Plain);
                    found.push((digit, mark));
                    continue;
                }
                Some('\\' | '{' | ' ') => self.marking_command(),
                Some('(') => Some((1, ")", Mark::Line)),
                _ => None,
            };
            let Some((length, close, mark)) = mark else { return found };
            let after: String = self.source[self.at + length..].iter().collect();
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            // A command without braces takes one digit.
            let digits = if close.is_empty() { digits.chars().take(1).collect() } else { digits };
            if digits.is_empty() || !after[digits.len()..].starts_with(close) {
                return found;
            }
            self.at += length + digits.len() + close.len();
            found.extend(digits.chars().map(|digit| (digit, mark)));
        }
    }

    /// The length of the beginning of `\overline{3}`, `{\bar{3}}`, `\dot 3` and the like, what ends it, and its mark.
    fn marking_command(&self) -> Option<(usize, &'static str, Mark)> {
        static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(
                r"^ *(\{?)\\(?:(overline|bar|overbar|widehat|hat)|dot|(?:overset|stackrel)\{(?:\\cdot|\.|\\bullet)\}) *(\{?) *",
            )
            .expect("a valid pattern")
        });
        let rest: String = self.source[self.at..].iter().take(LONGEST_NUMERAL).collect();
        let found = COMMAND.captures(&rest)?;
        let is_open = |group| found.get(group).is_some_and(|brace| !brace.is_empty());
        let close = match (is_open(1), is_open(3)) {
            (true, true) => "}}",
            (false, false) => "",
            _ => "}",
        };
        Some((found.get(0)?.len(), close, if found.get(2).is_some() { Mark::Line } else { Mark::Dot }))
    }

    /// Splits decimals into those before the repeating ones and the repeating ones; `None` if it is unclear which
    /// repeat.
    fn repetition(&mut self, marked: &[(char, Mark)]) -> Option<(String, String)> {
        let digits: String = marked.iter().map(|(digit, _)| *digit).collect();
        let goes_on = self.skip_ellipsis();
        let Some(first) = marked.iter().position(|(_, mark)| *mark != Mark::Plain) else {
            if !goes_on {
                return Some((digits, String::new()));
            }
            let (start, length) = period(digits.as_bytes())?;
            return Some((digits[..start].to_owned(), digits[start..start + length].to_owned()));
        };
        let ends_well = match marked[first].1 {
            Mark::Line => marked[first..].iter().all(|(_, mark)| *mark == Mark::Line),
            _ => marked.last()?.1 == Mark::Dot && marked.iter().filter(|(_, mark)| *mark == Mark::Dot).count() <= 2,
        };
        ends_well.then(|| (digits[..first].to_owned(), digits[first..].to_owned()))
    }

    fn skip_ellipsis(&mut self) -> bool {
        const SPELLINGS: [&str; 5] = ["...", "…", "\\ldots", "\\dots", "\\cdots"];
        let start = self.at + self.source[self.at..].iter().take_while(|letter| **letter == ' ').count();
        let found = SPELLINGS.iter().find(|text| self.starts_with(start, text));
        self.at = found.map_or(self.at, |text| start + text.chars().count());
        found.is_some()
    }

    /// `e5` or `E-3` right after a number.
    fn scientific(&mut self) {
        let is_e = matches!(self.peek(0), Some('e' | 'E'));
        let is_signed = matches!(self.peek(1), Some('+' | '-' | '−'));
        let first = 1 + usize::from(is_signed);
        if !is_e || !self.peek(first).is_some_and(|letter| letter.is_ascii_digit()) {
            return;
        }
        let is_negative = is_signed && self.peek(1) != Some('+');
        self.at += first;
        let exponent = self.digits();
        self.found.extend([Token::Sign('*'), number("10".into()), Token::Sign('^')]);
        if is_negative {
            self.found.push(Token::Sign('-'));
        }
        self.found.push(number(exponent));
    }

    /// Reads a numeral with digits beyond nine, if there is one here with its base.
    pub(super) fn numeral(&mut self) -> bool {
        let rest: String = self.source[self.at..].iter().take(LONGEST_NUMERAL).collect();
        if let Some(digits) = rest.strip_prefix("0x") {
            let digits: String = digits.chars().take_while(char::is_ascii_alphanumeric).collect();
            if !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
                self.at += 2 + digits.len();
                self.found.extend([number(digits.to_uppercase()), Token::Sign('_'), number("16".into())]);
                return true;
            }
        }
        let Some((run, base)) = NUMERAL.captures(&rest).and_then(|found| Some((found.get(1)?, found.get(2)?))) else {
            return false;
        };
        let (run, base) = (run.as_str(), base.as_str());
        let base = words::base(base).unwrap_or(base).parse().unwrap_or(0);
        let is_digit = |letter: char| letter.to_digit(36).is_some_and(|digit| digit < base);
        let has_letters = run.contains(|letter: char| letter.is_ascii_alphabetic());
        // `x_{16}` and `ab_{12}` may be variables.
        let has_digits = run.contains(|letter: char| letter.is_ascii_digit());
        let is_plain = has_digits || (run.len() > 1 && run.to_uppercase() == run) || (run.len() > 2 && base == 16);
        let is_numeral = (11..=36).contains(&base) && has_letters && is_plain && run.chars().all(is_digit);
        if is_numeral {
            self.at += run.len();
            self.found.push(number(run.to_uppercase()));
        }
        is_numeral
    }

    /// `½`, or `^2` and `_2` for the small digits of Unicode.
    pub(super) fn small_digits(&mut self, first: char) -> bool {
        const FRACTIONS: &str = "½12 ⅓13 ⅔23 ¼14 ¾34 ⅕15 ⅖25 ⅗35 ⅘45 ⅙16 ⅚56 ⅐17 ⅛18 ⅜38 ⅝58 ⅞78 ⅑19";
        const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ";
        const LOWERED: &str = "₀₁₂₃₄₅₆₇₈₉";
        if let Some(parts) = FRACTIONS.split(' ').find_map(|fraction| fraction.strip_prefix(first)) {
            let braced = |digit: &str| [Token::Sign('{'), number(digit.to_owned()), Token::Sign('}')];
            self.found.push(Token::Command("frac"));
            self.found.extend(braced(&parts[..1]).into_iter().chain(braced(&parts[1..])));
            return true;
        }
        let Some((sign, row)) = [('^', RAISED), ('_', LOWERED)].into_iter().find(|(_, row)| row.contains(first)) else {
            return false;
        };
        let plain = |letter| row.chars().zip("0123456789+-n".chars()).find(|pair| pair.0 == letter).map(|pair| pair.1);
        let mut written: String = plain(first).into_iter().collect();
        while let Some(next) = self.peek(0).and_then(plain) {
            written.push(next);
            self.at += 1;
        }
        self.found.extend([Token::Sign(sign), Token::Sign('{')]);
        let mut digits = String::new();
        for letter in written.chars() {
            if letter.is_ascii_digit() {
                digits.push(letter);
                continue;
            }
            self.found.extend((!digits.is_empty()).then(|| number(std::mem::take(&mut digits))));
            self.found.push(if letter == 'n' { Token::Symbol("n".into()) } else { Token::Sign(letter) });
        }
        self.found.extend((!digits.is_empty()).then(|| number(digits)));
        self.found.push(Token::Sign('}'));
        true
    }
}

fn number(digits: String) -> Token {
    Token::Number { digits, repeating: String::new() }
}

/// Where the repeating part of the digits begins, as far as they are written, and its length. A single digit must occur
/// three times, a longer part twice.
fn period(digits: &[u8]) -> Option<(usize, usize)> {
    (1..=digits.len() / 2).find_map(|length| {
        let matching = (length..digits.len()).rev().take_while(|at| digits[*at] == digits[at - length]).count();
        (matching >= if length == 1 { 2 } else { length }).then(|| (digits.len() - matching - length, length))
    })
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    #[test]
    fn repeating_decimals_are_read_in_every_notation() {
        let check = |text, plain: &str, repeats: &str| {
            let expected = Token::Number { digits: plain.into(), repeating: repeats.into() };
            assert_eq!(tokens(text, true), Some(vec![expected]), "{text}");
        };
        check(r"0.2\overline{7}", "0.2", "7");
        check(r"0.{\overline{27}}", "0.", "27");
        check(r"0.\bar 4", "0.", "4");
        check(r"0.\bar{45}", "0.", "45");
        check(r"1.2\dot{7}", "1.2", "7");
        check(r"0.\dot12\dot{3}", "0.", "123");
        check(r"0.\overset{\cdot}{6}", "0.", "6");
        check("0.2(7)", "0.2", "7");
        check("0.(27)", "0.", "27");
        check("0.2\u{305}", "0.", "2");
        check("0.1\u{307}42\u{307}", "0.", "142");
        check("0.2777...", "0.2", "7");
        check(r"0.2727\ldots", "0.", "27");
        check("2.5", "2.5", "");
        for text in ["3.14...", r"0.\overline{3}4", r"0.\dot{1}2", "1000,000"] {
            assert_eq!(tokens(text, true), None, "{text}");
        }
    }
}
