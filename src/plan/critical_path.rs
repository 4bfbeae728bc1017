//! The critical path (E4): the longest path through the dependencies of a plan.

use super::Dependencies;

/// The longest path through a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CriticalPath {
    /// Sum of the durations along the path; with layered dependencies `T = sum over layers of max t(o)`.
    pub length: f64,
    /// For each choice, whether it is a bottleneck, that is, on the path; ties go to the earlier choice.
    pub on_path: Vec<bool>,
}

/// Finds the longest path. `durations` holds one entry per choice, in any unit, none negative.
pub fn critical_path(dependencies: &Dependencies, durations: &[f64]) -> CriticalPath {
    let waits_for = &dependencies.0;
    debug_assert_eq!(waits_for.len(), durations.len());
    let mut finish = Vec::with_capacity(durations.len());
    let mut slowest_before = Vec::with_capacity(durations.len());
    for (earlier, &duration) in waits_for.iter().zip(durations) {
        let slowest = first_maximum(earlier.iter().copied(), &finish);
        slowest_before.push(slowest);
        finish.push(duration + slowest.map_or(0.0, |choice| finish[choice]));
    }
    let mut on_path = vec![false; durations.len()];
    let last = first_maximum(0..finish.len(), &finish);
    let mut step = last.map(|choice| last_zero_successor(choice, waits_for, &finish));
    while let Some(choice) = step {
        on_path[choice] = true;
        step = slowest_before[choice];
    }
    CriticalPath { length: last.map_or(0.0, |choice| finish[choice]), on_path }
}

fn first_maximum(choices: impl Iterator<Item = usize>, values: &[f64]) -> Option<usize> {
    choices.reduce(|best, choice| if values[choice] > values[best] { choice } else { best })
}

/// Operators that take no time may follow the slowest one; as their layer's maximum they belong to the path (E5).
fn last_zero_successor(end: usize, waits_for: &[Vec<usize>], finish: &[f64]) -> usize {
    let mut last = end;
    for choice in end + 1..finish.len() {
        if finish[choice] == finish[last] && waits_for[choice].contains(&last) {
            last = choice;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, Plan, Schedule, Signature};

    const KINDS: [Kind; 4] = [Kind::Generate, Kind::Generate, Kind::Refine, Kind::Stop];

    fn check(layers: &[&[u16]], schedule: Schedule, durations: &[f64], length: f64, on_path: &[bool]) {
        let dependencies = schedule.dependencies(&Plan::from_indices(layers), &KINDS.map(Signature::of));
        let path = critical_path(&dependencies, durations);
        assert_eq!(path, CriticalPath { length, on_path: on_path.to_vec() }, "{layers:?} {schedule:?} {durations:?}");
    }

    #[test]
    fn the_path_takes_the_slowest_operator_of_each_layer() {
        check(&[], Schedule::Layered, &[], 0.0, &[]);
        check(&[&[0, 1], &[2]], Schedule::Layered, &[3.0, 5.0, 2.0], 7.0, &[false, true, true]);
        check(&[&[0, 1], &[2]], Schedule::Sequential, &[3.0, 5.0, 2.0], 10.0, &[true, true, true]);
        check(&[&[0, 1]], Schedule::Layered, &[4.0, 4.0], 4.0, &[true, false]);
        check(&[&[0], &[3]], Schedule::Layered, &[4.0, 0.0], 4.0, &[true, true]);
    }

    #[test]
    fn the_path_leaves_out_what_nobody_reads() {
        let layers: &[&[u16]] = &[&[0], &[1, 2]];
        check(layers, Schedule::Layered, &[3.0, 9.0, 2.0], 12.0, &[true, true, false]);
        check(layers, Schedule::Dataflow, &[3.0, 9.0, 2.0], 9.0, &[false, true, false]);
        check(layers, Schedule::Dataflow, &[3.0, 4.0, 2.0], 5.0, &[true, false, true]);
        check(&[&[0], &[3]], Schedule::Dataflow, &[4.0, 0.0], 4.0, &[true, true]);
    }
}
