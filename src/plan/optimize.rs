//! The plan compiler: what need not run, because the answer is the same without it.

use super::{Kind, OperatorId, Plan, Signature};

/// What becomes of a choice when its plan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    Run,
    /// Nothing that it could do would reach the answer.
    Skip,
    /// It gives the solutions of an equal call, that of the choice of this number, once more.
    Repeat(usize),
}

/// The plan as it was drawn: all runs, up to the layer of the first stop. One treatment for each choice.
pub fn as_drawn(plan: &Plan, signatures: &[Signature]) -> Vec<Treatment> {
    let is_stop = |id: &OperatorId| signatures.get(id.index()).is_some_and(|operator| operator.kind == Kind::Stop);
    let last = plan.layers.iter().position(|layer| layer.operators.iter().any(is_stop)).unwrap_or(usize::MAX);
    plan.choices().map(|(layer, _)| if layer > last { Treatment::Skip } else { Treatment::Run }).collect()
}

/// The least that gives the answer of [`as_drawn`]; `signatures` are those of the operators.
///
/// What follows a stop is left out, and then the stop itself; so are operators that act on solutions where there can be
/// none, ensembles of a single solution, and a plain vote over all that stands at the end, which the vote that ends
/// every plan repeats. A deterministic operator that reads the question alone is called once, and every time it was
/// drawn its solutions count in the vote. What an ensemble replaces is read, and runs.
pub fn optimize(plan: &Plan, signatures: &[Signature]) -> Vec<Treatment> {
    let mut treatments = as_drawn(plan, signatures);
    let choices: Option<Vec<Choice>> =
        plan.choices().map(|(layer, id)| Some(Choice { layer, id, operator: signatures.get(id.index())? })).collect();
    // An operator that is not in the catalogue is for the executor to refuse.
    let Some(choices) = choices else { return treatments };
    for at in 0..choices.len() {
        if treatments[at] == Treatment::Run {
            treatments[at] = simplify(at, &choices, &treatments);
        }
    }
    while let Some(vote) = closing_vote(&choices, &treatments) {
        treatments[vote] = Treatment::Skip;
    }
    treatments
}

#[derive(Clone, Copy)]
struct Choice<'a> {
    layer: usize,
    id: OperatorId,
    operator: &'a Signature,
}

/// What becomes of choice `at`, given what became of those before it.
fn simplify(at: usize, choices: &[Choice<'_>], treatments: &[Treatment]) -> Treatment {
    let Choice { layer, id, operator } = choices[at];
    let kept = |other: &&Choice<'_>, treatment: &Treatment| *treatment != Treatment::Skip && other.layer < layer;
    let earlier = || choices.iter().zip(treatments).filter(|(other, treatment)| kept(other, treatment));
    let is_solved = || earlier().any(|(other, _)| other.operator.kind.generates());
    if operator.kind == Kind::Stop || (operator.kind.needs_solution() && !is_solved()) {
        return Treatment::Skip;
    }
    if operator.kind == Kind::Ensemble && reads_one(at, choices, treatments) {
        return Treatment::Skip;
    }
    let repeats = operator.kind.generates() && operator.is_deterministic && !operator.reads_solutions;
    let first = choices[..at]
        .iter()
        .zip(treatments)
        .position(|(other, &treatment)| other.id == id && treatment == Treatment::Run);
    first.filter(|_| repeats).map_or(Treatment::Run, Treatment::Repeat)
}

/// Whether ensemble `at` reads at most one solution and would put it back where it was.
fn reads_one(at: usize, choices: &[Choice<'_>], treatments: &[Treatment]) -> bool {
    let layer = choices[at].layer;
    let mut most = 0;
    for (index, (other, &treatment)) in choices.iter().zip(treatments).enumerate() {
        if index == at || treatment == Treatment::Skip || other.layer > layer {
            continue;
        }
        let is_ensemble = other.operator.kind == Kind::Ensemble;
        match other.layer < layer {
            // Two ensembles side by side make two solutions of one.
            true if is_ensemble => return false,
            true => most += other.operator.solutions,
            false if is_ensemble => return false,
            // Put back, the solution would stand behind those found before the ensemble in its layer.
            false if index < at && other.operator.solutions > 0 => return false,
            false => {}
        }
    }
    most <= 1
}

/// A plain vote that is alone in the last layer that runs: it votes over what stands, and the end would do it again.
fn closing_vote(choices: &[Choice<'_>], treatments: &[Treatment]) -> Option<usize> {
    let running = || (0..choices.len()).filter(|&at| treatments[at] != Treatment::Skip);
    let last = running().next_back()?;
    let Choice { layer, operator, .. } = choices[last];
    let is_alone = running().filter(|&at| choices[at].layer == layer).count() == 1;
    (operator.kind == Kind::Ensemble && !operator.asks_model && is_alone).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `treatments`: `r` runs, `-` is skipped, a digit repeats that choice.
    ///
    /// Operators: 0 greedy, 1 drawn, 2 three drawn, 3 vote, 4 ensemble that asks, 5 refine, 6 stop.
    #[track_caller]
    fn check(layers: &[&[u16]], treatments: &str) {
        let greedy = Signature { is_deterministic: true, ..Signature::of(Kind::Generate) };
        let drawn = Signature::of(Kind::Generate);
        let three = Signature { solutions: 3, ..drawn };
        let vote = Signature::of(Kind::Ensemble);
        let judge = Signature { asks_model: true, is_deterministic: false, ..vote };
        let signatures = [greedy, drawn, three, vote, judge, Signature::of(Kind::Refine), Signature::of(Kind::Stop)];
        let found = optimize(&Plan::from_indices(layers), &signatures).into_iter().map(|treatment| match treatment {
            Treatment::Run => "r".to_owned(),
            Treatment::Skip => "-".to_owned(),
            Treatment::Repeat(first) => first.to_string(),
        });
        assert_eq!(found.collect::<String>(), treatments, "{layers:?}");
    }

    #[test]
    fn what_need_not_run() {
        check(&[], "");
        check(&[&[0, 1], &[5]], "rrr");
        // After a stop, and the stop itself.
        check(&[&[1, 6], &[5]], "r--");
        check(&[&[1], &[6]], "r-");
        // Without a solution to act on.
        check(&[&[5, 1, 3], &[5]], "-r-r");
        // Equal calls.
        check(&[&[0], &[0, 1], &[0], &[1]], "r0r0r");
        // Ensembles of one solution, unless they change how many there are, or their order.
        check(&[&[1], &[3], &[4], &[5]], "r--r");
        check(&[&[1], &[3, 1], &[5]], "r-rr");
        check(&[&[1], &[1, 3], &[5]], "rrrr");
        check(&[&[1], &[3, 4], &[5]], "rrrr");
        check(&[&[2], &[3], &[5]], "rrr");
        // Votes at the end.
        check(&[&[2], &[3], &[3]], "r--");
        check(&[&[2], &[4], &[3]], "rr-");
        check(&[&[2], &[3, 1]], "rrr");
        check(&[&[2, 1], &[3, 6]], "rr--");
        check(&[&[2], &[3, 4]], "rrr");
    }

    #[test]
    fn a_plan_of_another_catalogue_is_left_alone() {
        assert_eq!(optimize(&Plan::from_indices(&[&[0, 9]]), &[]), [Treatment::Run; 2]);
    }
}
