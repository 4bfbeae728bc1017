//! A router: the plan of the highest utility, as predicted from the question alone.

use serde::{Deserialize, Serialize};

use super::kernel::{Landmarks, similarities};
use crate::plan::Plan;

/// Predictions of the utility of some plans: the mean of those of its parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Router {
    pub plans: Vec<Plan>,
    parts: Vec<Part>,
}

/// Linear predictions from the embedding, or from its similarity with landmarks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Part {
    /// `[M][E]`; none for predictions from the embedding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    landmarks: Vec<Vec<f32>>,
    /// `[P]`
    base: Vec<f32>,
    /// `[P][E]` or `[P][M]`
    slopes: Vec<Vec<f32>>,
}

impl Router {
    /// A router among `plans` that predicts nothing yet.
    pub fn new(plans: Vec<Plan>) -> Self {
        Router { plans, parts: Vec::new() }
    }

    /// With predictions from the embedding, as a ridge regression has them: base and slopes for each plan.
    pub fn with_linear(mut self, fitted: Vec<(f64, Vec<f64>)>) -> Self {
        self.parts.push(Part::new(Vec::new(), fitted));
        self
    }

    /// With predictions from the features of landmarks.
    pub fn with_kernel(mut self, landmarks: &Landmarks, fitted: Vec<(f64, Vec<f64>)>) -> Self {
        let fitted = fitted.into_iter().map(|(base, slopes)| (base, landmarks.weights(slopes)));
        self.parts.push(Part::new(landmarks.centres.clone(), fitted.collect()));
        self
    }

    /// The plan for the query `[E]`; the first among equals.
    pub fn choose(&self, query: &[f32]) -> &Plan {
        const NOTHING: &Plan = &Plan { layers: Vec::new() };
        let mut predicted = vec![0.0; self.plans.len()];
        for part in &self.parts {
            predicted.iter_mut().zip(part.predict(query)).for_each(|(sum, own)| *sum += own);
        }
        best(&predicted).and_then(|at| self.plans.get(at)).unwrap_or(NOTHING)
    }
}

impl Part {
    fn new(landmarks: Vec<Vec<f32>>, fitted: Vec<(f64, Vec<f64>)>) -> Self {
        let (base, slopes): (Vec<f64>, Vec<Vec<f64>>) = fitted.into_iter().unzip();
        let single = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect();
        Part { landmarks, base: single(base), slopes: slopes.into_iter().map(single).collect() }
    }

    fn predict(&self, query: &[f32]) -> Vec<f64> {
        let features: Vec<f64> = match self.landmarks.is_empty() {
            true => query.iter().map(|&number| f64::from(number)).collect(),
            false => similarities(&self.landmarks, query),
        };
        let predict = |(&base, slopes): (&f32, &Vec<f32>)| {
            f64::from(base)
                + slopes.iter().zip(&features).map(|(&slope, feature)| f64::from(slope) * feature).sum::<f64>()
        };
        self.base.iter().zip(&self.slopes).map(predict).collect()
    }
}

/// The place of the highest number; the first among equals.
pub fn best(numbers: &[f64]) -> Option<usize> {
    let better = |best: usize, next: usize| if numbers[next] > numbers[best] { next } else { best };
    (0..numbers.len()).reduce(better)
}
