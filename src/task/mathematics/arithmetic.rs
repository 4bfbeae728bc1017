//! Parses tokens into an expression: sums, products, powers, functions and units.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Zero};

use super::commands::SET;
use super::expression::Expression::{self, *};
use super::parse::Parser;
use super::token::Token;
use super::words;

/// The maximum number of marks (`!`, `%`, `°`) after one factor.
const MARKS: usize = 3;

const SET_OPEN: char = SET.0;

impl Parser {
    pub(super) fn sum(&mut self) -> Option<Expression> {
        let mut terms = Vec::new();
        loop {
            let sign = match self.peek() {
                Some(&Token::Sign(sign @ ('+' | '-' | '±' | '∓'))) => {
                    self.at += 1;
                    sign
                }
                _ if terms.is_empty() => '+',
                _ => break,
            };
            let term = self.product()?;
            terms.push(match sign {
                '-' if matches!(term, Matrix(_)) => Expression::product(vec![Number(-BigRational::one()), term]),
                '-' => Negative(Box::new(term)),
                '±' | '∓' => PlusMinus { inverted: sign == '∓', inner: Box::new(term) },
                _ => term,
            });
        }
        // In `3 + \pi \text{ cm}` the unit belongs to the sum.
        let is_plain = |terms: &[Expression]| !terms.iter().any(|term| term.split().1.is_some());
        match terms.pop()? {
            Quantity(last, unit) if !terms.is_empty() && is_plain(&terms) => {
                terms.push(*last);
                Some(Quantity(Box::new(Sum(terms)), unit))
            }
            last => {
                terms.push(last);
                Some(Expression::one_or(terms, Sum))
            }
        }
    }

    fn product(&mut self) -> Option<Expression> {
        let mut factors = Vec::new();
        loop {
            let divides = match self.peek() {
                Some(Token::Sign('*')) if !factors.is_empty() => {
                    self.at += 1;
                    false
                }
                Some(Token::Sign('/')) if !factors.is_empty() => {
                    self.at += 1;
                    true
                }
                Some(Token::Word(_)) => {
                    let Some(words) = self.words() else { break };
                    if factors.is_empty() {
                        factors.push(Words(words));
                    } else {
                        let value = Expression::one_or(std::mem::take(&mut factors), Product);
                        let is_value = matches!(words::measure(&words).as_deref(), Some("percent" | "degrees"));
                        let unit = if is_value { words::measure(&words)? } else { words };
                        factors.push(Quantity(Box::new(value), unit));
                    }
                    continue;
                }
                _ if factors.is_empty() || self.begins_factor() => false,
                _ => break,
            };
            let is_negative = self.skip('-');
            let factor = self.factor()?;
            let factor = if is_negative { Negative(Box::new(factor)) } else { factor };
            factors.push(if divides { Inverse(Box::new(factor)) } else { factor });
        }
        (!factors.is_empty()).then(|| Expression::product(factors))
    }

    /// Whether the next token continues a product without a sign in between.
    fn begins_factor(&self) -> bool {
        match self.peek() {
            Some(Token::Symbol(_) | Token::Function(_) | Token::Begin) => true,
            // `3! 7!`
            Some(Token::Number { .. }) => {
                let factorial = Token::Sign('!');
                self.tokens[..self.at].last() == Some(&factorial) && self.ahead(1) == Some(&factorial)
            }
            Some(Token::Command(name)) => !matches!(*name, "over" | "choose"),
            Some(Token::Sign('|')) => self.bars == 0,
            Some(Token::Sign(sign)) => "({[⌊⌈$".contains(*sign),
            _ => false,
        }
    }

    /// Consecutive words, which may contain a power or a `/`: `square units`, `cm^2`, `miles/hour`. Stops before `and`
    /// and `or`.
    fn words(&mut self) -> Option<String> {
        let mut words = String::new();
        loop {
            match self.peek() {
                Some(Token::Word(word)) if !matches!(word.to_lowercase().as_str(), "and" | "or") => {
                    if !words.is_empty() && !words.ends_with('/') {
                        words.push(' ');
                    }
                    words += word;
                    self.at += 1;
                }
                Some(Token::Sign('/')) if !words.is_empty() && matches!(self.ahead(1), Some(Token::Word(_))) => {
                    words.push('/');
                    self.at += 1;
                }
                Some(Token::Sign('^')) if !words.is_empty() => {
                    self.at += 1;
                    let exponent = self.digits_in_braces()?;
                    words = format!("{words}^{exponent}");
                }
                _ => break,
            }
        }
        (!words.is_empty()).then_some(words)
    }

    /// The digits of `5`, `{5}` or `{\text{five}}`.
    fn digits_in_braces(&mut self) -> Option<String> {
        let is_braced = self.skip('{');
        let digits = match self.peek()? {
            Token::Number { digits, repeating } if repeating.is_empty() => digits.clone(),
            Token::Word(word) => words::base(word)?.to_owned(),
            _ => return None,
        };
        self.at += 1;
        if is_braced {
            self.expect('}')?;
        }
        Some(digits)
    }

    fn factor(&mut self) -> Option<Expression> {
        let mut factor = self.nested(Parser::primary)?;
        for _ in 0..MARKS {
            factor = match self.peek() {
                Some(Token::Sign('!')) if self.ahead(1) == Some(&Token::Sign('!')) => {
                    self.at += 1;
                    Call("double factorial".into(), vec![factor])
                }
                Some(Token::Sign('!')) => Call("factorial".into(), vec![factor]),
                Some(Token::Sign('%')) => Quantity(Box::new(factor), "percent".into()),
                Some(Token::Sign('°')) => Quantity(Box::new(factor), "degrees".into()),
                Some(Token::Sign('^')) => {
                    self.at += 1;
                    factor = Power(Box::new(factor), Box::new(self.nested(Parser::exponent)?));
                    continue;
                }
                _ => return Some(factor),
            };
            self.at += 1;
        }
        Some(factor)
    }

    /// Powers are right-associative: `2^3^2` is `2^9`.
    fn exponent(&mut self) -> Option<Expression> {
        let is_negative = self.skip('-');
        let base = self.nested(Parser::primary)?;
        let exponent =
            if self.skip('^') { Power(Box::new(base), Box::new(self.nested(Parser::exponent)?)) } else { base };
        Some(if is_negative { Negative(Box::new(exponent)) } else { exponent })
    }

    pub(super) fn primary(&mut self) -> Option<Expression> {
        let token = self.peek()?.clone();
        self.at += 1;
        match token {
            Token::Number { digits, repeating } => self.numeral(&digits, &repeating),
            Token::Symbol(name) if name == "C" && self.sees('(') => {
                self.combination_in_brackets().or_else(|| self.symbol(name))
            }
            Token::Symbol(name) => self.symbol(name),
            Token::Function(name) => self.call(name),
            Token::Command("frac") => {
                let above = self.argument(true)?;
                let below = self.argument(true)?;
                Some(Product(vec![above, Inverse(Box::new(below))]))
            }
            Token::Command("binom") => Some(Call("binomial".into(), vec![self.argument(true)?, self.argument(true)?])),
            Token::Command("sqrt") => self.root(),
            Token::Begin => self.matrix(),
            Token::Sign('{') if self.sees('}') && matches!(self.ahead(1), Some(Token::Sign('_' | '^'))) => {
                self.at += 2;
                self.combination()
            }
            Token::Sign('{') => self.group(),
            Token::Sign('_' | '^') => self.combination(),
            Token::Sign(open @ ('(' | '[' | SET_OPEN)) => self.brackets(open),
            Token::Sign('$') => Some(Quantity(Box::new(self.factor()?), "dollars".into())),
            Token::Sign('|') if self.bars == 0 => {
                self.bars += 1;
                let inside = self.nested(Parser::sum)?;
                self.bars -= 1;
                self.expect('|')?;
                Some(Call("abs".into(), vec![inside]))
            }
            Token::Sign('⌊') => {
                let inside = self.nested(Parser::sum)?;
                self.expect('⌋')?;
                Some(Call("floor".into(), vec![inside]))
            }
            Token::Sign('⌈') => {
                let inside = self.nested(Parser::sum)?;
                self.expect('⌉')?;
                Some(Call("ceil".into(), vec![inside]))
            }
            _ => None,
        }
    }

    fn brackets(&mut self, open: char) -> Option<Expression> {
        // `(2112)_6`
        if let (Some(Token::Number { digits, .. }), Some(Token::Sign(')')), Some(Token::Sign('_'))) =
            (self.peek(), self.ahead(1), self.ahead(2))
        {
            let digits = digits.clone();
            self.at += 3;
            return Some(Based { digits, base: self.digits_in_braces()? });
        }
        let bars = std::mem::take(&mut self.bars);
        let inside = self.bracketed(open);
        self.bars = bars;
        inside
    }

    /// A number, a numeral with its base, or a mixed number.
    fn numeral(&mut self, digits: &str, repeating: &str) -> Option<Expression> {
        if self.skip('_') {
            return Some(Based { digits: digits.to_owned(), base: self.digits_in_braces()? });
        }
        let value = rational(digits, repeating)?;
        if !digits.contains('.')
            && let Some(part) = self.fraction_part()
        {
            return Some(Number(value + part));
        }
        Some(Number(value))
    }

    /// The fraction of a mixed number: `\frac{1}{2}` or `1/2` right after a whole number.
    fn fraction_part(&mut self) -> Option<BigRational> {
        let at = self.at;
        let (above, below, end) = match (self.peek()?, self.ahead(1)?) {
            (Token::Command("frac"), Token::Number { digits, .. }) if digits.len() == 2 => {
                let (above, below) = digits.split_at(1);
                (above, below, at + 2)
            }
            (Token::Command("frac"), _) => {
                let (above, next) = self.whole_at(at + 1)?;
                let (below, end) = self.whole_at(next)?;
                (above, below, end)
            }
            (Token::Number { digits, .. }, Token::Sign('/')) => {
                let (below, end) = self.whole_at(at + 2)?;
                (digits.as_str(), below, end)
            }
            _ => return None,
        };
        let (above, below) = (above.parse::<BigInt>().ok()?, below.parse::<BigInt>().ok()?);
        let is_part = above > BigInt::zero() && above < below;
        is_part.then(|| {
            self.at = end;
            BigRational::new(above, below)
        })
    }

    /// The digits of `5` or `{5}` at a position, and the position after them.
    fn whole_at(&self, at: usize) -> Option<(&str, usize)> {
        match (self.tokens.get(at)?, self.tokens.get(at + 1), self.tokens.get(at + 2)) {
            (Token::Number { digits, .. }, ..) => Some((digits, at + 1)),
            (Token::Sign('{'), Some(Token::Number { digits, .. }), Some(Token::Sign('}'))) => Some((digits, at + 3)),
            _ => None,
        }
    }

    /// The argument of a command: a group or one token. If `by_digit`, only the first digit of a number is taken.
    pub(super) fn argument(&mut self, by_digit: bool) -> Option<Expression> {
        match self.peek()?.clone() {
            Token::Number { digits, repeating } if by_digit && digits.len() > 1 && repeating.is_empty() => {
                let (first, rest) = digits.split_at(1);
                self.tokens[self.at] = Token::Number { digits: rest.to_owned(), repeating };
                Some(Number(rational(first, "")?))
            }
            Token::Number { digits, repeating } => {
                self.at += 1;
                Some(Number(rational(&digits, &repeating)?))
            }
            Token::Symbol(name) => {
                self.at += 1;
                Some(Symbol(name))
            }
            _ => self.nested(Parser::primary),
        }
    }

    fn root(&mut self) -> Option<Expression> {
        let mut index = Number(BigInt::from(2).into());
        if self.skip('[') {
            index = self.nested(Parser::sum)?;
            self.expect(']')?;
        }
        let inside = self.argument(false)?;
        Some(Power(Box::new(inside), Box::new(Inverse(Box::new(index)))))
    }

    fn symbol(&mut self, name: String) -> Option<Expression> {
        if !self.skip('_') {
            return Some(Symbol(name));
        }
        let is_braced = self.skip('{');
        let mut subscript = String::new();
        while let Some(token) = self.peek() {
            match token {
                Token::Number { digits, .. } => subscript += digits,
                Token::Symbol(part) | Token::Word(part) => subscript += part,
                Token::Sign(sign @ (',' | '+' | '-')) if is_braced => subscript.push(*sign),
                _ => break,
            }
            self.at += 1;
            if !is_braced {
                break;
            }
        }
        if is_braced {
            self.expect('}')?;
        }
        (!subscript.is_empty()).then(|| Symbol(format!("{name}_{subscript}")))
    }

    /// A function with its power (`\sin^2 x`), base (`\log_2 8`) and arguments.
    fn call(&mut self, name: String) -> Option<Expression> {
        let mut power = None;
        let mut base = None;
        for _ in 0..2 {
            if self.skip('^') {
                power = Some(self.nested(Parser::exponent)?);
            } else if self.skip('_') {
                base = Some(self.argument(false)?);
            }
        }
        let is_inverse = power == Some(Negative(Box::new(Number(BigRational::one()))));
        let name = match words::inverse(&name) {
            Some(inverse) if is_inverse => {
                power = None;
                inverse.to_owned()
            }
            _ => name,
        };
        let mut arguments: Vec<Expression> = base.into_iter().collect();
        match self.peek()? {
            // In `\sin(x)^2` the power belongs to the sine; in `\sin(30)^\circ` the unit belongs to the angle.
            Token::Sign('(' | '{') => match self.nested(Parser::primary)? {
                Bracketed(_, parts, _) => arguments.extend(parts),
                angle if self.skip('°') => arguments.push(Quantity(Box::new(angle), "degrees".into())),
                argument => arguments.push(argument),
            },
            _ => {
                let mut factors = vec![self.nested(Parser::factor)?];
                while matches!(self.peek(), Some(Token::Number { .. } | Token::Symbol(_) | Token::Command("frac"))) {
                    factors.push(self.nested(Parser::factor)?);
                }
                arguments.push(Expression::one_or(factors, Product));
            }
        }
        let call = Call(name, arguments);
        Some(match power {
            Some(power) => Power(Box::new(call), Box::new(power)),
            None => call,
        })
    }
}

/// The value of a decimal; the `repeating` digits follow `digits` for ever.
pub(super) fn rational(digits: &str, repeating: &str) -> Option<BigRational> {
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let parse = |text: &str| if text.is_empty() { Some(BigInt::zero()) } else { text.parse::<BigInt>().ok() };
    let scale = Pow::pow(BigInt::from(10), decimals.len());
    let value = BigRational::new(parse(&format!("{whole}{decimals}"))?, scale.clone());
    if repeating.is_empty() {
        return Some(value);
    }
    let nines: BigInt = Pow::pow(BigInt::from(10), repeating.len()) - BigInt::one();
    Some(value + BigRational::new(parse(repeating)?, scale * nines))
}
