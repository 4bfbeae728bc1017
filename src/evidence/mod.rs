//! Evidence: what is known of a query while its operators run.

mod chosen;
mod known;
mod standing;

pub use chosen::{Charge, Chosen, Stage};
pub use known::Known;
pub use standing::Standing;
