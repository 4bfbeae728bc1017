//! Values of functions: logarithms, factorials, parts of numbers.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::approximate;
use super::budget::Budget;
use super::exact::{Atom, Polynomial, Value};
use super::integers::factors;
use super::power::{FACTORING, content, power};
use super::trigonometry;

/// Factorials of larger numbers are not evaluated.
const LARGEST_FACTORIAL: u32 = 1000;
/// Up to `(n + 20)!` is written with `n!`; larger ones are not.
const MOST_STEPS: u32 = 20;
/// A number closer than this to an integer is not rounded, and one this close to zero has no sign.
const CLOSE: f64 = 1e-9;

pub(super) fn call(name: &str, arguments: Vec<Value>, budget: &Budget) -> Option<Value> {
    let known = match (name, arguments.as_slice()) {
        ("exp", [exponent]) => return power(&Value::symbol("e"), exponent, budget),
        ("ln", [argument]) => return logarithm(argument, budget),
        ("log" | "lg", [argument]) => return quotient_of_logarithms(argument, &Value::number(10), budget),
        ("log", [base, argument]) => return quotient_of_logarithms(argument, base, budget),
        ("sin" | "cos" | "tan" | "cot" | "sec" | "csc", [angle]) => return trigonometry::value(name, angle, budget),
        ("arcsin" | "arccos" | "arctan", [number]) => trigonometry::inverse(name, number, budget),
        ("abs", [argument]) => return absolute(argument, budget),
        ("floor", [argument]) => rounded(argument, BigRational::floor, f64::floor),
        ("ceil", [argument]) => rounded(argument, BigRational::ceil, f64::ceil),
        ("factorial", [argument]) => return factorial(argument, budget),
        ("double factorial", [argument]) => match argument.as_number() {
            Some(number) => {
                let upto = small(&number)?;
                budget.spend(u64::from(upto) * 64)?;
                Some(Value::number((1..=upto).rev().step_by(2).fold(BigInt::one(), |product, factor| product * factor)))
            }
            None => None,
        },
        ("gcd" | "lcm" | "max" | "min", [first, rest @ ..]) => chosen(name, first, rest),
        ("binomial", [of, taken]) => return binomial(of, taken, budget),
        _ => None,
    };
    Some(known.unwrap_or_else(|| Value::atom(Atom::Call(name.to_owned(), arguments))))
}

/// The maximum or minimum of numbers, or their greatest common divisor or least common multiple.
fn chosen(name: &str, first: &Value, rest: &[Value]) -> Option<Value> {
    let first = first.as_number()?;
    let chosen = rest.iter().try_fold(first, |chosen, value| {
        let number = value.as_number()?;
        let are_whole = chosen.is_integer() && number.is_integer();
        Some(match name {
            "max" => chosen.max(number),
            "min" => chosen.min(number),
            "gcd" if are_whole => chosen.numer().gcd(number.numer()).into(),
            "lcm" if are_whole => chosen.numer().lcm(number.numer()).into(),
            _ => return None,
        })
    });
    chosen.map(Value::rational)
}

fn small(number: &BigRational) -> Option<u32> {
    if number.is_integer() { number.to_u32().filter(|number| *number <= LARGEST_FACTORIAL) } else { None }
}

/// The absolute value. That of a number is the number or its negative; other values give the same as their negatives.
fn absolute(argument: &Value, budget: &Budget) -> Option<Value> {
    if let Some(number) = argument.as_number() {
        return Some(Value::rational(number.abs()));
    }
    if let Some(number) = approximate::real(argument).filter(|number| number.abs() > CLOSE) {
        return Some(if number < 0.0 { argument.negated() } else { argument.clone() });
    }
    if let Some(square) = square_of_absolute(argument) {
        return power(&square, &Value::rational(BigRational::new(1.into(), 2.into())), budget);
    }
    let outside = content(argument);
    let first = argument.numerator.0.values().next_back()?;
    let scale = if first.is_negative() { -outside.recip() } else { outside.recip() };
    let inside = budget.multiply(argument, &Value::rational(scale))?;
    budget.multiply(&Value::atom(Atom::Call("abs".into(), vec![inside])), &Value::rational(outside))
}

/// `a^2 + b^2` for a constant `a + b i`.
fn square_of_absolute(argument: &Value) -> Option<Value> {
    let is_whole = argument.denominator.number()?.is_one();
    let is_constant = approximate::variables(argument).is_empty();
    let is_complex = argument.numerator.atoms().any(|(atom, _)| *atom == Atom::Imaginary);
    if !(is_whole && is_constant && is_complex) {
        return None;
    }
    argument.times(&Value::polynomial(argument.numerator.conjugate(&Atom::Imaginary)))
}

fn rounded(argument: &Value, exactly: fn(&BigRational) -> BigRational, nearly: fn(f64) -> f64) -> Option<Value> {
    if let Some(number) = argument.as_number() {
        return Some(Value::rational(exactly(&number)));
    }
    let number = approximate::real(argument).filter(|number| number.abs() < 1e9)?;
    ((number - number.round()).abs() > CLOSE).then(|| Value::number(nearly(number) as i64))
}

/// `(n + 2)!` is `(n + 2)(n + 1) n!`, so that quotients of factorials become polynomials.
fn factorial(argument: &Value, budget: &Budget) -> Option<Value> {
    let opaque = |argument: &Value| Value::atom(Atom::Call("factorial".into(), vec![argument.clone()]));
    if let Some(number) = argument.as_number() {
        if number.is_negative() || !number.is_integer() {
            return Some(opaque(argument));
        }
        let upto = small(&number)?;
        budget.spend(u64::from(upto) * 64)?;
        return Some(Value::number((1..=upto).fold(BigInt::one(), |product, factor| product * factor)));
    }
    let shift = argument.numerator.0.get(&Default::default()).cloned().unwrap_or_else(BigRational::zero);
    let is_whole = argument.denominator == Polynomial::constant(BigRational::one());
    let steps = shift.to_i64().filter(|steps| steps.unsigned_abs() <= u64::from(MOST_STEPS));
    let Some(steps) = steps.filter(|_| is_whole && shift.is_integer()) else { return Some(opaque(argument)) };
    let base = argument.plus(&Value::rational(-shift))?;
    let factor = |at: i64| base.plus(&Value::number(at));
    let (above, below) = (1..=steps, steps + 1..=0);
    let multiplied =
        above.into_iter().try_fold(opaque(&base), |product, at| budget.multiply(&product, &factor(at)?))?;
    below.into_iter().try_fold(multiplied, |product, at| budget.multiply(&product, &budget.invert(&factor(at)?)?))
}

/// `n` choose `k`: a product if the number `k` or `n - k` is small, otherwise a quotient of factorials.
fn binomial(of: &Value, taken: &Value, budget: &Budget) -> Option<Value> {
    let left = of.plus(&taken.negated())?;
    if let (Some(of), Some(taken)) = (of.as_number(), taken.as_number()) {
        let (of, taken) = (small(&of)?, small(&taken)?);
        budget.spend(u64::from(taken) * 64)?;
        let step = |product: BigInt, at: u32| product * of.saturating_sub(at) / (at + 1);
        return Some(Value::number((0..taken).fold(BigInt::one(), step)));
    }
    let count =
        |value: &Value| value.as_number().and_then(|number| small(&number)).filter(|count| *count <= MOST_STEPS);
    if let Some(count) = count(taken).or_else(|| count(&left)) {
        return (0..count).try_fold(Value::number(1), |product, at| {
            let factor = of.plus(&Value::number(-i64::from(at)))?;
            let below = Value::rational(BigRational::new(1.into(), (at + 1).into()));
            budget.multiply(&budget.multiply(&product, &factor)?, &below)
        });
    }
    let below = budget.multiply(&factorial(taken, budget)?, &factorial(&left, budget)?)?;
    budget.multiply(&factorial(of, budget)?, &budget.invert(&below)?)
}

fn quotient_of_logarithms(argument: &Value, base: &Value, budget: &Budget) -> Option<Value> {
    let below = budget.invert(&logarithm(base, budget)?)?;
    budget.multiply(&logarithm(argument, budget)?, &below)
}

/// The natural logarithm. For a number it is the sum over its primes, whose logarithms are independent; for a power of
/// e it is the exponent.
fn logarithm(argument: &Value, budget: &Budget) -> Option<Value> {
    let opaque = || Value::atom(Atom::Call("ln".into(), vec![argument.clone()]));
    budget.spend(FACTORING)?;
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
