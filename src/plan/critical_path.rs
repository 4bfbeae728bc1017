//! The critical path (E4): the longest path through the dependencies of a plan.

use serde::{Deserialize, Serialize};

use super::latency::{Latency, Unit};
use super::schedule::Dependencies;

/// The longest path through a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CriticalPath {
    /// Sum of the durations along the path; with layered dependencies `T = sum over layers of max t(o)`.
    pub length: f64,
    /// For each choice, whether it is a bottleneck, that is, on the path; ties go to the earlier choice.
    pub on_path: Vec<bool>,
}

/// Something that had arrived when a choice was committed, so that the choice could not start before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The earlier choice that gave it.
    pub choice: usize,
    /// Time from the start of that choice to the last thing that had arrived from it.
    pub after: Latency,
}

/// Finds the longest path. `durations` holds one entry per choice, in `unit`, none negative. `causes` gives the causes of a choice;
/// a cause comes no later than the end of the choice that gave it. Nothing waits for the end of a choice that `is_dropped`, only
/// for what it had given.
pub fn critical_path<'a>(
    dependencies: &Dependencies,
    causes: impl Fn(usize) -> &'a [Cause],
    is_dropped: impl Fn(usize) -> bool,
    unit: Unit,
    durations: &[f64],
) -> CriticalPath {
    let waits_for = &dependencies.0;
    debug_assert_eq!(waits_for.len(), durations.len());
    let mut start = vec![0.0; durations.len()];
    let mut finish = vec![0.0; durations.len()];
    let mut slowest_before = vec![None; durations.len()];
    // What follows a dropped choice may have been caused by a later choice, whose time is known only in the next round.
    let (mut rounds, mut is_settled) = (0, false);
    while !is_settled && rounds <= durations.len() {
        (rounds, is_settled) = (rounds + 1, true);
        for (choice, (earlier, &duration)) in waits_for.iter().zip(durations).enumerate() {
            let ends = earlier.iter().map(|&before| (before, finish[before]));
            let arrival = |cause: &Cause| {
                let begun = start.get(cause.choice)?;
                Some((cause.choice, begun + unit.of(cause.after).min(durations[cause.choice])))
            };
            let arrivals = causes(choice).iter().filter_map(arrival);
            let slowest = ends.chain(arrivals).reduce(|slowest, next| if next.1 > slowest.1 { next } else { slowest });
            let released = slowest.map_or(0.0, |(_, time)| time);
            slowest_before[choice] = slowest.map(|(choice, _)| choice);
            is_settled &= causes(choice).iter().all(|cause| cause.choice < choice) || start[choice] == released;
            start[choice] = released;
            finish[choice] = released + if is_dropped(choice) { 0.0 } else { duration };
        }
    }
    let mut on_path = vec![false; durations.len()];
    let last = first_maximum(0..finish.len(), &finish);
    let mut step = last.map(|choice| last_zero_successor(choice, waits_for, &finish));
    // No choice comes twice on a path, whatever a damaged file says.
    while let Some(choice) = step.filter(|&choice| !on_path[choice]) {
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
    use crate::plan::{Plan, Schedule, Signature};

    const SIGNATURES: [Signature; 4] = [Signature::ANSWERS, Signature::ANSWERS, Signature::IMPROVES, Signature::ENDS];

    fn check(layers: &[&[u16]], schedule: Schedule, durations: &[f64], length: f64, on_path: &[bool]) {
        let dependencies = schedule.dependencies(&Plan::from_indices(layers), &SIGNATURES);
        let path = critical_path(&dependencies, |_| &[], |_| false, Unit::Tokens, durations);
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

    #[test]
    fn the_path_goes_through_what_caused_a_choice() {
        // Two operators of 3 and 9; a third of 4 was committed once the first had ended and the second had given its first
        // solution, after 5; a fourth of 1 once the third was there.
        let plan = Plan::from_indices(&[&[0, 1], &[0], &[0]]);
        let dependencies = Schedule::Dataflow.dependencies(&plan, &SIGNATURES);
        let after = |choice, tokens| Cause { choice, after: Latency { tokens, seconds: 0.0 } };
        let causes = [vec![], vec![], vec![after(0, 3.0), after(1, 5.0)], vec![after(2, 4.0)]];
        let check = |durations: [f64; 4], length: f64, on_path: [bool; 4]| {
            let path = critical_path(&dependencies, |choice| &causes[choice], |_| false, Unit::Tokens, &durations);
            assert_eq!(path, CriticalPath { length, on_path: on_path.to_vec() }, "{durations:?}");
        };
        check([3.0, 9.0, 4.0, 1.0], 10.0, [false, true, true, true]);
        // Without the second, what it gave would have been there at once; the decision waits for the first.
        check([3.0, 0.0, 4.0, 1.0], 8.0, [true, false, true, true]);
        check([3.0, 9.0, 0.0, 1.0], 9.0, [false, true, false, false]);
    }
}
