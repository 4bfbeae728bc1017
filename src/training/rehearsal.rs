//! The part of a run before any plan is drawn: the survey is recorded and learned from.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::SurveyConfig;
use super::learner::Rehearsed;
use super::metrics::Tally;
use super::run::{Event, Halt, Notify, Run};
use super::survey::{Survey, attempts, grouped};
use crate::checkpoint::write_atomic;
use crate::plan::{Plan, small_plans};
use crate::random;

/// What has been recorded of a survey, until it has been learned from.
pub const SURVEY_FILE: &str = "survey.json";
/// Problems surveyed between two looks at whether the run was cancelled.
const CHUNK: usize = 16;
/// Chunks after which what was recorded is saved.
const SAVE_EVERY: usize = 32;

/// A survey on its way.
#[derive(Serialize, Deserialize)]
struct Recording {
    /// Of the run.
    identity: String,
    /// Problems that are done.
    problems: usize,
    tally: Tally,
    survey: Survey,
}

impl Run<'_> {
    /// Surveys the training problems and learns from what was found, in passes that are validated and saved like any other.
    pub(super) async fn rehearse(&mut self, notify: &mut Notify<'_>) -> Result<(), Halt> {
        let config = self.config.survey.clone();
        let controller = &self.learner.controller;
        let plans = small_plans(controller.kinds(), controller.config().layers, config.operators, config.plans);
        let first = self.state.position.rehearsals;
        if plans.is_empty() || first >= config.passes {
            return Ok(());
        }
        let Recording { survey, tally, .. } = self.survey(plans, config.draws, notify).await?;
        let survey = survey.finish();
        if first == 0 {
            self.state.position.pass.tally = tally;
        }
        for pass in first..config.passes {
            self.rehearse_pass(&survey, pass, &config)?;
            self.state.position.rehearsals = pass + 1;
            self.finish_pass(notify).await?;
            if pass + 1 == config.passes {
                self.state.position.since_best = 0;
            }
            self.save()?;
            self.publish()?;
        }
        Ok(self.forget_survey()?)
    }

    fn rehearse_pass(&mut self, survey: &Survey, pass: u32, config: &SurveyConfig) -> Result<(), Halt> {
        let order = self.order(&mut random::stream(self.provenance.seed, &[&"rehearsal", &pass]));
        let batches = order.chunks(config.batch);
        let (in_pass, of) = (batches.len() as f64, f64::from(config.passes));
        for (batch, problems) in batches.enumerate() {
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
            let left = 1.0 - (f64::from(pass) + batch as f64 / in_pass) / of;
            let entropy = config.last_entropy + (config.first_entropy - config.last_entropy) * left;
            let update = self.learner.rehearse(survey, &problems, config.learning_rate * left, entropy)?;
            self.state.position.pass.add(update);
        }
        Ok(())
    }

    /// Runs all plans on all problems, but for what a run that was stopped has recorded.
    async fn survey(&mut self, plans: Vec<Plan>, draws: u64, notify: &mut Notify<'_>) -> Result<Recording, Halt> {
        let path = self.folder.map(|folder| folder.join(SURVEY_FILE));
        let saved = path.as_deref().map(|path| load(path, &self.identity)).transpose()?.flatten();
        let mut recording = saved.unwrap_or_else(|| Recording {
            identity: self.identity.clone(),
            problems: 0,
            tally: Tally::default(),
            survey: Survey::new(plans, self.train),
        });
        let ended = self.record(&mut recording, draws, path.as_deref(), notify).await;
        save(&recording, path.as_deref())?;
        ended.map(|()| recording)
    }

    async fn record(
        &mut self,
        recording: &mut Recording,
        draws: u64,
        path: Option<&Path>,
        notify: &mut Notify<'_>,
    ) -> Result<(), Halt> {
        let problems: Vec<usize> = (recording.problems..self.train.ids.len()).collect();
        let runs = recording.survey.plans.len() * draws as usize;
        for (number, chunk) in (1..).zip(problems.chunks(CHUNK)) {
            self.look()?;
            let plans = &recording.survey.plans;
            let attempts = attempts(chunk, plans, draws, self.config.felt().latency_weight);
            let outcomes = self.train.solve_all(attempts, self.config.concurrency).await;
            let mut tally = recording.tally.clone();
            let episodes = self.settle(outcomes, &mut tally)?;
            for (problem, plan, episodes) in grouped(episodes, plans.len(), draws) {
                recording.survey.record(problem, plan, &episodes, (self.config.objective, self.config.credit));
            }
            recording.tally = tally;
            recording.problems += chunk.len();
            if number % SAVE_EVERY == 0 {
                save(recording, path)?;
            }
            notify(Event::Surveyed { runs: recording.problems * runs, of: self.train.ids.len() * runs });
        }
        Ok(())
    }

    /// Removes what was recorded, which a new run must not find.
    pub(super) fn forget_survey(&self) -> Result<()> {
        let path = self.folder.map(|folder| folder.join(SURVEY_FILE));
        match path.filter(|path| path.exists()) {
            Some(path) => std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display())),
            None => Ok(()),
        }
    }
}

/// None where nothing is recorded of this run.
fn load(path: &Path, identity: &str) -> Result<Option<Recording>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let damaged = || format!("`{}` is damaged; hint: remove it, the survey then begins anew", path.display());
    let recording: Recording = serde_json::from_slice(&bytes).with_context(damaged)?;
    Ok((recording.identity == identity).then_some(recording))
}

fn save(recording: &Recording, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    write_atomic(path, &serde_json::to_vec(recording)?)
}
