//! Plans drawn ahead of the learner: it waits less, and neither timing nor a stop changes what it learns.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use lamas::execute::Episode;
use lamas::learn::{CHECKPOINT_FILE, METRICS_FILE, Rollout, STATE_FILE, SurveyConfig, TrainingConfig};
use lamas::plan::Plan;
use lamas::random::Draw;

use super::bandit::{BANDIT, Runner};

/// Every query takes one second, one in eight takes ten.
struct Slow;

#[async_trait]
impl Rollout for Slow {
    async fn solve(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Episode> {
        let seconds = if problem.is_multiple_of(8) { 10 } else { 1 };
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        BANDIT.solve(problem, plan, draw).await
    }
}

fn ahead(ahead: usize, folder: &Path) -> Runner<'_> {
    let mut runner = Runner { folder: Some(folder), ..Runner::default() };
    runner.preset = TrainingConfig { survey: SurveyConfig::none(), ahead, ..runner.preset };
    runner
}

fn files(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let read = |file| Ok(std::fs::read(folder.join(file))?);
    [CHECKPOINT_FILE, METRICS_FILE, STATE_FILE].into_iter().map(read).collect()
}

#[test]
fn timing_and_stops_change_nothing() -> Result<()> {
    let (whole, slow, parts) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    assert!(ahead(2, whole.path()).run()?.finished);
    Runner { rollout: &Slow, ..ahead(2, slow.path()) }.timed()?;
    assert!(files(whole.path())? == files(slow.path())?);
    // Batches are saved in threes: after the stop at the fifth, training resumes from the third.
    let part = Runner { stop_after: Some(5), ..ahead(2, parts.path()) };
    assert!(!part.run()?.finished);
    assert!(Runner { resume: true, ..ahead(2, parts.path()) }.run()?.finished);
    assert!(files(whole.path())? == files(parts.path())?);
    // Older plans give another gradient.
    let now = tempfile::tempdir()?;
    ahead(0, now.path()).run()?;
    assert!(files(whole.path())? != files(now.path())?);
    Ok(())
}

#[test]
fn the_learner_does_not_wait_for_the_slowest_of_each_batch() -> Result<()> {
    let seconds = |batches| -> Result<f64> {
        let folder = tempfile::tempdir()?;
        Ok(Runner { rollout: &Slow, ..ahead(batches, folder.path()) }.timed()?.as_secs_f64())
    };
    let (waiting, ahead) = (seconds(0)?, seconds(2)?);
    assert!(ahead < 0.75 * waiting, "{ahead} s against {waiting} s");
    Ok(())
}
