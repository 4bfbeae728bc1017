//! The distribution over the sets that a layer can be.
//!
//! With a score `z_o` for each operator and one `c_k` for each size, a set `S` of at most `K` operators has
//!
//! ```text
//! log p(S) = sum of z_o over S + c_|S| - log Z,    Z = sum over k of exp(c_k) e_k,    e_k = sum over |S| = k of exp(sum of z_o over S)
//! ```
//!
//! `e_k` are the elementary symmetric polynomials of `exp(z)`, computed operator by operator as `e_k += exp(z_o) e_(k-1)`. The
//! likeliest set of a size consists of the operators with the highest scores, so the likeliest of all sets is a prefix of the
//! operators sorted by score. Choosing it is the threshold of (E2), at a height that depends on the query. The empty set, of
//! score `c_0`, ends the plan; the first layer cannot be empty.

use anyhow::Result;
use candle_core::{D, Tensor};
use rand::Rng;

/// Below this, the weight of a size is negligible.
const SMALLEST: f64 = 1e-37;

/// `log Z` of each row, `[R]`, for scores `[R, O]` and size scores `[R, K + 1]`. The scores of operators that cannot act must be
/// far below all others.
///
/// # Errors
/// The device failed.
pub(super) fn log_partition(scores: &Tensor, sizes: &Tensor) -> Result<Tensor> {
    let (rows, operators) = scores.dims2()?;
    let width = sizes.dim(1)? - 1;
    // Relative to the highest score, so that no exponential overflows.
    let highest = scores.max_keepdim(1)?.detach();
    let weights = scores.broadcast_sub(&highest)?.exp()?;
    let one = Tensor::ones((rows, 1), scores.dtype(), scores.device())?;
    let mut polynomials = one.pad_with_zeros(1, 0, width)?;
    for operator in 0..operators {
        let longer = polynomials.narrow(1, 0, width)?.broadcast_mul(&weights.narrow(1, operator, 1)?)?;
        polynomials = (polynomials + longer.pad_with_zeros(1, 1, 0)?)?;
    }
    let counts: Vec<f32> = (0..=width).map(|count| count as f32).collect();
    let shifts = highest.broadcast_mul(&Tensor::from_vec(counts, (1, width + 1), scores.device())?)?;
    let terms = (polynomials.maximum(SMALLEST)?.log()? + shifts)?;
    Ok((terms + sizes)?.log_sum_exp(D::Minus1)?)
}

/// The distribution of one layer, in plain numbers.
pub(super) struct Sets {
    /// `z_o`, `[O]`; minus infinity for operators that cannot act.
    scores: Vec<f64>,
    /// `c_k`, `[K + 1]`; minus infinity for the empty set if it is not allowed.
    size_scores: Vec<f64>,
    /// `exp(z_o - highest)`, `[O]`.
    weights: Vec<f64>,
    /// `exp(c_k + k highest - top)`, `[K + 1]`, which is at most 1.
    sizes: Vec<f64>,
    top: f64,
}

impl Sets {
    /// The distribution for scores `[O]` (minus infinity for operators that cannot act) and size scores `[K + 1]`. The set can be
    /// empty only if the plan `may_end`.
    pub fn new(scores: &[f32], sizes: &[f32], may_end: bool) -> Self {
        let scores: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut size_scores: Vec<f64> = sizes.iter().map(|&size| f64::from(size)).collect();
        if !may_end {
            size_scores[0] = f64::NEG_INFINITY;
        }
        let shift = |size: usize| if size == 0 { 0.0 } else { size as f64 * highest };
        let shifted = || size_scores.iter().enumerate().map(|(size, score)| score + shift(size));
        let top = shifted().fold(f64::NEG_INFINITY, f64::max);
        Sets {
            weights: scores.iter().map(|score| (score - highest).exp()).collect(),
            sizes: shifted().map(|score| (score - top).exp()).collect(),
            scores,
            size_scores,
            top,
        }
    }

    /// The likeliest set, in catalogue order; ties go to the lower operator and the smaller set.
    pub fn likeliest(&self) -> Vec<usize> {
        let mut order = self.candidates();
        order.sort_by(|&one, &other| self.scores[other].total_cmp(&self.scores[one]));
        let (mut best, mut best_score, mut sum) = (0, self.size_scores[0], 0.0);
        for (size, &operator) in (1..self.sizes.len()).zip(&order) {
            sum += self.scores[operator];
            if sum + self.size_scores[size] > best_score {
                (best, best_score) = (size, sum + self.size_scores[size]);
            }
        }
        order.truncate(best);
        order.sort_unstable();
        order
    }

    /// A random set, in catalogue order.
    pub fn draw(&self, rng: &mut impl Rng) -> Vec<usize> {
        let candidates = self.candidates();
        // Row `i` holds the polynomials of the candidates from `i` on.
        let mut rest = vec![self.no_operators()];
        for &operator in candidates.iter().rev() {
            let longer = self.with(rest.last().map_or(&[][..], Vec::as_slice), operator);
            rest.push(longer);
        }
        rest.reverse();
        let weight = |size: usize| self.sizes[size] * rest[0][size];
        let mut point = rng.random::<f64>() * (0..self.sizes.len()).map(weight).sum::<f64>();
        let mut left = (0..self.sizes.len())
            .find(|&size| {
                point -= weight(size);
                point < 0.0
            })
            .unwrap_or_else(|| candidates.len().min(self.sizes.len() - 1));
        let mut chosen = Vec::with_capacity(left);
        for (at, &operator) in candidates.iter().enumerate() {
            if left == 0 {
                break;
            }
            let taken = self.weights[operator] * rest[at + 1][left - 1] / rest[at][left];
            if candidates.len() - at == left || rng.random::<f64>() < taken {
                chosen.push(operator);
                left -= 1;
            }
        }
        chosen
    }

    /// The probability that each operator is in the set, `[O]`.
    pub fn inclusion(&self) -> Vec<f64> {
        let candidates = self.candidates();
        let total = self.total(&candidates);
        let included = |operator: usize| {
            let others: Vec<usize> = candidates.iter().copied().filter(|&other| other != operator).collect();
            let without = self.polynomials(&others);
            let with = self.sizes.iter().skip(1).zip(&without).map(|(size, rest)| size * rest).sum::<f64>();
            self.weights[operator] * with / total
        };
        (0..self.weights.len())
            .map(|operator| if self.weights[operator] > 0.0 { included(operator) } else { 0.0 })
            .collect()
    }

    /// `log p(S)`; minus infinity for an impossible set.
    pub fn log_probability(&self, set: &[usize]) -> f64 {
        let Some(size) = self.size_scores.get(set.len()) else { return f64::NEG_INFINITY };
        let score: f64 = set.iter().map(|&operator| self.scores[operator]).sum();
        score + size - self.top - self.total(&self.candidates()).ln()
    }

    fn candidates(&self) -> Vec<usize> {
        (0..self.weights.len()).filter(|&operator| self.weights[operator] > 0.0).collect()
    }

    fn total(&self, candidates: &[usize]) -> f64 {
        self.sizes.iter().zip(self.polynomials(candidates)).map(|(size, polynomial)| size * polynomial).sum()
    }

    /// `e_k` of some operators, `[K + 1]`.
    fn polynomials(&self, operators: &[usize]) -> Vec<f64> {
        operators.iter().fold(self.no_operators(), |polynomials, &operator| self.with(&polynomials, operator))
    }

    fn no_operators(&self) -> Vec<f64> {
        let mut polynomials = vec![0.0; self.sizes.len()];
        polynomials[0] = 1.0;
        polynomials
    }

    fn with(&self, polynomials: &[f64], operator: usize) -> Vec<f64> {
        let weight = self.weights[operator];
        let smaller = std::iter::once(&0.0).chain(polynomials);
        polynomials.iter().zip(smaller).map(|(own, smaller)| own + weight * smaller).collect()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::random;

    const SCORES: [f32; 5] = [0.4, -1.2, f32::NEG_INFINITY, 2.0, 0.4];
    const SIZES: [f32; 4] = [-0.3, 0.1, -0.8, 0.6];

    /// Every set with its probability, straight from the definition.
    fn enumerated(may_end: bool) -> Vec<(Vec<usize>, f64)> {
        let sets = (0..1usize << SCORES.len()).map(|bits| (0..SCORES.len()).filter(|at| bits >> at & 1 == 1).collect());
        let fits = |set: &Vec<usize>| set.len() < SIZES.len() && (may_end || !set.is_empty());
        let weight = |set: &Vec<usize>| {
            let score: f32 = set.iter().map(|&at| SCORES[at]).sum::<f32>() + SIZES[set.len()];
            f64::from(score).exp()
        };
        let sets: Vec<Vec<usize>> = sets.filter(fits).collect();
        let total: f64 = sets.iter().map(weight).sum();
        sets.into_iter().map(|set| (set.clone(), weight(&set) / total)).collect()
    }

    #[test]
    fn the_distribution_is_that_of_the_definition() {
        for may_end in [true, false] {
            let (sets, expected) = (Sets::new(&SCORES, &SIZES, may_end), enumerated(may_end));
            let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
            expected.iter().for_each(|(set, p)| near(sets.log_probability(set).exp(), *p));
            for (operator, found) in sets.inclusion().into_iter().enumerate() {
                near(found, expected.iter().filter(|(set, _)| set.contains(&operator)).map(|(_, p)| p).sum());
            }
            let likeliest = expected.iter().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(set, _)| set);
            assert_eq!(Some(&sets.likeliest()), likeliest);
            let (mut rng, draws) = (random::stream(1, &[&"sets"]), 40_000);
            let drawn: Vec<Vec<usize>> = (0..draws).map(|_| sets.draw(&mut rng)).collect();
            for (set, p) in &expected {
                let share = drawn.iter().filter(|found| *found == set).count() as f64 / f64::from(draws);
                assert!((share - p).abs() < 0.01, "{set:?}: drawn {share}, expected {p}");
            }
        }
    }

    #[test]
    fn both_sides_have_one_partition_and_its_gradient_is_the_inclusion() -> Result<()> {
        let finite = SCORES.map(|score| score.max(-1e30));
        let scores = Var::from_tensor(&Tensor::new(&[finite], &Device::Cpu)?)?;
        let sizes = Tensor::new(&[SIZES], &Device::Cpu)?;
        let log_partition = log_partition(&scores, &sizes)?;
        let found: f64 = log_partition.get(0)?.to_scalar::<f32>()?.into();
        let sets = Sets::new(&SCORES, &SIZES, true);
        assert!((f64::from(SCORES[3] + SIZES[1]) - found - sets.log_probability(&[3])).abs() < 1e-5);
        let gradients = log_partition.sum_all()?.backward()?;
        let gradient: Vec<f32> = gradients.get(&scores).map_or(Ok(Vec::new()), |g| g.get(0)?.to_vec1())?;
        assert!(gradient.iter().zip(sets.inclusion()).all(|(found, p)| (f64::from(*found) - p).abs() < 1e-5));
        Ok(())
    }

    #[test]
    fn what_is_far_apart_is_no_overflow() {
        let sets = Sets::new(&[90.0, -90.0, 0.0], &[0.0, 50.0, -200.0], true);
        assert_eq!(sets.likeliest(), [0]);
        assert!(sets.log_probability(&[0]) > -1e-9 && sets.log_probability(&[1, 2]) < -300.0);
        assert_eq!(sets.log_probability(&[0, 1, 2]), f64::NEG_INFINITY);
        let sets = Sets::new(&[f32::NEG_INFINITY, 0.0], &[0.0, 0.0, 0.0], false);
        assert_eq!((sets.likeliest(), sets.draw(&mut random::stream(0, &[]))), (vec![1], vec![1]));
    }
}
