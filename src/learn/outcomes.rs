//! Outcomes of plans on the training problems: a column for each number, without texts.

use super::measured::Outcome;
use super::{Charge, Credit, Utilities, utilities};
use crate::execute::Episode;
use crate::objective::Objective;
use crate::plan::{OperatorId, Plan};

/// Outcomes of some plans on `N` problems.
pub(super) struct Outcomes {
    problems: usize,
    objective: Objective,
    credit: Credit,
    pub plans: Vec<PlanOutcomes>,
    /// Operators that answer by themselves and go best with another one, in catalogue order.
    pub pairing: Vec<OperatorId>,
    /// Those of `pairing` whose outcomes are known on nearly all problems.
    pub complete: Vec<OperatorId>,
    /// Operators that answer by themselves and whose outcome is unknown on some problem.
    pub partial: Vec<OperatorId>,
}

/// Outcomes of one plan of `c` choices on each problem: means over its runs, in columns. They are NaN where every run failed.
pub(super) struct PlanOutcomes {
    pub plan: Plan,
    /// `[N]`
    pub score: Vec<f32>,
    /// Dollars, `[N]`.
    pub cost: Vec<f32>,
    /// Length of the critical path, in the objective's unit, `[N]`.
    pub path: Vec<f32>,
    /// The share of the path that each choice is charged, `[N][c]`.
    pub latency: Vec<f32>,
    /// The share of the runs in which each choice was charged, `[N][c]`.
    pub charged: Vec<f32>,
}

impl Outcomes {
    pub fn new(problems: usize, objective: Objective, credit: Credit) -> Self {
        Outcomes {
            problems,
            objective,
            credit,
            plans: Vec::new(),
            pairing: Vec::new(),
            complete: Vec::new(),
            partial: Vec::new(),
        }
    }

    /// Number of problems, `N`.
    pub fn problems(&self) -> usize {
        self.problems
    }

    /// Whether the plan has been tried.
    pub fn has(&self, plan: &Plan) -> bool {
        self.plans.iter().any(|tried| tried.plan == *plan)
    }

    /// Adds a plan; returns its index.
    pub fn add(&mut self, plan: Plan) -> usize {
        let (rows, cells) = (self.problems, self.problems * plan.len());
        let unknown = |count| vec![f32::NAN; count];
        self.plans.push(PlanOutcomes {
            plan,
            score: unknown(rows),
            cost: unknown(rows),
            path: unknown(rows),
            latency: unknown(cells),
            charged: unknown(cells),
        });
        self.plans.len() - 1
    }

    /// Records the runs of one plan on one problem that did not fail.
    pub fn record(&mut self, plan: usize, problem: usize, runs: &[Episode]) {
        // Charged at a weight of one, so that the outcome serves every latency weight.
        let unit = self.objective.at(1.0);
        let credited: Vec<Utilities> = runs.iter().map(|run| utilities(run, &unit, self.credit)).collect();
        let Some(tried) = self.plans.get_mut(plan) else { return };
        if runs.is_empty() || problem >= self.problems {
            return;
        }
        let count = runs.len() as f64;
        let mean = |of: &dyn Fn(usize) -> f64| ((0..runs.len()).map(of).sum::<f64>() / count) as f32;
        tried.score[problem] = mean(&|run| runs[run].score);
        tried.cost[problem] = mean(&|run| runs[run].trace.cost());
        tried.path[problem] = mean(&|run| -credited[run].path);
        let choices = tried.plan.len();
        for choice in 0..choices {
            let cell = problem * choices + choice;
            tried.latency[cell] = mean(&|run| -credited[run].latency[choice]);
            let is_charged = |run: usize| credited[run].charges[choice] != Charge::Nothing;
            tried.charged[cell] = mean(&|run| f64::from(u8::from(is_charged(run))));
        }
    }

    /// Utility of a plan on each problem at a latency weight, `[N]`; NaN where it failed.
    pub fn utility(&self, plan: usize, latency_weight: f64) -> impl Iterator<Item = f64> + '_ {
        let PlanOutcomes { score, cost, path, .. } = &self.plans[plan];
        let cost_weight = self.objective.cost_weight;
        let rows = score.iter().zip(cost).zip(path);
        rows.map(move |((&score, &cost), &path)| {
            f64::from(score) - cost_weight * f64::from(cost) - latency_weight * f64::from(path)
        })
    }

    /// The outcome of a plan on each problem; none where it failed.
    pub fn measured(&self, plan: usize) -> impl Iterator<Item = Option<Outcome>> + '_ {
        let PlanOutcomes { score, cost, path, .. } = &self.plans[plan];
        let rows = score.iter().zip(path).zip(cost);
        rows.map(|((&score, &latency), &cost)| {
            let [score, latency, cost] = [score, latency, cost].map(f64::from);
            score.is_finite().then_some(Outcome { score, latency, cost })
        })
    }

    /// Keeps only these plans, in this order.
    pub fn keep(&mut self, places: &[usize]) {
        let mut plans: Vec<Option<PlanOutcomes>> = std::mem::take(&mut self.plans).into_iter().map(Some).collect();
        self.plans = places.iter().filter_map(|&place| plans.get_mut(place)?.take()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::episode;

    #[test]
    fn outcomes_are_means_over_the_runs_that_did_not_fail() {
        let objective = Objective { cost_weight: 2.0, ..Objective::default() };
        let mut outcomes = Outcomes::new(2, objective, Credit::Marginal);
        let plan = Plan::from_indices(&[&[0], &[2]]);
        let place = outcomes.add(plan.clone());
        let run = |score, tokens| episode("p", &[&[0], &[2]], &[tokens, 0.0], score, 0.1);
        outcomes.record(place, 1, &[run(1.0, 4.0), run(0.0, 8.0)]);
        outcomes.record(place, 0, &[]);
        let PlanOutcomes { score, cost, path, latency, charged, .. } = &outcomes.plans[place];
        assert!(score[0].is_nan() && latency[0].is_nan());
        assert_eq!(
            (score[1], cost[1], path[1], &latency[2..], &charged[2..]),
            (0.5, 0.1, 6.0, &[6.0, 0.0][..], &[1.0; 2][..])
        );
        let utility: Vec<f64> = outcomes.utility(place, 0.01).collect();
        assert!(utility[0].is_nan() && (utility[1] - 0.24).abs() < 1e-6, "{utility:?}");
        assert!(outcomes.has(&plan) && !outcomes.has(&Plan::default()));
        outcomes.add(Plan::default());
        outcomes.keep(&[1]);
        assert_eq!((outcomes.plans.len(), outcomes.has(&plan)), (1, false));
    }
}
