//! The books of an endpoint: what was requested, and what that cost.

use serde::Serialize;

use crate::model::Timing;
use crate::plan::Usage;

/// What all calls to an endpoint came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    /// Requests sent, without the probes.
    pub requests: u64,
    /// Requests that only asked whether the endpoint is there, before the first call.
    pub probes: u64,
    /// Of these, the answered ones.
    pub answered: u64,
    /// Of the answered requests.
    pub usage: Usage,
    /// Of answers that broke off or were no longer needed, by the client's estimate; paid for all the same.
    pub lost: Usage,
    /// Dollars for both.
    pub cost: f64,
    /// Sums over the answered requests.
    pub timing: Timing,
}

impl Account {
    /// Tokens spent.
    pub fn tokens(&self) -> u64 {
        self.usage.tokens().saturating_add(self.lost.tokens())
    }

    /// Mean seconds to the first token.
    pub fn first_token(&self) -> f64 {
        self.timing.first_token / self.answered.max(1) as f64
    }

    /// Mean seconds from one token to the next.
    pub fn seconds_per_token(&self) -> f64 {
        let steps = self.usage.completion_tokens.saturating_sub(self.answered).max(1);
        (self.timing.total - self.timing.first_token) / steps as f64
    }

    pub(super) fn answer(&mut self, usage: Usage, cost: f64, timing: Timing) {
        self.answered += 1;
        self.usage += usage;
        self.cost += cost;
        self.timing.first_token += timing.first_token;
        self.timing.total += timing.total;
    }

    pub(super) fn lose(&mut self, usage: Usage, cost: f64) {
        self.lost += usage;
        self.cost += cost;
    }
}

impl std::ops::AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        let Account { requests, probes, answered, usage, lost, cost, timing } = other;
        self.requests += requests;
        self.probes += probes;
        self.answered += answered;
        self.usage += usage;
        self.lost += lost;
        self.cost += cost;
        self.timing.first_token += timing.first_token;
        self.timing.total += timing.total;
    }
}
