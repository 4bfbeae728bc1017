//! Evidence: what is known of a query while its operators run.

mod known;
mod standing;

pub use known::{Charge, Chosen, Known, Stage};
pub use standing::Standing;
