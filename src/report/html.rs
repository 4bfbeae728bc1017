//! `report.html`: the whole report in one file that refers to nothing outside itself.

use anyhow::{Context, Result};
use minijinja::{AutoEscape, Environment, Value, context};

use crate::evaluate::portfolio::HINDSIGHT;
use crate::evaluate::{Estimate, Row};

use crate::plan::Unit;

use super::number::{fixed, significant};
use super::{Example, Report, Timeline, drawing, plot};

const TEMPLATE: &str = include_str!("templates/report.html");

/// The report as a page; every text in it is escaped.
///
/// # Errors
/// None that input can cause; a broken template.
pub fn html(report: &Report) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("report.html", TEMPLATE)?;
    let panels = report.panels.iter().map(|panel| plot::curves(panel).map(Value::from_safe_string));
    let methods = report.rows.iter().filter(|row| row.summary.name != HINDSIGHT);
    let points: Vec<plot::Point> = methods.filter_map(plot::Point::of).collect();
    let trained = report.rows.last().map(|row| &row.summary);
    let values = context! {
        title => report.title,
        provenance => report.provenance,
        seeds => report.provenance.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        latency_weight => report.objective.latency_weight.to_string(),
        cost_weight => report.objective.cost_weight.to_string(),
        schedule => report.schedule,
        problems => trained.map(|trained| trained.problems),
        between => trained.and_then(|trained| Some((trained.score_between_seeds?, trained.utility_between_seeds?)))
            .map(|(score, utility)| [fixed(score, 4), fixed(utility, 4)]),
        failed => report.rows.iter().map(|row| row.summary.failed).sum::<usize>(),
        trained => report.rows.last().map(row),
        rows => report.rows.iter().map(row).collect::<Vec<_>>(),
        panels => panels.collect::<Result<Vec<_>>>()?,
        pareto => Value::from_safe_string(plot::pareto(&points, report.objective.unit)?),
        probabilities => Value::from_safe_string(plot::probabilities(&report.probabilities)?),
        unit => report.objective.unit.plural(),
        examples => report.examples.iter().map(|shown| example(report, shown)).collect::<Result<Vec<_>>>()?,
        config => serde_json::to_string_pretty(&report.config)?,
    };
    environment.get_template("report.html")?.render(values).context("cannot write the report")
}

fn row(row: &Row) -> Value {
    let summary = &row.summary;
    context! {
        name => summary.name,
        // An upper bound is no method that one could gain on.
        bound => summary.name == HINDSIGHT,
        score => summary.score.map(|score| estimate(&score, false)),
        utility => summary.utility.map(|utility| estimate(&utility, false)),
        ours => row.gain.is_none(),
        gain => row.gain.as_ref().filter(|gain| gain.problems > 0).map(|gain| context! {
            utility => estimate(&gain.utility.estimate, true),
            score => fixed(gain.score.estimate.mean, 3),
            path => significant(gain.path.estimate.mean),
            p_value => if gain.utility.p_value < 0.001 { "< 0.001".into() } else { fixed(gain.utility.p_value, 3) },
            wins => gain.utility.estimate.low > 0.0,
            loses => gain.utility.estimate.high < 0.0,
        }),
        path => [summary.path.mean, summary.path.p50, summary.path.p95].map(significant),
        seconds => significant(summary.seconds),
        cost => significant(summary.cost),
        tokens => significant(summary.completion_tokens),
        operators => fixed(summary.operators, 2),
        layers => fixed(summary.layers, 2),
        failed => summary.failed,
    }
}

fn estimate(estimate: &Estimate, signed: bool) -> Value {
    let sign = if signed && estimate.mean >= 0.0005 { "+" } else { "" };
    let interval = format!("{} .. {}", fixed(estimate.low, 3), fixed(estimate.high, 3));
    context! { mean => format!("{sign}{}", fixed(estimate.mean, 3)), interval }
}

fn example(report: &Report, shown: &Example) -> Result<Value> {
    let timeline = Timeline::new(&shown.episode.plan, &shown.episode.trace, &report.operators, report.objective.unit);
    let layer = |layer: usize| {
        let operators = timeline.bars.iter().filter(move |bar| bar.layer == layer);
        operators.map(|bar| context! { name => bar.operator, on_path => bar.on_path }).collect::<Vec<_>>()
    };
    let measures = report.objective.measure(&shown.episode);
    Ok(context! {
        problem => shown.episode.problem,
        question => shown.question,
        reference => shown.reference,
        answer => shown.episode.answer,
        right => shown.episode.score >= 1.0,
        score => significant(shown.episode.score),
        plan => (1..=shown.episode.plan.layers.len()).map(layer).collect::<Vec<_>>(),
        path => match report.objective.unit {
            Unit::Tokens => drawing::significant_tokens(measures.path),
            Unit::Seconds => significant(measures.path),
        },
        seconds => significant(measures.seconds),
        cost => significant(measures.cost),
        utility => fixed(measures.utility, 3),
        timeline => Value::from_safe_string(plot::timeline(&timeline)?),
    })
}
