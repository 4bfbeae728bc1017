//! Training: episodes to utilities (E5), to advantages (E6), to a loss (E7), to better weights.

mod adam;
mod config;
mod credit;
mod crossfit;
mod drawing;
mod expectation;
mod halting;
mod learner;
mod measured;
mod metrics;
mod outcomes;
mod passes;
mod resume;
mod rollout;
mod routing;
mod selection;
mod setup;
mod staging;
mod state;
mod target;
#[cfg(test)]
mod testing;
mod train;
mod worth;

pub use adam::{Adam, gradients};
pub use config::{HaltingConfig, Loss, SurveyConfig, TrainingConfig};
pub use credit::{Baseline, Charge, Credit, MovingAverages, Sample, Utilities, advantages, utilities};
pub use learner::{Experience, Learner, Update};
pub use metrics::{EpochMetrics, Summary};
pub use rollout::{Course, Judged, Problems, Rollout, TrainingEpisode};
pub use selection::{Candidate, Selection};
pub use setup::{CHECKPOINT_FILE, Event, METRICS_FILE, STATE_FILE, Setup, Trained};
pub use target::{Met, Target};
pub use train::{episode_loss, policy_loss, train};
