//! What each chosen operator is credited with (E5).

use serde::{Deserialize, Serialize};

use crate::execute::Episode;
use crate::objective::Objective;

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
    /// No operator feels the latency (MaAS).
    None,
}

impl Credit {
    /// The objective as the operators feel it.
    pub fn felt(self, objective: Objective) -> Objective {
        if self == Credit::None { objective.at(0.0) } else { objective }
    }
}

/// How much of the critical path a choice is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// It is off the path.
    Nothing,
    /// What the path would lose without it.
    Share,
    Whole,
}

/// What the operators of one episode are credited with: `value + latency`, kept apart because only the operators that
/// feel the latency may be compared by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilities {
    /// `S - lambda_c C`, the same for every choice.
    pub value: f64,
    /// `-lambda_t T`.
    pub path: f64,
    /// What each choice is charged of the path, in the order of [`crate::plan::Plan::choices`]; never positive.
    pub latency: Vec<f64>,
    pub charges: Vec<Charge>,
}

impl Utilities {
    /// Utility of each choice, `U_o` of (E5).
    pub fn totals(&self) -> impl Iterator<Item = f64> + '_ {
        self.latency.iter().map(|latency| self.value + latency)
    }

    /// Divides all by a positive number.
    pub(super) fn divide(&mut self, divisor: f64) {
        self.value /= divisor;
        self.path /= divisor;
        self.latency.iter_mut().for_each(|latency| *latency /= divisor);
    }
}

/// Credits every choice of an episode (E5).
pub fn utilities(episode: &Episode, objective: &Objective, credit: Credit) -> Utilities {
    let Objective { latency_weight, unit, .. } = credit.felt(*objective);
    let path = episode.trace.path(unit);
    let mut charges = Vec::with_capacity(episode.plan.len());
    let mut latency = Vec::with_capacity(episode.plan.len());
    for choice in 0..episode.plan.len() {
        let charge = match credit {
            Credit::Uniform | Credit::None => Charge::Whole,
            _ if !path.on_path.get(choice).is_some_and(|on_path| *on_path) => Charge::Nothing,
            Credit::CriticalPath => Charge::Whole,
            Credit::Marginal => Charge::Share,
        };
        let charged = match charge {
            Charge::Nothing => 0.0,
            Charge::Whole => path.length,
            Charge::Share => path.length - episode.trace.path_without(unit, choice),
        };
        charges.push(charge);
        latency.push(-latency_weight * charged);
    }
    let value = objective.value(episode.score, &episode.trace);
    Utilities { value, path: -latency_weight * path.length, latency, charges }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, Latency, Schedule, Signature, Span};
    use crate::training::testing::episode;

    use Charge::{Nothing, Share, Whole};

    const KINDS: [Kind; 4] = [Kind::Generate, Kind::Generate, Kind::Refine, Kind::Stop];

    fn check(credit: Credit, schedule: Schedule, latency: [f64; 4], charges: [Charge; 4]) {
        let objective = Objective { latency_weight: 0.5, cost_weight: 2.0, ..Objective::default() };
        let mut episode = episode("p", &[&[0, 1], &[2, 3]], &[3.0, 5.0, 2.0, 0.0], 1.0, 0.25);
        episode.trace.dependencies = schedule.dependencies(&episode.plan, &KINDS.map(Signature::of));
        let expected = Utilities { value: 0.5, path: -3.5, latency: latency.to_vec(), charges: charges.to_vec() };
        let expected = match schedule {
            Schedule::Sequential => Utilities { path: -5.0, ..expected },
            _ => expected,
        };
        assert_eq!(utilities(&episode, &objective, credit), expected, "{credit:?} {schedule:?}");
        // A finish of 4 tokens and 0.125 dollars is nobody's choice: the path is longer, everybody's share of it is the same.
        let latency = Latency { tokens: 4.0, seconds: 0.0 };
        episode.trace.finish = Some(Span { latency, cost: 0.125, ..Span::default() });
        let added = |(&latency, &charge): (&f64, &Charge)| if charge == Whole { latency - 2.0 } else { latency };
        let latency = expected.latency.iter().zip(&charges).map(added).collect();
        let expected = Utilities { value: expected.value - 0.25, path: expected.path - 2.0, latency, ..expected };
        assert_eq!(utilities(&episode, &objective, credit), expected, "{credit:?} {schedule:?} and a finish");
    }

    #[test]
    fn latency_is_charged_to_bottlenecks() {
        let layered = Schedule::Layered;
        check(Credit::CriticalPath, layered, [0.0, -3.5, -3.5, 0.0], [Nothing, Whole, Whole, Nothing]);
        check(Credit::Uniform, layered, [-3.5; 4], [Whole; 4]);
        check(Credit::Marginal, layered, [0.0, -1.0, -1.0, 0.0], [Nothing, Share, Share, Nothing]);
        check(Credit::CriticalPath, Schedule::Sequential, [-5.0; 4], [Whole; 4]);
        check(Credit::Marginal, Schedule::Sequential, [-1.5, -2.5, -1.0, 0.0], [Share; 4]);
    }
}
