//! The methods of the results table: fixed plans, a random controller, trained controllers.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::progress::Running;
use super::session::Session;
use super::split::Split;
use crate::agent::Trained;
use crate::decide::{Decider, FixedPlan, Halting, HaltingHead, Proposal, Stages};
use crate::evaluate::{Evaluation, Method, baselines, evaluate, has_score};
use crate::evidence::Asked;
use crate::execute::{Episode, ExecutionConfig, SolveOptions};
use crate::model;
use crate::plan::Plan;
use crate::random::{self, Purpose};
use crate::report::transcript::LETTERS;
use crate::strategy::Strategy;
use crate::task::Problem;

/// A method to measure, with one pass for each seed.
pub struct Measured<'a> {
    pub name: &'a str,
    pub split: &'a Split,
    pub seeds: &'a [u64],
    /// The options of its queries.
    pub options: SolveOptions<'a>,
}

impl Measured<'_> {
    /// Measures the method with each seed's plan for each problem, and adds it to `methods`, even if a pass ended
    /// early.
    ///
    /// # Errors
    /// A pass ended early, or so many queries failed that there is no score.
    pub fn by_plans(
        &self,
        session: &Session,
        plan: impl Fn(u64, usize) -> Plan,
        methods: &mut Vec<Vec<Evaluation>>,
    ) -> Result<()> {
        self.by_deciders(session, |seed, index| Box::new(FixedPlan::new(plan(seed, index))), methods)
    }

    /// Like [`Measured::by_plans`], but with a decider for each seed and problem.
    pub fn by_deciders<'d>(
        &self,
        session: &Session,
        decider: impl Fn(u64, usize) -> Box<dyn Decider + 'd>,
        methods: &mut Vec<Vec<Evaluation>>,
    ) -> Result<()> {
        let Measured { name, split, seeds, .. } = *self;
        let bar = session.progress.begin(name, "questions", (split.problems.len() * seeds.len()) as u64);
        let mut running = Running::new(&session.objective, &bar);
        let mut passes = Vec::with_capacity(seeds.len());
        let (mut outcome, mut failure) = (Ok(()), None);
        for (position, &seed) in seeds.iter().enumerate() {
            let decider = |index| decider(seed, index);
            let draw = Purpose::Evaluation.draw(position as u64);
            let method = Method { name, options: self.options.clone(), decider, draw };
            let watch = |episode: &Episode| {
                running.see(episode);
                failure = episode.trace.failure().map(str::to_owned).or(failure.take());
            };
            let pass = evaluate(session.solver(), &method, &split.problems, session.concurrency, watch);
            let (pass, ended) = session.runtime.block_on(pass);
            passes.push(pass);
            outcome = ended;
            if outcome.is_err() {
                break;
            }
        }
        drop(bar);
        methods.push(passes);
        let passes = methods.last().map_or(&[][..], Vec::as_slice);
        let asked: usize = passes.iter().map(|pass| pass.episodes.len()).sum();
        let failed: usize = passes.iter().map(|pass| pass.failed).sum();
        let solved = asked - failed;
        outcome.with_context(|| format!("`{name}` was stopped after {solved} queries"))?;
        match failure {
            Some(reason) if solved == 0 => {
                Err(anyhow::Error::new(model::Error::Transient(reason))
                    .context(format!("every query of `{name}` failed")))
            }
            Some(reason) if !has_score(failed, asked) => bail!(
                "`{name}` has no score: {failed} of {asked} queries failed, the last with: {reason}; hint: the answers \
                 received are recorded; once the cause is fixed, the same command asks only for the rest"
            ),
            _ => Ok(()),
        }
    }
}

/// Says which baselines are left out because the catalogue lacks operators for them.
pub fn say_left_out(session: &Session) {
    let fixed = baselines::fixed(&session.names(), &session.signatures());
    let skipped = fixed.into_iter().filter_map(Result::err);
    let skipped: Vec<String> = skipped.map(|skipped| format!("`{}` ({})", skipped.name, skipped.reason)).collect();
    if !skipped.is_empty() {
        eprintln!("baselines left out: {}", skipped.join("; "));
    }
}

/// The number of methods that [`measure_baselines`] and [`measure_candidates`] measure.
pub fn beside(session: &Session, trained: &[Trained]) -> usize {
    let fixed = baselines::fixed(&session.names(), &session.signatures()).iter().filter(|fixed| fixed.is_ok()).count();
    let candidates = trained.first().map_or(0, |trained| trained.strategies.candidates.len());
    fixed + 1 + if candidates > 1 { candidates } else { 0 }
}

/// Measures the fixed plans that the catalogue allows, and a random controller. Finished methods are in `methods` even
/// on errors.
pub fn measure_baselines(
    session: &Session,
    split: &Split,
    seeds: &[u64],
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    let (names, signatures) = (session.names(), session.signatures());
    for baseline in baselines::fixed(&names, &signatures).into_iter().flatten() {
        session.solver().catalogue().check_samples(&baseline.samples)?;
        let options = SolveOptions { samples: &baseline.samples, ..session.options(session.execution, None) };
        let measured = Measured { name: baseline.name, split, seeds, options };
        measured.by_plans(session, |_, _| baseline.plan.clone(), methods)?;
    }
    let random = |seed, index: usize| {
        let problem = split.problems.get(index).map_or("", |problem| problem.id.as_str());
        baselines::random_plan(
            &signatures,
            RANDOM_LAYERS,
            RANDOM_THRESHOLD,
            &mut random::stream(seed, &[&"random", &problem]),
        )
    };
    let options = session.options(session.execution, None);
    Measured { name: "random controller", split, seeds, options }.by_plans(session, random, methods)
}

/// `L` and `tau` of the paper.
const RANDOM_LAYERS: usize = 4;
const RANDOM_THRESHOLD: f64 = 0.3;

/// What trained controllers choose for each problem of a split.
pub struct Chosen {
    pub name: String,
    /// One for each controller.
    pub seeds: Vec<u64>,
    /// `[controllers][problems]`; what ends the plan early, at the latency weight that the plan was chosen for.
    pub halting: Vec<Vec<Option<Arc<HaltingHead>>>>,
    /// `[controllers]`; the stages that proposals use if they ask further operators.
    pub stages: Vec<Option<Arc<Stages>>>,
    /// `[controllers][problems]`
    pub proposals: Vec<Vec<Proposal>>,
    /// The number of letters that traces keep of each text.
    pub letters: usize,
}

impl Chosen {
    /// Chooses the likeliest operators.
    pub fn likeliest(name: &str, split: &Split, trained: &[Trained]) -> Self {
        Chosen {
            name: name.into(),
            seeds: trained.iter().map(|trained| trained.seed).collect(),
            halting: trained.iter().map(|trained| vec![trained.halting.clone(); split.problems.len()]).collect(),
            stages: trained.iter().map(|trained| trained.strategies.stages.clone()).collect(),
            proposals: trained.iter().map(|trained| split.proposals(trained)).collect(),
            letters: LETTERS,
        }
    }
}

/// Measures the candidates that each trained run could have answered with, besides the one that it does answer with.
///
/// # Errors
/// Those of [`Measured::by_deciders`].
pub fn measure_candidates(
    session: &Session,
    split: &Split,
    trained: &[Trained],
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    let names = trained.first().map_or(&[][..], |trained| trained.strategies.candidates.as_slice());
    // A single candidate is the one that answers.
    for (place, (name, _)) in names.iter().enumerate().filter(|_| names.len() > 1) {
        let propose = |trained: &Trained, asked: Asked<'_>| {
            let own = trained.strategies.candidates.get(place).map(|(_, strategy)| strategy);
            own.unwrap_or(&Strategy::Controller).propose(&trained.policy, asked)
        };
        let proposals = |trained: &Trained| split.asked().map(|asked| propose(trained, asked)).collect();
        let chosen = Chosen {
            name: name.clone(),
            seeds: trained.iter().map(|trained| trained.seed).collect(),
            halting: Vec::new(),
            stages: trained.iter().map(|trained| trained.strategies.stages.clone()).collect(),
            proposals: trained.iter().map(proposals).collect(),
            letters: 0,
        };
        measure_trained(session, session.execution, split, &chosen, methods)?;
    }
    Ok(())
}

/// Measures the trained controllers into `ours`. If `beside` is given, it also measures the baselines and the
/// candidates that could have answered into `others`. Finished methods are there even on errors.
///
/// # Errors
/// Those of [`Measured::by_deciders`].
pub fn measure_all(
    session: &Session,
    split: &Split,
    chosen: &Chosen,
    beside: Option<&[Trained]>,
    [ours, others]: [&mut Vec<Vec<Evaluation>>; 2],
) -> Result<()> {
    measure_trained(session, session.execution, split, chosen, ours)?;
    let Some(trained) = beside else { return Ok(()) };
    measure_baselines(session, split, &chosen.seeds, others)?;
    measure_candidates(session, split, trained, others)
}

/// Measures the trained controllers, one for each seed; their plans run under `execution`.
pub fn measure_trained(
    session: &Session,
    execution: ExecutionConfig,
    split: &Split,
    chosen: &Chosen,
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    let seeds: Vec<u64> = (0..chosen.proposals.len() as u64).collect();
    let (unit, operators) = (session.objective.unit, session.signatures().len());
    let of = |position: u64, index: usize| {
        let proposal = chosen.proposals.get(position as usize).and_then(|proposals| proposals.get(index)).cloned();
        let heads = chosen.halting.get(position as usize).filter(|_| execution.halting);
        (proposal.unwrap_or_default(), heads.and_then(|heads| heads.get(index)).cloned().flatten())
    };
    let decider = |position: u64, index: usize| -> Box<dyn Decider> {
        match of(position, index) {
            (proposal, None) => {
                let stages = chosen.stages.get(position as usize).and_then(Option::as_ref);
                proposal.decider(stages, None)
            }
            (Proposal { plan, .. }, Some(head)) => {
                let words = split.problems.get(index).map_or(0, Problem::words);
                let decider = FixedPlan::new(plan);
                Box::new(Halting { decider, head, words, operators, unit })
            }
        }
    };
    let options = SolveOptions { letters: chosen.letters, ..session.options(execution, None) };
    let measured = Measured { name: &chosen.name, split, seeds: &seeds, options };
    measured.by_deciders(session, decider, methods)
}
