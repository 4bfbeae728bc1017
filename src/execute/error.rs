//! Why a query could not be run.

use crate::model;

/// Why a query could not be completed. Callers stop rather than skip the query.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The model can never answer such a request.
    #[error("operator `{operator}`: {error}")]
    Model { operator: String, error: model::Error },
    /// There is an answer, but it cannot be graded.
    #[error("grading `{problem}`: {reason}")]
    Grading { problem: String, reason: String },
    #[error("expected operators of the catalogue, 0 to {last}, found {found} in the plan")]
    UnknownOperator { found: usize, last: usize },
    #[error("expected at most {most} layers, found more; hint: the decider keeps committing layers")]
    TooManyLayers { most: usize },
    #[error("query `{query}`: expected recorded outputs in `{origin}`, found none")]
    NotRecorded { query: String, origin: String },
    #[error("expected a recorded output of `{operator}`, found none for this query")]
    NoOutput { operator: String },
}

impl ExecuteError {
    /// Whether only this query lacks something that plans need: another one may have it.
    pub fn is_of_query(&self) -> bool {
        matches!(self, ExecuteError::NoOutput { .. })
    }

    /// The cap that was reached, if that is the only reason.
    pub fn cap(&self) -> Option<&str> {
        match self {
            ExecuteError::Model { error: model::Error::Capped(cap), .. } => Some(cap),
            _ => None,
        }
    }
}
