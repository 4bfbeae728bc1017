//! Training: episodes to utilities (E5), to advantages (E6), to a loss (E7), to better weights.

mod adam;
mod advantage;
mod config;
mod drawing;
mod halting;
mod learner;
mod loss;
mod metrics;
mod rehearsal;
mod reward;
mod rollout;
mod run;
mod state;
mod survey;
#[cfg(test)]
mod testing;

pub use adam::Adam;
pub use advantage::{Baseline, MovingAverages, Sample, advantages};
pub use config::{HaltingConfig, Loss, TrainingConfig};
pub use learner::{Experience, Learner, Update};
pub use loss::{episode_loss, gradients, policy_loss};
pub use metrics::{EpochMetrics, Summary};
pub use rehearsal::SURVEY_FILE;
pub use reward::{Charge, Credit, Utilities, utilities};
pub use rollout::{Course, Judged, Problems, Rollout, Tried};
pub use run::{CHECKPOINT_FILE, Event, METRICS_FILE, STATE_FILE, Setup, Trained, train};
pub use survey::SurveyConfig;
