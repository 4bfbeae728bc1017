//! `lamas train`, the main job: trains a controller for each seed, compares them with the baselines, writes the report.

use anyhow::Result;

use super::calibrate::{self, CALIBRATION};
use super::controllers::RECORD;
use super::estimate;
use super::interrupt::{self, Stopped};
use super::job::{Job, steps};
use super::methods::Chosen;
use super::provenance::{About, provenance, training_cost};
use super::results::{EVALUATION, Results};
use super::session::Session;
use super::split::Split;
use super::train_run::{Args, Run};
use super::warnings;
use crate::learn::EpochMetrics;
use crate::report::{Curve, Line, Panel, Provenance};
use crate::settings::RunFile;

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let run = Run::of(&args)?;
    let outcome = train(&args, &run);
    if outcome.as_ref().is_err_and(|error| interrupt::exit_code(error).is_none()) {
        run.clear();
    }
    outcome
}

fn train(args: &Args, run: &Run) -> Result<()> {
    let Run { folder, file: RunFile { started, settings: said, .. }, settings, resumes } = run;
    let mut session = Session::open(settings)?;
    run.begin()?;
    session.keep_record(&folder.join(RECORD))?;
    let interrupt = interrupt::listen(&session, &format!("`{}`", run.resume()));
    let train = Split::to_learn(&session, "train")?;
    let validation = Split::to_learn(&session, "validation")?;
    say_shared(&session, [&train, &validation]);
    let estimated = estimate::before(&session, run, args.dry_run, [&train, &validation], &interrupt);
    let estimated = estimated.map_err(|error| Stopped::hinted(error, &run.resume()))?;
    if args.dry_run {
        eprintln!("`{}` starts the run and does not repeat the probed calls", run.resume());
        return Ok(());
    }
    plan_steps(&session, run, [&train, &validation], estimated);
    let mut trained = Vec::with_capacity(started.seeds.len());
    let mut histories = Vec::with_capacity(started.seeds.len());
    for &seed in &started.seeds {
        let folder = folder.join(format!("seed-{seed}"));
        let job = Job {
            session: &session,
            execution: session.execution,
            settings,
            said,
            seed,
            folder: &folder,
            episodes: started.episodes,
            progress: session.progress.clone(),
            name: format!("seed {seed}"),
        };
        let outcome = job.train(&train, &validation, *resumes, &interrupt);
        let outcome = outcome.map_err(|error| Stopped::hinted(error, &run.resume()))?;
        histories.push(outcome.history);
        trained.push(outcome.trained);
    }
    if !started.evaluates {
        return Ok(());
    }
    let training = training_cost(&session);
    interrupt.end_at_once();
    let test = Split::open(&session, "test")?;
    let calibrated = calibrate::after_training(&session, &trained, &train.complete(&session), folder);
    calibrated.map_err(|error| Stopped::hinted(error, &run.resume()))?;
    let chosen = Chosen::likeliest("trained controller", &test, &trained);
    let results = Results::measure(&session, &test, &chosen, &trained, true, args.json);
    let results = results.map_err(|error| Stopped::hinted(error, &run.resume()))?;
    let about = About {
        title: format!("{} controller on {}", started.preset.name(), session.solver().benchmark().name),
        provenance: Provenance { training, ..provenance(started.seeds.clone(), &session.parts.device) },
        curves: "Learning curves",
        panels: panels(&histories),
        config: serde_json::to_value(said)?,
    };
    results.write(&session, &test, about, folder)
}

/// Warns of splits that share questions.
fn say_shared(session: &Session, [train, validation]: [&Split; 2]) {
    let test = session.solver().problems("test").unwrap_or_default();
    let test: Vec<String> = test.into_iter().map(|problem| problem.question).collect();
    let splits = [("train", &train.questions[..]), ("validation", &validation.questions), ("test", &test)];
    warnings::of_splits(&splits).iter().for_each(|line| eprintln!("{line}"));
}

/// Says what the run is going to do, and what that is expected to cost.
fn plan_steps(session: &Session, run: &Run, [train, validation]: [&Split; 2], dollars: Option<f64>) {
    let Run { file: RunFile { started, .. }, settings, .. } = run;
    let sizes = [train, validation].map(|split| split.problems.len());
    let operators = session.names().len();
    let of_seed = |seed: &u64| steps(&format!("seed {seed}"), &settings.training, sizes, operators);
    let mut all: Vec<(String, f64)> = started.seeds.iter().flat_map(of_seed).collect();
    if started.evaluates {
        // About so many methods ask anew; the calibration asks one question after another.
        let test = session.solver().problems("test").map_or(0, |problems| problems.len());
        all.push((CALIBRATION.into(), 2.0 * calibrate::QUERIES.min(sizes[0]) as f64));
        all.push((EVALUATION.into(), (8 * test * started.seeds.len()) as f64));
    }
    session.progress.plan(all);
    if let Some(dollars) = dollars {
        session.progress.expect_cost(dollars);
    }
}

/// Learning curves of all seeds.
pub(super) fn panels(histories: &[Vec<EpochMetrics>]) -> Vec<Panel> {
    let curve = |history: &[EpochMetrics], value: &dyn Fn(&EpochMetrics) -> Option<f64>| {
        Curve(history.iter().filter_map(|metrics| Some((f64::from(metrics.pass), value(metrics)?))).collect())
    };
    let line = |name: &str, value: &dyn Fn(&EpochMetrics) -> Option<f64>| Line {
        name: name.into(),
        seeds: histories.iter().map(|history| curve(history, value)).collect(),
    };
    let both = |title: &str, train: fn(&EpochMetrics) -> f64, validation: fn(&EpochMetrics) -> f64| Panel {
        title: title.into(),
        axis: "pass".into(),
        lines: vec![
            line("training (drawn)", &|metrics| (metrics.train.episodes > 0).then(|| train(metrics))),
            line("validation (likeliest)", &|metrics| Some(validation(metrics))),
        ],
    };
    vec![
        both("score", |m| m.train.score, |m| m.validation.score),
        both("utility", |m| m.train.utility, |m| m.validation.utility),
        both("critical path", |m| m.train.critical_path, |m| m.validation.critical_path),
        both("cost per query, dollars", |m| m.train.cost, |m| m.validation.cost),
        Panel {
            title: "entropy, nats per layer".into(),
            axis: "pass".into(),
            lines: vec![line("entropy", &|m| Some(m.entropy))],
        },
    ]
}
