//! The part of a run before any plan is drawn: the survey is recorded and learned from.

use super::learner::Rehearsed;
use super::run::{Event, Halt, Notify, Run};
use super::survey::{Survey, attempts, grouped};
use crate::plan::small_plans;
use crate::random;

/// Problems surveyed between two looks at whether the run was cancelled.
const CHUNK: usize = 16;

impl Run<'_> {
    /// Surveys the training problems and learns from what was found, in passes that are validated like any other. Nothing of
    /// it is saved before its end: a resume begins it anew, and a replay cache then answers.
    pub(super) async fn rehearse(&mut self, notify: &mut Notify<'_>) -> Result<(), Halt> {
        let config = self.config.survey.clone();
        let controller = &self.learner.controller;
        let plans = small_plans(controller.kinds(), controller.config().layers, config.operators, config.plans);
        if plans.is_empty() || config.passes == 0 {
            self.state.position.rehearsed = true;
            return Ok(());
        }
        let survey = self.survey(Survey::new(plans, self.train), config.draws, notify).await?;
        let updates = self.train.ids.len().div_ceil(config.batch) as f64 * f64::from(config.passes);
        let mut done = 0.0;
        for pass in 0..config.passes {
            let order = self.order(&mut random::stream(self.provenance.seed, &[&"rehearsal", &pass]));
            for problems in order.chunks(config.batch) {
                self.look()?;
                let queries = self.train.queries;
                let problems: Vec<_> = problems
                    .iter()
                    .map(|&problem| Rehearsed {
                        problem,
                        query: &queries[problem],
                        latency_weight: self.latency_weight("rehearsed latency weight", pass, problem),
                    })
                    .collect();
                let left = 1.0 - done / updates;
                let entropy = config.last_entropy + (config.first_entropy - config.last_entropy) * left;
                let update = self.learner.rehearse(&survey, &problems, config.learning_rate * left, entropy)?;
                self.state.position.pass.add(update);
                done += 1.0;
            }
            self.finish_pass(notify).await?;
        }
        (self.state.position.rehearsed, self.state.position.since_best) = (true, 0);
        self.save()?;
        Ok(self.publish()?)
    }

    async fn survey(&mut self, mut survey: Survey, draws: u64, notify: &mut Notify<'_>) -> Result<Survey, Halt> {
        let problems: Vec<usize> = (0..self.train.ids.len()).collect();
        let of = problems.len() * survey.plans.len() * draws as usize;
        let mut runs = 0;
        for chunk in problems.chunks(CHUNK) {
            self.look()?;
            let attempts = attempts(chunk, &survey.plans, draws, self.config.reward.latency_weight);
            runs += attempts.len();
            let outcomes = self.train.solve_all(attempts, self.config.concurrency).await;
            let mut tally = self.state.position.pass.tally.clone();
            let episodes = self.settle(outcomes, &mut tally)?;
            self.state.position.pass.tally = tally;
            for (problem, plan, episodes) in grouped(episodes, survey.plans.len(), draws) {
                survey.record(problem, plan, &episodes, &self.config.reward);
            }
            notify(Event::Surveyed { runs, of });
        }
        Ok(survey.finish())
    }
}
