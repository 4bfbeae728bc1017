//! Fits the halting head, once the controller is trained, to the plans that the controller chooses.
//!
//! At each moment of a plan's run the head predicts what the rest of the plan changes: the score, the critical path and the
//! cost. A recorded run shows all three. The rest ends where the head itself would end it later, so the head is fitted in
//! rounds; the first round assumes that the plan runs to its end.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor, Var};
use rand::Rng;
use rand::seq::SliceRandom;

use super::config::HaltingConfig;
use super::resume::Run;
use super::rollout::{Attempt, Judged, TrainingEpisode};
use super::setup::{Event, Halt, Notify};
use super::{Adam, gradients};
use crate::controller::{Controller, Policy};
use crate::decide::{Forecast, HaltingHead};
use crate::random::{self, Purpose};

/// Runs between two checks for cancellation.
const CHUNK: usize = 256;

/// A run that can end at any of its moments.
struct StoppableRun {
    /// Score per unit of latency.
    latency_weight: f64,
    moments: Vec<Judged>,
    /// What it came to at its end.
    last: Forecast,
}

/// Moments, and what the rest of the run changed from there.
#[derive(Default)]
struct Rows {
    /// `[N][F]`
    evidence: Vec<Vec<f32>>,
    rest: Vec<Forecast>,
}

impl Run<'_> {
    /// Fits a head for the best weights, unless there is one already or the settings ask for none.
    pub(super) async fn fit_halting(&mut self, notify: &mut Notify<'_>) -> Result<(), Halt> {
        if !self.state.strategies.need_controller()
            || !self.config.execution.halting
            || !self.state.halting.is_empty()
            || self.state.best_weights.is_empty()
        {
            return Ok(());
        }
        let recorded = self.record_courses(notify).await?;
        let objective = self.config.felt();
        let weights = [objective.latency_weight, objective.cost_weight];
        let device = self.learner.controller.device();
        if let Some(head) = fit(&recorded, &self.config.halting, weights, self.provenance.seed, device)? {
            self.state.halting = head.tensors()?;
            self.save()?;
        }
        Ok(())
    }

    /// Runs the likeliest plan of each training problem.
    async fn record_courses(&self, notify: &mut Notify<'_>) -> Result<Vec<StoppableRun>, Halt> {
        let trained = &self.learner.controller;
        let (config, signatures) = (trained.config().clone(), trained.signatures().to_vec());
        let weights = &self.state.best_weights;
        let best = Controller::from_tensors(config, signatures, trained.operators(), weights, trained.device())?;
        let policy = Policy::new(&best)?;
        let mut attempts = Vec::new();
        for draw in 0..self.config.halting.draws {
            for (problem, query) in self.train.queries.iter().enumerate() {
                let latency_weight = self.latency_weight("halting latency weight", draw as u32, problem);
                let plan = policy.at(latency_weight).greedy(query);
                attempts.push(Attempt {
                    problem,
                    proposal: plan.into(),
                    draw: Purpose::Halting.draw(draw),
                    latency_weight,
                });
            }
        }
        let mut recorded = Vec::new();
        let mut runs = 0;
        for chunk in attempts.chunks(CHUNK) {
            self.check_cancelled()?;
            let outcomes = self.train.solve_all(chunk.to_vec(), true, self.config.concurrency).await;
            let followed = self.settle(outcomes, &mut Default::default())?;
            recorded.extend(followed.into_iter().flatten().map(
                |TrainingEpisode { latency_weight, episode, moments, .. }| {
                    let latency = self.config.objective.path(&episode.trace);
                    let last = Forecast { score: episode.score, latency, cost: episode.trace.cost() };
                    StoppableRun { latency_weight, moments, last }
                },
            ));
            runs += chunk.len();
            notify(Event::Followed { runs, of: attempts.len() });
        }
        Ok(recorded)
    }
}

/// None if no plan has a moment before its end.
fn fit(
    recorded: &[StoppableRun],
    config: &HaltingConfig,
    weights: [f64; 2],
    seed: u64,
    device: &Device,
) -> Result<Option<HaltingHead>> {
    let mut head = None;
    for round in 0..config.rounds {
        let rows = rows(recorded, head.as_ref());
        if rows.evidence.is_empty() {
            return Ok(None);
        }
        let mut network = Network::new([rows.evidence[0].len(), config.hidden], weights, round, seed, device)?;
        network.learn(&rows, config)?;
        head = Some(network.head()?);
    }
    Ok(head)
}

/// What the rest of each run changes, from each of its moments, if `head` ends the run.
fn rows(recorded: &[StoppableRun], head: Option<&HaltingHead>) -> Rows {
    let mut rows = Rows::default();
    for StoppableRun { latency_weight, moments, last } in recorded {
        let head = head.map(|head| head.at(*latency_weight));
        let mut end = *last;
        for Judged { evidence, score, latency, cost } in moments.iter().rev() {
            let rest = Forecast { score: end.score - score, latency: end.latency - latency, cost: end.cost - cost };
            rows.rest.push(rest);
            if head.as_ref().is_some_and(|head| head.halts(evidence)) {
                end = Forecast { score: *score, latency: *latency, cost: *cost };
            }
            rows.evidence.push(evidence.clone());
        }
    }
    rows
}

/// A head in training. Its outputs are in units of score, so that each error counts as much as it affects the decision.
struct Network {
    /// `W_1`, `b_1`, `W_2`, `b_2`.
    vars: Vec<Var>,
    weights: [f64; 2],
    round: u32,
    seed: u64,
}

impl Network {
    fn new([inputs, hidden]: [usize; 2], weights: [f64; 2], round: u32, seed: u64, device: &Device) -> Result<Self> {
        let mut rng = random::stream(seed, &[&"halting head", &round]);
        let mut var = |shape: &[usize], bound: f32| -> Result<Var> {
            let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..=bound)).collect();
            Ok(Var::from_tensor(&Tensor::from_vec(numbers, shape, device)?)?)
        };
        let (first, second) = ((inputs as f32).powf(-0.5), (hidden as f32).powf(-0.5));
        let vars = vec![
            var(&[hidden, inputs], first)?,
            var(&[hidden], first)?,
            var(&[OUTPUTS, hidden], second)?,
            var(&[OUTPUTS], 0.0)?,
        ];
        Ok(Network { vars, weights, round, seed })
    }

    /// Least squares.
    fn learn(&mut self, rows: &Rows, config: &HaltingConfig) -> Result<()> {
        let named = self.vars.iter().enumerate().map(|(at, var)| (at.to_string(), var.clone()));
        let mut adam = Adam::new(named.collect::<Vec<_>>())?;
        let device = self.vars[0].device().clone();
        let [latency_weight, cost_weight] = self.weights;
        let target = |&Forecast { score, latency, cost }: &Forecast| {
            [score, latency_weight * latency, cost_weight * cost].map(|value| value as f32)
        };
        let mut order: Vec<usize> = (0..rows.rest.len()).collect();
        let mut rng = random::stream(self.seed, &[&"halting order", &self.round]);
        let updates = (order.len().div_ceil(config.batch) * config.passes as usize) as f64;
        for _ in 0..config.passes {
            order.shuffle(&mut rng);
            for batch in order.chunks(config.batch) {
                let evidence: Vec<f32> = batch.iter().flat_map(|&row| &rows.evidence[row]).copied().collect();
                let rest: Vec<f32> = batch.iter().flat_map(|&row| target(&rows.rest[row])).collect();
                let shape = (batch.len(), evidence.len() / batch.len());
                let evidence = Tensor::from_vec(evidence, shape, &device)?;
                let rest = Tensor::from_vec(rest, (batch.len(), OUTPUTS), &device)?;
                let loss = (self.forward(&evidence)? - rest)?.sqr()?.mean_all()?;
                let left = 1.0 - adam.steps() as f64 / updates;
                let (gradients, norm) = gradients(&loss.backward()?, &self.vars, 1.0)?;
                ensure!(norm.is_finite(), "the halting head diverged; hint: lower `halting.learning_rate`");
                adam.step(&gradients, config.learning_rate * left)?;
            }
        }
        Ok(())
    }

    /// `[N, F]` to `[N, 3]`.
    fn forward(&self, evidence: &Tensor) -> Result<Tensor> {
        let mut values = evidence.clone();
        for (layer, dense) in self.vars.chunks_exact(2).enumerate() {
            values = if layer == 0 { values } else { values.tanh()? };
            values = values.matmul(&dense[0].t()?)?.broadcast_add(&dense[1])?;
        }
        Ok(values)
    }

    /// The learned head, in the unit of latency and in dollars.
    fn head(&self) -> Result<HaltingHead> {
        let [latency_weight, cost_weight] = self.weights;
        // What weighs nothing was learned as nothing.
        let unit = |weight: f64| if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };
        let units = Tensor::new(&[1.0, unit(latency_weight), unit(cost_weight)], &Device::Cpu)?;
        let host = |at: usize| self.vars[at].to_device(&Device::Cpu);
        let (hidden, hidden_bias, output, output_bias) = (host(0)?, host(1)?, host(2)?, host(3)?);
        let weights = Tensor::new(&self.weights.map(|weight| weight as f32), &Device::Cpu)?;
        let output = output.broadcast_mul(&units.unsqueeze(1)?)?;
        let inputs = hidden.dim(1)?;
        let tensors = [hidden, hidden_bias, output, (output_bias * units)?, weights];
        let named = HaltingHead::TENSORS.into_iter().map(str::to_owned).zip(tensors);
        HaltingHead::from_tensors(&named.collect(), inputs)
    }
}

const OUTPUTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(evidence: f32, score: f64, latency: f64) -> Judged {
        Judged { evidence: vec![evidence, latency as f32 / 32.0], score, latency, cost: latency / 1000.0 }
    }

    fn recorded(moments: Vec<Judged>, score: f64, latency: f64) -> StoppableRun {
        StoppableRun { latency_weight: 0.01, moments, last: Forecast { score, latency, cost: latency / 1000.0 } }
    }

    /// A tenth of a point for ten tokens; waiting brings half a point where the evidence is 1, and nothing where it is 0.
    fn runs() -> Vec<StoppableRun> {
        let run = |number: usize| {
            let [doubtful, right] = [number % 2, number / 2 % 2].map(|bit| bit as f64);
            let now = if doubtful > 0.0 { 0.0 } else { right };
            recorded(vec![judged(doubtful as f32, now, 20.0)], right, 30.0)
        };
        (0..256).map(run).collect()
    }

    fn settings() -> HaltingConfig {
        HaltingConfig { passes: 60, batch: 16, ..HaltingConfig::default() }
    }

    #[test]
    fn a_head_waits_where_waiting_pays() -> Result<()> {
        let head = fit(&runs(), &settings(), [0.01, 1.0], 3, &Device::Cpu)?;
        let head = head.expect("a head");
        let Forecast { score, latency, cost } = head.forecast(&judged(1.0, 0.0, 20.0).evidence);
        assert!((score - 0.5).abs() < 0.03 && (latency - 10.0).abs() < 0.5 && (cost - 0.01).abs() < 0.002);
        assert!(head.halts(&judged(0.0, 1.0, 20.0).evidence));
        assert!(!head.halts(&judged(1.0, 0.0, 20.0).evidence));
        // Half a point for ten tokens is too dear where a token weighs a tenth of a point.
        assert!(head.at(0.1).halts(&judged(1.0, 0.0, 20.0).evidence));
        assert_eq!(HaltingHead::from_tensors(&head.tensors()?, 2)?, head);
        assert!(HaltingHead::from_tensors(&head.tensors()?, 3).is_err());
        assert!(
            fit(&[recorded(Vec::new(), 1.0, 30.0)], &HaltingConfig::default(), [0.01, 1.0], 3, &Device::Cpu)?.is_none()
        );
        Ok(())
    }

    #[test]
    fn the_rest_ends_where_the_head_ends_it() -> Result<()> {
        let head = fit(&runs(), &settings(), [0.01, 1.0], 3, &Device::Cpu)?;
        let run = [recorded(vec![judged(1.0, 0.0, 10.0), judged(0.0, 1.0, 20.0)], 0.0, 30.0)];
        let changes = |head| {
            let rest = rows(&run, head).rest;
            rest.iter().map(|rest| (rest.score, rest.latency)).collect::<Vec<_>>()
        };
        assert_eq!(changes(None), [(-1.0, 10.0), (0.0, 20.0)]);
        assert_eq!(changes(head.as_ref()), [(-1.0, 10.0), (1.0, 10.0)]);
        Ok(())
    }
}
