//! What may be spent and what is spent by all endpoints that share a purse; a cap applies to their sum.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::config::EndpointConfig;

/// Tokens and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    pub tokens: u64,
    /// Dollars.
    pub cost: f64,
}

/// The caps with what counts against them. What requests in flight may come to is reserved, so that the caps hold whatever
/// they do. Copies are one purse.
#[derive(Clone, Debug, Default)]
pub struct Purse(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    max_cost: Option<f64>,
    max_tokens: Option<u64>,
    held: Mutex<Held>,
    /// Something that was reserved has been given back.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    spent: Amount,
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

impl Purse {
    /// A purse with the caps of these settings.
    pub fn new(config: &EndpointConfig) -> Self {
        let EndpointConfig { max_cost, max_tokens, .. } = *config;
        Purse(Arc::new(Shared { max_cost, max_tokens, ..Shared::default() }))
    }

    /// Whether a request that comes to at most `amount` fits under the caps.
    pub(super) fn room(&self, amount: Amount) -> Room {
        self.0.room(&self.held(), amount)
    }

    /// As [`Purse::room`]; where there is enough, it is reserved.
    pub(super) fn reserve(&self, amount: Amount) -> Room {
        let mut held = self.held();
        let room = self.0.room(&held, amount);
        if room == Room::Enough {
            held.reserved.tokens = held.reserved.tokens.saturating_add(amount.tokens);
            held.reserved.cost += amount.cost;
        }
        room
    }

    /// Gives back what was reserved for a request that has ended.
    pub(super) fn release(&self, amount: Amount) {
        let mut held = self.held();
        held.reserved.tokens = held.reserved.tokens.saturating_sub(amount.tokens);
        // Sums of floats taken apart in another order leave crumbs; with nothing in flight nothing is reserved.
        held.reserved.cost = if held.reserved.tokens == 0 { 0.0 } else { held.reserved.cost - amount.cost };
        drop(held);
        self.0.changed.notify_waiters();
    }

    pub(super) fn spend(&self, amount: Amount) {
        let mut held = self.held();
        held.spent.tokens = held.spent.tokens.saturating_add(amount.tokens);
        held.spent.cost += amount.cost;
    }

    /// Until something is given back after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn room(&self, held: &Held, amount: Amount) -> Room {
        let Held { spent: Amount { tokens, cost }, reserved } = *held;
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
        let dear = self.max_cost.is_some_and(|max| cost + reserved.cost + amount.cost > max);
        let long = self
            .max_tokens
            .is_some_and(|max| tokens.saturating_add(reserved.tokens).saturating_add(amount.tokens) > max);
        if dear || long { Room::Later } else { Room::Enough }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_whatever_the_requests_in_flight_come_to() {
        let config = EndpointConfig { max_cost: Some(1.0), max_tokens: Some(100), ..Default::default() };
        let (purse, amount) = (Purse::new(&config), Amount { tokens: 40, cost: 0.3 });
        let other = purse.clone();
        for purse in [&purse, &other] {
            assert_eq!(purse.reserve(amount), Room::Enough);
        }
        assert_eq!((purse.room(amount), other.reserve(amount)), (Room::Later, Room::Later));
        other.release(amount);
        purse.spend(Amount { tokens: 61, cost: 0.2 });
        assert!(matches!(other.room(amount), Room::Never(why) if why.contains("--max-tokens 100: 61 are spent")));
        other.spend(Amount { tokens: 1, cost: 0.6 });
        let small = Amount { tokens: 1, cost: 0.3 };
        assert!(matches!(purse.room(small), Room::Never(why) if why.contains("--max-cost 1 $: 0.800000 $ are spent")));
        assert_eq!(Purse::default().reserve(Amount { tokens: u64::MAX, cost: 1e9 }), Room::Enough);
    }
}
