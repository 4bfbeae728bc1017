//! Expressions to exact values.

use std::cell::Cell;

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::exact::{Atom, Value, factors};
use super::expression::Expression;

/// Work left for one comparison, in operations on machine words, so that none takes long.
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(Cell::new(1_000_000))
    }

    /// None once the budget is spent.
    pub(super) fn spend(&self, cost: u64) -> Option<()> {
        self.0.set(self.0.get().checked_sub(cost.max(1))?);
        Some(())
    }

    fn multiply(&self, left: &Value, right: &Value) -> Option<Value> {
        self.spend(left.size() * right.size())?;
        left.times(right)
    }

    fn add(&self, left: &Value, right: &Value) -> Option<Value> {
        self.spend(left.size() * right.size())?;
        left.plus(right)
    }

    fn invert(&self, value: &Value) -> Option<Value> {
        self.spend(8 * value.size())?;
        value.inverse()
    }
}

/// The value of an arithmetic expression; none for one that has no value or is too large to compute.
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

/// `base^exponent`: worked out for whole exponents and for roots of numbers, else an atom.
fn power(base: &Value, exponent: &Value, budget: &Budget) -> Option<Value> {
    let opaque = || Value::atom(Atom::Power(Box::new(base.clone()), Box::new(exponent.clone())));
    let Some(exponent) = exponent.as_number() else { return Some(opaque()) };
    let whole = exponent.numer().to_i32()?;
    let index = exponent.denom().to_u32()?;
    if index == 1 {
        let doublings = u64::from(32 - whole.unsigned_abs().leading_zeros());
        budget.spend(2 * doublings * base.size() * base.size())?;
        return base.power(whole);
    }
    if base.as_number().is_some_and(|number| number.is_zero()) {
        return (whole > 0).then(|| Value::number(0));
    }
    budget.spend(20_000)?;
    if let Some(root) = base.root(index) {
        return root.power(whole);
    }
    // What stands before the bracket comes out of a root, so that nested radicals look alike.
    let content = content(base);
    let rest = budget.multiply(base, &Value::rational(content.recip()))?;
    let exponent = Box::new(Value::rational(BigRational::new(1.into(), index.into())));
    let outside = Value::rational(content).root(index)?;
    budget.multiply(&outside, &Value::atom(Atom::Power(Box::new(rest), exponent)))?.power(whole)
}

/// The largest positive rational that leaves whole coefficients without a common divisor.
fn content(value: &Value) -> BigRational {
    let mut coefficients = value.numerator.0.values();
    let Some(first) = coefficients.next() else { return BigRational::one() };
    let (above, below) = coefficients.fold((first.numer().abs(), first.denom().clone()), |(above, below), next| {
        (above.gcd(next.numer()), below.lcm(next.denom()))
    });
    BigRational::new(above, below)
}

fn call(name: &str, arguments: Vec<Value>, budget: &Budget) -> Option<Value> {
    let number = |at: usize| arguments.get(at).and_then(Value::as_number);
    match (name, arguments.as_slice()) {
        ("exp", [exponent]) => power(&Value::symbol("e"), exponent, budget),
        ("ln", [argument]) => logarithm(argument, budget),
        ("log" | "lg", [argument]) => quotient_of_logarithms(argument, &Value::number(10), budget),
        ("log", [base, argument]) => quotient_of_logarithms(argument, base, budget),
        ("abs", [_]) if number(0).is_some() => number(0).map(|number| Value::rational(number.abs())),
        ("floor", [_]) if number(0).is_some() => number(0).map(|number| Value::rational(number.floor())),
        ("ceil", [_]) if number(0).is_some() => number(0).map(|number| Value::rational(number.ceil())),
        ("factorial", [_]) if number(0).is_some() => {
            let upto = small(&number(0)?)?;
            budget.spend(u64::from(upto) * 64)?;
            Some(Value::number((1..=upto).fold(BigInt::one(), |product, factor| product * factor)))
        }
        ("binomial", [_, _]) if number(0).is_some() && number(1).is_some() => {
            let (of, taken) = (small(&number(0)?)?, small(&number(1)?)?);
            budget.spend(u64::from(taken) * 64)?;
            let step = |product: BigInt, at: u32| product * of.saturating_sub(at) / (at + 1);
            Some(Value::number((0..taken).fold(BigInt::one(), step)))
        }
        _ => Some(Value::atom(Atom::Call(name.to_owned(), arguments))),
    }
}

fn small(number: &BigRational) -> Option<u32> {
    if number.is_integer() { number.to_u32().filter(|number| *number <= 1000) } else { None }
}

fn quotient_of_logarithms(argument: &Value, base: &Value, budget: &Budget) -> Option<Value> {
    let below = budget.invert(&logarithm(base, budget)?)?;
    budget.multiply(&logarithm(argument, budget)?, &below)
}

/// The natural logarithm: of a number the sum of those of its primes, which are independent; of a power of e the exponent.
fn logarithm(argument: &Value, budget: &Budget) -> Option<Value> {
    let opaque = || Value::atom(Atom::Call("ln".into(), vec![argument.clone()]));
    budget.spend(20_000)?;
    let Some((monomial, coefficient)) = argument.single_term() else { return Some(opaque()) };
    if !coefficient.is_positive() {
        return Some(opaque());
    }
    let mut sum = Value::number(0);
    for (atom, exponent) in monomial {
        let part = match atom {
            Atom::Prime(prime) => {
                Value::atom(Atom::Call("ln".into(), vec![Value::number(BigInt::from(prime.clone()))]))
            }
            Atom::Symbol(name) if name == "e" => Value::number(1),
            _ => return Some(opaque()),
        };
        sum = budget.add(&sum, &budget.multiply(&part, &Value::rational(exponent.clone()))?)?;
    }
    for (number, sign) in [(coefficient.numer(), 1), (coefficient.denom(), -1)] {
        for (prime, count) in factors(number.magnitude())? {
            let part = Value::atom(Atom::Call("ln".into(), vec![Value::number(BigInt::from(prime))]));
            sum = budget.add(&sum, &budget.multiply(&part, &Value::number(count * sign))?)?;
        }
    }
    Some(sum)
}
