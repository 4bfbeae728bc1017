//! The verdict of a comparison, in one sentence.

use super::number::{fixed, significant};
use crate::evaluate::{Estimate, Row, Summary, portfolio};
use crate::plan::Unit;

/// The verdicts of a table. Each of our methods, which are the rows without a gain, stands below those that it is compared
/// with.
pub fn verdicts(rows: &[Row], unit: Unit) -> Vec<String> {
    rows.split_inclusive(|row| row.gain.is_none()).filter_map(|rows| verdict(rows, unit)).collect()
}

/// Which method to use, and what it gains; `None` if nothing can be compared. The last row is the run's own.
fn verdict(rows: &[Row], unit: Unit) -> Option<String> {
    let ours = &rows.last()?.summary;
    let is_rival = |row: &&Row| !portfolio::is_hindsight(&row.summary.name);
    let gain = |row: &Row| Some(row.gain.as_ref().filter(|gain| gain.problems > 0)?.utility.estimate);
    let rivals = rows.iter().filter(is_rival).filter_map(|row| Some((&row.summary, gain(row)?, row.summary.utility?)));
    // Of equal methods, the first, which is the simplest.
    let (theirs, gain, _) = rivals.reduce(|best, next| if next.2.mean > best.2.mean { next } else { best })?;
    let name = &theirs.name;
    Some(if gain.low > 0.0 {
        format!(
            "Use the {}: per question, its utility is {} above the best of the others, \"{name}\": {}.",
            ours.name,
            margin(gain),
            beside(ours, theirs, unit)?
        )
    } else if gain.high < 0.0 {
        let turned = Estimate { mean: -gain.mean, low: -gain.high, high: -gain.low };
        format!(
            "Use \"{name}\" instead: per question, its utility is {} above the {}: {}.",
            margin(turned),
            ours.name,
            beside(theirs, ours, unit)?
        )
    } else if gain == Estimate::default() {
        format!("The {} does the same as \"{name}\", the best of the others.", ours.name)
    } else {
        format!(
            "No significant difference in utility between the {} and the best of the others, \"{name}\" ({}): either will do, \
             unless more test questions tell them apart; {}.",
            ours.name,
            margin(gain),
            beside(ours, theirs, unit)?
        )
    })
}

fn margin(gain: Estimate) -> String {
    format!("{} [{}, {}]", signed(gain.mean), signed(gain.low), signed(gain.high))
}

fn signed(value: f64) -> String {
    let text = fixed(value, 3);
    if value > 0.0 && text.chars().any(|digit| matches!(digit, '1'..='9')) { format!("+{text}") } else { text }
}

/// Score, path and dollars of one method, each beside those of another.
fn beside(one: &Summary, other: &Summary, unit: Unit) -> Option<String> {
    Some(format!(
        "score {} against {}, path {} against {} {}, {} against {} $ a question",
        fixed(one.score?.mean, 3),
        fixed(other.score?.mean, 3),
        significant(one.path.mean),
        significant(other.path.mean),
        unit.plural(),
        significant(one.cost_per_problem()),
        significant(other.cost_per_problem()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Comparison, Difference, Spread};

    fn row(name: &str, utility: f64, gain: Option<[f64; 3]>) -> Row {
        let estimate = |mean| Estimate { mean, low: mean - 0.01, high: mean + 0.01 };
        let summary = Summary {
            name: name.into(),
            problems: 100,
            score: Some(estimate(utility + 0.1)),
            utility: Some(estimate(utility)),
            path: Spread { mean: 100.0 * utility, ..Spread::default() },
            cost: 0.5,
            ..Summary::default()
        };
        let difference =
            |[mean, low, high]: [f64; 3]| Difference { estimate: Estimate { mean, low, high }, p_value: 0.5 };
        let comparison = |gain| Comparison {
            name: name.into(),
            problems: 100,
            score: difference(gain),
            utility: difference(gain),
            path: difference(gain),
        };
        Row { summary, gain: gain.map(comparison) }
    }

    fn check(gain: [f64; 3], expected: &str) {
        let rows = [
            row("Generate", 0.4, Some([0.3, 0.2, 0.4])),
            row("CoT", 0.6, Some(gain)),
            row("best in hindsight", 0.9, Some([-0.3, -0.4, -0.2])),
            row("best of 3 plans", 0.8, Some([-0.2, -0.3, -0.1])),
            row("trained controller", 0.7, None),
        ];
        assert_eq!(verdict(&rows, Unit::Tokens).as_deref(), Some(expected));
    }

    #[test]
    fn the_better_one_is_named_whoever_it_is() {
        check(
            [0.1, 0.05, 0.15],
            "Use the trained controller: per question, its utility is +0.100 [+0.050, +0.150] above the best of the \
             others, \"CoT\": score 0.800 against 0.700, path 70.0 against 60.0 tokens, 0.0050 against 0.0050 $ a question.",
        );
        check(
            [-0.1, -0.15, -0.05],
            "Use \"CoT\" instead: per question, its utility is +0.100 [+0.050, +0.150] above the trained controller: score \
             0.700 against 0.800, path 60.0 against 70.0 tokens, 0.0050 against 0.0050 $ a question.",
        );
        check(
            [0.01, -0.02, 0.03],
            "No significant difference in utility between the trained controller and the best of the others, \"CoT\" (+0.010 \
             [-0.020, +0.030]): either will do, unless more test questions tell them apart; score 0.800 against 0.700, path \
             70.0 against 60.0 tokens, 0.0050 against 0.0050 $ a question.",
        );
        check([0.0; 3], "The trained controller does the same as \"CoT\", the best of the others.");
    }

    #[test]
    fn each_of_our_methods_is_compared_with_those_above_it() {
        let rows = [
            row("LAMaS 1", 0.5, Some([0.1, 0.05, 0.15])),
            row("ours 1", 0.6, None),
            row("LAMaS 2", 0.9, Some([-0.1, -0.15, -0.05])),
            row("ours 2", 0.8, None),
        ];
        let [first, second] = &verdicts(&rows, Unit::Tokens)[..] else { panic!("two verdicts") };
        assert!(first.starts_with("Use the ours 1: ") && first.contains("\"LAMaS 1\""), "{first}");
        assert!(second.starts_with("Use \"LAMaS 2\" instead: ") && second.contains("the ours 2"), "{second}");
        assert!(verdicts(&[row("weight 1", 0.5, None), row("weight 2", 0.5, None)], Unit::Tokens).is_empty());
    }

    #[test]
    fn without_a_comparison_there_is_none() {
        assert_eq!(verdict(&[], Unit::Tokens), None);
        assert_eq!(verdict(&[row("trained controller", 0.7, None)], Unit::Seconds), None);
    }
}
