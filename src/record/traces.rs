//! Uses a record instead of a model: its calls become recorded outputs of operators, selected by name.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, bail};

use super::key::Key;
use super::line::{Change, Line};
use super::scan::each_call;
use crate::operation::{Call, Catalogue, TraceLine, Traces, Turn};
use crate::task::AnswerForm;

/// The calls of a record as recorded outputs. Those of operators that are not in the catalogue, and of what followed a plan,
/// are passed over.
///
/// # Errors
/// The file cannot be read or is no sound record, and those of [`Traces::load`].
pub fn traces(path: &Path, catalogue: &Catalogue, form: AnswerForm) -> Result<Traces> {
    let mut outputs = Vec::new();
    let mut samples: HashMap<(String, String), u64> = HashMap::new();
    let remarks = each_call(path, |number, line| {
        if line.turn != Turn::Finish.to_string() && !line.problem.is_empty() {
            let sample = samples.entry((line.problem.clone(), line.operator.clone())).or_default();
            outputs.extend(outputs_of(&line, catalogue, sample).into_iter().map(|recorded| Ok((number, recorded))));
        }
        Ok(())
    })?;
    if let Some(remark) = remarks.first() {
        bail!("{remark}; hint: `lamas record merge` writes a file without such lines");
    }
    Traces::collect(outputs.into_iter(), &path.display().to_string(), catalogue, form)
}

/// What an operator left that is no solution, as text.
fn left(line: &Line) -> Option<String> {
    let marks = || serde_json::to_string(&line.marks).ok();
    line.context.clone().or_else(|| marks().filter(|_| !line.marks.is_empty()))
}

/// The outputs of a call, the next of which is number `sample`; none of an operator that is not in the catalogue.
pub fn outputs_of(line: &Line, catalogue: &Catalogue, sample: &mut u64) -> Vec<TraceLine> {
    let operator = catalogue.find(&line.operator).ok().and_then(|id| catalogue.operator(id));
    let Some(operator) = operator else { return Vec::new() };
    let output = |sample: u64, place: Option<usize>| {
        let several = line.solutions.len().max(1);
        let calls: Vec<Call> = line.calls.iter().skip(place.unwrap_or_default()).step_by(several).copied().collect();
        let given = place.and_then(|place| line.solutions.get(place));
        let (tools, asked): (Vec<&Call>, Vec<&Call>) = calls.iter().partition(|call| call.tool);
        TraceLine {
            query: line.problem.clone(),
            operator: line.operator.clone(),
            sample: Some(sample),
            output: given.map(|given| given.text.clone()).or_else(|| left(line)),
            answer: given.and_then(|given| given.answer.clone()),
            correct: given.and_then(|given| given.score).map(|score| score >= 1.0),
            score: None,
            executed: given.map(|given| given.executed),
            reads: line.read.map(|Key(read)| format!("{read:032x}")),
            calls: asked.len() as u32,
            prompt_tokens: asked.iter().map(|call| call.usage.prompt_tokens).sum(),
            tokens: asked.iter().map(|call| call.usage.completion_tokens).sum(),
            tool_seconds: tools.iter().map(|call| operator.tool_seconds.unwrap_or(call.seconds)).sum(),
            seconds: calls.iter().map(|call| call.seconds).sum(),
            cost: given.filter(|_| line.solutions.len() > 1).map_or(line.cost, |given| given.cost),
            estimated: Vec::new(),
        }
    };
    // What a vote chose is no solution of its own.
    let places = match line.effect {
        Change::Append => (0..line.solutions.len()).map(Some).collect(),
        Change::Replace | Change::Judge | Change::Inform | Change::Keep => vec![None],
    };
    let outputs: Vec<TraceLine> = (*sample..).zip(places).map(|(sample, place)| output(sample, place)).collect();
    *sample += outputs.len() as u64;
    outputs
}
