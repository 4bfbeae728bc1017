//! Exact values: quotients of polynomials over the rationals whose atoms are roots of primes, i, constants and
//! variables.
//!
//! Products of fractional powers of different primes are linearly independent over the rationals (Besicovitch 1940). So
//! two values without other atoms are equal exactly if their cross products have the same terms.

use std::collections::BTreeMap;

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::integers::{IntoRational, factors, is_small, power_of, solved};

/// Longer polynomials are not computed.
const MOST_TERMS: usize = 64;
const LARGEST_POWER: u32 = 10_000;
/// Denominators with roots that span more numbers are left as they are.
const MOST_ROOTS: usize = 24;

/// A factor of a term, which is a product of powers of such atoms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    /// To a power between 0 and 1.
    Prime(BigUint),
    Imaginary,
    /// A variable, `pi`, `e` or `infinity`.
    Symbol(String),
    /// A power that is not evaluated.
    Power(Box<Value>, Box<Value>),
    Call(String, Vec<Value>),
}

/// The powers of a term's atoms, none of them zero.
pub(super) type Monomial = BTreeMap<Atom, BigRational>;

/// The coefficient of each monomial; none of them is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Polynomial(pub(super) BTreeMap<Monomial, BigRational>);

/// A quotient; its denominator is not zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value {
    pub(super) numerator: Polynomial,
    pub(super) denominator: Polynomial,
}

impl Polynomial {
    pub(super) fn term(coefficient: BigRational, monomial: Monomial) -> Self {
        let is_zero = coefficient.is_zero();
        Polynomial((!is_zero).then_some((monomial, coefficient)).into_iter().collect())
    }

    pub(super) fn constant(number: BigRational) -> Self {
        Polynomial::term(number, Monomial::new())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the polynomial, if it has no atoms.
    pub(super) fn number(&self) -> Option<BigRational> {
        match self.0.first_key_value() {
            None => Some(BigRational::zero()),
            Some((monomial, coefficient)) if monomial.is_empty() && self.0.len() == 1 => Some(coefficient.clone()),
            _ => None,
        }
    }

    pub(super) fn plus(mut self, other: &Polynomial) -> Option<Self> {
        for (monomial, coefficient) in &other.0 {
            self.add(monomial.clone(), coefficient.clone())?;
        }
        Some(self)
    }

    fn add(&mut self, monomial: Monomial, coefficient: BigRational) -> Option<()> {
        let sum = self.0.entry(monomial).or_insert_with(BigRational::zero);
        *sum += coefficient;
        let is_fine = is_small(sum);
        // Only the sum just changed can have become zero.
        self.0.retain(|_, coefficient| !coefficient.is_zero());
        (is_fine && self.0.len() <= MOST_TERMS).then_some(())
    }

    pub(super) fn times(&self, other: &Polynomial) -> Option<Self> {
        let mut product = Polynomial::default();
        for (left, a) in &self.0 {
            for (right, b) in &other.0 {
                let mut monomial = left.clone();
                for (atom, exponent) in right {
                    *monomial.entry(atom.clone()).or_insert_with(BigRational::zero) += exponent;
                }
                let (monomial, factor) = reduced(monomial)?;
                product.add(monomial, a * b * factor)?;
            }
        }
        Some(product)
    }

    pub(super) fn negated(&self) -> Self {
        Polynomial(self.0.iter().map(|(monomial, coefficient)| (monomial.clone(), -coefficient)).collect())
    }

    pub(super) fn atoms(&self) -> impl Iterator<Item = (&Atom, &BigRational)> {
        self.0.keys().flatten()
    }

    /// The polynomial with the signs changed in all terms that hold an odd power of `atom`.
    pub(super) fn conjugate(&self, atom: &Atom) -> Self {
        let flip = |(monomial, coefficient): (&Monomial, &BigRational)| {
            let sign = if monomial.contains_key(atom) { -coefficient } else { coefficient.clone() };
            (monomial.clone(), sign)
        };
        Polynomial(self.0.iter().map(flip).collect())
    }
}

/// Brings the powers of primes between 0 and 1, and that of i to 0 or 1. The factor is what this takes out.
fn reduced(monomial: Monomial) -> Option<(Monomial, BigRational)> {
    let mut factor = BigRational::one();
    let mut kept = Monomial::new();
    for (atom, exponent) in monomial {
        let rest = match &atom {
            Atom::Prime(prime) => {
                let whole = exponent.floor().to_integer().to_i32()?;
                factor *= power_of(&BigInt::from(prime.clone()).into(), whole)?;
                &exponent - exponent.floor()
            }
            Atom::Imaginary => {
                let turns = exponent.to_integer().mod_floor(&4.into()).to_u8()?;
                factor *= if turns >= 2 { -1 } else { 1 }.into_rational();
                i64::from(turns % 2).into_rational()
            }
            _ => exponent,
        };
        if !rest.is_zero() {
            kept.insert(atom, rest);
        }
    }
    is_small(&factor).then_some((kept, factor))
}

impl Value {
    pub(super) fn number(number: impl IntoRational) -> Self {
        Value::polynomial(Polynomial::constant(number.into_rational()))
    }

    pub(super) fn rational(number: BigRational) -> Self {
        Value::polynomial(Polynomial::constant(number))
    }

    pub(super) fn atom(atom: Atom) -> Self {
        Value::polynomial(Polynomial::term(BigRational::one(), [(atom, BigRational::one())].into()))
    }

    pub(super) fn symbol(name: &str) -> Self {
        Value::atom(Atom::Symbol(name.to_owned()))
    }

    pub(super) fn polynomial(numerator: Polynomial) -> Self {
        Value { numerator, denominator: Polynomial::constant(BigRational::one()) }
    }

    /// The number, if the value is one.
    pub(super) fn as_number(&self) -> Option<BigRational> {
        Some(self.numerator.number()? / self.denominator.number()?)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.numerator.is_zero()
    }

    pub(super) fn plus(&self, other: &Value) -> Option<Value> {
        if self.denominator == other.denominator {
            let numerator = self.numerator.clone().plus(&other.numerator)?;
            return Value { numerator, denominator: self.denominator.clone() }.normalised();
        }
        let left = self.numerator.times(&other.denominator)?;
        let numerator = left.plus(&other.numerator.times(&self.denominator)?)?;
        Value { numerator, denominator: self.denominator.times(&other.denominator)? }.normalised()
    }

    pub(super) fn times(&self, other: &Value) -> Option<Value> {
        let numerator = self.numerator.times(&other.numerator)?;
        Value { numerator, denominator: self.denominator.times(&other.denominator)? }.normalised()
    }

    pub(super) fn negated(&self) -> Value {
        Value { numerator: self.numerator.negated(), denominator: self.denominator.clone() }
    }

    /// One over the value; none for zero.
    pub(super) fn inverse(&self) -> Option<Value> {
        Value { numerator: self.denominator.clone(), denominator: self.numerator.clone() }.normalised()
    }

    /// What arithmetic with the value costs, in machine words.
    pub(super) fn size(&self) -> u64 {
        let word = |(monomial, coefficient): (&Monomial, &BigRational)| {
            1 + monomial.len() as u64 + coefficient.numer().bits().max(coefficient.denom().bits()) / 64
        };
        self.numerator.0.iter().chain(&self.denominator.0).map(word).sum()
    }

    /// A power with an integer exponent.
    pub(super) fn power(&self, exponent: i32) -> Option<Value> {
        if exponent.unsigned_abs() > LARGEST_POWER {
            return None;
        }
        if let Some(number) = self.as_number() {
            return power_of(&number, exponent).map(Value::rational);
        }
        let mut square = if exponent < 0 { self.inverse()? } else { self.clone() };
        let mut rest = exponent.unsigned_abs();
        let mut power = Value::number(1);
        while rest > 0 {
            if rest % 2 == 1 {
                power = power.times(&square)?;
            }
            rest /= 2;
            if rest > 0 {
                square = square.times(&square)?;
            }
        }
        Some(power)
    }

    /// The real root `number^(1/index)` of a number times roots of primes and powers of positive constants.
    pub(super) fn root(&self, index: u32) -> Option<Value> {
        let (monomial, coefficient) = self.single_term()?;
        let is_positive = |atom: &Atom| match atom {
            Atom::Prime(_) => true,
            Atom::Symbol(name) => name == "pi" || name == "e",
            _ => false,
        };
        let is_negative = coefficient.is_negative();
        if index == 0
            || index > 64
            || !monomial.keys().all(is_positive)
            || (is_negative && index > 2 && index.is_multiple_of(2))
        {
            return None;
        }
        let exponent = BigRational::new(1.into(), index.into());
        let mut powers: Monomial = monomial.iter().map(|(atom, power)| (atom.clone(), power * &exponent)).collect();
        for (number, sign) in [(coefficient.numer(), 1), (coefficient.denom(), -1)] {
            for (prime, count) in factors(number.magnitude())? {
                let power = powers.entry(Atom::Prime(prime)).or_insert_with(BigRational::zero);
                *power += (count * sign).into_rational() * &exponent;
            }
        }
        if is_negative && index == 2 {
            powers.insert(Atom::Imaginary, BigRational::one());
        }
        let (monomial, factor) = reduced(powers)?;
        let factor = if is_negative && index % 2 == 1 { -factor } else { factor };
        Some(Value::polynomial(Polynomial::term(factor, monomial)))
    }

    /// The only term of a value without a denominator.
    pub(super) fn single_term(&self) -> Option<(&Monomial, &BigRational)> {
        let is_whole = self.numerator.0.len() == 1 && self.denominator.number().is_some_and(|below| below.is_one());
        if is_whole { self.numerator.0.first_key_value() } else { None }
    }

    /// One over a number made of roots of primes and i, as a combination of their products.
    fn inverse_of_roots(number: &Polynomial) -> Option<Polynomial> {
        let mut basis = vec![Monomial::new()];
        let mut orders: BTreeMap<Atom, BigInt> = BTreeMap::new();
        for (atom, exponent) in number.atoms() {
            let order = match atom {
                Atom::Prime(_) => exponent.denom().clone(),
                Atom::Imaginary => 2.into(),
                _ => return None,
            };
            orders.entry(atom.clone()).and_modify(|known| *known = known.lcm(&order)).or_insert(order);
        }
        for (atom, order) in orders {
            let step =
                if atom == Atom::Imaginary { BigRational::one() } else { BigRational::new(1.into(), order.clone()) };
            let order = order.to_usize().filter(|order| order * basis.len() <= MOST_ROOTS)?;
            let raised = |times: usize| -> Monomial {
                let exponent = &step * (times as u64).into_rational();
                (times > 0).then(|| (atom.clone(), exponent)).into_iter().collect()
            };
            let extended = (0..order).flat_map(|times| {
                let raised = raised(times);
                basis.iter().map(move |product| product.clone().into_iter().chain(raised.clone()).collect())
            });
            basis = extended.collect();
        }
        let columns = basis
            .iter()
            .map(|product| number.times(&Polynomial::term(BigRational::one(), product.clone())))
            .collect::<Option<Vec<_>>>()?;
        let row = |product: &Monomial| -> Vec<BigRational> {
            let coefficient = |column: &Polynomial| column.0.get(product).cloned().unwrap_or_else(BigRational::zero);
            columns.iter().map(coefficient).chain([i64::from(product.is_empty()).into_rational()]).collect()
        };
        let solution = solved(basis.iter().map(row).collect())?;
        Some(Polynomial(basis.into_iter().zip(solution).filter(|(_, number)| !number.is_zero()).collect()))
    }

    /// Brings the denominator to 1 if it is a term or a number; otherwise brings its first coefficient to 1.
    fn normalised(self) -> Option<Value> {
        let Value { mut numerator, mut denominator } = self;
        if denominator.is_zero() {
            return None;
        }
        if numerator.is_zero() {
            return Some(Value::number(0));
        }
        if denominator.0.len() > 1
            && let Some(inverse) = Value::inverse_of_roots(&denominator)
        {
            numerator = numerator.times(&inverse)?;
            denominator = Polynomial::constant(BigRational::one());
        }
        let (first, coefficient) = denominator.0.first_key_value()?;
        let scale = if denominator.0.len() == 1 {
            let inverted = first.iter().map(|(atom, power)| (atom.clone(), -power)).collect();
            let (monomial, factor) = reduced(inverted)?;
            Polynomial::term(factor / coefficient, monomial)
        } else {
            Polynomial::constant(coefficient.recip())
        };
        Some(Value { numerator: numerator.times(&scale)?, denominator: denominator.times(&scale)? })
    }

    /// Whether the difference has no terms.
    pub(super) fn is_same(&self, other: &Value) -> Option<bool> {
        Some(self.numerator.times(&other.denominator)? == other.numerator.times(&self.denominator)?)
    }
}
