//! What each chosen operator is credited with (E5).

use serde::{Deserialize, Serialize};

use crate::plan::{CriticalPath, Schedule, critical_path};
use crate::system::Episode;

/// How the latency of a query is shared among its operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// Each bottleneck is charged the whole critical path, the others nothing (E5).
    CriticalPath,
    /// Every operator is charged the whole critical path (the ablation of the paper).
    Uniform,
    /// Each operator is charged what the critical path would lose without it: nothing off the path, and a bottleneck
    /// no more than its lead over the runner-up.
    #[default]
    Marginal,
}

/// The weights of the reward `S - cost_weight C - latency_weight T`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reward {
    /// `lambda_t`, score per token of critical path.
    pub latency_weight: f64,
    /// `lambda_c`, score per dollar.
    pub cost_weight: f64,
    pub credit: Credit,
    /// Which operators wait for which; decides what the critical path is.
    pub schedule: Schedule,
}

impl Default for Reward {
    fn default() -> Self {
        Reward {
            latency_weight: 0.005 / 50.0,
            cost_weight: 3.0,
            credit: Credit::default(),
            schedule: Schedule::default(),
        }
    }
}

/// What the operators of one episode are credited with: `value + latency`, kept apart because only the operators that
/// feel the latency may be compared by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilities {
    /// `S - lambda_c C`, the same for every choice.
    pub value: f64,
    /// The share of `-lambda_t T` of each choice, in the order of [`crate::plan::Plan::choices`]; never positive.
    pub latency: Vec<f64>,
    /// Whether a choice feels the latency at all.
    pub feels_latency: Vec<bool>,
}

impl Utilities {
    /// Utility of each choice, `U_o` of (E5).
    pub fn totals(&self) -> impl Iterator<Item = f64> + '_ {
        self.latency.iter().map(|latency| self.value + latency)
    }
}

/// The critical path of an episode in tokens (E3, E4).
pub fn episode_path(episode: &Episode, schedule: Schedule) -> CriticalPath {
    critical_path(&schedule.dependencies(&episode.plan), &durations(episode))
}

/// The utility of an episode as a whole: `S - lambda_c C - lambda_t T`.
pub fn utility(episode: &Episode, reward: &Reward) -> f64 {
    let path = episode_path(episode, reward.schedule);
    value(episode, reward) - reward.latency_weight * path.length
}

/// Credits every choice of an episode (E5).
pub fn utilities(episode: &Episode, reward: &Reward) -> Utilities {
    let dependencies = reward.schedule.dependencies(&episode.plan);
    let durations = durations(episode);
    let path = critical_path(&dependencies, &durations);
    let charge = |choice: usize| match reward.credit {
        Credit::Uniform => path.length,
        _ if !path.on_path[choice] => 0.0,
        Credit::CriticalPath => path.length,
        Credit::Marginal => {
            let mut without = durations.clone();
            without[choice] = 0.0;
            path.length - critical_path(&dependencies, &without).length
        }
    };
    Utilities {
        value: value(episode, reward),
        latency: (0..durations.len()).map(|choice| -reward.latency_weight * charge(choice)).collect(),
        feels_latency: path.on_path.iter().map(|&on_path| on_path || reward.credit == Credit::Uniform).collect(),
    }
}

fn value(episode: &Episode, reward: &Reward) -> f64 {
    episode.score - reward.cost_weight * episode.trace.cost()
}

/// Tokens of each choice; a choice without a span took none.
fn durations(episode: &Episode) -> Vec<f64> {
    let mut tokens = episode.trace.tokens();
    tokens.resize(episode.plan.len(), 0.0);
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::testing::episode;

    fn check(credit: Credit, schedule: Schedule, latency: &[f64], feels_latency: &[bool]) {
        let reward = Reward { latency_weight: 0.5, cost_weight: 2.0, credit, schedule };
        let episode = episode("p", &[&[0, 1], &[2]], &[3.0, 5.0, 2.0], 1.0, 0.25);
        let expected = Utilities { value: 0.5, latency: latency.to_vec(), feels_latency: feels_latency.to_vec() };
        assert_eq!(utilities(&episode, &reward), expected, "{credit:?} {schedule:?}");
    }

    #[test]
    fn latency_is_charged_to_bottlenecks() {
        let layered = Schedule::Layered;
        check(Credit::CriticalPath, layered, &[0.0, -3.5, -3.5], &[false, true, true]);
        check(Credit::Uniform, layered, &[-3.5; 3], &[true; 3]);
        check(Credit::Marginal, layered, &[0.0, -1.0, -1.0], &[false, true, true]);
        check(Credit::CriticalPath, Schedule::Sequential, &[-5.0; 3], &[true; 3]);
        check(Credit::Marginal, Schedule::Sequential, &[-1.5, -2.5, -1.0], &[true; 3]);
    }
}
