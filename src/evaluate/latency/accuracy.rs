//! How accurate a latency model's predictions are.

use serde::{Deserialize, Serialize};

use super::{LatencyModel, Observed, Prediction};
use crate::evaluate::statistics::{mean, quantile};
use crate::plan::{Latency, Plan, Prepared, Trace, Unit};

/// Predicted against measured critical paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Number of plans compared.
    pub plans: usize,
    /// Mean measured and mean predicted critical path.
    pub measured: Latency,
    pub predicted: Latency,
    /// Mean of the absolute error, and its 95 % quantile.
    pub error: Latency,
    pub error_p95: Latency,
    /// Share of plans within the predicted 95 % bound.
    pub covered: Latency,
}

impl LatencyModel {
    /// Compares measured critical paths with those predicted for the same plans.
    pub fn accuracy(&self, observed: &[Observed<'_>], prepare: impl Fn(&Plan) -> Prepared) -> Accuracy {
        let compared: Vec<(Latency, Prediction)> = observed
            .iter()
            .map(|Observed { asked, episode }| {
                (measured_path(&episode.trace), self.predict(&episode.plan, &prepare(&episode.plan), *asked))
            })
            .collect();
        let over = |value: fn(f64, f64, f64) -> f64, sum: fn(&[f64]) -> f64| {
            let of = |unit: fn(Latency) -> f64| {
                let values = compared.iter().map(|(measured, Prediction { path, bound, .. })| {
                    value(unit(*measured), unit(*path), unit(*bound))
                });
                sum(&values.collect::<Vec<_>>())
            };
            Latency { tokens: of(|latency| latency.tokens), seconds: of(|latency| latency.seconds) }
        };
        Accuracy {
            plans: compared.len(),
            measured: over(|measured, _, _| measured, mean),
            predicted: over(|_, path, _| path, mean),
            error: over(|measured, path, _| (measured - path).abs(), mean),
            error_p95: over(|measured, path, _| (measured - path).abs(), |errors| quantile(errors, 0.95)),
            // A prediction without any deviation is exact except for rounding.
            covered: over(|measured, _, bound| f64::from(measured <= bound + 1e-6), mean),
        }
    }
}

/// The critical path of a trace in each unit.
pub fn measured_path(trace: &Trace) -> Latency {
    Latency { tokens: trace.path(Unit::Tokens).length, seconds: trace.path(Unit::Seconds).length }
}
