//! When an operator may start: the dependencies between the choices of a plan.

use serde::{Deserialize, Serialize};

use super::Plan;

/// Which operators wait for which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// One operator after another, in plan order (MaAS).
    Sequential,
    /// A layer starts when the one before it has ended (LAMaS, E4).
    #[default]
    Layered,
}

/// For each choice, in the order of [`Plan::choices`], the earlier choices that it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies(pub Vec<Vec<usize>>);

impl Schedule {
    /// Dependencies of `plan` under this schedule; every edge points to an earlier choice.
    pub fn dependencies(self, plan: &Plan) -> Dependencies {
        let mut waits_for = Vec::with_capacity(plan.len());
        let mut previous = 0..0;
        for layer in &plan.layers {
            let start = waits_for.len();
            for position in 0..layer.operators.len() {
                waits_for.push(match self {
                    Schedule::Sequential => (start + position).checked_sub(1).into_iter().collect(),
                    Schedule::Layered => previous.clone().collect(),
                });
            }
            previous = start..waits_for.len();
        }
        Dependencies(waits_for)
    }
}
