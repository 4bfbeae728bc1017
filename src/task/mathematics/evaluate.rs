//! Evaluates expressions to exact values.

use num_rational::BigRational;

use super::budget::Budget;
use super::exact::{Atom, Value};
use super::expression::Expression;
use super::functions::call;
use super::power::power;

/// The value of an arithmetic expression; `None` if it has no value or is too large to compute.
pub(super) fn value(expression: &Expression, budget: &Budget) -> Option<Value> {
    budget.spend(1)?;
    let inner = |expression: &Expression| value(expression, budget);
    match expression {
        Expression::Number(number) => Some(Value::rational(number.clone())),
        Expression::Symbol(name) if name == "i" => Some(Value::atom(Atom::Imaginary)),
        Expression::Symbol(name) => Some(Value::symbol(name)),
        Expression::Based { digits, base } => Some(Value::symbol(&format!("{digits}_{base}"))),
        Expression::Sum(terms) => terms.iter().try_fold(Value::number(0), |sum, term| budget.add(&sum, &inner(term)?)),
        Expression::Product(parts) => {
            parts.iter().try_fold(Value::number(1), |product, part| budget.multiply(&product, &inner(part)?))
        }
        Expression::Inverse(below) => budget.invert(&inner(below)?),
        Expression::Negative(term) => Some(inner(term)?.negated()),
        Expression::Power(base, exponent) => power(&inner(base)?, &inner(exponent)?, budget),
        Expression::Call(name, arguments) => {
            let arguments: Vec<Value> = arguments.iter().map(inner).collect::<Option<_>>()?;
            call(name, arguments, budget)
        }
        Expression::Quantity(part, unit) => {
            let scale = match unit.as_str() {
                "degrees" => budget.multiply(&Value::symbol("pi"), &fraction(1, 180))?,
                "percent" => fraction(1, 100),
                _ => return None,
            };
            budget.multiply(&inner(part)?, &scale)
        }
        _ => None,
    }
}

fn fraction(above: i64, below: i64) -> Value {
    Value::rational(BigRational::new(above.into(), below.into()))
}
