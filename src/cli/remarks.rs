//! Remarks that a table of results needs.

use crate::evaluate::{Evaluation, Row, Summary, calibration_error};
use crate::plan::Dropped;
use crate::report::number::significant;

/// What the trained controller saves compared with the best operator alone, and how reliable confidences are.
pub fn remarks<'a>(rows: &[Row], methods: impl Iterator<Item = &'a [Evaluation]>) -> Vec<String> {
    let mut remarks: Vec<String> = few(rows).into_iter().chain(savings(rows)).chain(dropped(rows)).collect();
    for passes in methods {
        if let (Some(error), Some(pass)) = (calibration_error(passes), passes.first()) {
            remarks.push(format!("confidence of `{}`: off by {error:.3} on average (ten bins)", pass.name));
        }
    }
    remarks
}

/// Fewer test questions than this say little.
const ENOUGH: usize = 50;

fn few(rows: &[Row]) -> Option<String> {
    let problems = rows.last()?.summary.problems;
    (problems < ENOUGH).then(|| {
        format!(
            "{problems} test questions say little, whatever the intervals are: use {ENOUGH} or more to compare methods"
        )
    })
}

/// The cost of the last row if servers bill dropped calls by the share that had run, and if they bill them in full.
fn dropped(rows: &[Row]) -> Option<String> {
    let Summary { name, dropped: Dropped { share, full }, .. } = &rows.last()?.summary;
    (full > share).then(|| {
        format!(
            "`{name}` drops calls: {} $ if those are billed by the share that had run, {} $ if in full",
            significant(*share),
            significant(*full)
        )
    })
}

/// The last row compared with the best operator.
fn savings(rows: &[Row]) -> Option<String> {
    let operator = &rows.iter().find(|row| row.summary.name == "best operator")?.summary;
    let ours = &rows.last()?.summary;
    let change = |ours: f64, theirs: f64| match theirs {
        0.0 => "+0 %".to_owned(),
        _ => format!("{:+.0} %", 100.0 * (ours / theirs - 1.0)),
    };
    Some(format!(
        "`{}` against the best operator alone: score {:+.3}, seconds {}, dollars {}",
        ours.name,
        ours.score?.mean - operator.score?.mean,
        change(ours.seconds, operator.seconds),
        change(ours.cost, operator.cost),
    ))
}
