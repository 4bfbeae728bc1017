//! The observations that a latency model is fitted to and compared with.

use crate::evidence::Asked;
use crate::execute::Episode;

/// The measurement of one query.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    pub asked: Asked<'a>,
    pub episode: &'a Episode,
}
