//! The controller (E1, E2): reads a query's embedding and chooses, layer by layer, which operators run.
//!
//! [`Controller`] learns (tensors, gradients); [`Policy`] makes the choices (plain numbers).

mod batch;
mod config;
mod layer;
mod learning;
mod policy;
mod sets;
mod weights;

pub use config::{ControllerConfig, Selection};
pub use learning::Controller;
pub use policy::Policy;
pub use weights::LatencyWeights;
