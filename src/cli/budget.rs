//! The flags `--latency-weight` and `--budget`, and how often budgets are kept.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::calibrate::{asked, observed};
use super::methods::Chosen;
use super::session::Session;
use super::split::Split;
use crate::agent::Trained;
use crate::evaluate::Evaluation;
use crate::evaluate::latency::{Accuracy, Budget, LatencyModel, PlanWithin, measured_path};
use crate::evaluate::statistics::{mean, quantile};
use crate::execute::Episode;
use crate::report::transcript::LETTERS;

/// What to trade accuracy for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LatencyArgs {
    /// What a token of critical path costs, in score; needs a controller that serves many weights
    #[arg(long, value_name = "W", conflicts_with = "budget", allow_negative_numbers = true)]
    pub latency_weight: Option<f64>,
    /// How long a query may take, such as 2s, 500ms or 120tokens; needs a controller that serves many weights
    #[arg(long, value_name = "BUDGET")]
    pub budget: Option<Budget>,
}

/// How well a budget was kept.
#[derive(Serialize)]
pub struct BudgetReport {
    budget: f64,
    unit: &'static str,
    problems: usize,
    /// Share of the problems that stayed within the budget.
    kept: f64,
    /// Number of problems for which every plan was predicted to exceed it.
    hopeless: usize,
    /// In the budget's unit.
    path_mean: f64,
    path_p95: f64,
    /// Mean latency weight of the chosen plans.
    latency_weight: f64,
}

impl LatencyArgs {
    /// # Errors
    /// The latency weight is invalid.
    pub fn validate(&self) -> Result<()> {
        let weight = self.latency_weight.unwrap_or_default();
        ensure!(weight >= 0.0 && weight.is_finite(), "`--latency-weight`: expected a number from 0 up, found {weight}");
        Ok(())
    }
}

/// The controllers' plans for each problem, within the budget as far as can be predicted.
///
/// # Errors
/// A controller was trained for only one latency weight.
pub fn choose_all(
    session: &Session,
    split: &Split,
    trained: &[Trained],
    model: &LatencyModel,
    budget: Budget,
) -> Result<(Chosen, Vec<PlanWithin>)> {
    let mut choices = Vec::with_capacity(trained.len() * split.problems.len());
    let (mut proposals, mut halting) = (Vec::with_capacity(trained.len()), Vec::with_capacity(trained.len()));
    for trained in trained {
        let (solver, schedule) = (session.solver(), session.execution.schedule);
        let chosen = split.asked().map(|asked| trained.choose(solver, schedule, model, budget, asked));
        let chosen: Vec<PlanWithin> = chosen.collect::<Result<_>>()?;
        proposals.push(chosen.iter().map(|choice| choice.plan.clone().into()).collect());
        halting.push(chosen.iter().map(|choice| trained.head(Some(choice.latency_weight))).collect());
        choices.extend(chosen);
    }
    let seeds = trained.iter().map(|trained| trained.seed).collect();
    let name = format!("within {budget}");
    Ok((Chosen { name, seeds, halting, stages: Vec::new(), proposals, letters: LETTERS }, choices))
}

/// How well the budget was kept.
pub fn kept(budget: Budget, choices: &[PlanWithin], evaluations: &[Evaluation]) -> BudgetReport {
    let latency = |episode: &Episode| budget.of(measured_path(&episode.trace));
    let episodes = evaluations.iter().flat_map(|pass| &pass.episodes).filter(|episode| episode.is_complete());
    let paths: Vec<f64> = episodes.map(latency).collect();
    BudgetReport {
        budget: budget.amount(),
        unit: budget.unit(),
        problems: paths.len(),
        kept: mean(&paths.iter().map(|&path| f64::from(path <= budget.amount())).collect::<Vec<_>>()),
        hopeless: choices.iter().filter(|choice| !choice.is_within).count(),
        path_mean: mean(&paths),
        path_p95: quantile(&paths, 0.95),
        latency_weight: mean(&choices.iter().map(|choice| choice.latency_weight).collect::<Vec<_>>()),
    }
}

/// How well the latency model predicted what was measured.
pub fn accuracy(session: &Session, split: &Split, model: &LatencyModel, evaluations: &[Evaluation]) -> Accuracy {
    let episodes: Vec<_> = evaluations.iter().flat_map(|pass| pass.episodes.clone()).collect();
    model.accuracy(&observed(&episodes, &asked(&[split])), |plan| session.prepare(plan))
}

impl std::fmt::Display for BudgetReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BudgetReport { budget, unit, problems, kept, hopeless, path_mean, path_p95, .. } = self;
        write!(
            f,
            "budget {budget} {unit}: kept for {:.1} % of {problems} problems; path {path_mean:.3} {unit} on average, \
             p95 {path_p95:.3}; no plan was predicted to keep it for {hopeless}",
            100.0 * kept
        )
    }
}
