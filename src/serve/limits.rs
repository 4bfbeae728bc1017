//! What a server bears.

use std::time::Duration;

/// How many requests are served, and how long they may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that are answered at once.
    pub in_flight: usize,
    /// Requests that wait for their turn; more are refused at once.
    pub waiting: usize,
    /// Open connections; more wait to be accepted.
    pub connections: usize,
    /// Bytes of a request.
    pub body: usize,
    /// For the head of a request, and for the next request of an open connection.
    pub head: Duration,
    /// For the body of a request.
    pub upload: Duration,
    /// For an answer whose request names no budget.
    pub answer: Duration,
    /// From the signal to stop to the end of the requests in flight.
    pub drain: Duration,
    /// Between two comments in a stream that has nothing to say.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            in_flight: 64,
            waiting: 256,
            connections: 4096,
            body: 16 << 20,
            head: Duration::from_secs(30),
            upload: Duration::from_secs(30),
            answer: Duration::from_secs(120),
            drain: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
        }
    }
}
