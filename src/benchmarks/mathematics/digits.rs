//! Numbers in a text: groups of three digits, repeating decimals, powers of ten.

use super::token::{Lexer, Token};

const OVERLINE: &str = "\\overline";

impl Lexer {
    /// A number, its groups of three joined.
    pub(super) fn number(&mut self) {
        let mut digits = self.digits();
        let may_have_groups = (1..=3).contains(&digits.len()) && !digits.starts_with('0');
        while may_have_groups && let Some(length) = self.separator() {
            self.at += length;
            digits += &self.digits();
        }
        let mut repeating = String::new();
        let repeats = |lexer: &Lexer, ahead| lexer.starts_with(lexer.at + ahead, OVERLINE);
        if self.peek(0) == Some('.') && (self.peek(1).is_some_and(|next| next.is_ascii_digit()) || repeats(self, 1)) {
            self.at += 1;
            digits.push('.');
            digits += &self.digits();
            if repeats(self, 0) {
                repeating = self.repeating();
            }
        }
        self.found.push(Token::Number { digits, repeating });
        self.scientific();
    }

    fn digits(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(|letter| letter.is_ascii_digit()) {
            self.at += 1;
        }
        self.source[start..self.at].iter().collect()
    }

    /// The length of a separator here with exactly three digits after it.
    fn separator(&self) -> Option<usize> {
        const ALWAYS: [&str; 9] = [",\\!\\!", ",\\!", "\\!,", "{,}", "{,\\!}", "\\,", "\\ ", "\\;", "{\\,}"];
        let plain = match self.peek(0)? {
            ',' if self.joins_commas && self.brackets == 0 => Some(1),
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

    /// The digits in `\overline{...}`.
    fn repeating(&mut self) -> String {
        let after = self.at + OVERLINE.len();
        let inside = self.source[after.min(self.source.len())..].iter().skip_while(|letter| **letter == '{');
        let digits: String = inside.take_while(|letter| letter.is_ascii_digit()).collect();
        let is_braced = self.source.get(after) == Some(&'{');
        let end = after + digits.len() + if is_braced { 2 } else { 0 };
        if digits.is_empty() || (is_braced && self.source.get(end - 1) != Some(&'}')) {
            return String::new();
        }
        self.at = end;
        digits
    }

    /// `e5` or `E-3` right after a number.
    fn scientific(&mut self) {
        let is_e = matches!(self.peek(0), Some('e' | 'E'));
        let is_signed = matches!(self.peek(1), Some('+' | '-'));
        let first = 1 + usize::from(is_signed);
        if !is_e || !self.peek(first).is_some_and(|letter| letter.is_ascii_digit()) {
            return;
        }
        let is_negative = self.peek(1) == Some('-');
        self.at += first;
        let exponent = self.digits();
        let number = |digits: &str| Token::Number { digits: digits.into(), repeating: String::new() };
        self.found.extend([Token::Sign('*'), number("10"), Token::Sign('^')]);
        if is_negative {
            self.found.push(Token::Sign('-'));
        }
        self.found.push(number(&exponent));
    }
}
