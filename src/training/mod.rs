//! Training: episodes to utilities (E5), to advantages (E6), to a loss (E7), to better weights.

mod adam;
mod advantage;
mod loss;
mod reward;
#[cfg(test)]
mod testing;

pub use adam::Adam;
pub use advantage::{Baseline, MovingAverages, Sample, advantages};
pub use loss::{episode_loss, gradients, policy_loss};
pub use reward::{Credit, Reward, Utilities, episode_path, utilities, utility};
