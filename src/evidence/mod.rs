//! Evidence: what is known about a query while its operators run.

mod asked;
mod chosen;
mod known;
mod standing;

pub use asked::Asked;
pub use chosen::{Charge, Chosen, Stage};
pub use known::Known;
pub use standing::Standing;
