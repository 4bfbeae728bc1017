//! Says what a run answers with, and why.

use std::fmt::Write;

use crate::decide::{Proposal, Then};
use crate::learn::{Candidate, Met, Selection, Target};
use crate::plan::Layer;

/// What the run answers with, then one line for each candidate. `names` are the names of the operators.
pub fn lines(selection: &Selection, names: &[String]) -> String {
    let Some(chosen) = selection.candidates.get(selection.chosen) else { return String::new() };
    let mut text = format!("answers with the {}; mean utility on held-out problems:", named(chosen, names));
    for candidate in &selection.candidates {
        let Candidate { utility, gain, error, .. } = candidate;
        let _ = write!(text, "\n  {utility:.4}  {gain:+.4} \u{b1}{error:.4}  {}", named(candidate, names));
    }
    let _ = write!(
        text,
        "\nthe question explains at least {:.0} % of the gap to the best plan for each problem in hindsight; the rest may be luck",
        100.0 * selection.explained
    );
    if let Some(Met { target, multiplier, expected, is_kept }) = selection.met {
        let (target, amount) = match target {
            Target::Latency(most) => ("mean latency", most),
            Target::LatencyP95(most) => ("95th percentile of latency", most),
            Target::Cost(most) => ("mean dollars", most),
            Target::Score(least) => ("mean score", least),
        };
        let kept = if is_kept { "" } else { "; out of reach, this is the closest" };
        let _ = write!(text, "\ntarget {target} {amount}: {expected:.4} expected, multiplier {multiplier:.5}{kept}");
    }
    text
}

fn named(candidate: &Candidate, names: &[String]) -> String {
    match &candidate.proposal {
        Some(proposal) => format!("{} ({})", candidate.name, written(proposal, names)),
        None => candidate.name.clone(),
    }
}

fn written(proposal: &Proposal, names: &[String]) -> String {
    let name = |index: usize| names.get(index).map_or("?", String::as_str);
    let layer = |layer: &Layer| layer.operators.iter().map(|id| name(id.index())).collect::<Vec<_>>().join(", ");
    let layers: Vec<String> = proposal.plan.layers.iter().map(layer).collect();
    match proposal.then {
        Then::Nothing => layers.join("; "),
        Then::Escalate => layers.join("; if they differ "),
        Then::Ask => format!("{}, then more if it pays", layers.join("; ")),
    }
}
