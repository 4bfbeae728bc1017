//! Powers and roots of exact values.

use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::approximate;
use super::budget::Budget;
use super::exact::{Atom, Monomial, Polynomial, Value};
use super::integers::{IntoRational, factors};

/// The cost of a root or a logarithm, which factors numbers.
pub(super) const FACTORING: u64 = 20_000;

/// `base^exponent`. Integer exponents and roots are evaluated, sums in the exponent are split into factors, and
/// anything else becomes an atom.
pub(super) fn power(base: &Value, exponent: &Value, budget: &Budget) -> Option<Value> {
    let Some(exponent) = exponent.as_number() else { return split(base, exponent, budget) };
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
    budget.spend(FACTORING)?;
    root(base, index, budget)?.power(whole)
}

fn root(base: &Value, index: u32, budget: &Budget) -> Option<Value> {
    let known = base.root(index).or_else(|| root_of_term(base, index));
    if let Some(root) = known.or_else(|| if index == 2 { denested(base) } else { None }) {
        return Some(root);
    }
    // `\sqrt{1/(n + 1)}` is `1/\sqrt{n + 1}`.
    if let Some(above) = base.numerator.number().filter(Signed::is_positive)
        && base.denominator.number().is_none()
    {
        let below = root(&Value::polynomial(base.denominator.clone()), index, budget)?;
        return budget.multiply(&Value::rational(above).root(index)?, &budget.invert(&below)?);
    }
    // The content of the base comes out of a root, so that nested radicals look alike.
    let content = content(base);
    let rest = budget.multiply(base, &Value::rational(content.recip()))?;
    let exponent = Box::new(Value::rational(BigRational::new(1.into(), index.into())));
    let outside = Value::rational(content).root(index)?;
    budget.multiply(&outside, &Value::atom(Atom::Power(Box::new(rest), exponent)))
}

/// The largest positive rational that leaves integer coefficients without a common divisor.
pub(super) fn content(value: &Value) -> BigRational {
    let mut coefficients = value.numerator.0.values();
    let Some(first) = coefficients.next() else { return BigRational::one() };
    let (above, below) = coefficients.fold((first.numer().abs(), first.denom().clone()), |(above, below), next| {
        (above.gcd(next.numer()), below.lcm(next.denom()))
    });
    BigRational::new(above, below)
}

/// The root of a number times powers of variables: `\sqrt[3]{x^2}` is `x^{2/3}`, `\sqrt{x^2}` is `|x|`.
///
/// An even root of an odd power exists only for positive variables, an odd root for all.
fn root_of_term(base: &Value, index: u32) -> Option<Value> {
    let (monomial, coefficient) = base.single_term()?;
    let is_free = |atom: &Atom| match atom {
        Atom::Prime(_) | Atom::Imaginary => false,
        Atom::Symbol(name) => name != "pi" && name != "e",
        _ => true,
    };
    let (free, known): (Monomial, Monomial) = monomial.clone().into_iter().partition(|(atom, _)| is_free(atom));
    let is_even = index.is_multiple_of(2);
    let is_whole = free.values().all(BigRational::is_integer);
    if free.is_empty() || !is_whole || (is_even && (free.len() > 1 || coefficient.is_negative())) {
        return None;
    }
    let divided = free.into_iter().map(|(atom, exponent)| {
        let becomes = &exponent / index.into_rational();
        let stays_positive = becomes.is_integer() && becomes.numer().is_even();
        if is_even && exponent.numer().is_even() && !stays_positive {
            let inside = Value::atom(atom);
            (Atom::Call("abs".into(), vec![inside]), becomes)
        } else {
            (atom, becomes)
        }
    });
    let divided = Value::polynomial(Polynomial::term(BigRational::one(), divided.collect()));
    let number = Value::polynomial(Polynomial::term(coefficient.clone(), known)).root(index)?;
    number.times(&divided)
}

/// `\sqrt{a + b\sqrt{c}}` as a sum of roots, if it is one.
fn denested(base: &Value) -> Option<Value> {
    let [(nothing, whole), (irrational, factor)]: [(&Monomial, &BigRational); 2] =
        base.numerator.0.iter().collect::<Vec<_>>().try_into().ok()?;
    let half = BigRational::new(1.into(), 2.into());
    let is_root = |(atom, exponent): (&Atom, &BigRational)| matches!(atom, Atom::Prime(_)) && *exponent == half;
    if !nothing.is_empty() || !irrational.iter().all(is_root) || !base.denominator.number()?.is_one() {
        return None;
    }
    let radicand = Value::polynomial(Polynomial::term(factor.clone(), irrational.clone())).power(2)?.as_number()?;
    let square = Value::rational(whole * whole - radicand).root(2)?.as_number()?;
    if !whole.is_positive() {
        return None;
    }
    let part = |sum: BigRational| Value::rational(sum * &half).root(2);
    let (first, second) = (part(whole + &square)?, part(whole - &square)?);
    first.plus(&if factor.is_negative() { second.negated() } else { second })
}

/// A power whose exponent has variables: `2^{n+1}` is `2 \cdot 2^n`, `4^n` is `(2^n)^2`.
fn split(base: &Value, exponent: &Value, budget: &Budget) -> Option<Value> {
    let opaque = || Value::atom(Atom::Power(Box::new(base.clone()), Box::new(exponent.clone())));
    if base.as_number().is_some_and(|number| number.is_one()) {
        return Some(Value::number(1));
    }
    if base.is_zero() || !exponent.denominator.number().is_some_and(|below| below.is_one()) {
        return Some(opaque());
    }
    let is_positive = approximate::real(base).is_some_and(|number| number > 0.0);
    let mut bases = vec![(base.clone(), BigRational::one())];
    if let Some(number) = base.as_number().filter(|_| is_positive) {
        budget.spend(FACTORING)?;
        let primes = |of: &num_bigint::BigInt, sign: i64| {
            let found = factors(of.magnitude())?.into_iter();
            let based = |(prime, count): (num_bigint::BigUint, i64)| {
                (Value::number(num_bigint::BigInt::from(prime)), (count * sign).into_rational())
            };
            Some(found.map(based).collect::<Vec<_>>())
        };
        bases = primes(number.numer(), 1)?.into_iter().chain(primes(number.denom(), -1)?).collect();
    }
    let mut product = Value::number(1);
    for (monomial, coefficient) in &exponent.numerator.0 {
        for (base, count) in &bases {
            let times = coefficient * count;
            let factor = if monomial.is_empty() {
                power(base, &Value::rational(times), budget)?
            } else if let Some(argument) = undone_by(base, monomial).filter(|_| times.is_integer()) {
                argument.power(times.to_integer().to_i32()?)?
            } else if times.is_integer() || is_positive {
                let unit = Value::polynomial(Polynomial::term(BigRational::one(), monomial.clone()));
                let atom = Atom::Power(Box::new(base.clone()), Box::new(unit));
                Value::polynomial(Polynomial::term(BigRational::one(), [(atom, times)].into()))
            } else {
                let whole = Value::polynomial(Polynomial::term(times, monomial.clone()));
                Value::atom(Atom::Power(Box::new(base.clone()), Box::new(whole)))
            };
            product = budget.multiply(&product, &factor)?;
        }
    }
    Some(product)
}

/// If the exponent of e is a logarithm, the argument of that logarithm.
fn undone_by<'a>(base: &Value, exponent: &'a Monomial) -> Option<&'a Value> {
    let (atom, count) = exponent.first_key_value()?;
    let Atom::Call(name, arguments) = atom else { return None };
    let is_logarithm = name == "ln" && exponent.len() == 1 && count.is_one() && *base == Value::symbol("e");
    if is_logarithm { arguments.first() } else { None }
}
