//! What a hedged call used and cost.

use serde::{Deserialize, Serialize};

use crate::plan::Usage;

/// What a call came to whose request went to several models or servers, beyond the answer that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hedged {
    /// Of the requests whose answers were not taken.
    pub usage: Usage,
    /// Dollars of all requests together, that of the answer among them, each at the price of its model.
    pub cost: f64,
    /// Which of the models in reserve gave the answer, counted from 1; 0 where the operator's own did.
    #[serde(default, skip_serializing_if = "is_own")]
    pub reserve: u8,
}

fn is_own(reserve: &u8) -> bool {
    *reserve == 0
}
