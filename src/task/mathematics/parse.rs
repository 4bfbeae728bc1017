//! Parses tokens into an expression: the outer forms of answers. Lists contain relations, relations contain unions,
//! unions contain sums.

use super::commands::SET;
use super::expression::Expression::{self, *};
use super::token::{self, Token};
use super::words;

/// The maximum depth of nesting.
const DEEPEST: usize = 40;

/// Choices that a text leaves open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Whether `225,227` is a number, not a list.
    pub joins_commas: bool,
    /// Whether the base of `\log` is e, not 10.
    pub natural_logs: bool,
}

impl Reading {
    pub(super) const USUAL: Reading = Reading { joins_commas: true, natural_logs: false };
}

/// The expression in a text; `None` if it cannot be parsed.
pub(super) fn parse(text: &str, reading: Reading) -> Option<Expression> {
    let mut tokens = token::tokens(text, reading.joins_commas)?;
    if reading.natural_logs {
        for at in 0..tokens.len() {
            if tokens[at] == Token::Function("log".into()) && tokens.get(at + 1) != Some(&Token::Sign('_')) {
                tokens[at] = Token::Function("ln".into());
            }
        }
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, bars: 0 };
    parser.skip_announcement();
    while parser.sees('{') && parser.ahead(1) == Some(&Token::Sign('}')) {
        parser.at += 2;
    }
    parser.skip('=');
    let expression = parser.list()?;
    let meant = match expression.flattened() {
        Words(words) => words::meaning(&words).unwrap_or(Words(words)),
        other => other,
    };
    (parser.at == parser.tokens.len()).then_some(meant)
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    /// Whether the next bar closes an absolute value.
    pub(super) bars: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn ahead(&self, offset: usize) -> Option<&Token> {
        self.tokens.get(self.at + offset)
    }

    pub(super) fn sees(&self, sign: char) -> bool {
        self.peek() == Some(&Token::Sign(sign))
    }

    /// Skips `sign` if it is the next token.
    pub(super) fn skip(&mut self, sign: char) -> bool {
        let found = self.sees(sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, sign: char) -> Option<()> {
        self.skip(sign).then_some(())
    }

    /// Runs `read` one level deeper.
    pub(super) fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<Expression>) -> Option<Expression> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let expression = read(self);
        self.depth -= 1;
        expression
    }

    fn sees_word(&self, words: &[&str]) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if words.contains(&word.to_lowercase().as_str()))
    }

    /// `Option D` and `The answer is: 5` are read as `D` and `5`.
    fn skip_announcement(&mut self) {
        const OPENING: [&str; 7] = ["the", "final", "answer", "option", "choice", "is", "are"];
        let is_word = |token: &Token, words: &[&str]| matches!(token, Token::Word(word) if words.contains(&word.to_lowercase().as_str()));
        let length = self.tokens.iter().take_while(|token| is_word(token, &OPENING)).count();
        let announces = self.tokens[..length].iter().any(|token| is_word(token, &OPENING[2..5]));
        if announces && length < self.tokens.len() {
            self.at = length;
            self.skip(':');
        }
    }

    fn skip_separators(&mut self) -> bool {
        let start = self.at;
        while self.sees(',') || self.sees(';') || self.sees_word(&["and", "or"]) {
            self.at += 1;
        }
        self.at > start
    }

    /// Relations with separators between them. Inequalities of which one must hold form a union.
    pub(super) fn list(&mut self) -> Option<Expression> {
        let mut parts = vec![self.relation()?];
        let mut are_choices = true;
        loop {
            are_choices &= self.peek().is_none() || self.sees_word(&["or"]);
            if !self.skip_separators() || self.peek().is_none() {
                break;
            }
            parts.push(self.relation()?);
        }
        let is_bound = |part: &Expression| matches!(part, Relation { signs, .. } if signs.iter().all(|sign| "<>≤≥".contains(*sign)));
        let whole = if are_choices && parts.iter().all(is_bound) { Union } else { List };
        Some(Expression::one_or(parts, whole))
    }

    fn relation(&mut self) -> Option<Expression> {
        let mut sides = vec![self.union()?];
        let mut signs = Vec::new();
        while let Some(&Token::Sign(sign @ ('=' | '<' | '>' | '≤' | '≥' | '≠' | '∈' | '≡'))) = self.peek() {
            self.at += 1;
            signs.push(sign);
            sides.push(self.union()?);
        }
        Some(Expression::one_or(sides, |sides| Relation { sides, signs }))
    }

    fn union(&mut self) -> Option<Expression> {
        let mut parts = vec![self.intersection()?];
        while self.skip('∪') {
            parts.push(self.intersection()?);
        }
        Some(Expression::one_or(parts, Union))
    }

    fn intersection(&mut self) -> Option<Expression> {
        let mut whole = self.ratio()?;
        while let Some(&Token::Sign(sign @ ('∩' | '∖'))) = self.peek() {
            self.at += 1;
            let name = if sign == '∩' { "intersection" } else { "difference" };
            whole = Call(name.into(), vec![whole, self.ratio()?]);
        }
        Some(whole)
    }

    fn ratio(&mut self) -> Option<Expression> {
        if let Some(time) = self.clock() {
            return Some(time);
        }
        let mut parts = vec![self.sum()?];
        while self.skip(':') {
            parts.push(self.sum()?);
        }
        Some(Expression::one_or(parts, Ratio))
    }

    /// What is between brackets, after the opening one.
    pub(super) fn bracketed(&mut self, open: char) -> Option<Expression> {
        if open == SET.0 && self.begins_condition() {
            return self.such_that();
        }
        let mut parts = Vec::new();
        let close = loop {
            if let Some(&Token::Sign(sign @ (')' | ']' | '⦄'))) = self.peek() {
                self.at += 1;
                break sign;
            }
            if !parts.is_empty() && !self.skip_separators() {
                return None;
            }
            parts.push(self.nested(Parser::relation)?);
        };
        match (open, close) {
            (open, close) if open == SET.0 && close == SET.1 => Some(List(parts)),
            (open, close) if open == SET.0 || close == SET.1 || parts.is_empty() => None,
            ('(', ')') | ('[', ']') => Some(Expression::one_or(parts, |parts| Bracketed(open, parts, close))),
            _ => Some(Bracketed(open, parts, close)),
        }
    }

    /// Whether `x |`, `x :` or `x \in \mathbb{R} |` comes next.
    fn begins_condition(&self) -> bool {
        let divides = |at: usize| matches!(self.ahead(at), Some(Token::Sign('|' | ':')));
        matches!(self.peek(), Some(Token::Symbol(_)))
            && (divides(1) || (self.ahead(1) == Some(&Token::Sign('∈')) && divides(3)))
    }

    /// `x \mid x < 3` in the braces of a set.
    fn such_that(&mut self) -> Option<Expression> {
        let mut parts = vec![self.nested(Parser::primary)?];
        if self.skip('∈') {
            let domain = self.nested(Parser::primary)?;
            if domain != Symbol("ℝ".into()) {
                parts.push(domain);
            }
        }
        self.at += 1;
        parts.push(self.nested(Parser::list)?);
        self.expect(SET.1)?;
        Some(Call("such that".into(), parts))
    }

    /// What is between TeX braces, including `a \over b` and `n \choose k`, after the opening brace.
    pub(super) fn group(&mut self) -> Option<Expression> {
        let first = self.nested(Parser::list)?;
        let whole = match self.peek()? {
            Token::Command("over") => {
                self.at += 1;
                Product(vec![first, Inverse(Box::new(self.nested(Parser::list)?))])
            }
            Token::Command("choose") => {
                self.at += 1;
                Call("binomial".into(), vec![first, self.nested(Parser::list)?])
            }
            _ => first,
        };
        self.expect('}')?;
        Some(whole)
    }

    /// The rows of a matrix, after its beginning.
    pub(super) fn matrix(&mut self) -> Option<Expression> {
        let mut rows = vec![Vec::new()];
        loop {
            match self.peek()? {
                Token::End => {
                    self.at += 1;
                    break;
                }
                Token::Sign('\n') => {
                    self.at += 1;
                    rows.push(Vec::new());
                }
                Token::Sign('&') => self.at += 1,
                _ => {
                    let entry = self.nested(Parser::relation)?;
                    rows.last_mut()?.push(entry);
                }
            }
        }
        rows.retain(|row| !row.is_empty());
        let is_even = rows.windows(2).all(|pair| pair[0].len() == pair[1].len());
        (is_even && !rows.is_empty()).then_some(Matrix(rows))
    }
}
