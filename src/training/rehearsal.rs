//! The part of a run before any plan is drawn: the survey is recorded and learned from.

use anyhow::Result;

use super::run::{Event, Run};
use super::survey::{Survey, attempts, grouped};
use crate::plan::small_plans;
use crate::random;

/// Problems surveyed between two looks at whether the run was cancelled.
const CHUNK: usize = 16;

impl Run<'_> {
    /// Surveys the training problems, learns from what was found and validates; false when cancelled. Nothing of it is
    /// saved before its end: a resume begins it anew, and a replay cache then answers.
    pub(super) async fn rehearse(&mut self, notify: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<bool> {
        let config = self.config.survey.clone();
        let controller = &self.learner.controller;
        let plans = small_plans(controller.kinds(), controller.config().layers, config.operators, config.plans);
        if plans.is_empty() || config.passes == 0 {
            return Ok(true);
        }
        let Some(survey) = self.survey(Survey::new(plans, self.train), config.draws, notify).await? else {
            return Ok(false);
        };
        let updates = self.train.ids.len().div_ceil(config.batch) as f64 * f64::from(config.passes);
        let mut done = 0.0;
        for pass in 0..config.passes {
            let order = self.order(&mut random::stream(self.provenance.seed, &[&"rehearsal", &pass]));
            for problems in order.chunks(config.batch) {
                if self.is_cancelled() {
                    return Ok(false);
                }
                let queries = self.train.queries;
                let problems: Vec<_> = problems.iter().map(|&problem| (problem, queries[problem].as_slice())).collect();
                let update =
                    self.learner.rehearse(&survey, &problems, config.learning_rate * (1.0 - done / updates))?;
                self.state.position.pass.add(update);
                done += 1.0;
            }
        }
        self.state.position.rehearsed = true;
        self.finish_pass(0, notify).await?;
        Ok(true)
    }

    async fn survey(
        &mut self,
        mut survey: Survey,
        draws: u64,
        notify: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Option<Survey>> {
        let problems: Vec<usize> = (0..self.train.ids.len()).collect();
        let of = problems.len() * survey.plans.len() * draws as usize;
        let mut runs = 0;
        for chunk in problems.chunks(CHUNK) {
            if self.is_cancelled() {
                return Ok(None);
            }
            let attempts = attempts(chunk, &survey.plans, draws);
            runs += attempts.len();
            let outcomes = self.train.solve_all(attempts, self.config.concurrency).await;
            let mut tally = self.state.position.pass.tally.clone();
            let episodes = self.settle(outcomes, &mut tally)?;
            self.state.position.pass.tally = tally;
            let kinds = self.learner.controller.kinds();
            for (problem, plan, episodes) in grouped(episodes, survey.plans.len(), draws) {
                survey.record(problem, plan, &episodes, &self.config.reward, kinds);
            }
            notify(Event::Surveyed { runs, of });
        }
        Ok(Some(survey))
    }
}
