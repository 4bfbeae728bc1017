//! The forest plot: differences between a run and each other method on one scale, as values for the page.

use minijinja::{Value, context};

use super::number::fixed;
use crate::evaluate::{Estimate, Row, portfolio};

/// One line for each comparable method, starting with the one over which the least is gained; `None` if there is no
/// such method.
pub(super) fn forest(rows: &[Row]) -> Option<Value> {
    let gain = |row: &Row| Some(row.gain.as_ref().filter(|gain| gain.problems > 0)?.utility);
    let mut lines: Vec<_> = rows.iter().filter_map(|row| Some((row.summary.name.as_str(), gain(row)?))).collect();
    lines.sort_by(|a, b| a.1.estimate.mean.total_cmp(&b.1.estimate.mean));
    let ends =
        || lines.iter().flat_map(|(_, gain)| [gain.estimate.low, gain.estimate.high]).filter(|end| end.is_finite());
    // Zero is always visible, and no interval touches the edge.
    let (low, high) = ends().fold((0.0, 0.0), |(low, high): (f64, f64), end| (low.min(end), high.max(end)));
    let margin = ((high - low) * 0.03).max(1e-6);
    let (low, high) = (low - margin, high + margin);
    let at = |value: f64| 100.0 * ((value - low) / (high - low)).clamp(0.0, 1.0);
    let line = |(name, gain): &(&str, crate::evaluate::Difference)| {
        let Estimate { mean, low, high } = gain.estimate;
        context! {
            name,
            bound => portfolio::is_hindsight(name),
            left => fixed(at(low), 2), width => fixed(at(high) - at(low), 2), mean => fixed(at(mean), 2),
            text => format!("{} [{}, {}]", signed(mean), signed(low), signed(high)),
            p_value => if gain.p_value < 0.001 { "p < .001".into() } else { format!("p = {}", fixed(gain.p_value, 3)) },
            side => if low > 0.0 { "good" } else if high < 0.0 { "bad" } else { "even" },
        }
    };
    let shown: Vec<Value> = lines.iter().map(line).collect();
    (!shown.is_empty()).then(|| context! { zero => fixed(at(0.0), 2), lines => shown })
}

fn signed(value: f64) -> String {
    if value >= 0.0005 { format!("+{}", fixed(value, 3)) } else { fixed(value, 3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Comparison, Difference, Summary};

    #[test]
    fn every_method_is_on_one_scale_with_zero() {
        let row = |name: &str, [mean, low, high]: [f64; 3]| {
            let difference = Difference { estimate: Estimate { mean, low, high }, p_value: 0.0004 };
            let gain =
                Comparison { name: name.into(), problems: 9, score: difference, utility: difference, path: difference };
            Row { summary: Summary { name: name.into(), ..Summary::default() }, gain: Some(gain) }
        };
        let rows =
            [row("weak", [0.3, 0.2, 0.4]), row("even", [0.0, -0.1, 0.1]), row("best in hindsight", [-0.2, -0.3, -0.1])];
        let found = forest(&rows).unwrap_or_default();
        let get = |value: &Value, name: &str| value.get_attr(name).map(|value| value.to_string()).unwrap_or_default();
        let lines = found.get_attr("lines").unwrap_or_default();
        let line = |at: usize| lines.get_item_by_index(at).unwrap_or_default();
        let names: Vec<String> =
            (0..3).map(|at| format!("{} {}", get(&line(at), "name"), get(&line(at), "side"))).collect();
        assert_eq!(names, ["best in hindsight bad", "even even", "weak good"]);
        assert_eq!(get(&line(2), "text"), "+0.300 [+0.200, +0.400]");
        let number = |value: String| value.parse::<f64>().unwrap_or(f64::NAN);
        let zero = number(get(&found, "zero"));
        assert!(number(get(&line(0), "mean")) < zero && zero < number(get(&line(2), "left")), "{found}");
        assert!(forest(&[]).is_none());
        let endless = [row("x", [f64::NAN, f64::NEG_INFINITY, f64::INFINITY])];
        assert!(!forest(&endless).unwrap_or_default().to_string().is_empty());
    }
}
