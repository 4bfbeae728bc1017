//! Fits a vote: Newton's method on the penalised likelihood of the right answers, over random sets of operators asked.

use rand::Rng;
use rand::seq::index;

use super::replies::{MOST, Replies};
use crate::decide::{Said, Set, Vote};
use crate::kernels::cholesky;
use crate::learn::crossfit::FOLDS;
use crate::random;

/// One problem with some operators asked: the weights that count for each alternative, and how right it is.
struct Row {
    alternatives: Vec<(Option<u32>, Vec<usize>)>,
    /// Sums to one.
    right: Vec<f64>,
    fold: usize,
}

/// Rows of each problem.
const ROWS: usize = 32;
/// Most rows of all.
const MOST_ROWS: usize = 40_000;
const STEPS: usize = 30;
/// The fit is done once no weight moves further than this.
const CLOSE: f64 = 1e-5;

/// The votes fitted without each fold, then the one fitted to all.
pub fn by_fold(replies: &Replies, folds: &[usize], seed: u64) -> Vec<Vote> {
    let mut rng = random::stream(seed, &[&"asked"]);
    let operators = replies.operators.len();
    let each = (MOST_ROWS / replies.problems().max(1)).clamp(4, ROWS);
    let mut rows = Vec::with_capacity(replies.problems() * each);
    let vote = Vote::new(operators);
    for (problem, &fold) in folds.iter().enumerate() {
        for _ in 0..each {
            let size = rng.random_range(1..=operators.min(MOST as usize));
            let asked = index::sample(&mut rng, operators, size).into_iter().fold(0, |set: Set, at| set | 1 << at);
            rows.push(row(replies, &vote, problem, asked, fold));
        }
    }
    (0..=FOLDS).map(|fold| fit(vote.clone(), &rows, fold, replies.problems())).collect()
}

fn row(replies: &Replies, vote: &Vote, problem: usize, asked: Set, fold: usize) -> Row {
    let said: Vec<Said> = replies.said(problem, asked);
    let alternatives = vote.features(&said);
    let score = |(answer, _): &(Option<u32>, _)| answer.map_or(0.0, |answer| replies.score(problem, answer));
    let mut right: Vec<f64> = alternatives.iter().map(score).collect();
    let sum: f64 = right.iter().sum();
    if sum > 1.0 {
        right.iter_mut().for_each(|right| *right /= sum);
    }
    if let Some(none) = right.last_mut() {
        *none = (1.0 - sum).max(0.0);
    }
    Row { alternatives, right, fold }
}

/// The vote that makes the right answers likeliest, without the rows of a fold.
fn fit(mut vote: Vote, rows: &[Row], fold: usize, problems: usize) -> Vote {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.fold != fold).collect();
    // As if each problem counted once.
    let share = rows.len() as f64 / problems.max(1) as f64;
    let penalties: Vec<f64> = vote.penalties().into_iter().map(|penalty| penalty * share).collect();
    for _ in 0..STEPS {
        let (here, gradient, mut curvature) = derivatives(&vote, &rows, &penalties);
        cholesky::factor(&mut curvature);
        let step = cholesky::solve(&curvature, gradient);
        let largest = step.iter().fold(0f64, |largest, value| largest.max(value.abs()));
        if !largest.is_finite() || largest < CLOSE {
            break;
        }
        // The loss is convex: a shorter step in Newton's direction lowers it.
        let mut length = 1.0;
        let moved = loop {
            let weights = vote.weights.iter().zip(&step).map(|(weight, step)| weight - length * step).collect();
            let moved = Vote { weights, ..vote.clone() };
            if loss(&moved, &rows, &penalties) <= here || length < 1e-3 {
                break moved;
            }
            length /= 2.0;
        };
        vote = moved;
    }
    vote
}

fn loss(vote: &Vote, rows: &[&Row], penalties: &[f64]) -> f64 {
    let of_row = |row: &&Row| {
        let probabilities = vote.probabilities(&row.alternatives);
        let terms = row.right.iter().zip(probabilities).filter(|(right, _)| **right > 0.0);
        terms.map(|(right, probability)| -right * probability.max(f64::MIN_POSITIVE).ln()).sum::<f64>()
    };
    let penalty = vote.weights.iter().zip(penalties).map(|(weight, penalty)| penalty * weight * weight / 2.0);
    rows.iter().map(of_row).sum::<f64>() + penalty.sum::<f64>()
}

/// The loss, its gradient, and its second derivatives (lower triangle).
fn derivatives(vote: &Vote, rows: &[&Row], penalties: &[f64]) -> (f64, Vec<f64>, Vec<Vec<f64>>) {
    let width = vote.weights.len();
    let mut gradient: Vec<f64> = vote.weights.iter().zip(penalties).map(|(weight, penalty)| weight * penalty).collect();
    let mut curvature = vec![vec![0.0; width]; width];
    curvature.iter_mut().zip(penalties).enumerate().for_each(|(at, (row, penalty))| row[at] = *penalty);
    let mut mean: Vec<f64> = vec![0.0; width];
    for row in rows {
        let probabilities = vote.probabilities(&row.alternatives);
        let mut touched: Vec<usize> = Vec::new();
        for (((_, places), &right), probability) in row.alternatives.iter().zip(&row.right).zip(probabilities) {
            for &place in places {
                gradient[place] += probability - right;
                mean[place] += probability;
                touched.push(place);
                for &other in places.iter().filter(|&&other| other <= place) {
                    curvature[place][other] += probability;
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for (at, &place) in touched.iter().enumerate() {
            for &other in &touched[..=at] {
                curvature[place][other] -= mean[place] * mean[other];
            }
        }
        touched.iter().for_each(|&place| mean[place] = 0.0);
    }
    (loss(vote, rows, penalties), gradient, curvature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::measured::Outcome;
    use crate::learn::staging::replies::Reply;
    use crate::plan::OperatorId;

    /// Two operators that are right on nine and on six of ten problems, independently, and wrong in many ways.
    fn replies() -> (Replies, Vec<usize>) {
        let mut rng = random::stream(5, &[&"replies"]);
        let mut reply = |share: f64, at: usize| {
            let is_right = rng.random_bool(share);
            let answer = if is_right { "right".to_owned() } else { format!("wrong {share} {at}") };
            let outcome = Outcome { score: f64::from(u8::from(is_right)), latency: 1.0, cost: 0.0 };
            Reply { answer: Some(answer), outcome }
        };
        let rows = [0.9, 0.6].map(|share| (0..1000).map(|at| reply(share, at)).collect::<Vec<_>>());
        let folds = (0..1000).map(|at| at % FOLDS).collect();
        (Replies::new([OperatorId(3), OperatorId(8)].into(), &rows), folds)
    }

    #[test]
    fn posteriors_are_shares_of_what_was_right() {
        let (replies, folds) = replies();
        let votes = by_fold(&replies, &folds, 1);
        assert_eq!(votes.len(), FOLDS + 1);
        let vote = &votes[FOLDS];
        let check = |said: [Said; 2], expected: f64, tolerance: f64| {
            let found = vote.believe(&said).posterior;
            assert!((found - expected).abs() < tolerance, "{said:?}: {found}, not {expected}");
        };
        check([Said::Answer(0), Said::Unasked], 0.9, 0.03);
        check([Said::Unasked, Said::Answer(0)], 0.6, 0.04);
        // Where they differ, the better one is right in .36 / (.36 + .06 + .04) of the cases.
        check([Said::Answer(0), Said::Answer(1)], 0.78, 0.05);
        check([Said::Answer(0), Said::Answer(0)], 1.0, 0.02);
    }

    #[test]
    fn the_fit_is_a_minimum() {
        let (replies, folds) = replies();
        let votes = by_fold(&replies, &folds, 1);
        let rows: Vec<Row> = (0..1000).map(|at| row(&replies, &votes[0], at, 0b11, folds[at])).collect();
        let fitted = fit(Vote::new(2), &rows, FOLDS, 1000);
        let rows: Vec<&Row> = rows.iter().collect();
        let (_, gradient, _) = derivatives(&fitted, &rows, &fitted.penalties());
        assert!(gradient.iter().all(|slope| slope.abs() < 1e-2), "{gradient:?}");
    }
}
