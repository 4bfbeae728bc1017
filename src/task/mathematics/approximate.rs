//! Values at points: the last resort for functions and nested roots that the exact form does not evaluate.

use std::collections::BTreeSet;

use num_complex::Complex64;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};

use super::exact::{Atom, Polynomial, Value};
use crate::random;

const POINTS: u32 = 6;
/// The maximum number of points tried to find `POINTS` at which both values exist.
const MOST_POINTS: u32 = 40;
/// Relative to the sum of the terms' magnitudes.
const TOLERANCE: f64 = 1e-11;
/// For larger numbers, agreement within a tolerance means little: `cos(1/1000000)` is not 1.
const LARGEST_INSIDE: i64 = 10_000;
const LARGEST_OUTSIDE: i64 = 1_000_000;

/// Whether the values agree at several points where both exist, and are simple enough for this to count.
///
/// With one variable, both must exist at the same points: `\ln x^2` is not `2 \ln x`. With several, roots and
/// logarithms may be split: `\sqrt{a/b}` is `\sqrt{a}/\sqrt{b}`.
pub(super) fn agree(left: &Value, right: &Value) -> bool {
    let is_simple = [left, right].into_iter().all(|value| holds_small_numbers(value, LARGEST_OUTSIDE));
    let is_opaque = [left, right].into_iter().any(is_opaque);
    if !is_simple || !is_opaque {
        return false;
    }
    let (Some(a), Some(b)) = (left.numerator.times(&right.denominator), right.numerator.times(&left.denominator))
    else {
        return false;
    };
    let names: BTreeSet<String> = variables(left).into_iter().chain(variables(right)).collect();
    let has_several = names.iter().filter(|name| !is_constant(name)).count() > 1;
    let mut agreeing = 0;
    for point in 0..MOST_POINTS {
        let exists = |of: &Value| value(of, point).is_finite();
        match (exists(left), exists(right)) {
            (true, true) if differ_by_little(&a, &b, point) => agreeing += 1,
            (true, true) => return false,
            (false, false) => {}
            _ if has_several => {}
            _ => return false,
        }
        if agreeing == POINTS {
            return true;
        }
    }
    false
}

fn is_constant(name: &str) -> bool {
    matches!(name, "pi" | "e")
}

/// The approximate number of a value without variables; `None` if it is not real.
pub(super) fn real(of: &Value) -> Option<f64> {
    let number = if variables(of).iter().all(|name| is_constant(name)) { value(of, 0) } else { return None };
    (number.re.is_finite() && number.im.abs() <= TOLERANCE * number.re.abs().max(1.0)).then_some(number.re)
}

/// The names in a value, including those of constants.
pub(super) fn variables(of: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (atom, _) in of.numerator.atoms().chain(of.denominator.atoms()) {
        match atom {
            Atom::Prime(_) | Atom::Imaginary => {}
            Atom::Symbol(name) => {
                found.insert(name.clone());
            }
            Atom::Power(base, exponent) => found.extend(variables(base).into_iter().chain(variables(exponent))),
            Atom::Call(_, arguments) => found.extend(arguments.iter().flat_map(variables)),
        }
    }
    found
}

fn differ_by_little(left: &Polynomial, right: &Polynomial, point: u32) -> bool {
    let terms = |polynomial: &Polynomial| -> Vec<Complex64> {
        polynomial.0.iter().map(|(monomial, coefficient)| term(monomial, coefficient, point)).collect()
    };
    let (left, right) = (terms(left), terms(right));
    let magnitude: f64 = left.iter().chain(&right).map(|term| term.norm()).sum();
    let difference: Complex64 = left.iter().sum::<Complex64>() - right.iter().sum::<Complex64>();
    magnitude.is_finite() && difference.norm() <= TOLERANCE * magnitude
}

fn term<'a>(
    monomial: impl IntoIterator<Item = (&'a Atom, &'a BigRational)>,
    coefficient: &BigRational,
    point: u32,
) -> Complex64 {
    let powers = monomial
        .into_iter()
        .map(|(base, exponent)| raised(atom(base, point), exponent, !matches!(base, Atom::Prime(_) | Atom::Imaginary)));
    powers.fold(number(coefficient).into(), |product, power| product * power)
}

fn number(number: &BigRational) -> f64 {
    number.to_f64().unwrap_or(f64::NAN)
}

/// A power as among the real numbers: odd roots of negative numbers are real, and even roots do not exist if the base
/// varies.
fn raised(base: Complex64, exponent: &BigRational, varies: bool) -> Complex64 {
    let power = number(exponent);
    if exponent.is_integer() || base.im != 0.0 || base.re >= 0.0 {
        powered(base, power.into())
    } else if exponent.denom().is_odd() {
        let size = (-base.re).powf(power);
        if exponent.numer().is_odd() { (-size).into() } else { size.into() }
    } else if varies {
        f64::NAN.into()
    } else {
        powered(base, power.into())
    }
}

fn powered(base: Complex64, exponent: Complex64) -> Complex64 {
    if exponent.im == 0.0 && exponent.re.fract() == 0.0 && exponent.re.abs() < 1e4 {
        base.powi(exponent.re as i32)
    } else if base.im == 0.0 && base.re >= 0.0 && exponent.im == 0.0 {
        base.re.powf(exponent.re).into()
    } else {
        base.powc(exponent)
    }
}

fn value(of: &Value, point: u32) -> Complex64 {
    let sum = |polynomial: &Polynomial| -> Complex64 {
        polynomial.0.iter().map(|(monomial, coefficient)| term(monomial, coefficient, point)).sum()
    };
    sum(&of.numerator) / sum(&of.denominator)
}

fn atom(atom: &Atom, point: u32) -> Complex64 {
    match atom {
        Atom::Prime(prime) => prime.to_f64().unwrap_or(f64::NAN).into(),
        Atom::Imaginary => Complex64::I,
        Atom::Symbol(name) => match name.as_str() {
            "pi" => std::f64::consts::PI.into(),
            "e" => std::f64::consts::E.into(),
            "infinity" => f64::NAN.into(),
            _ => sampled(name, point).into(),
        },
        Atom::Power(base, exponent) => match exponent.as_number() {
            Some(exponent) => raised(value(base, point), &exponent, !variables(base).is_empty()),
            None => powered(value(base, point), value(exponent, point)),
        },
        Atom::Call(name, arguments)
            if name == "ln" && arguments.iter().any(|argument| !variables(argument).is_empty()) =>
        {
            let inside = arguments.first().map_or(f64::NAN.into(), |argument| value(argument, point));
            if inside.im == 0.0 && inside.re < 0.0 { f64::NAN.into() } else { inside.ln() }
        }
        Atom::Call(name, arguments) => {
            let arguments: Vec<_> = arguments.iter().map(|argument| value(argument, point)).collect();
            call(name, &arguments)
        }
    }
}

/// The value at which a variable is tried: positive at even points, of either sign at odd ones.
fn sampled(name: &str, point: u32) -> f64 {
    let key = random::key(&[&"mathematics", &name, &point]);
    // The first points are near one. Later ones lie further away, where roots such as that of `x - 9` exist.
    let reach = if point < 2 * POINTS { 2.5 } else { 25.0 };
    let size = 0.3 + (key >> 12) as f64 / (1_u64 << 52) as f64 * reach;
    if point % 2 == 1 && key % 2 == 1 { -size } else { size }
}

fn call(name: &str, arguments: &[Complex64]) -> Complex64 {
    let real = |function: fn(f64) -> f64, at: Complex64| {
        if at.im.abs() < 1e-12 { function(at.re).into() } else { f64::NAN.into() }
    };
    match (name, arguments) {
        ("sin", [x]) => x.sin(),
        ("cos", [x]) => x.cos(),
        ("tan", [x]) => x.tan(),
        ("cot", [x]) => x.tan().inv(),
        ("sec", [x]) => x.cos().inv(),
        ("csc", [x]) => x.sin().inv(),
        ("arcsin", [x]) => x.asin(),
        ("arccos", [x]) => x.acos(),
        ("arctan", [x]) => x.atan(),
        ("arccot", [x]) => x.inv().atan(),
        ("arcsec", [x]) => x.inv().acos(),
        ("arccsc", [x]) => x.inv().asin(),
        ("sinh", [x]) => x.sinh(),
        ("cosh", [x]) => x.cosh(),
        ("tanh", [x]) => x.tanh(),
        ("ln", [x]) => x.ln(),
        ("abs", [x]) => x.norm().into(),
        ("floor", [x]) => real(f64::floor, *x),
        ("ceil", [x]) => real(f64::ceil, *x),
        _ => f64::NAN.into(),
    }
}

/// Whether the exact form leaves something open: a function or a power that is not evaluated.
pub(super) fn is_opaque(value: &Value) -> bool {
    value.numerator.atoms().chain(value.denominator.atoms()).any(|(atom, _)| match atom {
        Atom::Prime(_) | Atom::Imaginary | Atom::Symbol(_) => false,
        Atom::Power(..) => true,
        // The logarithms of primes are independent.
        Atom::Call(name, arguments) => name != "ln" || arguments.iter().any(|argument| argument.as_number().is_none()),
    })
}

fn holds_small_numbers(value: &Value, largest: i64) -> bool {
    let is_small = |number: &BigRational| number.numer().abs() <= largest.into() && *number.denom() <= largest.into();
    let polynomials = [&value.numerator, &value.denominator];
    let coefficients = polynomials.iter().flat_map(|polynomial| polynomial.0.values());
    let mut atoms = polynomials.iter().flat_map(|polynomial| polynomial.atoms());
    coefficients.into_iter().all(is_small)
        && atoms.all(|(atom, exponent)| {
            is_small(exponent)
                && match atom {
                    Atom::Power(base, exponent) => {
                        holds_small_numbers(base, LARGEST_INSIDE) && holds_small_numbers(exponent, LARGEST_INSIDE)
                    }
                    Atom::Call(_, arguments) => {
                        arguments.iter().all(|argument| holds_small_numbers(argument, LARGEST_INSIDE))
                    }
                    Atom::Prime(_) | Atom::Imaginary | Atom::Symbol(_) => true,
                }
        })
}
