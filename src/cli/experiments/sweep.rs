//! `lamas sweep`: trains controllers at several latency weights, and checks whether one controller for all weights is
//! as good as those trained for each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::train_all::{Experiment, plan_steps, train_all, variant_folder};
use super::variants::{OURS, Variant};
use crate::agent::Trained;
use crate::cli::calibrate::{self, CALIBRATION};
use crate::cli::config::Common;
use crate::cli::estimate;
use crate::cli::interrupt::{self, Stopped};
use crate::cli::methods::{self, Chosen};
use crate::cli::output::Tables;
use crate::cli::provenance::{About, provenance};
use crate::cli::results::{EVALUATION, Results};
use crate::cli::session::Session;
use crate::cli::split::{Split, Splits};
use crate::controller::LatencyWeights;
use crate::disk::create_folder;
use crate::evaluate::{Evaluation, Measures, Row, compare, statistics};
use crate::objective::Objective;
use crate::report::{Curve, Line, Panel};
use crate::settings::{Preset, Settings};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Latency weights in score per token, ascending; default: from a quarter of the benchmark's to four times as much
    #[arg(long, value_name = "W,W,...", value_delimiter = ',')]
    weights: Vec<f64>,
    /// Number of controllers to train for each method and weight, with seeds counted up from --seed
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Passes of the published method; 0 leaves the method out
    #[arg(long, value_name = "N", default_value_t = 4)]
    passes: u32,
    /// Folder for checkpoints and report; continues a sweep that is in it; default: a new one under `runs`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Estimate calls, tokens and dollars from a few questions, then stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: Tables,
}

/// The multiples of the benchmark's latency weight that are swept by default.
const MULTIPLES: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// How far beyond the swept weights the controller for all weights is trained. The ends of its range are learned from
/// one side only.
const MARGIN: f64 = 2.0;
const PUBLISHED: &str = "LAMaS";
/// Our controller that takes the latency weight as an input.
const ONE: &str = "one for all";

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let ours = args.common.resolve(Preset::Adaptive)?;
    let mut session = Session::open(&ours)?;
    let weights = match args.weights.as_slice() {
        [] => MULTIPLES.map(|multiple| multiple * session.objective.latency_weight).to_vec(),
        weights => weights.to_vec(),
    };
    let (low, high) = (weights[0], weights[weights.len() - 1]);
    let rising = weights.is_sorted_by(|low, high| low < high);
    ensure!(rising && low < high, "`--weights`: expected two or more in ascending order, found {weights:?}");
    let mut methods: Vec<Swept> = weights.iter().map(|&weight| Swept::trained_for(weight, OURS, &ours)).collect();
    if args.passes > 0 {
        let mut published = args.common.resolve(Preset::Paper)?;
        published.training.epochs = args.passes;
        methods.extend(weights.iter().map(|&weight| Swept::trained_for(weight, PUBLISHED, &published)));
    }
    let range = LatencyWeights::new(low / MARGIN, high * MARGIN).context("`--weights`")?;
    methods.push(Swept::for_all(range, &ours));

    let variants: Vec<Variant> = methods.iter().map(|method| method.variant.clone()).collect();
    let size = |split: &str| session.solver().problems(split).map_or(0, |problems| problems.len());
    // A controller for one weight is measured once, the one for all weights at each of them.
    let evaluated = (methods.len() - 1 + weights.len()) * size("test") * args.seeds as usize;
    let calibrated = 2 * calibrate::QUERIES.min(size("train"));
    let experiment = Experiment::begin(&mut session, &ours, args.seeds, args.out.as_deref(), "sweep")?;
    let Experiment { folder, seeds, resume } = &experiment;
    let interrupt = interrupt::listen(&session, &format!("`{resume}`"));
    let splits = Splits::open(&session)?;
    let measure = |splits: &Splits, folder: &Path, parts: Option<usize>| -> Result<Measured> {
        let trained = train_all(&session, &variants, seeds, splits, folder, &interrupt)?;
        let trained: Vec<Vec<Trained>> =
            trained.into_iter().map(|seeds| seeds.into_iter().map(|outcome| outcome.trained).collect()).collect();
        if parts.is_some() {
            interrupt.end_at_once();
        }
        if let Some(one) = trained.last() {
            // `lamas evaluate --budget` needs it to measure how well budgets are kept.
            let folder = variant_folder(folder, ONE);
            create_folder(&folder)?;
            calibrate::after_training(&session, one, &splits.train.complete(&session), &folder)?;
        }
        let evaluation = parts.map(|parts| session.progress.group(EVALUATION, "questions", parts as u64));
        let measured = measure_all(&session, &methods, &trained, &weights, &splits.test);
        drop(evaluation);
        measured
    };
    let hinted = |error| Stopped::hinted(error, resume);
    let probe = |splits: &Splits, folder: &Path| measure(splits, folder, None).map(drop);
    estimate::of_experiment(&session, &splits, args.dry_run, probe).map_err(hinted)?;
    if args.dry_run {
        eprintln!("`{resume}`, with the same options, starts it and does not repeat the probed calls");
        return Ok(());
    }
    plan_steps(&session, &variants, args.seeds, &[(CALIBRATION, calibrated), (EVALUATION, evaluated)]);
    let Measured { rows, curves, own } = measure(&splits, folder, Some(evaluated)).map_err(hinted)?;
    let results = Results::of_rows(&session, rows, own, Vec::new(), args.json)?;
    let about = About {
        title: format!("Latency weights on {}", session.solver().benchmark().name),
        provenance: provenance(seeds.clone(), &session.parts.device),
        curves: "By latency weight",
        panels: curves.panels(),
        config: serde_json::to_value(&ours)?,
    };
    results.write(&session, &splits.test, about, folder)
}

/// What a sweep measured: the rows of its table, its curves, and our method at the highest weight.
struct Measured {
    rows: Vec<Row>,
    curves: Curves,
    own: Vec<Evaluation>,
}

/// Measures each method at the weights that it serves; `trained` is `[methods][seeds]`.
fn measure_all(
    session: &Session,
    methods: &[Swept],
    trained: &[Vec<Trained>],
    weights: &[f64],
    test: &Split,
) -> Result<Measured> {
    let (mut rows, mut curves, mut own) = (Vec::new(), Curves::default(), Vec::new());
    for &weight in weights {
        let objective = session.objective.at(weight);
        let mut others = Vec::new();
        let serving = methods.iter().zip(trained);
        for (method, trained) in serving.filter(|(method, _)| method.weight.is_none_or(|its| its == weight)) {
            let passes = method.measure(session, trained, test, weight)?;
            curves.add(method.kind, weight, &passes, &objective);
            if method.kind == OURS { own = passes } else { others.push(passes) }
        }
        rows.extend(compare(&others, &own, &objective));
    }
    Ok(Measured { rows, curves, own })
}

/// A method of the sweep.
struct Swept {
    kind: &'static str,
    /// The weight that it was trained for; `None` if it serves all.
    weight: Option<f64>,
    variant: Variant,
}

impl Swept {
    fn trained_for(weight: f64, kind: &'static str, settings: &Settings) -> Self {
        let mut settings = settings.clone();
        settings.training.objective.latency_weight = weight;
        let variant = Variant { name: format!("{kind} {weight}"), settings };
        Swept { kind, weight: Some(weight), variant }
    }

    fn for_all(weights: LatencyWeights, settings: &Settings) -> Self {
        let mut settings = settings.clone();
        settings.controller.latency_weights = Some(weights);
        let variant = Variant { name: ONE.into(), settings };
        Swept { kind: ONE, weight: None, variant }
    }

    /// One pass over the split for each seed, with the likeliest plans at `weight`.
    fn measure(&self, session: &Session, trained: &[Trained], split: &Split, weight: f64) -> Result<Vec<Evaluation>> {
        let controllers: Vec<Trained> = trained.iter().map(|trained| trained.at(weight)).collect();
        let execution = self.variant.settings.execution(session.solver().benchmark());
        let chosen = Chosen::likeliest(&format!("{} {weight}", self.kind), split, &controllers);
        let mut passes = Vec::new();
        methods::measure_trained(session, execution, split, &chosen, &mut passes)?;
        Ok(passes.into_iter().flatten().collect())
    }
}

/// Mean figures of each method at each latency weight, for each seed.
#[derive(Default)]
struct Curves(BTreeMap<&'static str, Vec<Vec<Figures>>>);

struct Figures {
    weight: f64,
    score: f64,
    utility: f64,
    path: f64,
}

impl Curves {
    fn add(&mut self, kind: &'static str, weight: f64, passes: &[Evaluation], objective: &Objective) {
        let seeds = self.0.entry(kind).or_default();
        seeds.resize_with(passes.len().max(seeds.len()), Vec::new);
        for (seed, pass) in seeds.iter_mut().zip(passes) {
            let measures: Vec<_> = pass.episodes.iter().map(|episode| objective.measure(episode)).collect();
            let mean = |value: fn(&Measures) -> f64| statistics::mean(&measures.iter().map(value).collect::<Vec<_>>());
            let (score, utility, path) = (mean(|m| m.score), mean(|m| m.utility), mean(|m| m.path));
            seed.push(Figures { weight, score, utility, path });
        }
    }

    fn panels(&self) -> Vec<Panel> {
        let panel = |title: &str, axis: &str, point: fn(&Figures) -> (f64, f64)| {
            let curve = |seed: &Vec<Figures>| {
                let mut points: Vec<(f64, f64)> = seed.iter().map(point).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                Curve(points)
            };
            let line = |(kind, seeds): (&&str, &Vec<Vec<Figures>>)| Line {
                name: (*kind).to_owned(),
                seeds: seeds.iter().map(curve).collect(),
            };
            Panel { title: title.into(), axis: axis.into(), lines: self.0.iter().map(line).collect() }
        };
        vec![
            panel("utility", "score per 1,000 tokens", |f| (1000.0 * f.weight, f.utility)),
            panel("score", "critical path, tokens", |f| (f.path, f.score)),
            panel("critical path, tokens", "score per 1,000 tokens", |f| (1000.0 * f.weight, f.path)),
        ]
    }
}
