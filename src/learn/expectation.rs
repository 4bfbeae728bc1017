//! The gradient of the expected utility over plans whose outcomes are known.
//!
//! If the outcome of each plan is known, the policy gradient need not be sampled. Let `w_p` be the probability of plan `p`
//! among them, and `U_c` the utility of its choice `c` (E5). The gradient is the expectation
//!
//! ```text
//! gradient = sum over p of w_p * sum over choices c of p of (U_c - baseline) * gradient of log p(c)
//! ```
//!
//! whose only variance is that of the recorded outcomes. Two gradients are added. The first is that of the logarithm of the
//! probability that any of these plans is drawn at all, in proportion to the scale of the utilities, because nothing is known
//! of other plans. The second is that of the entropy of `w`, with a weight that falls. Without it, the plan that is best on
//! average would crowd out the others before the controller can tell questions apart. Credit works as for drawn plans: an
//! operator off the critical path feels no latency here either.

use anyhow::Result;
use candle_core::{D, Device, Tensor};
use candle_nn::ops::softmax;

use super::outcomes::{Outcomes, PlanOutcomes};
use crate::plan::Plan;

/// Minus infinity before a softmax.
const NEVER: f32 = -1e30;

/// Outcomes of `P` plans with `C` choices in total on `N` problems, on the device of the controller.
pub(super) struct Expectation {
    pub plans: Vec<Plan>,
    /// `S - lambda_c C` of each plan, `[N, P]`; 0 if every run failed.
    value: Tensor,
    /// 1 if the outcome is known, `[N, P]`.
    known: Tensor,
    /// The share of the critical path that each choice is charged, `[N, C]`.
    latency: Tensor,
    /// The share of the runs in which it was charged, `[N, C]`.
    charged: Tensor,
    /// 1 if a choice belongs to a plan, `[P, C]`.
    owner: Tensor,
    /// Standard deviation of the value of a plan about the mean of its problem: the scale of the utilities, at every latency
    /// weight.
    deviation: f64,
}

/// What to learn from a batch of `B` problems.
pub(super) struct Expected {
    /// For every choice of every plan, `[B, C]`.
    pub advantages: Tensor,
    /// Entropy of the plans in nats, mean over the problems; a scalar.
    pub entropy: Tensor,
}

impl Expectation {
    /// # Errors
    /// The device failed.
    pub fn new(outcomes: &Outcomes, cost_weight: f64, device: &Device) -> Result<Self> {
        let (problems, tried) = (outcomes.problems(), &outcomes.plans);
        let choices: usize = tried.iter().map(|tried| tried.plan.len()).sum();
        let mut owner = vec![0.0f32; tried.len() * choices];
        let mut first = 0;
        for (at, PlanOutcomes { plan, .. }) in tried.iter().enumerate() {
            owner[at * choices + first..][..plan.len()].fill(1.0);
            first += plan.len();
        }
        let (mut value, mut known) = (Vec::new(), Vec::new());
        let (mut latency, mut charged) = (Vec::new(), Vec::new());
        for problem in 0..problems {
            for PlanOutcomes { plan, score, cost, latency: own_latency, charged: own_charged, .. } in tried {
                let own = f64::from(score[problem]) - cost_weight * f64::from(cost[problem]);
                let is_known = own.is_finite();
                let of_choices = problem * plan.len()..(problem + 1) * plan.len();
                let known_or_zero = |number: &f32| if is_known { *number } else { 0.0 };
                value.push(known_or_zero(&(own as f32)));
                known.push(u8::from(is_known));
                latency.extend(own_latency[of_choices.clone()].iter().map(known_or_zero));
                charged.extend(own_charged[of_choices].iter().map(known_or_zero));
            }
        }
        let deviation = deviation(&value, &known, tried.len());
        let by_plan = (problems, tried.len());
        let by_choice = (problems, choices);
        Ok(Expectation {
            plans: tried.iter().map(|tried| tried.plan.clone()).collect(),
            value: Tensor::from_vec(value, by_plan, device)?,
            known: Tensor::from_vec(known, by_plan, device)?,
            latency: Tensor::from_vec(latency, by_choice, device)?,
            charged: Tensor::from_vec(charged, by_choice, device)?,
            owner: Tensor::from_vec(owner, (tried.len(), choices), device)?,
            deviation,
        })
    }

    /// `w_p ((U_c - baseline) / scale + 1)` for every choice of every plan on the problems in these rows, `[B]`. `U_c` includes
    /// the plan's share in the entropy of `w`, at `entropy` scales per nat. `log_probs` is `[B, C]`, `latency_weights` `[B, 1]`.
    ///
    /// The 1 is there because the sum of `w_p` times the gradient of `log p` over all plans is the gradient of the logarithm
    /// of their joint probability. As with drawn samples, value and latency have separate baselines, so that a choice that is
    /// charged no latency feels none.
    ///
    /// # Errors
    /// The device failed.
    pub fn advantages(
        &self,
        problems: &Tensor,
        log_probs: &Tensor,
        latency_weights: &Tensor,
        entropy: f64,
    ) -> Result<Expected> {
        let of = |table: &Tensor| table.index_select(problems, 0);
        let [value, known, latency, charged] = [&self.value, &self.known, &self.latency, &self.charged].map(of);
        let (value, known, latency, charged) = (value?, known?, latency?, charged?);
        let never = Tensor::new(NEVER, value.device())?.broadcast_as(value.shape())?;

        let log_prob = known.where_cond(&log_probs.detach().matmul(&self.owner.t()?)?, &never)?;
        let weights = (softmax(&log_prob, D::Minus1)? * known.to_dtype(value.dtype())?)?;
        let surprise = weights.maximum(f64::from(f32::MIN_POSITIVE))?.log()?.neg()?;
        let worth = ((value / self.deviation)? + (&surprise * entropy)?)?;
        let above = worth.broadcast_sub(&(&weights * &worth)?.sum_keepdim(D::Minus1)?)?;

        let of_choices = weights.matmul(&self.owner)?;
        let sum = |of: &Tensor| (&of_choices * of)?.sum_keepdim(D::Minus1);
        let fair = sum(&latency)?.div(&sum(&charged)?.maximum(f64::from(f32::MIN_POSITIVE))?)?;
        let spared = (charged.broadcast_mul(&fair)? - latency)?.broadcast_mul(latency_weights)?;
        let advantages = ((above.matmul(&self.owner)? + (spared / self.deviation)?)? + 1.0)?;
        Ok(Expected {
            advantages: (of_choices * advantages)?,
            entropy: (weights * surprise)?.sum(D::Minus1)?.mean_all()?,
        })
    }
}

/// Standard deviation of the known values about the mean of their row.
fn deviation(values: &[f32], known: &[u8], columns: usize) -> f64 {
    let (mut squares, mut count) = (0.0, 0u32);
    for (values, known) in values.chunks(columns.max(1)).zip(known.chunks(columns.max(1))) {
        let values = || values.iter().zip(known).filter(|(_, known)| **known == 1).map(|(&value, _)| f64::from(value));
        let mean = values().sum::<f64>() / values().count().max(1) as f64;
        squares += values().map(|value| (value - mean).powi(2)).sum::<f64>();
        count += values().count() as u32;
    }
    f64::sqrt(squares / f64::from(count.max(1))).max(1e-8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::Credit;
    use crate::learn::testing::episode;
    use crate::objective::Objective;

    const OBJECTIVE: Objective = Objective { latency_weight: 0.01, cost_weight: 2.0, unit: crate::plan::Unit::Tokens };

    /// Two plans of two choices; on the second problem the second plan failed, on the third both did.
    fn expectation() -> Result<Expectation> {
        let mut outcomes = Outcomes::new(3, OBJECTIVE, Credit::Marginal);
        let plans = [[0, 2], [1, 2]].map(|[first, last]: [u16; 2]| Plan::from_indices(&[&[first], &[last]]));
        plans.into_iter().for_each(|plan| {
            outcomes.add(plan);
        });
        let right = |score| episode("p", &[&[0], &[2]], &[4.0, 0.0], score, 0.1);
        outcomes.record(0, 0, &[right(1.0), right(0.0)]);
        outcomes.record(1, 0, &[episode("p", &[&[1], &[2]], &[10.0, 0.0], 1.0, 0.2)]);
        outcomes.record(0, 1, &[right(1.0)]);
        Ok(Expectation { deviation: 0.5, ..Expectation::new(&outcomes, OBJECTIVE.cost_weight, &Device::Cpu)? })
    }

    fn advantages(problem: u32, probabilities: [f32; 2], entropy: f64) -> Result<Vec<f32>> {
        let log_probs: Vec<f32> = probabilities.iter().flat_map(|p| [p.ln(), 0.0]).collect();
        let log_probs = Tensor::from_vec(log_probs, (1, 4), &Device::Cpu)?;
        let problems = Tensor::new(&[problem], &Device::Cpu)?;
        let weights = Tensor::new(&[[OBJECTIVE.latency_weight as f32]], &Device::Cpu)?;
        Ok(expectation()?.advantages(&problems, &log_probs, &weights, entropy)?.advantages.get(0)?.to_vec1()?)
    }

    #[test]
    fn the_advantages_are_those_of_the_expectation() -> Result<()> {
        // Values .3 and .6, charges (4, 0) and (10, 0) tokens, both choices charged in both.
        let found = advantages(0, [0.75, 0.25], 0.0)?;
        let (value, tokens) = (0.75 * 0.3 + 0.25 * 0.6, (0.75 * 4.0 + 0.25 * 10.0) / 2.0);
        let expected = [
            0.75 * ((0.3 - value + 0.01 * (tokens - 4.0)) / 0.5 + 1.0),
            0.75 * ((0.3 - value + 0.01 * tokens) / 0.5 + 1.0),
            0.25 * ((0.6 - value + 0.01 * (tokens - 10.0)) / 0.5 + 1.0),
            0.25 * ((0.6 - value + 0.01 * tokens) / 0.5 + 1.0),
        ];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5), "{found:?}");
        // Two choices in each plan.
        assert!((found.iter().sum::<f32>() - 2.0).abs() < 1e-5);
        Ok(())
    }

    #[test]
    fn entropy_favours_the_unlikely() -> Result<()> {
        let (plain, spread) = (advantages(0, [0.75, 0.25], 0.0)?, advantages(0, [0.75, 0.25], 0.2)?);
        let gained: Vec<f32> = spread.iter().zip(&plain).map(|(spread, plain)| spread - plain).collect();
        assert!(gained[0] < 0.0 && gained[2] > 0.0 && gained.iter().sum::<f32>().abs() < 1e-5, "{gained:?}");
        Ok(())
    }

    #[test]
    fn what_failed_weighs_nothing() -> Result<()> {
        let near = |found: Vec<f32>, expected: [f32; 4]| {
            assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
        };
        // What is alone is compared with itself; a choice that is charged more than the other feels it.
        near(advantages(1, [1e-4, 1.0], 0.1)?, [1.0 - 0.04, 1.0 + 0.04, 0.0, 0.0]);
        near(advantages(2, [1e-4, 1.0], 0.1)?, [0.0; 4]);
        Ok(())
    }
}
