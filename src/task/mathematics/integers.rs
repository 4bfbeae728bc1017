//! Whole numbers and rationals: factors, powers, equations.

use std::collections::BTreeMap;

use num_bigint::{BigInt, BigUint};
use num_rational::BigRational;
use num_traits::{One, Pow, Zero};

/// Larger numbers are not computed.
const MOST_BITS: u64 = 1 << 14;
/// Prime factors up to this are found, so every radicand below its square is factored completely.
const LARGEST_DIVISOR: u64 = 100_000;

/// Whether arithmetic with a number is quick.
pub(super) fn is_small(number: &BigRational) -> bool {
    number.numer().bits().max(number.denom().bits()) <= MOST_BITS
}

/// Whole numbers as rationals.
pub(super) trait IntoRational {
    fn into_rational(self) -> BigRational;
}

impl<T: Into<BigInt>> IntoRational for T {
    fn into_rational(self) -> BigRational {
        BigRational::from_integer(self.into())
    }
}

/// The integer power of a number that is small enough.
pub(super) fn power_of(base: &BigRational, exponent: i32) -> Option<BigRational> {
    let bits = base.numer().bits().max(base.denom().bits());
    if base.is_zero() && exponent < 0 || bits.checked_mul(u64::from(exponent.unsigned_abs()))? > MOST_BITS {
        return None;
    }
    Some(Pow::pow(base, exponent))
}

/// The prime factors of a number with their counts. A large cofactor without small divisors counts as a prime.
pub(super) fn factors(number: &BigUint) -> Option<BTreeMap<BigUint, i64>> {
    let mut found = BTreeMap::new();
    let mut rest = number.clone();
    let mut divisor = 2_u64;
    while !rest.is_zero() {
        // For large numbers few candidates are tried, because each division is slow.
        let limit = if rest.bits() <= 64 { LARGEST_DIVISOR } else { 1000 };
        let square = BigUint::from(divisor) * divisor;
        if divisor > limit || square > rest {
            break;
        }
        while (&rest % divisor).is_zero() {
            rest /= divisor;
            *found.entry(BigUint::from(divisor)).or_insert(0) += 1;
        }
        divisor += if divisor == 2 { 1 } else { 2 };
    }
    if rest.bits() > MOST_BITS / 4 {
        return None;
    }
    if !rest.is_one() && !rest.is_zero() {
        let root = rest.sqrt();
        let (base, count) = if &root * &root == rest { (root, 2) } else { (rest, 1) };
        *found.entry(base).or_insert(0) += count;
    }
    Some(found)
}

/// The solution of linear equations, each given by its coefficients and its right side; `None` unless there is exactly
/// one.
pub(super) fn solved(mut rows: Vec<Vec<BigRational>>) -> Option<Vec<BigRational>> {
    let count = rows.len();
    for at in 0..count {
        let pivot = (at..count).find(|row| !rows[*row][at].is_zero())?;
        rows.swap(at, pivot);
        let scale = rows[at][at].recip();
        let scaled: Vec<_> = rows[at].iter().map(|entry| entry * &scale).collect();
        for (_, row) in rows.iter_mut().enumerate().filter(|(place, row)| *place != at && !row[at].is_zero()) {
            let times = row[at].clone();
            for (entry, pivot) in row.iter_mut().zip(&scaled) {
                *entry -= pivot * &times;
            }
        }
        rows[at] = scaled;
    }
    rows.into_iter().map(|row| row.last().cloned()).collect()
}
