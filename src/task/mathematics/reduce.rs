//! Quotients in lowest terms, so that equal values have one spelling.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::budget::Budget;
use super::exact::{Atom, Monomial, Polynomial, Value};
use super::integers::IntoRational;

/// The maximum number of squared cosines that are replaced in one polynomial.
const MOST_SQUARES: usize = 64;

/// The value in lowest terms, with squares of cosines expressed by sines; unchanged if that is too much work.
pub(super) fn reduced(value: &Value, budget: &Budget) -> Value {
    let plain = without_squared_cosines(value).unwrap_or_else(|| value.clone());
    in_lowest_terms(&plain, budget).unwrap_or(plain)
}

fn without_squared_cosines(value: &Value) -> Option<Value> {
    let above = Value::polynomial(sines(&value.numerator)?);
    above.times(&Value::polynomial(sines(&value.denominator)?).inverse()?)
}

fn sines(polynomial: &Polynomial) -> Option<Polynomial> {
    let two = || 2.into_rational();
    let mut found = polynomial.clone();
    for _ in 0..MOST_SQUARES {
        let squared = found.0.iter().find_map(|(monomial, coefficient)| {
            let is_squared = |(atom, exponent): &(&Atom, &BigRational)| {
                matches!(atom, Atom::Call(name, _) if name == "cos") && **exponent >= two()
            };
            Some((monomial.clone(), coefficient.clone(), monomial.iter().find(is_squared)?.0.clone()))
        });
        let Some((mut monomial, coefficient, cosine)) = squared else { return Some(found) };
        let Atom::Call(_, angle) = &cosine else { return None };
        found.0.remove(&monomial);
        let exponent = monomial.remove(&cosine)? - two();
        if !exponent.is_zero() {
            monomial.insert(cosine.clone(), exponent);
        }
        let rest = Polynomial::term(coefficient, monomial);
        let sine = Atom::Call("sin".into(), angle.clone());
        let square = Polynomial::term(-BigRational::one(), [(sine, two())].into());
        let replaced = rest.times(&Polynomial::constant(BigRational::one()).plus(&square)?)?;
        found = found.plus(&replaced)?;
    }
    None
}

fn is_free(atom: &Atom) -> bool {
    !matches!(atom, Atom::Prime(_) | Atom::Imaginary)
}

fn in_lowest_terms(value: &Value, budget: &Budget) -> Option<Value> {
    if value.denominator.number().is_some() {
        return None;
    }
    // Makes every exponent a non-negative integer, and the smallest exponent of each atom zero.
    let both = || value.numerator.0.keys().chain(value.denominator.0.keys());
    let mut shift = Monomial::new();
    let mut scale = BigInt::one();
    for (atom, exponent) in both().flatten().filter(|(atom, _)| is_free(atom)) {
        scale = scale.lcm(exponent.denom());
        let lowest = both().map(|monomial| monomial.get(atom).cloned().unwrap_or_else(BigRational::zero)).min()?;
        if !lowest.is_zero() {
            shift.insert(atom.clone(), -lowest);
        }
    }
    let shift = Polynomial::term(BigRational::one(), shift);
    let scale = BigRational::from_integer(scale);
    let above = scaled(&value.numerator.times(&shift)?, &scale);
    let below = scaled(&value.denominator.times(&shift)?, &scale);
    let common = divisor(&above, &below, budget)?;
    let back = scale.recip();
    let above = scaled(&quotient(&above, &common, budget)?, &back);
    let below = scaled(&quotient(&below, &common, budget)?, &back);
    let unit = Value::polynomial(leading_number(&below)?).inverse()?;
    let above = Value::polynomial(above).times(&unit)?;
    let below = Value::polynomial(below).times(&unit)?;
    above.times(&below.inverse()?)
}

/// The factor of the last product of variables.
fn leading_number(of: &Polynomial) -> Option<Polynomial> {
    let halves = |monomial: &Monomial| -> (Monomial, Monomial) {
        monomial.clone().into_iter().partition(|(atom, _)| is_free(atom))
    };
    let last = of.0.keys().map(|monomial| halves(monomial).0).max()?;
    let numbers = of.0.iter().filter_map(|(monomial, coefficient)| {
        let (free, number) = halves(monomial);
        (free == last).then(|| Polynomial::term(coefficient.clone(), number))
    });
    numbers.into_iter().try_fold(Polynomial::default(), |sum, number| sum.plus(&number))
}

/// The polynomial with the exponents of everything that is not a number multiplied by `scale`.
fn scaled(polynomial: &Polynomial, scale: &BigRational) -> Polynomial {
    let times = |(atom, exponent): (&Atom, &BigRational)| {
        (atom.clone(), if is_free(atom) { exponent * scale } else { exponent.clone() })
    };
    let term = |(monomial, coefficient): (&Monomial, &BigRational)| {
        (monomial.iter().map(times).collect::<Monomial>(), coefficient.clone())
    };
    Polynomial(polynomial.0.iter().map(term).collect())
}

/// A variable of one of the polynomials.
fn variable(left: &Polynomial, right: &Polynomial) -> Option<Atom> {
    left.atoms().chain(right.atoms()).map(|(atom, _)| atom).filter(|atom| is_free(atom)).min().cloned()
}

/// The coefficients of the powers of a variable, starting with power zero.
fn coefficients(polynomial: &Polynomial, variable: &Atom) -> Option<Vec<Polynomial>> {
    let mut found = Vec::new();
    for (monomial, coefficient) in &polynomial.0 {
        let mut rest = monomial.clone();
        let degree = rest.remove(variable).map_or(Some(0), |exponent| exponent.to_usize())?;
        if found.len() <= degree {
            found.resize(degree + 1, Polynomial::default());
        }
        found[degree] = found[degree].clone().plus(&Polynomial::term(coefficient.clone(), rest))?;
    }
    Some(found)
}

fn power_of(variable: &Atom, degree: usize) -> Polynomial {
    let exponent = (degree as u64).into_rational();
    Polynomial::term(
        BigRational::one(),
        if degree == 0 { Monomial::new() } else { [(variable.clone(), exponent)].into() },
    )
}

fn spend(left: &Polynomial, right: &Polynomial, budget: &Budget) -> Option<()> {
    budget.spend(16 * (1 + left.0.len() as u64) * (1 + right.0.len() as u64))
}

/// The greatest common divisor, up to a numeric factor.
fn divisor(left: &Polynomial, right: &Polynomial, budget: &Budget) -> Option<Polynomial> {
    spend(left, right, budget)?;
    if left.is_zero() || right.is_zero() {
        return Some(if left.is_zero() { right.clone() } else { left.clone() });
    }
    let Some(variable) = variable(left, right) else { return Some(Polynomial::constant(BigRational::one())) };
    let (outside, other_outside) = (content(left, &variable, budget)?, content(right, &variable, budget)?);
    let mut first = quotient(left, &outside, budget)?;
    let mut second = quotient(right, &other_outside, budget)?;
    let degree = |of: &Polynomial| coefficients(of, &variable).map(|parts| parts.len().saturating_sub(1));
    if degree(&first)? < degree(&second)? {
        std::mem::swap(&mut first, &mut second);
    }
    while !second.is_zero() {
        if degree(&second)? == 0 {
            first = Polynomial::constant(BigRational::one());
            break;
        }
        let rest = remainder(&first, &second, &variable, budget)?;
        first = second;
        second = if rest.is_zero() { rest } else { quotient(&rest, &content(&rest, &variable, budget)?, budget)? };
    }
    divisor(&outside, &other_outside, budget)?.times(&first)
}

/// The greatest common divisor of the coefficients, with the number that makes them integers.
fn content(of: &Polynomial, variable: &Atom, budget: &Budget) -> Option<Polynomial> {
    let parts = coefficients(of, variable)?;
    let common = parts.iter().try_fold(Polynomial::default(), |common, part| divisor(&common, part, budget))?;
    if !common.atoms().any(|(atom, _)| is_free(atom)) {
        let number = of.0.values().fold(BigRational::zero(), |common, number| {
            BigRational::new(common.numer().gcd(number.numer()), common.denom().lcm(number.denom()))
        });
        return Some(Polynomial::constant(number.abs()));
    }
    Some(common)
}

/// The remainder of one polynomial, times a power of the other's first coefficient, after division by the other.
fn remainder(left: &Polynomial, right: &Polynomial, variable: &Atom, budget: &Budget) -> Option<Polynomial> {
    let below = coefficients(right, variable)?;
    let leading = below.last()?;
    let mut rest = left.clone();
    loop {
        let above = coefficients(&rest, variable)?;
        if rest.is_zero() || above.len() < below.len() {
            return Some(rest);
        }
        spend(&rest, right, budget)?;
        let factor = above.last()?.times(&power_of(variable, above.len() - below.len()))?;
        rest = rest.times(leading)?.plus(&right.times(&factor)?.negated())?;
    }
}

/// The quotient of polynomials if one divides the other.
fn quotient(left: &Polynomial, right: &Polynomial, budget: &Budget) -> Option<Polynomial> {
    spend(left, right, budget)?;
    let Some(variable) = right.atoms().map(|(atom, _)| atom).filter(|atom| is_free(atom)).min() else {
        let found = Value::polynomial(left.clone()).times(&Value::polynomial(right.clone()).inverse()?)?;
        return found.denominator.number()?.is_one().then_some(found.numerator);
    };
    let below = coefficients(right, variable)?;
    let mut rest = left.clone();
    let mut found = Polynomial::default();
    while !rest.is_zero() {
        spend(&rest, right, budget)?;
        let above = coefficients(&rest, variable)?;
        let degree = above.len().checked_sub(below.len())?;
        let factor = quotient(above.last()?, below.last()?, budget)?.times(&power_of(variable, degree))?;
        rest = rest.plus(&right.times(&factor)?.negated())?;
        found = found.plus(&factor)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::{evaluate, parse};
    use super::*;

    #[test]
    fn quotients_lose_their_common_factors() {
        let value = |text| {
            let expression = parse::parse(text, parse::Reading::USUAL).expect("an expression");
            reduced(&evaluate::value(&expression, &Budget::new()).expect("a value"), &Budget::new())
        };
        let check = |left, right| assert_eq!(value(left), value(right), "{left} is {right}");
        check(r"\frac{x^2-1}{x-1}", "x+1");
        check(r"\frac{x^2-y^2}{x^2+2xy+y^2}", r"\frac{x-y}{x+y}");
        check(r"\frac{x^2-2}{x-\sqrt2}", r"x+\sqrt2");
        check(r"\frac{x-1}{\sqrt{x}-1}", r"\sqrt{x}+1");
        check(r"\frac{1}{\frac1x+\frac1y}", r"\frac{xy}{x+y}");
        check(r"\frac{2a+2b}{4a^2-4b^2}", r"\frac{1}{2(a-b)}");
        check(r"\frac{a^3+b^3}{a+b}", "a^2-ab+b^2");
        check(r"\cos^4 x-\sin^4 x", r"1-2\sin^2 x");
    }
}
