//! What each set of operators leads to on each problem, from the largest sets to the smallest.
//!
//! ```text
//! V(s)    = max over further sets b of ( p(s), Q(s, b) )          p: the leader's posterior, for ending
//! Q(s, b) = E[ V(s + b) - w_t max latency - w_c sum of costs | what the answers of s show ]
//! ```
//!
//! The expectation is a ridge regression for each `s`. Its targets are posteriors, not scores: that of which single sample
//! happened to be right would be fitted otherwise. What the policy comes to in fact is followed beside it, by scores.

use std::collections::BTreeMap;

use super::Replies;
use crate::decide::{Set, State, Vote, known};
use crate::objective::Objective;
use crate::training::routing::{Regression, closest};

/// Penalties among which is chosen, for standardised features.
const PENALTIES: [f64; 4] = [10.0, 100.0, 1e3, 1e4];

pub(super) struct Replay<'a> {
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
    /// Predicted utility of each further set, `[W]`, by what was learned from other folds; empty where none may follow.
    ways: Vec<Set>,
    predicted: Vec<Vec<f64>>,
    /// Utility from here on: as predicted, and in fact.
    value: Vec<f64>,
    realised: Vec<f64>,
}

impl<'a> Replay<'a> {
    /// By votes that were fitted without each fold.
    pub fn new(replies: &'a Replies, objective: &'a Objective, folds: &'a [usize], votes: &'a [Vote]) -> Self {
        Replay { replies, objective, folds, votes, seen: BTreeMap::new() }
    }

    /// Learns what may follow `asked`; all larger sets are learned before.
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
            realised: score.clone(),
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

    /// Utility of a start on each problem in fact, `[N]`.
    pub fn start(&self, start: Set) -> Vec<f64> {
        self.follow(0, start).into_iter().map(|followed| followed.realised).collect()
    }

    /// What comes of asking `further` after `asked`, on each problem.
    fn follow(&self, asked: Set, further: Set) -> Vec<Followed> {
        (0..self.replies.problems()).map(|problem| self.follow_one(problem, asked, further)).collect()
    }

    fn follow_one(&self, problem: usize, asked: Set, further: Set) -> Followed {
        let Replies { latency, cost, .. } = self.replies;
        let mut members: Vec<usize> = (0..latency.len()).filter(|at| further >> at & 1 == 1).collect();
        members.sort_by(|&one, &other| latency[one][problem].total_cmp(&latency[other][problem]));
        let charge = |now: f64| {
            let share = |&at: &usize| cost[at][problem] * (now / latency[at][problem].max(f64::MIN_POSITIVE)).min(1.0);
            let dollars: f64 = members.iter().map(share).sum();
            self.objective.latency_weight * now + self.objective.cost_weight * dollars
        };
        let mut arrived = asked;
        for (position, &member) in members.iter().enumerate() {
            arrived |= 1 << member;
            let now = latency[member][problem];
            let pending = &members[position + 1..];
            if pending.iter().any(|&other| latency[other][problem] <= now) {
                continue;
            }
            let Some(seen) = self.seen.get(&arrived) else { continue };
            let charged = charge(now);
            if pending.is_empty() {
                return Followed { value: seen.value[problem] - charged, realised: seen.realised[problem] - charged };
            }
            let left = pending.iter().fold(0, |set: Set, at| set | 1 << at);
            let Some(way) = seen.ways.iter().position(|way| *way == left) else { continue };
            // They have run for a while, and cost already: waiting is that much cheaper than asking them anew.
            let begun: f64 = pending
                .iter()
                .map(|&at| cost[at][problem] * (now / latency[at][problem].max(f64::MIN_POSITIVE)).min(1.0))
                .sum();
            let wait =
                seen.predicted[problem][way] + self.objective.latency_weight * now + self.objective.cost_weight * begun;
            if seen.posterior[problem] > wait {
                return Followed { value: seen.posterior[problem] - charged, realised: seen.score[problem] - charged };
            }
        }
        Followed { value: 0.0, realised: 0.0 }
    }
}

/// Utility from a decision on: as predicted, and in fact.
#[derive(Clone, Copy)]
struct Followed {
    value: f64,
    realised: f64,
}

/// Gives the columns mean zero and deviation one; returns what they had.
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

/// Base and slopes on columns as they were.
fn unscaled((base, slopes): (f64, Vec<f64>), scales: &[(f64, f64)]) -> (f32, Vec<f32>) {
    let shift: f64 = slopes.iter().zip(scales).map(|(slope, (mean, deviation))| slope * mean / deviation).sum();
    let slopes = slopes.iter().zip(scales).map(|(slope, (_, deviation))| (slope / deviation) as f32).collect();
    ((base - shift) as f32, slopes)
}
