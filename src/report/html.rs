//! `report.html`: the whole report in one file that loads nothing else.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Value, context};
use sha2::{Digest, Sha256};

use super::breakdown::{Share, Sort};
use super::forest::forest;
use super::markup::environment;
use super::number::{duration, fixed, significant};
use super::verdict::verdicts;
use super::viewer::viewer;
use super::{Report, plot};
use crate::evaluate::{Estimate, Row, portfolio};

const TEMPLATES: [(&str, &str); 2] = [
    ("report.html", include_str!("templates/report.html")),
    ("transcripts.html", include_str!("templates/transcripts.html")),
];
const STYLE: &str = include_str!("templates/report.css");
const SCRIPT: &str = include_str!("templates/report.js");

/// The report as a page. Every text in it is escaped, and only its own script can run.
///
/// # Errors
/// None that input can cause; a broken template.
pub fn html(report: &Report) -> Result<String> {
    let mut environment = environment();
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    let panels = report.panels.iter().map(|panel| plot::curves(panel).map(Value::from_safe_string));
    let unit = report.objective.unit.plural();
    let plot = |axis: &str, x: fn(&Row) -> f64| -> Result<Value> {
        let methods = report.rows.iter().filter(|row| !portfolio::is_hindsight(&row.summary.name));
        let points: Vec<plot::Point> = methods.filter_map(|row| plot::Point::of(row, x(row))).collect();
        Ok(Value::from_safe_string(plot::scores(&points, axis)?))
    };
    let trained = report.rows.last().map(|row| &row.summary);
    let is_compared = report.rows.iter().any(|row| row.gain.is_some());
    let values = context! {
        title => report.title,
        script => Value::from_safe_string(SCRIPT.to_owned()),
        style => Value::from_safe_string(STYLE.to_owned()),
        script_hash => Value::from_safe_string(STANDARD.encode(Sha256::digest(SCRIPT))),
        verdicts => verdicts(&report.rows, report.objective.unit),
        provenance => report.provenance,
        duration => report.provenance.seconds.map(duration),
        seeds => report.provenance.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        latency_weight => report.objective.latency_weight.to_string(),
        cost_weight => report.objective.cost_weight.to_string(),
        schedule => report.schedule,
        problems => trained.map(|trained| trained.problems),
        between => trained.and_then(|trained| Some((trained.score_between_seeds?, trained.utility_between_seeds?)))
            .map(|(score, utility)| [fixed(score, 4), fixed(utility, 4)]),
        failed => report.rows.iter().map(|row| row.summary.failed).sum::<usize>(),
        trained => report.rows.last().map(|it| row(it, false)),
        rows => report.rows.iter().map(|it| row(it, is_compared && it.gain.is_none())).collect::<Vec<_>>(),
        is_compared,
        has_utility => report.rows.iter().any(|row| row.summary.utility.is_some()),
        curves => report.curves,
        forest => forest(&report.rows),
        plans => report.breakdown.plans.iter().map(share).collect::<Vec<_>>(),
        sorted => report.breakdown.sorted.iter().map(|sorted| context! {
            by => sorted.by, sorts => sorted.sorts.iter().map(sort).collect::<Vec<_>>(),
        }).collect::<Vec<_>>(),
        panels => panels.collect::<Result<Vec<_>>>()?,
        by_path => plot(&format!("critical path, {unit}"), |row| row.summary.path.mean)?,
        by_cost => plot("dollars per 1,000 questions", |row| 1000.0 * row.summary.cost_per_problem())?,
        chosen => chosen(report),
        unit,
        viewer => viewer(report),
        config => serde_json::to_string_pretty(&report.config)?,
    };
    environment.get_template("report.html")?.render(values).context("cannot write the report")
}

/// `ours` are highlighted.
fn row(row: &Row, ours: bool) -> Value {
    let summary = &row.summary;
    context! {
        name => summary.name,
        score => summary.score.map(|score| estimate(&score, false)),
        utility => summary.utility.map(|utility| estimate(&utility, false)),
        ours,
        gain => row.gain.as_ref().filter(|gain| gain.problems > 0).map(|gain| context! {
            utility => estimate(&gain.utility.estimate, true),
            wins => gain.utility.estimate.low > 0.0,
            loses => gain.utility.estimate.high < 0.0,
            p_value => if gain.utility.p_value < 0.001 { "< .001".into() } else { fixed(gain.utility.p_value, 3) },
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

fn share(share: &Share) -> Value {
    context! {
        name => share.name, queries => share.queries, percent => percent(share.share),
        width => fixed(100.0 * share.share, 1), score => fixed(share.score, 3), path => significant(share.path),
        cost => significant(1000.0 * share.cost),
    }
}

fn sort(sort: &Sort) -> Value {
    context! { all => share(&sort.all), plan => share(&sort.plan) }
}

/// How often each operator was chosen in each layer.
fn chosen(report: &Report) -> Value {
    let layers = &report.probabilities.layers;
    let cell = |layer: &Vec<f64>, operator: usize| {
        let share = layer.get(operator).copied().unwrap_or_default().clamp(0.0, 1.0);
        context! { width => fixed(100.0 * share, 1), text => if share > 0.0 { percent(share) } else { "\u{2013}".into() } }
    };
    let row = |(operator, name): (usize, &String)| {
        context! { name, cells => layers.iter().map(|layer| cell(layer, operator)).collect::<Vec<_>>() }
    };
    let rows = report.probabilities.operators.iter().enumerate().map(row);
    context! { layers => layers.len(), rows => rows.collect::<Vec<_>>() }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 1.0 => "<1 %".into(),
        percent => format!("{percent:.0} %"),
    }
}
