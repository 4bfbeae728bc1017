//! The table of methods in the terminal.

use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, TableComponent, presets,
};

use crate::evaluate::{Estimate, Row, Summary};

use super::format::{Format, render, written};
use super::number::{counted, fixed, significant};

const HEADERS: [&str; 11] = [
    "method",
    "failed",
    "score",
    "utility",
    "trained\ngains",
    "path\nmean",
    "path\np50",
    "path\np95",
    "time\ns",
    "cost\n$",
    "ops /\nlayers",
];

/// The column of failed queries, if there are any.
const FAILED: usize = 1;

/// The column of utilities, for methods measured by one objective.
const UTILITY: usize = 3;

/// The column that only a trained controller fills.
const GAINS: usize = 4;

/// The columns of the critical path, except the last.
const PATHS: [usize; 2] = [5, 6];

/// The methods as a table. If `styled`, the last row, the trained controller, is bold.
///
/// It fits into 100 columns with names of up to 20 characters, or 107 if queries failed.
pub fn table(rows: &[Row], styled: bool, format: Format) -> String {
    if format == Format::Csv {
        return written(&records(rows), format);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_style(TableComponent::HeaderLines, '\u{2500}');
    table.set_style(TableComponent::MiddleHeaderIntersections, '\u{2500}');
    if styled {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(HEADERS);
    let compared = is_compared(rows);
    for row in rows {
        let cells = cells(row).map(Cell::new);
        let bold = styled && compared && row.gain.is_none();
        table.add_row(cells.map(|cell| if bold { cell.add_attribute(Attribute::Bold) } else { cell }));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        // Figures of one quantity are set closer together.
        column.set_padding((0, if PATHS.contains(&index) || index + 1 == HEADERS.len() { 0 } else { 1 }));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let is_empty = index == GAINS && !compared
            || index == UTILITY && rows.iter().all(|row| row.summary.utility.is_none())
            || index == FAILED && rows.iter().all(|row| row.summary.failed == 0);
        if is_empty {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    render(&table, format)
}

/// Explains how to read the table.
pub fn legend(rows: &[Row]) -> String {
    let Summary { problems, seeds, .. } = rows.last().map(|row| row.summary.clone()).unwrap_or_default();
    let failed: usize = rows.iter().map(|row| row.summary.failed).sum();
    let failures = match failed {
        0 => String::new(),
        _ => "; failed queries were asked twice and count as wrong; above 5 % there is no score".to_owned(),
    };
    let gains = if is_compared(rows) { "gains: in utility, paired by problem; " } else { "" };
    format!(
        "{problems} problems, {}; \u{b1} 95 % interval over problems\n\
         {gains}cost: one pass over the split{failures}",
        counted(seeds as u64, "seed"),
    )
}

fn is_compared(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.gain.is_some())
}

fn cells(row: &Row) -> [String; 11] {
    let summary = &row.summary;
    let gain = row.gain.as_ref().filter(|gain| gain.problems > 0).map(|gain| gain.utility.estimate);
    let estimate = |estimate: Option<Estimate>| estimate.map_or(String::new(), |estimate| with_margin(&estimate));
    [
        summary.name.clone(),
        if summary.failed > 0 { summary.failed.to_string() } else { String::new() },
        estimate(summary.score),
        estimate(summary.utility),
        gain.map(|gain| signed_with_margin(&gain)).unwrap_or_default(),
        fixed(summary.path.mean, if summary.path.mean < 10.0 { 2 } else { 1 }),
        quantile(summary.path.p50),
        quantile(summary.path.p95),
        if summary.seconds < 10.0 { fixed(summary.seconds, 3) } else { significant(summary.seconds) },
        significant(summary.cost),
        format!("{}/{}", fixed(summary.operators, 1), fixed(summary.layers, 1)),
    ]
}

/// The rows for a spreadsheet: in full, one number in each cell, under the column names.
fn records(rows: &[Row]) -> Vec<Vec<String>> {
    let names = [
        "method",
        "failed",
        "score",
        "score low",
        "score high",
        "utility",
        "utility low",
        "utility high",
        "trained gains",
        "gains low",
        "gains high",
        "path mean",
        "path p50",
        "path p95",
        "seconds",
        "dollars",
        "operators",
        "layers",
    ];
    // Nine decimals. Anything beyond is left over from adding binary fractions.
    let shown = |figure: f64| ((figure * 1e9).round() / 1e9).to_string();
    let bounds = |estimate: Option<Estimate>| match estimate {
        Some(Estimate { mean, low, high }) => [mean, low, high].map(shown),
        None => Default::default(),
    };
    let record = |row: &Row| {
        let Summary { name, failed, score, utility, path, seconds, cost, operators, layers, .. } = &row.summary;
        let gain = row.gain.as_ref().filter(|gain| gain.problems > 0).map(|gain| gain.utility.estimate);
        let figures = [path.mean, path.p50, path.p95, *seconds, *cost, *operators, *layers];
        [name.clone(), failed.to_string()]
            .into_iter()
            .chain([*score, *utility, gain].into_iter().flat_map(bounds))
            .chain(figures.map(shown))
            .collect()
    };
    [names.map(str::to_owned).to_vec()].into_iter().chain(rows.iter().map(record)).collect()
}

/// Whole tokens; seconds with decimals if there are few.
fn quantile(path: f64) -> String {
    fixed(path, if path < 10.0 && path.fract() != 0.0 { 2 } else { 0 })
}

fn with_margin(estimate: &Estimate) -> String {
    let margin = fixed(estimate.margin(), 3);
    format!("{} \u{b1}{}", fixed(estimate.mean, 3), margin.strip_prefix('0').unwrap_or(&margin))
}

fn signed_with_margin(estimate: &Estimate) -> String {
    let sign = if estimate.mean >= 0.0005 { "+" } else { "" };
    format!("{sign}{}", with_margin(estimate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Comparison, Difference, Spread};

    fn row(name: &str, utility: f64, gain: Option<f64>) -> Row {
        let estimate = |mean| Estimate { mean, low: mean - 0.0214, high: mean + 0.0216 };
        let difference = |mean| Difference { estimate: estimate(mean), p_value: 0.01 };
        let summary = Summary {
            name: name.into(),
            problems: 400,
            seeds: 3,
            score: Some(estimate(0.9104)),
            utility: Some(estimate(utility)),
            path: Spread { mean: 41.26, p50: 38.0, p95: 128.0 },
            seconds: 0.2345,
            cost: 0.56789,
            operators: 2.25,
            layers: 1.5,
            ..Default::default()
        };
        let comparison = |mean| Comparison {
            name: name.into(),
            problems: 400,
            score: difference(0.0),
            utility: difference(mean),
            path: difference(0.0),
        };
        Row { summary, gain: gain.map(comparison) }
    }

    #[test]
    fn one_line_a_method_within_100_columns() {
        let rows = [
            row("Generate", 0.412, Some(0.4281)),
            row("best in hindsight", 0.91, Some(-0.0699)),
            row("trained controller", 0.8401, None),
        ];
        let text = table(&rows, false, Format::Text);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text, @r"
        method                    score      utility       trained  path path path   time   cost    ops /
                                                             gains  mean  p50  p95      s      $   layers
        ─────────────────────────────────────────────────────────────────────────────────────────────────
        Generate            0.910 ±.021  0.412 ±.021  +0.428 ±.021  41.3   38  128  0.234  0.568  2.2/1.5
        best in hindsight   0.910 ±.021  0.910 ±.021  -0.070 ±.022  41.3   38  128  0.234  0.568  2.2/1.5
        trained controller  0.910 ±.021  0.840 ±.021                41.3   38  128  0.234  0.568  2.2/1.5
        ");
        insta::assert_snapshot!(legend(&rows), @r"
        400 problems, 3 seeds; ± 95 % interval over problems
        gains: in utility, paired by problem; cost: one pass over the split
        ");
        assert!(table(&rows, true, Format::Text).contains("\u{1b}[1m"));
        assert!(!text.contains('\u{1b}'));
        let csv = table(&rows[2..], true, Format::Csv);
        let record =
            "trained controller,0,0.9104,0.889,0.932,0.8401,0.8187,0.8617,,,,41.26,38,128,0.2345,0.56789,2.25,1.5";
        assert!(csv.starts_with("method,failed,score,score low,"), "{csv}");
        assert_eq!(csv.lines().nth(1), Some(record));
        assert!(!table(&rows[2..], true, Format::Text).contains("gains") && !legend(&rows[2..]).contains("gains"));
    }

    #[test]
    fn failed_queries_have_a_column_and_too_many_of_them_leave_no_score() {
        let failed = |row: Row, failed, is_scored: bool| {
            let Summary { score, utility, .. } = row.summary;
            let [score, utility] = [score, utility].map(|figure| figure.filter(|_| is_scored));
            let gain = row.gain.map(|gain| Comparison { problems: if is_scored { gain.problems } else { 0 }, ..gain });
            Row { summary: Summary { failed, score, utility, ..row.summary }, gain }
        };
        let rows = [
            failed(row("Generate", 0.412, Some(0.4281)), 25, false),
            failed(row("GenerateCoT", 0.732, Some(0.156)), 2, true),
            row("trained controller", 0.8401, None),
        ];
        let text = table(&rows, false, Format::Text);
        assert!(text.lines().all(|line| line.chars().count() <= 107), "{text}");
        insta::assert_snapshot!(text, @r"
        method              failed        score      utility       trained  path path path   time   cost    ops /
                                                                     gains  mean  p50  p95      s      $   layers
        ─────────────────────────────────────────────────────────────────────────────────────────────────────────
        Generate                25                                          41.3   38  128  0.234  0.568  2.2/1.5
        GenerateCoT              2  0.910 ±.021  0.732 ±.021  +0.156 ±.022  41.3   38  128  0.234  0.568  2.2/1.5
        trained controller          0.910 ±.021  0.840 ±.021                41.3   38  128  0.234  0.568  2.2/1.5
        ");
        assert!(legend(&rows).contains("count as wrong"));
    }
}
