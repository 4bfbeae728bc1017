//! How well a latency model's predictions hold.

use serde::{Deserialize, Serialize};

use super::{LatencyModel, Observed, longest};
use crate::evaluation::statistics::{mean, quantile};
use crate::plan::{Dependencies, Latency, Plan};

/// Predicted against measured critical paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Plans compared.
    pub plans: usize,
    /// Means of what was measured, and of what was predicted.
    pub measured: Latency,
    pub predicted: Latency,
    /// Mean of the absolute error, and its 95 % quantile.
    pub error: Latency,
    pub error_p95: Latency,
    /// Share of plans that took at most what 95 % were expected to.
    pub covered: Latency,
}

impl LatencyModel {
    /// Compares the critical paths of what ran with those predicted for the same plans.
    pub fn accuracy(&self, observed: &[Observed<'_>], dependencies: impl Fn(&Plan) -> Dependencies) -> Accuracy {
        let pairs = self.measured_and_predicted(observed, dependencies);
        let over = |value: fn(f64, f64) -> f64, sum: fn(&[f64]) -> f64| {
            let of = |unit: fn(&Latency) -> f64| {
                sum(&pairs
                    .iter()
                    .map(|(measured, predicted)| value(unit(measured), unit(predicted)))
                    .collect::<Vec<_>>())
            };
            Latency { tokens: of(|latency| latency.tokens), seconds: of(|latency| latency.seconds) }
        };
        let covered = |measured: &Latency, predicted: &Latency| Latency {
            tokens: f64::from(measured.tokens <= predicted.tokens * self.slack.tokens),
            seconds: f64::from(measured.seconds <= predicted.seconds * self.slack.seconds),
        };
        let covered: Vec<Latency> = pairs.iter().map(|(measured, predicted)| covered(measured, predicted)).collect();
        let share = |unit: fn(&Latency) -> f64| mean(&covered.iter().map(unit).collect::<Vec<_>>());
        Accuracy {
            plans: pairs.len(),
            measured: over(|measured, _| measured, mean),
            predicted: over(|_, predicted| predicted, mean),
            error: over(|measured, predicted| (measured - predicted).abs(), mean),
            error_p95: over(|measured, predicted| (measured - predicted).abs(), |errors| quantile(errors, 0.95)),
            covered: Latency { tokens: share(|latency| latency.tokens), seconds: share(|latency| latency.seconds) },
        }
    }

    /// The critical path of each episode, measured and predicted.
    pub(super) fn measured_and_predicted(
        &self,
        observed: &[Observed<'_>],
        dependencies: impl Fn(&Plan) -> Dependencies,
    ) -> Vec<(Latency, Latency)> {
        let pair = |&Observed { asked, episode }: &Observed<'_>| {
            let dependencies = dependencies(&episode.plan);
            let predicted = self.predict(&episode.plan, &dependencies, asked).path;
            (measured_path(episode, &dependencies), predicted)
        };
        observed.iter().map(pair).collect()
    }
}

/// The critical path of an episode in each unit.
pub fn measured_path(episode: &crate::system::Episode, dependencies: &Dependencies) -> Latency {
    let mut spans: Vec<Latency> = episode.trace.spans.iter().map(|span| span.latency).collect();
    spans.resize(episode.plan.len(), Latency::default());
    longest(dependencies, &spans)
}
