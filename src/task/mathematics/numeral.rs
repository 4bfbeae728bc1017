//! Parses tokens into an expression: numbers with a notation of their own, such as times of day and combinations.

use num_bigint::BigInt;

use super::expression::Expression::{self, *};
use super::parse::Parser;
use super::token::Token;

impl Parser {
    /// A time of day: `9:05`, `10:30 a.m.`; other numbers with a colon between them are ratios.
    pub(super) fn clock(&mut self) -> Option<Expression> {
        let number = |offset: usize, lengths: std::ops::RangeInclusive<usize>, most: i64| match self.ahead(offset)? {
            Token::Number { digits, repeating } if repeating.is_empty() && lengths.contains(&digits.len()) => {
                digits.parse().ok().filter(|number| *number <= most)
            }
            _ => None,
        };
        let divides = |offset: usize| self.ahead(offset) == Some(&Token::Sign(':'));
        let mut parts = vec![number(0, 1..=2, 24)?];
        while divides(2 * parts.len() - 1) && parts.len() < 3 {
            parts.push(number(2 * parts.len(), 2..=2, 59)?);
        }
        let length = 2 * parts.len() - 1;
        if parts.len() < 2 || matches!(self.ahead(length), Some(Token::Sign(':' | '/' | '^' | '!' | '*'))) {
            return None;
        }
        self.at += length;
        let time = Call("clock".into(), parts.into_iter().map(|part: i64| Number(BigInt::from(part).into())).collect());
        Some(match self.half_of_day() {
            Some(half) => Quantity(Box::new(time), half.into()),
            None => time,
        })
    }

    fn half_of_day(&mut self) -> Option<&'static str> {
        let letter = |token: Option<&Token>| match token {
            Some(Token::Word(name) | Token::Symbol(name)) => name.to_lowercase(),
            _ => String::new(),
        };
        let (first, second) = (letter(self.peek()), letter(self.ahead(1)));
        let (half, length) = match (first.as_str(), second.as_str()) {
            ("am" | "midnight", _) => ("am", 1),
            ("pm" | "noon", _) => ("pm", 1),
            ("a", "m") => ("am", 2),
            ("p", "m") => ("pm", 2),
            _ => return None,
        };
        self.at += length;
        Some(half)
    }

    /// `_{10}C_3` and `^{10}C_3`, after their first sign.
    pub(super) fn combination(&mut self) -> Option<Expression> {
        let of = self.argument(false)?;
        let is_chosen = self.peek() == Some(&Token::Symbol("C".into()));
        if !is_chosen || self.ahead(1) != Some(&Token::Sign('_')) {
            return None;
        }
        self.at += 2;
        Some(Call("binomial".into(), vec![of, self.argument(false)?]))
    }

    /// `C(10, 3)`, after the letter.
    pub(super) fn combination_in_brackets(&mut self) -> Option<Expression> {
        let number = |offset| match self.ahead(offset)? {
            Token::Number { digits, .. } => Some(Number(digits.parse::<BigInt>().ok()?.into())),
            _ => None,
        };
        let is_sign = |offset, sign| self.ahead(offset) == Some(&Token::Sign(sign));
        let (of, taken) = (number(1)?, number(3)?);
        if !(is_sign(0, '(') && is_sign(2, ',') && is_sign(4, ')')) {
            return None;
        }
        self.at += 5;
        Some(Call("binomial".into(), vec![of, taken]))
    }
}
