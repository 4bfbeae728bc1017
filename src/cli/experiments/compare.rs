//! `lamas compare`: every method on the same problems, model and recorded completions, over several seeds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::train_all::{Experiment, plan_steps, train_all};
use super::variants::{OURS, Variant, variants};
use crate::agent::Trained;
use crate::cli::config::Common;
use crate::cli::estimate;
use crate::cli::interrupt::{self, Stopped};
use crate::cli::job::Finished;
use crate::cli::methods::{self, Chosen, Measured};
use crate::cli::output::{Tables, format, say_table};
use crate::cli::provenance::{About, provenance};
use crate::cli::results::{EVALUATION, Results};
use crate::cli::session::Session;
use crate::cli::split::{Split, Splits};
use crate::cli::train::panels;
use crate::decide::{Decider, FixedPlan};
use crate::evaluate::portfolio::{HINDSIGHT, LengthRouter, PlanUtilities};
use crate::evaluate::{Evaluation, Method, evaluate, statistics};
use crate::learn::EpochMetrics;
use crate::plan::{Plan, small_plans};
use crate::random::{Draw, Purpose};
use crate::report::differences::differences;
use crate::settings::{Preset, Settings};
use crate::task::Problem;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of controllers to train for each method, with seeds counted up from --seed
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Folder for checkpoints and report; continues a comparison that is in it; default: a new one under `runs`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Passes of the published methods, with one plan for each problem; default: as many as their authors made
    #[arg(long, value_name = "N", default_value_t = 4)]
    passes: u32,
    /// Train only this method beside ours, named as in the table; repeatable; default: all
    #[arg(long = "only", value_name = "METHOD")]
    only: Vec<String>,
    /// What a token of critical path costs, in score, for training and for the utility; default: the benchmark's
    #[arg(long, value_name = "WEIGHT")]
    latency_weight: Option<f64>,
    /// Estimate calls, tokens and dollars from a few questions, then stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON instead of the tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: Tables,
}

impl Args {
    fn resolve(&self, preset: Preset) -> Result<Settings> {
        let mut settings = self.common.resolve(preset)?;
        let objective = &mut settings.training.objective;
        *objective = objective.at(self.latency_weight.unwrap_or(objective.latency_weight));
        Ok(settings)
    }
}

/// The maximum number of small plans from which the best one for all problems, and the best for each in hindsight, are
/// taken.
const PORTFOLIO: usize = 400;
/// Draws of each small plan on the test problems: half to choose by, half to score.
const HINDSIGHT_DRAWS: u64 = 4;
/// The approximate number of methods besides the trained ones: fixed plans, routers, our candidates.
const CANDIDATES: usize = 20;

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let ours = args.resolve(Preset::Adaptive)?;
    let mut session = Session::open(&ours)?;
    let survey = &ours.training.survey;
    let (layout, layers) = (ours.controller.layout(), ours.controller.layers);
    let plans = small_plans(layout, &session.signatures(), layers, survey.operators, PORTFOLIO);
    let mut all = variants(args.passes, |preset| args.resolve(preset))?;
    for name in &args.only {
        let is_known = all.iter().any(|variant| variant.name == *name);
        let known: Vec<String> = all.iter().map(|variant| format!("`{}`", variant.name)).collect();
        ensure!(is_known, "--only: expected one of {}, found `{name}`", known.join("; "));
    }
    all.retain(|v| args.only.is_empty() || v.name == OURS || args.only.contains(&v.name));
    let size = |split: &str| session.solver().problems(split).map_or(0, |problems| problems.len());
    let small = plans.len() * (size("train") * survey.draws.max(2) as usize + size("test") * HINDSIGHT_DRAWS as usize);
    let evaluated = small + (all.len() + CANDIDATES) * size("test") * args.seeds as usize;
    let experiment = Experiment::begin(&mut session, &ours, args.seeds, args.out.as_deref(), "compare")?;
    let Experiment { folder, seeds, resume } = &experiment;
    let interrupt = interrupt::listen(&session, &format!("`{resume}`"));
    let splits = Splits::open(&session)?;
    methods::say_left_out(&session);
    let measure = |splits: &Splits, folder: &Path, parts: Option<usize>| -> Result<Compared> {
        let trained = train_all(&session, &all, seeds, splits, folder, &interrupt)?;
        let evaluation = parts.map(|parts| {
            interrupt.end_at_once();
            session.progress.group(EVALUATION, "questions", parts as u64)
        });
        let compared = compare(&session, (&all, trained), (&plans, survey.draws), splits, seeds);
        drop(evaluation);
        compared
    };
    let hinted = |error| Stopped::hinted(error, resume);
    let probe = |splits: &Splits, folder: &Path| measure(splits, folder, None).map(drop);
    estimate::of_experiment(&session, &splits, args.dry_run, probe).map_err(hinted)?;
    if args.dry_run {
        eprintln!("`{resume}`, with the same options, starts it and does not repeat the probed calls");
        return Ok(());
    }
    plan_steps(&session, &all, args.seeds, &[(EVALUATION, evaluated)]);
    let Compared { trained, others, histories } = measure(&splits, folder, Some(evaluated)).map_err(hinted)?;
    let per_seed = beats_static(&session, &trained, &others);
    let results = Results::of(&session, &others, trained, seeds, args.json)?;
    if !args.json {
        say_table(format!("\n{}", differences(results.rows(), format())), [format!("\n{per_seed}")])?;
    }
    let about = About {
        title: format!("All methods on {}", session.solver().benchmark().name),
        provenance: provenance(seeds.clone(), &session.parts.device),
        curves: "Learning curves",
        panels: panels(&histories),
        config: serde_json::to_value(&ours)?,
    };
    results.write(&session, &splits.test, about, folder)
}

/// What a comparison measured.
struct Compared {
    /// Our method, one pass for each seed.
    trained: Vec<Evaluation>,
    /// `[methods][seeds]`
    others: Vec<Vec<Evaluation>>,
    /// What each training of ours reported.
    histories: Vec<Vec<EpochMetrics>>,
}

/// Measures every method on the test split; `plans` are small, and each is drawn `draws` times on training problems.
fn compare(
    session: &Session,
    (variants, outcomes): (&[Variant], Vec<Vec<Finished>>),
    (plans, draws): (&[Plan], u64),
    splits: &Splits,
    seeds: &[u64],
) -> Result<Compared> {
    let test = &splits.test;
    let mut others = Vec::new();
    methods::measure_baselines(session, test, seeds, &mut others)?;
    measure_portfolio(session, plans, draws, [&splits.train.complete(session), test], seeds, &mut others)?;
    let mut trained = Vec::new();
    let mut histories = Vec::new();
    for (variant, outcomes) in variants.iter().zip(outcomes) {
        let execution = variant.settings.execution(session.solver().benchmark());
        let (controllers, records): (Vec<Trained>, Vec<_>) =
            outcomes.into_iter().map(|outcome| (outcome.trained, outcome.history)).unzip();
        let likeliest = Chosen::likeliest(&variant.name, test, &controllers);
        let letters = if variant.name == OURS { likeliest.letters } else { 0 };
        let chosen = Chosen { letters, ..likeliest };
        if variant.name == OURS {
            methods::measure_candidates(session, test, &controllers, &mut others)?;
        }
        let methods = if variant.name == OURS { &mut trained } else { &mut others };
        methods::measure_trained(session, execution, test, &chosen, methods)?;
        if variant.name == OURS {
            histories = records;
        }
    }
    Ok(Compared { trained: trained.into_iter().flatten().collect(), others, histories })
}

/// Measures the best static plan, a router that sees only the length, and what choosing in hindsight could reach.
fn measure_portfolio(
    session: &Session,
    plans: &[Plan],
    draws: u64,
    [train, test]: [&Split; 2],
    seeds: &[u64],
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    if plans.is_empty() {
        return Ok(());
    }
    let recorded = record(
        session,
        train,
        plans,
        (0..draws.max(2)).map(|draw| Purpose::Training.draw(draw)).collect(),
        "small plans, train",
    )?;
    let best = plans[recorded.best()].clone();
    let options = session.options(session.execution, None);
    let named = |name, seeds| Measured { name, split: test, seeds, options: options.clone() };
    named(STATIC, seeds).by_plans(session, |_, _| best.clone(), methods)?;
    let words = |split: &Split| -> Vec<usize> { split.problems.iter().map(Problem::words).collect() };
    let router = LengthRouter::fit(&words(train), &recorded);
    let lengths = words(test);
    let routed = |_, index: usize| plans[router.choose(lengths[index])].clone();
    named("length-only router", seeds).by_plans(session, routed, methods)?;

    let draws = (0..HINDSIGHT_DRAWS).map(|draw| Purpose::Evaluation.draw(draw)).collect();
    let seen = record(session, test, plans, draws, "small plans, test")?;
    let passes: Vec<u64> = (0..HINDSIGHT_DRAWS).collect();
    let everything: Vec<usize> = (0..plans.len()).collect();
    for (name, among) in [
        ("best of 3 plans", recorded.best_together(3)),
        ("best of 10 plans", recorded.best_together(10)),
        (HINDSIGHT, everything),
    ] {
        let choices: Vec<Vec<usize>> = (0..passes.len()).map(|draw| seen.choose(&among, draw)).collect();
        let chosen = |draw: u64, index: usize| plans[choices[draw as usize][index]].clone();
        named(name, &passes).by_plans(session, chosen, methods)?;
    }
    Ok(())
}

/// The name of the plan that was best for all training problems together.
const STATIC: &str = "best static plan";

fn record(session: &Session, split: &Split, plans: &[Plan], draws: Vec<Draw>, label: &str) -> Result<PlanUtilities> {
    let bar = session.progress.begin(label, "questions", (plans.len() * draws.len() * split.problems.len()) as u64);
    let mut utilities = Vec::with_capacity(plans.len());
    for plan in plans {
        let mut of_plan = Vec::with_capacity(draws.len());
        for &draw in &draws {
            let decider = |_| -> Box<dyn Decider> { Box::new(FixedPlan::new(plan.clone())) };
            let options = session.options(session.execution, None);
            let method = Method { name: label, options, decider, draw };
            let pass = evaluate(session.solver(), &method, &split.problems, session.concurrency, |_| bar.inc(1));
            let (pass, ended) = session.runtime.block_on(pass);
            ended.with_context(|| label.to_owned())?;
            let (failed, asked) = (pass.failed, pass.episodes.len());
            ensure!(
                pass.has_score(),
                "{failed} of {asked} queries failed while recording the small plans; hint: the answers received \
                 are recorded; once the cause is fixed, the same command asks only for the rest"
            );
            of_plan.push(pass.episodes.iter().map(|episode| session.objective.measure(episode).utility).collect());
        }
        utilities.push(of_plan);
    }
    Ok(PlanUtilities { utilities })
}

/// Says for each seed whether our method beats the best static plan, and how much of the gap to hindsight it closes.
fn beats_static(session: &Session, ours: &[Evaluation], others: &[Vec<Evaluation>]) -> String {
    let utility = |pass: &Evaluation| {
        let utilities = pass.episodes.iter().map(|episode| session.objective.measure(episode).utility);
        statistics::mean(&utilities.collect::<Vec<_>>())
    };
    let named = |name: &str| others.iter().find(|passes| passes.first().is_some_and(|pass| pass.name == name));
    let (Some(best_static), Some(hindsight)) = (named(STATIC), named(HINDSIGHT)) else { return String::new() };
    let gains: Vec<f64> = ours.iter().zip(best_static).map(|(ours, theirs)| utility(ours) - utility(theirs)).collect();
    let all = |passes: &[Evaluation]| statistics::mean(&passes.iter().map(utility).collect::<Vec<_>>());
    let gap = all(hindsight) - all(best_static);
    let gains: Vec<String> = gains.iter().map(|gain| format!("{gain:+.4}")).collect();
    let closed = match gap > 0.0 {
        true => format!("{:.0} % of the gap", 100.0 * (all(ours) - all(best_static)) / gap),
        false => "no gap".to_owned(),
    };
    format!("utility above the {STATIC}, seed by seed: {}; {closed} to the {HINDSIGHT} ({gap:.3})", gains.join(", "))
}
