//! The one spelling of an answer, in which equal answers meet when votes are counted. It reads back as an equal answer.

use num_rational::BigRational;
use num_traits::{One, Signed};

use super::equal::{has_several_names, named_value};
use super::evaluate::{Budget, value};
use super::exact::{Atom, Polynomial, Value};
use super::expression::Expression::{self, *};
use super::words::measure;

/// None for an answer with a part that has no value.
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
    match expression {
        Words(words) => Some(if *words == words.to_uppercase() { words.clone() } else { words.to_lowercase() }),
        List(parts) if parts.is_empty() => Some("\\{\\}".into()),
        List(parts) => Some(sorted(parts)?.join(", ")),
        Union(parts) => Some(sorted(parts)?.join(" ∪ ")),
        Bracketed(open, parts, close) => Some(format!("{open}{}{close}", all(parts)?.join(", "))),
        Ratio(parts) if parts.iter().any(|part| part.split().1.is_some()) => None,
        Ratio(parts) => Some(all(parts)?.join(":")),
        Matrix(rows) => {
            let rows: Vec<_> = rows.iter().map(|row| Some(all(row)?.join(" & "))).collect::<Option<_>>()?;
            Some(format!("\\begin{{pmatrix}} {} \\end{{pmatrix}}", rows.join(" \\\\ ")))
        }
        Relation { sides, signs } => {
            // A name says nothing where the value is constant; a line is told apart by its left side.
            if !keeps_names
                && let Some(named) = named_value(expression, budget)
                && is_constant(&named, budget)
            {
                return inner(&named.flattened());
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
            let number = spell_value(&value(&number, budget)?);
            Some(match unit.and_then(measure).as_deref() {
                Some("percent") if number.contains(['/', ' ', '*']) => format!("({number})%"),
                Some("percent") => format!("{number}%"),
                Some("degrees") | None => number,
                Some(unit) => format!("{number} {unit}"),
            })
        }
    }
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
        None if name.chars().count() == 1 || name.chars().all(|letter| letter.is_ascii_digit() || letter == '.') => {
            name.into()
        }
        None if name == "pi" || name == "infinity" => name.into(),
        None => format!("{{\\{name}}}"),
    }
}

fn call(name: &str, arguments: &[String]) -> String {
    match (name, arguments) {
        ("factorial", [argument]) => format!("({argument})!"),
        ("binomial", [of, taken]) => format!("\\binom{{{of}}}{{{taken}}}"),
        ("overline", [argument]) => format!("\\overline{{{argument}}}"),
        _ => format!("{name}({})", arguments.join(", ")),
    }
}
