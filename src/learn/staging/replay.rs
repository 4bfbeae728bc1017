//! What each set of operators leads to on each problem, from the largest sets to the smallest.
//!
//! ```text
//! V(s)    = max over further sets b of ( p(s), Q(s, b) )          p: the leader's posterior, for ending
//! Q(s, b) = E[ V(s + b) - w_t max latency - w_c sum of costs | what the answers of s show ]
//! ```
//!
//! The expectation is a ridge regression for each `s`. Its targets are posteriors, not scores; scores would fit the luck of
//! which single sample happened to be right. The actual outcome of the policy is tracked separately, by scores.

use std::collections::BTreeMap;

use super::replies::Replies;
use crate::decide::{Set, State, Vote, known};
use crate::learn::measured::{Measured, Outcome};
use crate::learn::routing::{Regression, closest};
use crate::objective::Objective;

/// Penalties to choose from, for standardised features.
const PENALTIES: [f64; 4] = [10.0, 100.0, 1e3, 1e4];

pub struct Replay<'a> {
    replies: &'a Replies,
    objective: &'a Objective,
    folds: &'a [usize],
    votes: &'a [Vote],
    seen: BTreeMap<Set, Seen>,
}

/// A set on all problems, `[N]`.
struct Seen {
    posterior: Vec<f64>,
    score: Vec<f64>,
    /// Predicted utility of each further set, `[W]`, learned from other folds; empty if none may follow.
    ways: Vec<Set>,
    predicted: Vec<Vec<f64>>,
    /// Predicted utility from here on.
    value: Vec<f64>,
    /// Actual outcome from here on.
    realised: Vec<Outcome>,
}

impl<'a> Replay<'a> {
    /// With votes that were fitted without each fold.
    pub fn new(replies: &'a Replies, objective: &'a Objective, folds: &'a [usize], votes: &'a [Vote]) -> Self {
        Replay { replies, objective, folds, votes, seen: BTreeMap::new() }
    }

    /// Learns what may follow `asked`. All larger sets must have been learned.
    pub fn learn(&mut self, asked: Set, ways: &[Set]) -> Option<State> {
        let problems = self.replies.problems();
        let (mut posterior, mut score, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for problem in 0..problems {
            let said = self.replies.said(problem, asked);
            let belief = self.votes[self.folds[problem]].believe(&said);
            score.push(belief.leader.map_or(0.0, |leader| self.replies.score(problem, leader)));
            posterior.push(belief.posterior);
            rows.push(known(&belief, &said));
        }
        let mut seen = Seen {
            value: posterior.clone(),
            realised: score.iter().map(|&score| Outcome { score, ..Outcome::default() }).collect(),
            posterior,
            score,
            ways: ways.to_vec(),
            predicted: Vec::new(),
        };
        if ways.is_empty() {
            self.seen.insert(asked, seen);
            return None;
        }
        let followed: Vec<Vec<Followed>> = ways.iter().map(|&way| self.follow(asked, way)).collect();
        let targets: Vec<Vec<f64>> =
            (0..problems).map(|problem| followed.iter().map(|way| way[problem].value).collect()).collect();
        let scales = standardize(&mut rows);
        let regression = Regression::new(rows.iter().map(Vec::as_slice), &targets, self.folds, &PENALTIES);
        let penalty = closest(&regression.predicted, &targets);
        let fitted = regression.fit(PENALTIES[penalty]);
        seen.predicted = regression.predicted.into_iter().nth(penalty).unwrap_or_default();
        for (problem, predicted) in seen.predicted.iter().enumerate() {
            for (way, &worth) in predicted.iter().enumerate() {
                if worth > seen.value[problem] {
                    (seen.value[problem], seen.realised[problem]) = (worth, followed[way][problem].realised);
                }
            }
        }
        self.seen.insert(asked, seen);
        let (base, slopes) = fitted.into_iter().map(|fitted| unscaled(fitted, &scales)).unzip();
        Some(State { asked, ways: ways.to_vec(), base, slopes })
    }

    /// The actual outcomes of a start.
    pub fn start(&self, start: Set) -> Measured {
        Measured(self.follow(0, start).into_iter().map(|followed| followed.realised).collect())
    }

    /// The outcome of asking `further` after `asked`, on each problem.
    fn follow(&self, asked: Set, further: Set) -> Vec<Followed> {
        (0..self.replies.problems()).map(|problem| self.follow_one(problem, asked, further)).collect()
    }

    fn follow_one(&self, problem: usize, asked: Set, further: Set) -> Followed {
        let of = |at: usize| self.replies.outcomes[at][problem];
        let mut members: Vec<usize> = (0..self.replies.outcomes.len()).filter(|at| further >> at & 1 == 1).collect();
        members.sort_by(|&one, &other| of(one).latency.total_cmp(&of(other).latency));
        // A call that is dropped costs the share that has run.
        let spent = |members: &[usize], now: f64| {
            let share = |&at: &usize| of(at).cost * (now / of(at).latency.max(f64::MIN_POSITIVE)).min(1.0);
            Outcome { score: 0.0, latency: now, cost: members.iter().map(share).sum() }
        };
        let mut arrived = asked;
        for (position, &member) in members.iter().enumerate() {
            arrived |= 1 << member;
            let now = of(member).latency;
            let pending = &members[position + 1..];
            if pending.iter().any(|&other| of(other).latency <= now) {
                continue;
            }
            let Some(seen) = self.seen.get(&arrived) else { continue };
            let charged = spent(&members, now);
            if pending.is_empty() {
                return Followed { value: seen.value[problem], realised: seen.realised[problem] }
                    .after(charged, self.objective);
            }
            let left = pending.iter().fold(0, |set: Set, at| set | 1 << at);
            let Some(way) = seen.ways.iter().position(|way| *way == left) else { continue };
            // They have run for a while and have cost something already, so waiting is cheaper than asking them again.
            let wait = seen.predicted[problem][way] - spent(pending, now).utility(self.objective);
            if seen.posterior[problem] > wait {
                let realised = Outcome { score: seen.score[problem], ..Outcome::default() };
                return Followed { value: seen.posterior[problem], realised }.after(charged, self.objective);
            }
        }
        Followed::default()
    }
}

/// What follows a decision: its predicted utility, and its actual outcome.
#[derive(Clone, Copy, Default)]
struct Followed {
    value: f64,
    realised: Outcome,
}

impl Followed {
    /// The same after `spent`.
    fn after(self, spent: Outcome, objective: &Objective) -> Self {
        let Outcome { score, latency, cost } = self.realised;
        Followed {
            value: self.value + spent.utility(objective),
            realised: Outcome { score, latency: latency + spent.latency, cost: cost + spent.cost },
        }
    }
}

/// Gives the columns mean zero and standard deviation one; returns their former values.
fn standardize(rows: &mut [Vec<f32>]) -> Vec<(f64, f64)> {
    let count = rows.len().max(1) as f64;
    let width = rows.first().map_or(0, Vec::len);
    let scale = |column: usize| {
        let values = || rows.iter().map(|row| f64::from(row[column]));
        let mean = values().sum::<f64>() / count;
        let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        (mean, if deviation > 1e-9 { deviation } else { 1.0 })
    };
    let scales: Vec<(f64, f64)> = (0..width).map(scale).collect();
    for row in rows {
        row.iter_mut().zip(&scales).for_each(|(value, (mean, deviation))| {
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        });
    }
    scales
}

/// Intercept and slopes for the original columns.
fn unscaled((base, slopes): (f64, Vec<f64>), scales: &[(f64, f64)]) -> (f32, Vec<f32>) {
    let shift: f64 = slopes.iter().zip(scales).map(|(slope, (mean, deviation))| slope * mean / deviation).sum();
    let slopes = slopes.iter().zip(scales).map(|(slope, (_, deviation))| (slope / deviation) as f32).collect();
    ((base - shift) as f32, slopes)
}
