//! The tree that an answer is parsed into.

use num_rational::BigRational;

/// An answer, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(BigRational),
    /// A variable or a named constant: `x`, `pi`, `infinity`.
    Symbol(String),
    /// A numeral with its base as a subscript, such as `1011_2`.
    Based {
        digits: String,
        base: String,
    },
    /// Text whose words are separated by single spaces.
    Words(String),
    Sum(Vec<Expression>),
    Product(Vec<Expression>),
    Inverse(Box<Expression>),
    Negative(Box<Expression>),
    /// Plus or minus the expression; `inverted` for minus or plus.
    PlusMinus {
        inverted: bool,
        inner: Box<Expression>,
    },
    Power(Box<Expression>, Box<Expression>),
    /// A named function of its arguments.
    Call(String, Vec<Expression>),
    /// A value and its unit.
    Quantity(Box<Expression>, String),
    /// Parts whose order does not matter: `1, 2` or a set.
    List(Vec<Expression>),
    /// Parts in brackets: a tuple or an interval.
    Bracketed(char, Vec<Expression>, char),
    Matrix(Vec<Vec<Expression>>),
    Union(Vec<Expression>),
    Ratio(Vec<Expression>),
    /// `sides[0] signs[0] sides[1] ...`
    Relation {
        sides: Vec<Expression>,
        signs: Vec<char>,
    },
}

use Expression::*;

impl Expression {
    /// A quantity's value and unit.
    pub(super) fn split(&self) -> (Expression, Option<&str>) {
        match self {
            Quantity(inner, unit) => ((**inner).clone(), Some(unit)),
            Negative(inner) => match inner.split() {
                (inner, Some(unit)) => (Negative(Box::new(inner)), Some(unit)),
                _ => (self.clone(), None),
            },
            _ => (self.clone(), None),
        }
    }

    /// `parts` combined by `whole`, or the only part.
    pub(super) fn one_or(mut parts: Vec<Expression>, whole: impl FnOnce(Vec<Expression>) -> Expression) -> Expression {
        if parts.len() == 1 { parts.swap_remove(0) } else { whole(parts) }
    }

    /// The product of the factors. If one of them is a matrix, the result is that matrix, scaled.
    pub(super) fn product(mut factors: Vec<Expression>) -> Expression {
        let is_matrix = |factor: &Expression| matches!(factor, Matrix(_));
        if factors.len() > 1
            && factors.iter().filter(|factor| is_matrix(factor)).count() == 1
            && let Some(position) = factors.iter().position(is_matrix)
            && let Matrix(rows) = factors.remove(position)
        {
            let scaled = |entry| Product(factors.iter().cloned().chain([entry]).collect());
            return Matrix(rows.into_iter().map(|row| row.into_iter().map(scaled).collect()).collect());
        }
        Expression::one_or(factors, Product)
    }

    /// The parts of a list, or the expression itself as the only part.
    pub(super) fn parts(&self) -> &[Expression] {
        if let List(parts) = self { parts } else { std::slice::from_ref(self) }
    }

    fn has_two_signs(&self) -> bool {
        match self {
            PlusMinus { .. } => true,
            Number(_) | Symbol(_) | Based { .. } | Words(_) => false,
            Inverse(inner) | Negative(inner) | Quantity(inner, _) => inner.has_two_signs(),
            Power(base, exponent) => base.has_two_signs() || exponent.has_two_signs(),
            Sum(parts) | Product(parts) | Call(_, parts) | List(parts) | Bracketed(_, parts, _) => {
                parts.iter().any(Expression::has_two_signs)
            }
            Union(parts) | Ratio(parts) | Relation { sides: parts, .. } => parts.iter().any(Expression::has_two_signs),
            Matrix(rows) => rows.iter().flatten().any(Expression::has_two_signs),
        }
    }

    /// The expression with every `±` read as plus, or every one as minus.
    fn with_sign(&self, plus: bool) -> Expression {
        let all = |parts: &[Expression]| parts.iter().map(|part| part.with_sign(plus)).collect();
        let boxed = |inner: &Expression| Box::new(inner.with_sign(plus));
        match self {
            PlusMinus { inverted, inner } if plus == *inverted => Negative(boxed(inner)),
            PlusMinus { inner, .. } => inner.with_sign(plus),
            Number(_) | Symbol(_) | Based { .. } | Words(_) => self.clone(),
            Inverse(inner) => Inverse(boxed(inner)),
            Negative(inner) => Negative(boxed(inner)),
            Quantity(inner, unit) => Quantity(boxed(inner), unit.clone()),
            Power(base, exponent) => Power(boxed(base), boxed(exponent)),
            Sum(parts) => Sum(all(parts)),
            Product(parts) => Product(all(parts)),
            Call(name, parts) => Call(name.clone(), all(parts)),
            List(parts) => List(all(parts)),
            Bracketed(open, parts, close) => Bracketed(*open, all(parts), *close),
            Union(parts) => Union(all(parts)),
            Ratio(parts) => Ratio(all(parts)),
            Relation { sides, signs } => Relation { sides: all(sides), signs: signs.clone() },
            Matrix(rows) => Matrix(rows.iter().map(|row| all(row)).collect()),
        }
    }

    /// Expands `±` into two parts and flattens nested lists.
    pub(super) fn flattened(self) -> Expression {
        match self {
            List(parts) => {
                let each = parts.into_iter().map(Expression::flattened);
                List(each.flat_map(|part| if let List(inner) = part { inner } else { vec![part] }).collect())
            }
            other if other.has_two_signs() => List(vec![other.with_sign(true), other.with_sign(false)]),
            other => other,
        }
    }

    /// Adjacent single letters as one word, so that `ACF` is `\text{ACF}`.
    pub(super) fn word(&self) -> Option<String> {
        match self {
            Words(words) => Some(words.to_lowercase()),
            Symbol(name) => Some(name.to_lowercase()),
            Product(parts) => {
                let is_letter = |part: &Expression| matches!(part, Symbol(name) if name.chars().count() == 1);
                parts.iter().all(is_letter).then(|| parts.iter().filter_map(Expression::word).collect())
            }
            _ => None,
        }
    }

    /// The letters of adjacent variables, as written.
    pub(super) fn letters(&self) -> String {
        let name = |part: &Expression| if let Symbol(name) = part { name.clone() } else { String::new() };
        self.factors().iter().map(name).collect()
    }

    fn factors(&self) -> &[Expression] {
        if let Product(parts) = self { parts } else { std::slice::from_ref(self) }
    }

    /// Whether `label = value` only names the value: `x`, `f(x)`, `(x, y)` or words.
    pub(super) fn is_label(&self) -> bool {
        match self {
            Symbol(name) => name != "pi" && name != "infinity",
            Words(_) => true,
            Product(parts) => match parts.as_slice() {
                [Symbol(function), Symbol(_)] => "fghpqyFGHPQTV".contains(function.as_str()),
                _ => false,
            },
            Bracketed('(', parts, ')') => parts.iter().all(|part| matches!(part, Symbol(_))),
            _ => false,
        }
    }
}
