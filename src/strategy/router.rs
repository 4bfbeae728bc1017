//! A router: the plan of the highest utility, as predicted from the question alone.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Linear predictions of the utility of some plans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Router {
    pub plans: Vec<Plan>,
    /// `[P]`
    pub base: Vec<f32>,
    /// `[P][E]`
    pub slopes: Vec<Vec<f32>>,
}

impl Router {
    /// Predictions as a ridge regression has them, `[P]`.
    pub fn new(plans: Vec<Plan>, fitted: Vec<(f64, Vec<f64>)>) -> Self {
        let (base, slopes): (Vec<f64>, Vec<Vec<f64>>) = fitted.into_iter().unzip();
        let single = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect();
        Router { plans, base: single(base), slopes: slopes.into_iter().map(single).collect() }
    }

    /// The plan for the query `[E]`; the first among equals.
    pub fn choose(&self, query: &[f32]) -> &Plan {
        const NOTHING: &Plan = &Plan { layers: Vec::new() };
        let predicted =
            self.base.iter().zip(&self.slopes).map(|(base, slopes)| {
                base + slopes.iter().zip(query).map(|(slope, feature)| slope * feature).sum::<f32>()
            });
        let best = predicted.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.and_then(|(at, _)| self.plans.get(at)).unwrap_or(NOTHING)
    }
}
