//! What the operators of a query wrote, as text for the terminal.

use std::fmt::Write;

use super::names::operator_name;
use super::number::counted;
use super::timeline::{FINISH, fault};
use crate::plan::{Plan, Span, Trace, Written};

/// The number of letters kept of each text of a query that is looked at.
pub const LETTERS: usize = 4000;

/// The texts of a plan that ran, operator by operator; `names` are in catalogue order.
pub fn transcript(plan: &Plan, trace: &Trace, names: &[String]) -> String {
    let mut shown = String::new();
    for ((layer, operator), span) in plan.choices().zip(&trace.spans) {
        block(&mut shown, layer, &operator_name(names, operator), span);
    }
    if let Some(span) = &trace.finish {
        block(&mut shown, span.layer, FINISH, span);
    }
    shown.trim_end().to_owned()
}

fn block(shown: &mut String, layer: usize, name: &str, span: &Span) {
    // Writing to a string cannot fail.
    let _ = write!(shown, "{} {name}", layer + 1);
    if let Some(fault) = fault(&span.outcome) {
        let _ = write!(shown, ": {fault}");
    } else if span.wrote.is_empty() {
        let _ = write!(shown, ": nothing");
    }
    shown.push('\n');
    for (place, Written { text, answer, omitted }) in span.wrote.iter().enumerate() {
        if span.wrote.len() > 1 {
            let _ = writeln!(shown, "  [{}]", place + 1);
        }
        for line in text.lines() {
            let _ = writeln!(shown, "  | {line}");
        }
        if *omitted > 0 {
            let _ = writeln!(shown, "  ({} left out)", counted(*omitted as u64, "letter"));
        }
        match answer {
            Some(answer) => _ = writeln!(shown, "  answer: {answer}"),
            None => _ = writeln!(shown, "  no answer found"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{OperatorId, Status};

    #[test]
    fn every_text_stands_under_its_operator() {
        let names = ["GenerateCoT", "Refine"].map(str::to_owned);
        let plan = Plan::from_indices(&[&[0, 0], &[1], &[1]]);
        let span = |layer, outcome, texts: &[(&str, Option<&str>)]| Span {
            layer,
            operator: OperatorId(0),
            outcome,
            wrote: texts.iter().map(|(text, answer)| Written::new(text, *answer, 20)).collect(),
            ..Span::default()
        };
        let spans = vec![
            span(0, Status::Done, &[("one\ntwo", Some("2")), ("none", None)]),
            span(0, Status::Cancelled, &[]),
            span(1, Status::Failed("503".into()), &[]),
            span(2, Status::Done, &[]),
        ];
        let finish = Some(span(3, Status::Done, &[(&"x".repeat(41), Some("3"))]));
        let trace = Trace { spans, finish, ..Trace::default() };
        insta::assert_snapshot!(transcript(&plan, &trace, &names), @r"
        1 GenerateCoT
          [1]
          | one
          | two
          answer: 2
          [2]
          | none
          no answer found
        1 GenerateCoT: cancelled
        2 Refine: failed: 503
        3 Refine: nothing
        4 finish
          | xxxxxxxxxxxx [...] xxxxxxxx
          (21 letters left out)
          answer: 3
        ");
    }
}
