//! Sines and cosines: exact values of angles that have them; sums and multiples of angles are expanded.

use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::approximate;
use super::budget::Budget;
use super::exact::{Atom, Monomial, Polynomial, Value};
use super::power::power;

/// Sums of more angles are not expanded, nor sums whose multiples have a larger product than `MOST_WORK`.
const MOST_TERMS: usize = 3;
const MOST_WORK: u32 = 4;

/// The sine and the cosine of one angle.
type Pair = (Value, Value);

/// A trigonometric function of an angle, computed from its sine and cosine.
pub(super) fn value(name: &str, angle: &Value, budget: &Budget) -> Option<Value> {
    let (sine, cosine) = pair(angle, budget)?;
    let quotient = |above: &Value, below: &Value| budget.multiply(above, &budget.invert(below)?);
    match name {
        "sin" => Some(sine),
        "cos" => Some(cosine),
        "tan" => quotient(&sine, &cosine),
        "cot" => quotient(&cosine, &sine),
        "sec" => budget.invert(&cosine),
        _ => budget.invert(&sine),
    }
}

fn pair(angle: &Value, budget: &Budget) -> Option<Pair> {
    let times = |(monomial, coefficient): (&Monomial, &BigRational)| {
        let is_constant =
            !monomial.is_empty() && monomial.iter().all(|(atom, _)| matches!(atom, Atom::Symbol(name) if name == "pi"));
        if is_constant { Some(1) } else { coefficient.numer().abs().to_u32() }
    };
    let work = angle.numerator.0.iter().try_fold(1_u32, |work, term| work.checked_mul(times(term)?));
    if work.is_none_or(|work| work > MOST_WORK) || angle.numerator.0.len() > MOST_TERMS {
        return Some(opaque(angle));
    }
    if !angle.denominator.number().is_some_and(|below| below.is_one()) {
        return Some(opaque(angle));
    }
    let mut sum = (Value::number(0), Value::number(1));
    let half_turn = [(Atom::Symbol("pi".into()), BigRational::one())].into();
    for (monomial, coefficient) in &angle.numerator.0 {
        let next = if *monomial == half_turn {
            let quarter = BigRational::new(1.into(), 2.into());
            (sine_of_half_turns(coefficient, budget)?, sine_of_half_turns(&(coefficient + quarter), budget)?)
        } else {
            let unit = BigRational::new(1.into(), coefficient.denom().clone());
            let base = Value::polynomial(Polynomial::term(unit, monomial.clone()));
            multiple(&opaque(&base), coefficient.numer().to_i64()?, budget)?
        };
        sum = added(&sum, &next, budget)?;
    }
    Some(sum)
}

/// The angle with this sine, cosine or tangent, if it is a known fraction of a turn.
pub(super) fn inverse(name: &str, number: &Value, budget: &Budget) -> Option<Value> {
    let parts = 120;
    let place = approximate::real(number)?;
    let (function, angle) = match name {
        "arcsin" => ("sin", place.asin()),
        "arccos" => ("cos", place.acos()),
        "arctan" => ("tan", place.atan()),
        _ => return None,
    };
    let part = (angle / std::f64::consts::PI * f64::from(parts)).round();
    if !part.is_finite() {
        return None;
    }
    let turns = BigRational::new((part as i64).into(), parts.into());
    let angle = Value::symbol("pi").times(&Value::rational(turns))?;
    value(function, &angle, budget)?.is_same(number)?.then_some(angle)
}

fn opaque(angle: &Value) -> Pair {
    let call = |name: &str| Value::atom(Atom::Call(name.into(), vec![angle.clone()]));
    (call("sin"), call("cos"))
}

fn added(left: &Pair, right: &Pair, budget: &Budget) -> Option<Pair> {
    let times = |left: &Value, right: &Value| budget.multiply(left, right);
    let sine = budget.add(&times(&left.0, &right.1)?, &times(&left.1, &right.0)?)?;
    let cosine = budget.add(&times(&left.1, &right.1)?, &times(&left.0, &right.0)?.negated())?;
    Some((sine, cosine))
}

fn multiple(angle: &Pair, times: i64, budget: &Budget) -> Option<Pair> {
    let nothing = (Value::number(0), Value::number(1));
    let (sine, cosine) = (0..times.abs()).try_fold(nothing, |sum, _| added(&sum, angle, budget))?;
    Some((if times < 0 { sine.negated() } else { sine }, cosine))
}

/// The sine of a multiple of pi: from a table, or of an angle between 0 and pi/2.
fn sine_of_half_turns(turns: &BigRational, budget: &Budget) -> Option<Value> {
    let one = BigRational::one();
    let whole = turns.floor().to_integer();
    let mut within = turns - turns.floor();
    if within > BigRational::new(1.into(), 2.into()) {
        within = one - within;
    }
    let sine = known_sine(&within, budget)?;
    Some(if whole.is_even() { sine } else { sine.negated() })
}

fn known_sine(turns: &BigRational, budget: &Budget) -> Option<Value> {
    let half = Value::rational(BigRational::new(1.into(), 2.into()));
    let root = |value: &Value| power(value, &half, budget);
    let sum = |left: &Value, right: &Value| budget.add(left, right);
    let over = |value: &Value, below: i64| value.times(&Value::rational(BigRational::new(1.into(), below.into())));
    let root_of = |number: i64| root(&Value::number(number));
    if turns.is_zero() {
        return Some(Value::number(0));
    }
    let parts = (turns.numer().to_u32().unwrap_or(0), turns.denom().to_u32().unwrap_or(0));
    match parts {
        (1, 2) => Some(Value::number(1)),
        (1, 6) => Some(half),
        (1, 4) => over(&root_of(2)?, 2),
        (1, 3) => over(&root_of(3)?, 2),
        (1, 12) => over(&sum(&root_of(6)?, &root_of(2)?.negated())?, 4),
        (5, 12) => over(&sum(&root_of(6)?, &root_of(2)?)?, 4),
        (1, 10) => over(&sum(&root_of(5)?, &Value::number(-1))?, 4),
        (3, 10) => over(&sum(&root_of(5)?, &Value::number(1))?, 4),
        (1, 8) => over(&root(&sum(&Value::number(2), &root_of(2)?.negated())?)?, 2),
        (3, 8) => over(&root(&sum(&Value::number(2), &root_of(2)?)?)?, 2),
        (1, 5) => over(&root(&sum(&Value::number(10), &power(&Value::number(20), &half, budget)?.negated())?)?, 4),
        (2, 5) => over(&root(&sum(&Value::number(10), &power(&Value::number(20), &half, budget)?)?)?, 4),
        _ => {
            let angle = Value::symbol("pi").times(&Value::rational(turns.clone()))?;
            Some(Value::atom(Atom::Call("sin".into(), vec![angle])))
        }
    }
}
