//! How long calls of a run's models wait for their turn of late: by so much less time a plan has.

use std::sync::{Mutex, PoisonError};

use crate::plan::Trace;

/// Weight of the newest answer.
const NEWEST: f64 = 0.2;

/// A mean over the answers of late. It enters predictions alone: what is learned from knows no load.
#[derive(Debug, Default)]
pub struct Queue(Mutex<f64>);

impl Queue {
    /// Takes in what the calls of an answer waited.
    pub fn note(&self, trace: &Trace) {
        let calls: u32 = trace.all().map(|span| span.calls).sum();
        if calls > 0 {
            let waited = trace.queued() / f64::from(calls);
            let mut mean = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *mean += NEWEST * (waited - *mean);
        }
    }

    /// What is known grows old.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) *= 1.0 - NEWEST;
    }

    /// Seconds that a call waits, as far as is known.
    pub fn seconds(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Span;

    #[test]
    fn what_calls_wait_is_remembered_for_a_while() {
        let queue = Queue::default();
        let answer =
            |calls, queued| Trace { spans: vec![Span { calls, queued, ..Span::default() }], ..Trace::default() };
        let check = |calls, queued, expected: f64| {
            queue.note(&answer(calls, queued));
            assert!((queue.seconds() - expected).abs() < 1e-9, "{}", queue.seconds());
        };
        check(2, 10.0, 1.0);
        check(0, 10.0, 1.0);
        check(1, 0.0, 0.8);
    }
}
