//! A router: predicts from the question alone what to propose.

use serde::{Deserialize, Serialize};

use super::features::Features;
use super::forest::Forest;
use super::neighbours::Neighbours;
use crate::decide::Proposal;
use crate::evidence::Asked;

/// Predicts the utility of some proposals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Router {
    pub proposals: Vec<Proposal>,
    pub predictor: Predictor,
}

/// How the utilities are predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predictor {
    /// From the embedding: intercepts `[P]` and slopes `[P][E]`.
    Linear { base: Vec<f32>, slopes: Vec<Vec<f32>> },
    /// As the mean of the nearest training questions.
    Nearest { features: Features, neighbours: Neighbours },
    /// With trees, from the coordinates on some axes and the surface of the text.
    Forest { features: Features, axes: usize, forest: Forest },
}

impl Router {
    /// The proposal to use; the first among equals; an empty one if there is none.
    pub fn choose(&self, asked: Asked<'_>) -> Proposal {
        let best = best(&self.predictor.predict(asked));
        best.and_then(|at| self.proposals.get(at)).cloned().unwrap_or_default()
    }
}

impl Predictor {
    /// A ridge regression's intercept and slopes for each proposal.
    pub fn linear(fitted: Vec<(f64, Vec<f64>)>) -> Self {
        let (base, slopes): (Vec<f64>, Vec<Vec<f64>>) = fitted.into_iter().unzip();
        let single = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect();
        Predictor::Linear { base: single(base), slopes: slopes.into_iter().map(single).collect() }
    }

    /// Utility of each proposal, `[P]`.
    pub fn predict(&self, asked: Asked<'_>) -> Vec<f64> {
        match self {
            Predictor::Linear { base, slopes } => {
                let product = |slopes: &Vec<f32>| {
                    slopes.iter().zip(asked.embedding).map(|(&slope, &x)| f64::from(slope) * f64::from(x)).sum::<f64>()
                };
                base.iter().zip(slopes).map(|(&base, slopes)| f64::from(base) + product(slopes)).collect()
            }
            Predictor::Nearest { features, neighbours } => neighbours.predict(&features.place(asked.embedding)),
            Predictor::Forest { features, axes, forest } => forest.predict(&features.of(asked, *axes)),
        }
    }
}

/// The index of the highest number; the first among equals.
pub fn best(numbers: &[f64]) -> Option<usize> {
    let better = |best: usize, next: usize| if numbers[next] > numbers[best] { next } else { best };
    (0..numbers.len()).reduce(better)
}
