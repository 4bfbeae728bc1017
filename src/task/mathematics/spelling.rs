//! The canonical spelling of an answer, by which votes are counted. It reads back as an equal answer.

use std::collections::BTreeSet;

use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::approximate;
use super::budget::Budget;
use super::equal::{has_several_names, named_value};
use super::evaluate::value;
use super::exact::{Atom, Monomial, Polynomial, Value};
use super::expression::Expression::{self, *};
use super::power::content;
use super::real_set::{self, Interval};
use super::reduce::reduced;
use super::relation::{difference, excess};
use super::words::{Run, classify, measure};

/// `None` for an answer with a part that has no value.
pub(super) fn spell(expression: &Expression, budget: &Budget) -> Option<String> {
    spell_part(expression, has_several_names(expression.parts()), budget)
}

fn spell_part(expression: &Expression, keeps_names: bool, budget: &Budget) -> Option<String> {
    let inner = |part: &Expression| spell_part(part, keeps_names, budget);
    let all = |parts: &[Expression]| parts.iter().map(inner).collect::<Option<Vec<_>>>();
    let sorted = |parts: &[Expression]| {
        let mut parts = all(parts)?;
        parts.sort();
        Some(parts)
    };
    if let Some(intervals) = real_set::intervals(expression, budget) {
        return Some(set(&intervals, budget));
    }
    match expression {
        Words(words) => Some(spell_words(words)),
        List(parts) if parts.is_empty() => Some("\\{\\}".into()),
        List(parts) => Some(sorted(parts)?.join(", ")),
        Union(parts) => Some(sorted(parts)?.join(" ∪ ")),
        Bracketed(open, parts, close) => Some(format!("{open}{}{close}", all(parts)?.join(", "))),
        Ratio(parts) if parts.iter().any(|part| part.split().1.is_some()) => None,
        Ratio(parts) => Some(all(&in_lowest_terms(parts, budget))?.join(":")),
        Call(name, parts) if name == "clock" => time(parts),
        Call(name, _) if matches!(name.as_str(), "intersection" | "difference" | "such that") => None,
        Quantity(time, half) if matches!(&**time, Call(name, _) if name == "clock") => {
            Some(format!("{} {}", inner(time)?, measure(half)?))
        }
        Matrix(rows) => {
            let rows: Vec<_> = rows.iter().map(|row| Some(all(row)?.join(" & "))).collect::<Option<_>>()?;
            Some(format!("\\begin{{pmatrix}} {} \\end{{pmatrix}}", rows.join(" \\\\ ")))
        }
        Relation { sides, signs } => {
            // If the value is constant, its name says nothing. The left side distinguishes the equation of a line.
            if !keeps_names
                && let Some(named) = named_value(expression, budget)
                && is_constant(&named, budget)
            {
                return inner(&named.flattened());
            }
            if let Some(text) = solved(sides, signs, budget).or_else(|| positive(sides, signs, budget)) {
                return Some(text);
            }
            if signs.iter().all(|sign| ">≥".contains(*sign)) {
                let (sides, signs) = (sides.iter().rev().cloned(), signs.iter().rev());
                let signs = signs.map(|sign| if *sign == '>' { '<' } else { '≤' });
                return inner(&Relation { sides: sides.collect(), signs: signs.collect() });
            }
            let is_turned = signs == &['='] && sides.last()?.is_label() && !sides.first()?.is_label();
            let mut sides = all(sides)?;
            if is_turned {
                sides.reverse();
            }
            let mut sides = sides.into_iter();
            let first = sides.next()?;
            Some(sides.zip(signs).fold(first, |text, (side, sign)| format!("{text} {sign} {side}")))
        }
        _ => {
            if let Some(word) = expression.word()
                && word.len() > 1
                && matches!(expression, Product(_))
            {
                let letters = expression.letters();
                if letters == letters.to_uppercase() {
                    return Some(letters);
                }
            }
            let (number, unit) = expression.split();
            let number = spell_value(&reduced(&value(&number, budget)?, budget));
            Some(match unit.and_then(measure).as_deref() {
                Some("percent") if number.contains(['/', ' ', '*']) => format!("({number})%"),
                Some("percent") => format!("{number}%"),
                Some("degrees") | None => number,
                Some(unit) => format!("{number} {unit}"),
            })
        }
    }
}

/// Words in lower case, as text if they would be read as variables; initials such as `ACF` are kept.
fn spell_words(words: &str) -> String {
    if !words.contains(' ') && *words == words.to_uppercase() {
        return words.to_owned();
    }
    let lower = words.to_lowercase();
    if lower.split(' ').all(|word| classify(word, false) == Run::Word) { lower } else { format!("\\text{{{lower}}}") }
}

/// Intervals from left to right; an interval of a single number becomes a set.
fn set(intervals: &[Interval], budget: &Budget) -> String {
    let number = |value: &Value| spell_value(&reduced(value, budget));
    let each = intervals.iter().map(|Interval { low, high }| match (low, high) {
        (Some((low, true)), Some((high, true))) if low == high => format!("\\{{{}\\}}", number(low)),
        _ => {
            let low = low.as_ref().map_or("(-infinity".into(), |(low, is_held)| {
                format!("{}{}", if *is_held { '[' } else { '(' }, number(low))
            });
            let high = high.as_ref().map_or("infinity)".into(), |(high, is_held)| {
                format!("{}{}", number(high), if *is_held { ']' } else { ')' })
            });
            format!("{low}, {high}")
        }
    });
    if intervals.is_empty() { "\\{\\}".into() } else { each.collect::<Vec<_>>().join(" ∪ ") }
}

/// `6:8` as `3:4`
fn in_lowest_terms(parts: &[Expression], budget: &Budget) -> Vec<Expression> {
    let number = |part: &Expression| value(part, budget)?.as_number().filter(Signed::is_positive);
    let Some(numbers) = parts.iter().map(number).collect::<Option<Vec<_>>>() else { return parts.to_vec() };
    let common = numbers.iter().fold(BigRational::zero(), |common, number| {
        BigRational::new(common.numer().gcd(number.numer()), common.denom().lcm(number.denom()))
    });
    // A ratio that would look like a time of day is left as it is.
    let reduced: Vec<_> = numbers.iter().map(|number| Number(number / &common)).collect();
    let whole = |part: &Expression| matches!(part, Number(number) if number.is_integer());
    if reduced.iter().all(whole) { reduced } else { parts.to_vec() }
}

fn time(parts: &[Expression]) -> Option<String> {
    let number = |part: &Expression| if let Number(number) = part { Some(number.to_integer()) } else { None };
    let numbers = parts.iter().map(number).collect::<Option<Vec<_>>>()?;
    let (hour, rest) = numbers.split_first()?;
    Some(rest.iter().fold(hour.to_string(), |text, part| format!("{text}:{part:0>2}")))
}

/// An equation as `y = ...`, for the last variable that occurs in only one term by itself. Otherwise, unless it names
/// something, as `... = 0`.
fn solved(sides: &[Expression], signs: &[char], budget: &Budget) -> Option<String> {
    let ([left, right], ['=']) = (sides, signs) else { return None };
    let difference = difference(left, right, budget)?;
    let terms = &difference.numerator.0;
    let is_whole = difference.denominator.number().is_some_and(|below| below.is_one());
    let holds = |monomial: &Monomial, atom: &Atom| variables_of(monomial).any(|name| Atom::Symbol(name) == *atom);
    let alone = terms.iter().rev().find(|(monomial, _)| {
        let Some((atom, exponent)) = monomial.first_key_value() else { return false };
        let is_term = monomial.len() == 1 && exponent.is_one() && is_variable((atom, exponent));
        is_term && terms.keys().filter(|other| holds(other, atom)).count() == 1
    });
    let count = terms.keys().flat_map(variables_of).collect::<BTreeSet<_>>().len();
    if let Some((monomial, coefficient)) = alone.filter(|_| is_whole && count > 1) {
        let name = Value::polynomial(Polynomial::term(BigRational::one(), monomial.clone()));
        let scaled = difference.times(&Value::rational(-coefficient.recip()))?;
        return Some(format!("{} = {}", spell_value(&name), spell_value(&scaled.plus(&name)?)));
    }
    if count == 0 || left.is_label() || right.is_label() {
        return None;
    }
    let last = terms.values().next_back()?;
    let scale = if last.is_negative() { -content(&difference).recip() } else { content(&difference).recip() };
    Some(format!("{} = 0", spell_value(&difference.times(&Value::rational(scale))?)))
}

/// The names of the variables in a term, including those inside functions.
fn variables_of(monomial: &Monomial) -> impl Iterator<Item = String> {
    let term = Value::polynomial(Polynomial::term(BigRational::one(), monomial.clone()));
    approximate::variables(&term).into_iter().filter(|name| !matches!(name.as_str(), "pi" | "e" | "infinity"))
}

/// An inequality as `0 < ...`, with integer coefficients without a common divisor.
fn positive(sides: &[Expression], signs: &[char], budget: &Budget) -> Option<String> {
    let (excess, is_open) = excess(sides, signs, budget)?;
    if excess.as_number().is_some() {
        return None;
    }
    let scaled = excess.times(&Value::rational(-content(&excess).recip()))?;
    Some(format!("0 {} {}", if is_open { '<' } else { '≤' }, spell_value(&scaled)))
}

fn is_constant(expression: &Expression, budget: &Budget) -> bool {
    match expression {
        List(parts) | Union(parts) | Bracketed(_, parts, _) => parts.iter().all(|part| is_constant(part, budget)),
        _ => {
            let value = value(&expression.split().0, budget);
            value.is_some_and(|value| !value.numerator.atoms().chain(value.denominator.atoms()).any(is_variable))
        }
    }
}

fn is_variable((atom, _): (&Atom, &BigRational)) -> bool {
    matches!(atom, Atom::Symbol(name) if name != "pi" && name != "e" && name != "infinity")
}

fn spell_value(value: &Value) -> String {
    let above = polynomial(&value.numerator);
    match value.denominator.number() {
        Some(number) if number.is_one() => above,
        _ => format!("({above})/({})", polynomial(&value.denominator)),
    }
}

fn polynomial(polynomial: &Polynomial) -> String {
    let mut text = String::new();
    for (monomial, coefficient) in &polynomial.0 {
        let sign = match (coefficient.is_negative(), text.is_empty()) {
            (true, true) => "-",
            (true, false) => " - ",
            (false, true) => "",
            (false, false) => " + ",
        };
        text += sign;
        let coefficient = coefficient.abs();
        let mut factors: Vec<String> = monomial.iter().map(|(atom, exponent)| power(atom, exponent)).collect();
        if !coefficient.is_one() || factors.is_empty() {
            factors.insert(0, coefficient.to_string());
        }
        text += &factors.join("*");
    }
    if text.is_empty() { "0".into() } else { text }
}

fn power(atom: &Atom, exponent: &BigRational) -> String {
    let half = BigRational::new(1.into(), 2.into());
    let base = match atom {
        Atom::Prime(prime) if *exponent == half => return format!("sqrt({prime})"),
        Atom::Prime(prime) => prime.to_string(),
        Atom::Imaginary => "i".into(),
        Atom::Symbol(name) => symbol(name),
        Atom::Power(base, inside) if inside.as_number() == Some(half) => format!("sqrt({})", spell_value(base)),
        Atom::Power(base, inside) if exponent.is_one() => {
            return format!("({})^({})", spell_value(base), spell_value(inside));
        }
        Atom::Power(base, inside) => format!("(({})^({}))", spell_value(base), spell_value(inside)),
        Atom::Call(name, arguments) => call(name, &arguments.iter().map(spell_value).collect::<Vec<_>>()),
    };
    if exponent.is_one() {
        base
    } else if exponent.is_integer() && exponent.is_positive() {
        format!("{base}^{exponent}")
    } else {
        format!("{base}^({exponent})")
    }
}

fn symbol(name: &str) -> String {
    match name.split_once('_') {
        Some((base, subscript)) => format!("{}_{{{subscript}}}", symbol(base)),
        None if name.chars().count() == 1
            || name.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') =>
        {
            name.into()
        }
        // Numerals with digits beyond nine.
        None if name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit()) => name.into(),
        None if name == "pi" || name == "infinity" => name.into(),
        None => format!("{{\\{name}}}"),
    }
}

fn call(name: &str, arguments: &[String]) -> String {
    match (name, arguments) {
        ("factorial", [argument]) => format!("({argument})!"),
        ("double factorial", [argument]) => format!("({argument})!!"),
        ("binomial", [of, taken]) => format!("\\binom{{{of}}}{{{taken}}}"),
        ("overline", [argument]) => format!("\\overline{{{argument}}}"),
        _ => format!("{name}({})", arguments.join(", ")),
    }
}
