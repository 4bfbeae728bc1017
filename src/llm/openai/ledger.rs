//! What an endpoint was asked for and what that cost, and the caps that it may not exceed.

use serde::Serialize;

use super::config::EndpointConfig;
use crate::llm::Timing;
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
}

/// Tokens and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    pub tokens: u64,
    /// Dollars.
    pub cost: f64,
}

/// The account with its caps. What requests in flight may come to is reserved, so that the caps hold whatever they do.
#[derive(Debug)]
pub struct Ledger {
    pub account: Account,
    max_cost: Option<f64>,
    max_tokens: Option<u64>,
    reserved: Amount,
}

/// Whether there is room for another request.
#[derive(Debug, PartialEq)]
pub enum Room {
    Enough,
    /// Perhaps once those in flight have ended.
    Later,
    /// There is not, and there will not be.
    Never(String),
}

impl Ledger {
    pub fn new(config: &EndpointConfig) -> Self {
        let EndpointConfig { max_cost, max_tokens, .. } = *config;
        Ledger { account: Account::default(), max_cost, max_tokens, reserved: Amount::default() }
    }

    /// Whether a request that comes to at most `amount` fits under the caps.
    pub fn room(&self, amount: Amount) -> Room {
        let (cost, tokens) = (self.account.cost, self.account.tokens());
        if let Some(max) = self.max_cost.filter(|&max| cost + amount.cost > max) {
            return Room::Never(format!(
                "--max-cost {max} $: {cost:.6} $ are spent, and the next call may cost {:.6} $",
                amount.cost
            ));
        }
        if let Some(max) = self.max_tokens.filter(|&max| tokens.saturating_add(amount.tokens) > max) {
            return Room::Never(format!(
                "--max-tokens {max}: {tokens} are spent, and the next call may take {}",
                amount.tokens
            ));
        }
        let dear = self.max_cost.is_some_and(|max| cost + self.reserved.cost + amount.cost > max);
        let long = self.max_tokens.is_some_and(|max| tokens + self.reserved.tokens.saturating_add(amount.tokens) > max);
        if dear || long { Room::Later } else { Room::Enough }
    }

    pub fn reserve(&mut self, amount: Amount) {
        self.reserved.tokens = self.reserved.tokens.saturating_add(amount.tokens);
        self.reserved.cost += amount.cost;
        self.account.requests += 1;
    }

    /// Gives back what was reserved for a request that has ended.
    pub fn release(&mut self, amount: Amount) {
        self.reserved.tokens = self.reserved.tokens.saturating_sub(amount.tokens);
        // Sums of floats taken apart in another order leave crumbs; with nothing in flight nothing is reserved.
        self.reserved.cost = if self.reserved.tokens == 0 { 0.0 } else { self.reserved.cost - amount.cost };
    }

    pub fn answered(&mut self, usage: Usage, cost: f64, timing: Timing) {
        self.account.answered += 1;
        self.account.usage += usage;
        self.account.cost += cost;
        self.account.timing.first_token += timing.first_token;
        self.account.timing.total += timing.total;
    }

    pub fn lost(&mut self, usage: Usage, cost: f64) {
        self.account.lost += usage;
        self.account.cost += cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_whatever_the_requests_in_flight_come_to() {
        let config = EndpointConfig { max_cost: Some(1.0), max_tokens: Some(100), ..Default::default() };
        let mut ledger = Ledger::new(&config);
        let amount = Amount { tokens: 40, cost: 0.3 };
        for _ in 0..2 {
            assert_eq!(ledger.room(amount), Room::Enough);
            ledger.reserve(amount);
        }
        assert_eq!(ledger.room(amount), Room::Later);
        ledger.release(amount);
        let usage = Usage { prompt_tokens: 30, completion_tokens: 31, ..Usage::default() };
        ledger.answered(usage, 0.2, Timing::default());
        assert!(matches!(ledger.room(amount), Room::Never(why) if why.contains("--max-tokens 100: 61 are spent")));
        ledger.lost(Usage { prompt_tokens: 1, ..Usage::default() }, 0.6);
        let small = Amount { tokens: 1, cost: 0.3 };
        assert!(matches!(ledger.room(small), Room::Never(why) if why.contains("--max-cost 1 $: 0.800000 $ are spent")));
        assert_eq!((ledger.account.requests, ledger.account.answered, ledger.account.tokens()), (2, 1, 62));
    }
}
