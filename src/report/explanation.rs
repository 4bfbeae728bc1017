//! The predicted latency of a plan beside the measured one.

use super::drawing::significant_tokens;
use super::format::{Format, written};
use super::names::operator_name;
use super::number::{fixed, significant};
use super::timeline::FINISH;
use crate::evaluate::latency::{Accuracy, LatencyModel, OperatorLatency, Prediction};
use crate::plan::{Latency, Plan};

/// A line for each choice of the plan, one for the finish if there was or should be one, and one for the critical path.
/// `names` are in catalogue order. `measured` holds one latency for each choice, followed by that of the finish if
/// there was one.
pub fn explanation(
    plan: &Plan,
    names: &[String],
    predicted: &Prediction,
    measured: &[Latency],
    path: Latency,
) -> String {
    let mut rows = vec![["", "tokens", "predicted", "seconds", "predicted"].map(str::to_owned).to_vec()];
    let row = |name: String, measured: Latency, predicted: Latency| {
        let tokens = [significant_tokens(measured.tokens), fixed(predicted.tokens, 1)];
        let seconds = [significant(measured.seconds), significant(predicted.seconds)];
        [name].into_iter().chain(tokens).chain(seconds).collect::<Vec<String>>()
    };
    for (choice, (layer, operator)) in plan.choices().enumerate() {
        let name = format!("{} {}", layer + 1, operator_name(names, operator));
        let of = |latencies: &[Latency]| latencies.get(choice).copied().unwrap_or_default();
        rows.push(row(name, of(measured), of(&predicted.choices)));
    }
    let finish = measured.get(plan.len()).copied().unwrap_or_default();
    if [finish, predicted.finish] != [Latency::default(); 2] {
        rows.push(row(format!("{} {FINISH}", plan.layers.len() + 1), finish, predicted.finish));
    }
    rows.push(row("critical path".into(), path, predicted.path));
    let [tokens, seconds] = [fixed(predicted.bound.tokens, 1), significant(predicted.bound.seconds)];
    rows.push(vec!["95 % of such plans below".into(), String::new(), tokens, String::new(), seconds]);
    aligned(&rows)
}

/// Columns of equal width: the first is aligned left, the others right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let cell = |(column, (cell, width)): (usize, (&String, &usize))| match column {
        0 => format!("{cell:width$}"),
        _ => format!("  {cell:>width$}"),
    };
    let line = |row: &Vec<String>| row.iter().zip(&widths).enumerate().map(cell).collect::<String>();
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The coefficients, one line for each operator.
pub fn model(model: &LatencyModel, format: Format) -> String {
    let headers =
        ["operator", "runs", "tokens", "per word", "calls in turn", "first token, ms", "per token, ms", "tools, ms"];
    let mut rows = vec![headers.map(str::to_owned).to_vec()];
    rows.extend(model.operators.iter().map(|operator| {
        let OperatorLatency { name, model, .. } = operator;
        vec![
            if model.is_empty() { name.clone() } else { format!("{name} ({model})") },
            operator.spans.to_string(),
            fixed(operator.base, 1),
            fixed(operator.per_word, 2),
            fixed(operator.rounds, 2),
            significant(1000.0 * operator.first_token),
            significant(1000.0 * operator.per_token),
            significant(1000.0 * operator.tool_seconds),
        ]
    }));
    if format == Format::Text { aligned(&rows) } else { written(&rows, format) }
}

/// One sentence for each unit: how far predictions were from the measurements.
pub fn accuracy(accuracy: &Accuracy) -> String {
    let Accuracy { plans, measured, predicted, error, error_p95, covered } = *accuracy;
    let line = |unit: &str, of: fn(Latency) -> f64| {
        format!(
            "predicted path {} {unit} on average, measured {}; mean absolute error {}, p95 {}; {} % within the 95 % bound",
            significant(of(predicted)),
            significant(of(measured)),
            significant(of(error)),
            significant(of(error_p95)),
            fixed(100.0 * of(covered), 1),
        )
    };
    let tokens = line("tokens", |latency| latency.tokens);
    let seconds = line("s", |latency| latency.seconds);
    format!("latency model on {plans} plans\n{tokens}\n{seconds}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prediction_stands_beside_measurement() {
        let latency = |tokens, seconds| Latency { tokens, seconds };
        let plan = Plan::from_indices(&[&[0, 1], &[0]]);
        let choices = vec![latency(31.26, 0.0312), latency(12.0, 0.02), latency(31.26, 0.0312)];
        let finish = Latency::default();
        let predicted = Prediction { choices, finish, path: latency(62.52, 0.0624), bound: latency(75.0, 0.08) };
        let measured = [latency(28.0, 0.03), latency(13.5, 0.021), latency(35.0, 1.5)];
        let names = ["GenerateCoT".to_string(), "Programmer".into()];
        insta::assert_snapshot!(explanation(&plan, &names, &predicted, &measured, latency(63.0, 1.53)), @r"
                                  tokens  predicted  seconds  predicted
        1 GenerateCoT                 28       31.3    0.030      0.031
        1 Programmer                13.5       12.0    0.021      0.020
        2 GenerateCoT                 35       31.3     1.50      0.031
        critical path                 63       62.5     1.53      0.062
        95 % of such plans below               75.0               0.080
        ");
        let predicted = Prediction { finish: latency(1.5, 0.03), ..predicted };
        let measured = [measured.as_slice(), &[latency(2.0, 0.04)]].concat();
        let shown = explanation(&plan, &names, &predicted, &measured, latency(65.0, 1.57));
        let finish = shown.lines().nth(4).unwrap_or_default();
        assert_eq!(finish.split_whitespace().collect::<Vec<_>>(), ["3", "finish", "2", "1.5", "0.040", "0.030"]);
    }
}
