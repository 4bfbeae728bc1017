//! Decides whether two answers are the same: values exactly, structures part by part, with the conventions of the MATH
//! benchmark.
//!
//! By convention, a unit, a base, a percent sign or the name of a value (`x = 5`) may be left out on one side.

use num_integer::Integer;
use num_traits::{One, Signed, Zero};

use super::approximate;
use super::budget::Budget;
use super::evaluate::value;
use super::exact::Value;
use super::expression::Expression::{self, *};
use super::real_set;
use super::relation::{difference, excess, proportion, turned};
use super::words::measure;

/// Longer lists are not compared in any order.
const LONGEST_LIST: usize = 64;

pub(super) fn equal(left: &Expression, right: &Expression, budget: &Budget) -> bool {
    let same = |left: &Expression, right: &Expression| equal(left, right, budget);
    let pairwise = |left: &[Expression], right: &[Expression]| {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
    };
    if budget.spend(1).is_none() {
        return false;
    }
    if let Some(same) = real_set::same(left, right, budget) {
        return same;
    }
    match (left, right) {
        (Relation { .. }, Relation { .. }) => relations(left, right, budget),
        (Relation { .. }, other) | (other, Relation { .. }) => {
            let relation = if matches!(left, Relation { .. }) { left } else { right };
            if let (List(parts), Some(each)) = (other, each_named(relation)) {
                return in_any_order(&each, parts, budget);
            }
            let named = named_value(relation, budget).or_else(|| interval(relation).map(|(_, interval)| interval));
            named.is_some_and(|named| same(&named.flattened(), other))
        }
        (List(parts), Union(_)) | (Union(_), List(parts)) => {
            let intervals: Option<Vec<_>> = parts.iter().map(|part| Some(interval(part)?.1)).collect();
            let other = if matches!(left, Union(_)) { left } else { right };
            intervals.is_some_and(|intervals| same(&Union(intervals), other))
        }
        (List(parts), Bracketed('(', values, ')')) | (Bracketed('(', values, ')'), List(parts))
            if has_several_names(parts) =>
        {
            pairwise(parts, values)
        }
        (List(_), _) | (_, List(_)) => {
            let (left, right) = (left.parts(), right.parts());
            // If one side leaves out the names, the parts are matched by position.
            if has_several_names(left) != has_several_names(right) {
                pairwise(left, right)
            } else {
                in_any_order(left, right, budget)
            }
        }
        (Union(left), Union(right)) => in_any_order(left, right, budget),
        (Bracketed(open, left, close), Bracketed(other_open, right, other_close)) => {
            open == other_open && close == other_close && pairwise(left, right)
        }
        (Matrix(left), Matrix(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| pairwise(left, right))
        }
        (Matrix(rows), Bracketed('(', parts, ')')) | (Bracketed('(', parts, ')'), Matrix(rows)) => {
            let column: Vec<_> = rows.iter().filter(|row| row.len() == 1).flatten().cloned().collect();
            column.len() == rows.len() && pairwise(&column, parts)
        }
        (Call(name, _), other) | (other, Call(name, _)) if name == "clock" && !is_clock(other) => {
            let time = if is_clock(left) { left } else { right };
            reduced_ratio(time).is_some_and(|ratio| same(&ratio, other))
        }
        (Ratio(left), Ratio(right)) => ratios(left, right, budget).unwrap_or(false),
        (Ratio(parts), other) | (other, Ratio(parts)) => match parts.as_slice() {
            [above, below] => same(&Product(vec![above.clone(), Inverse(Box::new(below.clone()))]), other),
            _ => false,
        },
        (Words(_), other) | (other, Words(_)) => {
            let words = if matches!(left, Words(_)) { left } else { right };
            other.word().is_some_and(|word| Some(word) == words.word())
        }
        _ => quantities(left, right, budget),
    }
}

fn is_clock(expression: &Expression) -> bool {
    match expression.split().0 {
        Call(name, _) => name == "clock",
        _ => false,
    }
}

/// `2:17` as a ratio: a time in lowest terms may be meant as one. But nobody writes `2:05` or `6:34` as a ratio, and
/// `2:15` is a time.
fn reduced_ratio(time: &Expression) -> Option<Expression> {
    let Call(_, parts) = time else { return None };
    let [Number(first), Number(second)] = parts.as_slice() else { return None };
    let is_round = (second.numer() % 5_u32).is_zero();
    let is_reduced = first.numer().gcd(second.numer()).is_one() && second.numer() > &9.into();
    (is_reduced && !is_round).then(|| Ratio(parts.clone()))
}

/// `(x, y) = (2, 3)` as `x = 2` and `y = 3`.
fn each_named(relation: &Expression) -> Option<Vec<Expression>> {
    let Relation { sides, signs } = relation else { return None };
    let ([Bracketed('(', names, ')'), Bracketed('(', values, ')')], ['=']) = (sides.as_slice(), signs.as_slice())
    else {
        return None;
    };
    let named = |(name, value): (&Expression, &Expression)| Relation {
        sides: vec![name.clone(), value.clone()],
        signs: vec!['='],
    };
    (names.len() == values.len()).then(|| names.iter().zip(values).map(named).collect())
}

/// Whether the parts are equations for different names, as in `x = 2, y = 3`.
pub(super) fn has_several_names(parts: &[Expression]) -> bool {
    let name = |part: &Expression| match part {
        Relation { sides, signs } if signs == &['='] => sides.first().filter(|side| side.is_label()).cloned(),
        _ => None,
    };
    let names: Vec<_> = parts.iter().filter_map(name).collect();
    names.windows(2).any(|pair| pair[0] != pair[1])
}

fn in_any_order(left: &[Expression], right: &[Expression], budget: &Budget) -> bool {
    if left.len() != right.len() || left.len() > LONGEST_LIST {
        return false;
    }
    let mut unmatched: Vec<&Expression> = right.iter().collect();
    left.iter().all(|part| {
        let position = unmatched.iter().position(|candidate| equal(part, candidate, budget));
        position.map(|position| unmatched.swap_remove(position)).is_some()
    })
}

/// Compares values with units: `5 feet` is not `5 inches`, but either is `5`; `20%` is `20` and `1/5`; `90^\circ` is
/// `90` and `\pi/2`.
fn quantities(left: &Expression, right: &Expression, budget: &Budget) -> bool {
    let ((left, left_unit), (right, right_unit)) = (left.split(), right.split());
    let units = (left_unit.and_then(measure), right_unit.and_then(measure));
    if let (Some(left), Some(right)) = &units
        && left != right
    {
        return false;
    }
    let scaled = |part: &Expression, unit: &Option<String>| match unit.as_deref() {
        Some(unit @ ("percent" | "degrees")) => Some(Quantity(Box::new(part.clone()), unit.into())),
        _ => None,
    };
    let (left_scaled, right_scaled) = (scaled(&left, &units.0), scaled(&right, &units.1));
    values(&left, &right, budget)
        || left_scaled.is_some_and(|left| right_unit.is_none() && values(&left, &right, budget))
        || right_scaled.is_some_and(|right| left_unit.is_none() && values(&left, &right, budget))
}

fn values(left: &Expression, right: &Expression, budget: &Budget) -> bool {
    let (left, right) = match (based(left), based(right)) {
        (Some(digits), None) => (digits, right.clone()),
        (None, Some(digits)) => (left.clone(), digits),
        _ => (left.clone(), right.clone()),
    };
    match (value(&left, budget), value(&right, budget)) {
        (Some(left), Some(right)) => same_value(&left, &right, budget).unwrap_or(false),
        _ => left == right,
    }
}

/// The digits of a numeral whose base is written, read as if it had none.
fn based(expression: &Expression) -> Option<Expression> {
    match expression {
        Based { digits, .. } => Some(Number(super::arithmetic::rational(digits, "")?)),
        Negative(inner) => Some(Negative(Box::new(based(inner)?))),
        _ => None,
    }
}

fn same_value(left: &Value, right: &Value, budget: &Budget) -> Option<bool> {
    budget.spend(2 * left.size() * right.size())?;
    let is_same = left.is_same(right)?;
    let is_open = approximate::is_opaque(left) || approximate::is_opaque(right);
    Some(is_same || (is_open && approximate::agree(left, right)))
}

fn ratios(left: &[Expression], right: &[Expression], budget: &Budget) -> Option<bool> {
    let all = |parts: &[Expression]| parts.iter().map(|part| value(part, budget)).collect::<Option<Vec<_>>>();
    // `1:0` is not a proportion.
    let (left, right) = (all(left)?, all(right)?);
    let (first, other_first) = (left.first()?, right.first()?);
    let crossed = |(left, right): (&Value, &Value)| {
        budget.spend(left.size() * right.size())?;
        same_value(&left.times(other_first)?, &right.times(first)?, budget)
    };
    let is_zero = |value: &Value| value.numerator.is_zero();
    if left.iter().chain(&right).any(is_zero) {
        return Some(left == right);
    }
    Some(left.len() == right.len() && left.iter().zip(&right).all(|pair| crossed(pair) == Some(true)))
}

/// The value that `x = 5`, `5 = x`, `x \in S` or `2 + 3 = 5` names.
pub(super) fn named_value(relation: &Expression, budget: &Budget) -> Option<Expression> {
    let Relation { sides, signs } = relation else { return None };
    let (first, last) = (sides.first()?, sides.last()?);
    if !signs.iter().all(|sign| "=∈".contains(*sign)) {
        return None;
    }
    if first.is_label() {
        Some(last.clone())
    } else if last.is_label() && signs == &['='] {
        Some(first.clone())
    } else {
        sides.windows(2).all(|pair| equal(&pair[0], &pair[1], budget)).then(|| last.clone())
    }
}

/// The variable of an inequality, and the interval that it describes: `2 < x \le 3` is `(2, 3]`.
fn interval(relation: &Expression) -> Option<(&str, Expression)> {
    let Relation { sides, signs } = relation else { return None };
    let infinity = || Symbol("infinity".into());
    let is_less = |sign: char| "<≤".contains(sign);
    let is_open = |sign: char| "<>".contains(sign);
    if !signs.iter().all(|sign| "<>≤≥".contains(*sign)) {
        return None;
    }
    let bounded = |lower: (Expression, bool), upper: (Expression, bool)| {
        let open = if lower.1 { '(' } else { '[' };
        let close = if upper.1 { ')' } else { ']' };
        Bracketed(open, vec![lower.0, upper.0], close)
    };
    match (sides.as_slice(), signs.as_slice()) {
        ([Symbol(name), bound], [sign]) | ([bound, Symbol(name)], [sign]) => {
            let is_upper = is_less(*sign) == matches!(&sides[0], Symbol(first) if first == name);
            let bound = (bound.clone(), is_open(*sign));
            let free = |end: Expression| (end, true);
            let interval = if is_upper {
                bounded(free(Negative(Box::new(infinity()))), bound)
            } else {
                bounded(bound, free(infinity()))
            };
            Some((name, interval))
        }
        ([low, Symbol(name), high], [first, second]) if is_less(*first) == is_less(*second) => {
            let (low, high) = ((low.clone(), is_open(*first)), (high.clone(), is_open(*second)));
            Some((name, if is_less(*first) { bounded(low, high) } else { bounded(high, low) }))
        }
        _ => None,
    }
}

fn relations(left: &Expression, right: &Expression, budget: &Budget) -> bool {
    let (Relation { sides, signs }, Relation { sides: other_sides, signs: other_signs }) = (left, right) else {
        return false;
    };
    let named = |relation: &Expression, interval: &Expression| {
        named_value(relation, budget).is_some_and(|named| equal(&named, interval, budget))
    };
    match (interval(left), interval(right)) {
        (Some((name, interval)), Some((other_name, other))) if name == other_name => {
            return equal(&interval, &other, budget);
        }
        (Some((_, interval)), None) if named(right, &interval) => return true,
        (None, Some((_, interval))) if named(left, &interval) => return true,
        _ => {}
    }
    let turned: Vec<char> = other_signs.iter().rev().map(|sign| turned(*sign)).collect();
    let mut pairs = sides.iter().zip(other_sides);
    let mut turned_pairs = sides.iter().zip(other_sides.iter().rev());
    let has_same_length = sides.len() == other_sides.len();
    (has_same_length && signs == other_signs && pairs.all(|(left, right)| equal(left, right, budget)))
        || (has_same_length && *signs == turned && turned_pairs.all(|(left, right)| equal(left, right, budget)))
        || (signs == &['='] && other_signs == &['='] && equations(sides, other_sides, budget) == Some(true))
        || inequalities((sides, signs), (other_sides, other_signs), budget) == Some(true)
}

/// Whether one inequality is a positive multiple of the other.
fn inequalities(left: (&[Expression], &[char]), right: (&[Expression], &[char]), budget: &Budget) -> Option<bool> {
    let (left, is_open) = excess(left.0, left.1, budget)?;
    let (right, other_is_open) = excess(right.0, right.1, budget)?;
    Some(is_open == other_is_open && proportion(&left, &right, budget)?.is_positive())
}

/// Whether one equation is a multiple of the other.
fn equations(left: &[Expression], right: &[Expression], budget: &Budget) -> Option<bool> {
    let ([left, equal_left], [right, equal_right]) = (left, right) else { return None };
    let (left, right) = (difference(left, equal_left, budget)?, difference(right, equal_right, budget)?);
    Some(proportion(&left, &right, budget).is_some())
}
