//! The table of paired differences between one method and the others.

use comfy_table::{CellAlignment, Table, presets};

use super::format::{Format, render};
use super::number::fixed;
use crate::evaluate::{Difference, Row};

/// One line for each method other than the last row's. It shows the last row's figures minus those of the method,
/// problem by problem, with 95 % intervals and the p-value of a sign-flip test. Path and cost are shown as changes in
/// per cent.
pub fn differences(rows: &[Row], format: Format) -> String {
    let Some(ours) = rows.last().map(|row| &row.summary) else { return String::new() };
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header([format!("{} minus", ours.name).as_str(), "score", "p", "utility", "p", "path", "cost"]);
    let percent = |ours: f64, theirs: f64| match theirs {
        0.0 => "-".to_owned(),
        theirs => format!("{:+.0} %", 100.0 * (ours / theirs - 1.0)),
    };
    for row in rows {
        let Some(gain) = row.gain.as_ref().filter(|gain| gain.problems > 0) else { continue };
        let theirs = &row.summary;
        let with_margin = |difference: &Difference| {
            format!("{:+.3} \u{b1}{}", difference.estimate.mean, fixed(difference.estimate.margin(), 3))
        };
        table.add_row([
            theirs.name.clone(),
            with_margin(&gain.score),
            fixed(gain.score.p_value, 4),
            with_margin(&gain.utility),
            fixed(gain.utility.p_value, 4),
            percent(ours.path.mean, theirs.path.mean),
            percent(ours.cost, theirs.cost),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    render(&table, format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Comparison, Estimate, Spread, Summary};

    #[test]
    fn differences_are_those_of_the_last_row() {
        let summary = |name: &str, path: f64, cost: f64| Summary {
            name: name.into(),
            path: Spread { mean: path, ..Spread::default() },
            cost,
            ..Summary::default()
        };
        let difference =
            |mean: f64| Difference { estimate: Estimate { mean, low: mean - 0.01, high: mean + 0.01 }, p_value: 0.5 };
        let gain = Comparison {
            name: "MaAS".into(),
            problems: 9,
            score: difference(0.02),
            utility: difference(-0.125),
            path: difference(-30.0),
        };
        let rows = [
            Row { summary: summary("MaAS", 40.0, 2.0), gain: Some(gain) },
            Row { summary: summary("ours", 10.0, 3.0), gain: None },
        ];
        let found = differences(&rows, Format::Text);
        let words: Vec<&str> = found.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(
            words,
            ["MaAS", "+0.020", "\u{b1}0.010", "0.5000", "-0.125", "\u{b1}0.010", "0.5000", "-75", "%", "+50", "%"]
        );
        assert_eq!(differences(&[], Format::Text), "");
    }
}
