//! Draws a plan and its timeline with characters.

use crate::plan::{Plan, Status, Trace, Unit};

use super::Timeline;
use super::names::operator_name;
use super::number::{counted, significant};

/// The committed operators from left to right. Operators that start together stand below each other, and those that did
/// not finish are marked; `names` are in catalogue order. If the trace says nothing about an operator, its layer
/// decides.
pub fn plan(plan: &Plan, trace: &Trace, names: &[String]) -> String {
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut places: Vec<usize> = Vec::with_capacity(plan.len());
    for (choice, (layer, operator)) in plan.choices().enumerate() {
        let span = trace.spans.get(choice);
        let place = match trace.dependencies.0.get(choice) {
            Some(waits_for) => {
                let causes = span.into_iter().flat_map(|span| &span.causes).map(|cause| cause.choice);
                let after = waits_for.iter().copied().chain(causes).filter_map(|before| places.get(before));
                after.max().map_or(0, |before| before + 1)
            }
            None => layer,
        };
        places.push(place);
        let end = match span.map(|span| &span.outcome) {
            Some(Status::Skipped) => " (skipped)",
            Some(Status::Cancelled) => " (cancelled)",
            Some(Status::Failed(_)) => " (failed)",
            Some(Status::Done) | None => "",
        };
        if columns.len() <= place {
            columns.resize_with(place + 1, Vec::new);
        }
        columns[place].push(operator_name(names, operator) + end);
    }
    columns.retain(|column| !column.is_empty());
    drawn(&columns)
}

fn drawn(columns: &[Vec<String>]) -> String {
    let height = columns.iter().map(Vec::len).max().unwrap_or_default().max(1);
    let mut lines = vec![String::from("query "); height];
    lines.iter_mut().skip(1).for_each(|line| *line = " ".repeat("query ".len()));
    for labels in columns {
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
        for (row, line) in lines.iter_mut().enumerate() {
            match labels.get(row) {
                Some(label) => {
                    let [left, right] = joints(row, labels.len());
                    let rule = "\u{2500}".repeat(width - label.chars().count());
                    line.push_str(&format!("{left} {label} {rule}{right}"));
                }
                None => line.push_str(&" ".repeat(width + 6)),
            }
        }
    }
    if let Some(first) = lines.first_mut() {
        first.push_str("\u{2500} answer");
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// How a column's rows join the line from query to answer, with two characters on either side.
fn joints(row: usize, rows: usize) -> [&'static str; 2] {
    match row {
        0 if rows == 1 => ["\u{2500}\u{2500}", "\u{2500}\u{2500}"],
        0 => ["\u{252c}\u{2500}", "\u{2500}\u{252c}"],
        _ if row + 1 == rows => ["\u{2514}\u{2500}", "\u{2500}\u{2518}"],
        _ => ["\u{251c}\u{2500}", "\u{2500}\u{2524}"],
    }
}

/// A bar for each operator over `width` columns of time. The critical path is solid and marked `*`.
pub fn timeline(timeline: &Timeline, width: usize) -> String {
    let label_width = timeline.bars.iter().map(|bar| bar.operator.chars().count()).max().unwrap_or_default();
    let column = |time: f64| {
        let share = if timeline.end > 0.0 { time / timeline.end } else { 0.0 };
        (share * width as f64).round() as usize
    };
    let mut lines: Vec<String> = Vec::with_capacity(timeline.bars.len() + 1);
    for bar in &timeline.bars {
        let start = column(bar.start).min(width.saturating_sub(1));
        // Anything that took time is visible.
        let length = column(bar.end).saturating_sub(start).max(usize::from(bar.end > bar.start));
        let (mark, fill) = if bar.on_path { ('*', "\u{2588}") } else { (' ', "\u{2591}") };
        let drawn = format!("{}{}", " ".repeat(start), fill.repeat(length));
        let fault = bar.fault.as_ref().map(|fault| format!("  {fault}")).unwrap_or_default();
        lines.push(format!(
            "{} {mark} {:label_width$}  {drawn:width$}  {:>5} tokens  {:>6} s  {:>8} $  {}{fault}",
            bar.layer,
            bar.operator,
            significant_tokens(bar.tokens),
            significant(bar.seconds),
            significant(bar.cost),
            counted(bar.calls.into(), "call"),
        ));
    }
    let total = match timeline.unit {
        Unit::Tokens => significant_tokens(timeline.path),
        Unit::Seconds => significant(timeline.path),
    };
    let cost: f64 = timeline.bars.iter().map(|bar| bar.cost).sum();
    lines.push(format!("* critical path: {total} {}; cost: {} $", timeline.unit.name(), significant(cost)));
    lines.join("\n")
}

/// Whole numbers are shown as such: tokens are counted, and only tool time makes fractions of them.
pub(super) fn significant_tokens(tokens: f64) -> String {
    if tokens.fract() == 0.0 { format!("{tokens:.0}") } else { format!("{tokens:.1}") }
}
