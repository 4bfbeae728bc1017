//! `lamas operators`: measures every operator or small plan by itself: accuracy and length, by kind and by steps.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use serde::Serialize;

use super::config::Common;
use super::methods::Measured;
use super::output::{Tables, rendered, say};
use super::session::Session;
use super::split::Split;
use crate::agent::plans;
use crate::evaluate::Evaluation;
use crate::execute::SolveOptions;
use crate::plan::{OperatorId, Plan};
use crate::report::jsonl;
use crate::settings::Preset;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Split to measure on
    #[arg(long, default_value = "test")]
    split: String,
    /// Independent passes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    draws: u64,
    /// A plan to measure, such as "GenerateCoT,Programmer;ScEnsemble"; repeatable; default: every operator alone
    #[arg(long = "plan", value_name = "PLAN")]
    plans: Vec<String>,
    /// Write one JSON line for each problem, plan and draw to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: Tables,
}

/// What one plan did on one problem in one draw.
#[derive(Serialize)]
struct OperatorLine<'a> {
    plan: &'a str,
    problem: &'a str,
    kind: Option<&'a str>,
    steps: Option<u32>,
    question: &'a str,
    draw: usize,
    score: f64,
    answer: Option<&'a str>,
    /// Critical path, in the objective's unit.
    path: f64,
    completion_tokens: f64,
    cost: f64,
    utility: f64,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let settings = args.common.resolve(Preset::default())?;
    let session = Session::open(&settings)?;
    let split = Split::open(&session, &args.split)?;
    let named: Vec<(String, Plan)> = if args.plans.is_empty() {
        each_operator(&session)?
    } else {
        let parsed =
            args.plans.iter().map(|text| Ok((text.clone(), plans::parse(text, session.solver().catalogue())?)));
        parsed.collect::<Result<_>>()?
    };
    let draws: Vec<u64> = (0..args.draws).collect();
    let mut measured = Vec::with_capacity(named.len());
    let outcome = named.iter().try_for_each(|(name, plan)| {
        let options = SolveOptions { without_finish: true, ..session.options(session.execution, None) };
        let method = Measured { name, split: &split, seeds: &draws, options };
        method.by_plans(&session, |_, _| plan.clone(), &mut measured)
    });
    for (title, group) in groups(&split) {
        say(format_args!("{}\n", by_group(&session, &title, &group, &measured)))?;
    }
    say(repairs(&named, &measured))?;
    if let Some(path) = &args.out {
        jsonl::write(path, &outcomes(&session, &split, &measured))?;
        eprintln!("wrote {}", path.display());
    }
    outcome
}

/// Operators that generate run alone. The others follow the first one that reasons, or else the first that generates.
pub fn each_operator(session: &Session) -> Result<Vec<(String, Plan)>> {
    let catalogue = session.solver().catalogue();
    let signed = || catalogue.operators().iter().map(|operator| operator.name.as_str()).zip(catalogue.signatures());
    let Some(base) = plans::base(catalogue).and_then(|id| Some(&catalogue.operator(id)?.name)) else {
        bail!("expected an operator that generates, found none in the catalogue");
    };
    let reader = signed().find(|(_, signature)| signature.opens() && signature.reads_context).map(|(name, _)| name);
    let texts = signed().filter(|(_, signature)| !signature.ends).map(|(name, signature)| match signature {
        _ if signature.opens() => name.to_owned(),
        // It is followed by an operator that reads the context, if there is one.
        _ if signature.prepares() => format!("{name};{}", reader.unwrap_or(base)),
        _ => format!("{base};{name}"),
    });
    texts.map(|text| Ok((text.clone(), plans::parse(&text, catalogue)?))).collect()
}

/// Names of groups with the problems in them: by kind, and by number of steps.
fn groups(split: &Split) -> Vec<(String, BTreeMap<String, Vec<String>>)> {
    let group = |label: fn(&crate::task::Problem) -> Option<String>| {
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for problem in &split.problems {
            members.entry("all".into()).or_default().push(problem.id.clone());
            if let Some(label) = label(problem) {
                members.entry(label).or_default().push(problem.id.clone());
            }
        }
        members
    };
    vec![
        ("kind".into(), group(|problem| problem.kind.clone())),
        ("steps".into(), group(|problem| problem.steps.map(|steps| steps.to_string()))),
    ]
}

fn by_group(
    session: &Session,
    title: &str,
    groups: &BTreeMap<String, Vec<String>>,
    measured: &[Vec<Evaluation>],
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    let names = measured.iter().filter_map(|passes| passes.first()).map(|pass| pass.name.replace(';', ";\n"));
    table.set_header([title.to_owned(), "n".into()].into_iter().chain(names));
    let figures: Vec<BTreeMap<&str, Vec<(f64, f64)>>> = measured
        .iter()
        .map(|passes| {
            let mut figures: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
            for episode in passes.iter().flat_map(|pass| &pass.episodes) {
                let path = session.objective.measure(episode).path;
                figures.entry(&episode.problem).or_default().push((episode.score, path));
            }
            figures
        })
        .collect();
    for (label, members) in groups {
        let cells = figures.iter().map(|figures| {
            let seen: Vec<(f64, f64)> =
                members.iter().filter_map(|id| figures.get(id.as_str())).flatten().copied().collect();
            let count = seen.len().max(1) as f64;
            let (score, path) = seen.iter().fold((0.0, 0.0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
            format!("{:.3} / {:.1}", score / count, path / count)
        });
        table.add_row([label.clone(), members.len().to_string()].into_iter().chain(cells));
    }
    rendered(&table)
}

/// For each plan of two layers whose first layer was measured by itself: how many wrong answers the second layer
/// corrected, and how many right ones it broke.
fn repairs(named: &[(String, Plan)], measured: &[Vec<Evaluation>]) -> String {
    let mut lines = Vec::new();
    for ((name, plan), passes) in named.iter().zip(measured) {
        let [first, _] = plan.layers.as_slice() else { continue };
        let first: Vec<OperatorId> = first.operators.clone();
        let base = named.iter().position(|(_, plan)| plan.layers.len() == 1 && plan.layers[0].operators == first);
        let Some(base) = base.and_then(|base| measured.get(base)) else { continue };
        let (mut wrong, mut mended, mut right, mut broken) = (0u32, 0u32, 0u32, 0u32);
        for (pass, base) in passes.iter().zip(base) {
            let before: BTreeMap<&str, f64> =
                base.episodes.iter().map(|episode| (episode.problem.as_str(), episode.score)).collect();
            for episode in &pass.episodes {
                match (before.get(episode.problem.as_str()), episode.score) {
                    (Some(&before), after) if before < 0.5 => {
                        wrong += 1;
                        mended += u32::from(after >= 0.5);
                    }
                    (Some(_), after) => {
                        right += 1;
                        broken += u32::from(after < 0.5);
                    }
                    (None, _) => {}
                }
            }
        }
        let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
        lines.push(format!(
            "{name}: fixes {:.3} of {wrong} wrong answers, breaks {:.4} of {right} right ones",
            share(mended, wrong),
            share(broken, right)
        ));
    }
    lines.join("\n")
}

fn outcomes<'a>(session: &Session, split: &'a Split, measured: &'a [Vec<Evaluation>]) -> Vec<OperatorLine<'a>> {
    let problems: BTreeMap<&str, _> = split.problems.iter().map(|problem| (problem.id.as_str(), problem)).collect();
    let mut outcomes = Vec::new();
    for pass in measured {
        for (draw, evaluation) in pass.iter().enumerate() {
            for episode in &evaluation.episodes {
                let Some(problem) = problems.get(episode.problem.as_str()) else { continue };
                let measures = session.objective.measure(episode);
                outcomes.push(OperatorLine {
                    plan: &evaluation.name,
                    problem: &problem.id,
                    kind: problem.kind.as_deref(),
                    steps: problem.steps,
                    question: &problem.question,
                    draw,
                    score: episode.score,
                    answer: episode.answer.as_deref(),
                    path: measures.path,
                    completion_tokens: measures.completion_tokens,
                    cost: measures.cost,
                    utility: measures.utility,
                });
            }
        }
    }
    outcomes
}
