//! Remarks about recorded outputs that replace a model.

use anyhow::Result;

use crate::operation::{Catalogue, Traces};
use crate::task::Benchmark;

/// Remarks, one line each: problems without outputs, operators with gaps, what is estimated, and outputs used for something they were not
/// recorded for.
///
/// # Errors
/// A split of the benchmark cannot be read.
pub(super) fn remarks(traces: &Traces, catalogue: &Catalogue, benchmark: &Benchmark) -> Result<Vec<String>> {
    let remarks = [
        unrecorded(traces, benchmark)?,
        incomplete(traces, catalogue),
        traces.estimates(),
        approximation(traces, catalogue),
    ];
    Ok(remarks.into_iter().flatten().collect())
}

/// A remark on problems without any recorded output.
fn unrecorded(traces: &Traces, benchmark: &Benchmark) -> Result<Option<String>> {
    let mut splits = Vec::new();
    for split in benchmark.splits() {
        let problems = benchmark.problems(split)?;
        let missing = problems.iter().filter(|problem| traces.query(&problem.id).is_none()).count();
        if missing > 0 {
            splits.push(format!("{missing} of {} in `{split}`", problems.len()));
        }
    }
    let (origin, splits_of) = (traces.origin(), splits.join(", "));
    Ok((!splits.is_empty()).then(|| format!("`{origin}`: problems without recorded outputs are left out: {splits_of}")))
}

/// A remark on operators that were not recorded for every problem.
fn incomplete(traces: &Traces, catalogue: &Catalogue) -> Option<String> {
    let (gaps, queries) = traces.gaps(catalogue);
    let gaps = gaps.into_iter().filter(|(_, lacking)| *lacking > 0);
    let gaps: Vec<String> =
        gaps.map(|(name, lacking)| format!("`{name}` for {} of {queries}", queries - lacking)).collect();
    (!gaps.is_empty()).then(|| {
        format!(
            "`{}`: not every operator was recorded for every problem: {}. Training estimates what is missing, with a \
             deduction for doubt; other commands leave out problems that lack an operator",
            traces.origin(),
            gaps.join(", ")
        )
    })
}

/// A remark on operators whose recorded outputs are used whatever the operator would have read.
fn approximation(traces: &Traces, catalogue: &Catalogue) -> Option<String> {
    let names = traces.approximate(catalogue);
    (!names.is_empty()).then(|| {
        format!(
            "`{}`: outputs of {} were not recorded for everything they may read; others stand in, so results with them are \
             approximate",
            traces.origin(),
            names.join(", ")
        )
    })
}
