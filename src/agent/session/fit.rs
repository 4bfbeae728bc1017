//! Whether a report fits the operator that it is about.

use anyhow::{Result, ensure};

use super::choice::Choice;
use super::report::{Told, What};
use crate::operation::Mark;

const AMOUNTS: &str = "expected seconds and dollars of at least 0";

/// # Errors
/// The operator cannot have done that.
pub(super) fn fits(choice: &Choice, what: &What) -> Result<()> {
    let told: &[Told] = match what {
        What::Arrived(told) => std::slice::from_ref(told),
        What::Ended { solutions, .. } => solutions,
        What::Started | What::Failed(_) => &[],
    };
    let (signature, used) = (choice.signature, told.iter().map(|told| &told.used));
    let gives = signature.solutions > 0 || signature.replaces;
    ensure!(gives || told.is_empty(), "expected no solution of an operator that gives none, found one");
    let has_arrived = matches!(what, What::Arrived(_));
    ensure!(
        !(signature.replaces && has_arrived),
        "expected the solution of this operator when it ends, found it before"
    );
    ensure!(
        told.iter().all(|told| told.score.is_none_or(|score| (0.0..=1.0).contains(&score))),
        "expected a score from 0 to 1"
    );
    let is_amount = |amount: Option<f64>| amount.is_none_or(|amount| amount.is_finite() && amount >= 0.0);
    let What::Ended { marks, context, used: rest, .. } = what else {
        ensure!(used.clone().all(|used| is_amount(used.cost) && is_amount(used.seconds)), AMOUNTS);
        return Ok(());
    };
    ensure!(used.chain([rest]).all(|used| is_amount(used.cost) && is_amount(used.seconds)), AMOUNTS);
    let (found, read) = (marks.len(), choice.board.solutions.len());
    ensure!(signature.scores || marks.is_empty(), "expected no marks of an operator that does not judge");
    ensure!(marks.is_empty() || found == read, "expected a mark for each of {read} solutions, found {found}");
    ensure!(
        marks.iter().flatten().all(|&mark| Mark::new(mark).is_some()),
        "expected marks from 0 to 1, found {marks:?}"
    );
    ensure!(signature.informs || context.is_none(), "expected no context of an operator that does not inform");
    ensure!(
        !signature.replaces || told.len() <= 1,
        "expected one solution of an operator that replaces all, found more"
    );
    Ok(())
}
