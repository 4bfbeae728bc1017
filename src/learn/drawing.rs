//! A pass of drawn plans: rollouts continue while the learner learns.

use futures::stream::{FuturesOrdered, StreamExt};

use anyhow::Result;

use super::Experience;
use super::resume::Run;
use super::rollout::{Attempt, TrainingEpisode};
use super::setup::{Event, Halt, Notify};
use crate::controller::Policy;
use crate::random::{self, Purpose};

impl Run<'_> {
    /// Learns from plans drawn for each training problem, batch after batch.
    ///
    /// The plans of a batch are drawn once the learner has seen all but the last `ahead` batches before it. So they are at
    /// most that many updates old, however long the queries take, and timing changes no result. Nothing is drawn beyond the
    /// next point at which the run is saved.
    pub(super) async fn learn_from_drawn(&mut self, epoch: u32, notify: &mut Notify<'_>) -> Result<(), Halt> {
        let order = self.order(&mut random::stream(self.provenance.seed, &[&"shuffle", &epoch]));
        let batches: Vec<&[usize]> = order.chunks(self.config.batch).collect();
        let (count, train) = (batches.len(), self.train);
        let concurrency = self.config.concurrency.div_ceil(self.config.ahead + 1);
        let mut running = FuturesOrdered::new();
        let mut drawn = self.state.position.batch;
        for batch in self.state.position.batch..count {
            self.check_cancelled()?;
            let end = self.config.next_whole(batch).min(batch + self.config.ahead + 1).min(count);
            for problems in &batches[drawn.min(end)..end] {
                running.push_back(train.solve_all(self.draw(epoch, problems)?, false, concurrency));
            }
            drawn = drawn.max(end);
            let Some(outcomes) = running.next().await else { break };
            let mut tally = self.state.position.pass.tally.clone();
            let episodes = self.settle(outcomes, &mut tally)?;
            self.state.position.pass.tally = tally;
            let episodes: Vec<TrainingEpisode> = episodes.into_iter().flatten().collect();
            let done = f64::from(epoch) + batch as f64 / count as f64;
            self.learn_from(&episodes, 1.0 - done / f64::from(self.config.epochs))?;
            let pass = self.state.position.pass.tally.summary();
            notify(Event::Batch { epoch, batch, batches: count, episodes: &episodes, pass: &pass });
            self.state.position.batch = batch + 1;
            if self.config.save_every > 0 && (batch + 1).is_multiple_of(self.config.save_every as usize) {
                self.save()?;
            }
        }
        Ok(())
    }

    /// Draws several plans for each of `problems`.
    fn draw(&self, epoch: u32, problems: &[usize]) -> Result<Vec<Attempt>> {
        let policy = Policy::new(&self.learner.controller)?;
        let mut attempts = Vec::with_capacity(problems.len() * self.config.samples as usize);
        for &problem in problems {
            let id = &self.train.ids[problem];
            let latency_weight = self.latency_weight("latency weight", epoch, problem);
            let policy = policy.at(latency_weight);
            for sample in 0..self.config.samples {
                let mut rng = random::stream(self.provenance.seed, &[&"plan", &epoch, id, &sample]);
                let plan = policy.sample(&self.train.queries[problem], &mut rng);
                let attempt = u64::from(epoch) * u64::from(self.config.samples) + u64::from(sample);
                let draw = Purpose::Training.draw(attempt % self.config.draws);
                attempts.push(Attempt { problem, proposal: plan.into(), draw, latency_weight });
            }
        }
        Ok(attempts)
    }

    fn learn_from(&mut self, episodes: &[TrainingEpisode], left: f64) -> Result<()> {
        let queries = self.train.queries;
        let batch: Vec<Experience<'_>> = episodes
            .iter()
            .map(|TrainingEpisode { problem, latency_weight, episode, .. }| Experience {
                problem: *problem,
                query: &queries[*problem],
                latency_weight: *latency_weight,
                episode,
            })
            .collect();
        let update = self.learner.update(&batch, left)?;
        self.state.position.pass.add(update);
        Ok(())
    }
}
