//! Equations and inequalities as the differences of their sides.

use num_rational::BigRational;

use super::budget::Budget;
use super::evaluate::value;
use super::exact::Value;
use super::expression::Expression::{self, *};

/// The expression that an inequality says is less than zero, and whether it may not be zero either.
pub(super) fn excess(sides: &[Expression], signs: &[char], budget: &Budget) -> Option<(Value, bool)> {
    let ([left, right], [sign]) = (sides, signs) else { return None };
    let (less, more) = match sign {
        '<' | '≤' => (left, right),
        '>' | '≥' => (right, left),
        _ => return None,
    };
    Some((difference(less, more, budget)?, "<>".contains(*sign)))
}

/// The left side minus the right side.
pub(super) fn difference(left: &Expression, right: &Expression, budget: &Budget) -> Option<Value> {
    value(&Sum(vec![left.clone(), Negative(Box::new(right.clone()))]), budget)
}

/// The ratio of two values with variables, if it is a number.
pub(super) fn proportion(left: &Value, right: &Value, budget: &Budget) -> Option<BigRational> {
    let (monomial, coefficient) = left.numerator.0.first_key_value()?;
    let factor = coefficient / right.numerator.0.get(monomial)?;
    let has_variables = !monomial.is_empty() || left.numerator.0.len() > 1;
    budget.spend(left.size() * right.size())?;
    let scaled = right.times(&Value::rational(factor.clone()))?;
    (has_variables && left.is_same(&scaled)?).then_some(factor)
}

/// The sign with its sides exchanged.
pub(super) fn turned(sign: char) -> char {
    match sign {
        '<' => '>',
        '>' => '<',
        '≤' => '≥',
        '≥' => '≤',
        other => other,
    }
}
