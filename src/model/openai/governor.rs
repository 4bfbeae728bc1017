//! The one place that decides when a request may be sent. It counts requests in flight, requests and tokens per minute, waits that
//! the server asked for, and spending. A request that waits here stops when told to.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::EndpointConfig;
use super::ledger::Account;
use super::patience::Patience;
use super::purse::{Amount, Purse, Room};
use super::retry::{Cause, Failure};
use crate::model::Timing;
use crate::plan::Usage;

const MINUTE: Duration = Duration::from_secs(60);

/// What a request may come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimate {
    /// What rate limits count until the answer has come.
    pub tokens: u64,
    /// What it cannot exceed.
    pub most: Amount,
}

/// Admits the requests of one endpoint, in the order in which they ask.
#[derive(Debug)]
pub struct Governor {
    /// Held by the first in line while it waits.
    line: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// A request has ended.
    changed: Notify,
    /// What may be spent, perhaps by the requests of other endpoints too.
    purse: Purse,
}

#[derive(Debug)]
struct State {
    account: Account,
    flow: Flow,
    requests: Window,
    tokens: Window,
    /// Nothing is sent before this.
    held_until: Option<Instant>,
}

/// Why a request must wait.
#[derive(Debug, PartialEq)]
enum Wait {
    /// Until another has ended.
    Change,
    Until(Instant),
}

impl Governor {
    pub fn new(config: &EndpointConfig, purse: Purse) -> Self {
        let state = State {
            account: Account::default(),
            flow: Flow { most: config.in_flight as f64, allowed: config.in_flight as f64, in_flight: 0, eased: None },
            requests: Window::new(config.requests_per_minute),
            tokens: Window::new(config.tokens_per_minute),
            held_until: None,
        };
        Governor { line: tokio::sync::Mutex::default(), state: Mutex::new(state), changed: Notify::new(), purse }
    }

    /// What all requests came to so far.
    pub fn account(&self) -> Account {
        self.state().account
    }

    /// The client asks whether the endpoint is there.
    pub fn probed(&self) {
        self.state().account.probes += 1;
    }

    /// Waits for the turn of one request; it is over when the returned value is dropped.
    pub async fn admit(&self, estimate: Estimate, patience: &Patience) -> Result<Turn<'_>, Failure> {
        let _first = self.line.lock().await;
        loop {
            let (changed, given_back) = (self.changed.notified(), self.purse.changed());
            let wait = match self.state().admit(estimate, &self.purse, Instant::now()) {
                Ok(sent) => return Ok(Turn { governor: self, estimate, sent }),
                Err(wait) => wait?,
            };
            match wait {
                Wait::Change => tokio::select! {
                    () = changed => {}
                    () = given_back => {}
                },
                Wait::Until(moment) => tokio::select! {
                    slept = patience.until(moment) => slept.map_err(Failure::Capped)?,
                    () = changed => {}
                },
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When the request is sent, if it may be.
    fn admit(&mut self, estimate: Estimate, purse: &Purse, now: Instant) -> Result<Instant, Result<Wait, Failure>> {
        let enough = |room: Room| match room {
            Room::Enough => Ok(()),
            Room::Later => Err(Ok(Wait::Change)),
            Room::Never(why) => Err(Err(Failure::Capped(why))),
        };
        // Nobody waits for a rate limit who may not spend anything afterwards.
        enough(purse.room(estimate.most))?;
        if self.flow.in_flight as f64 + 1.0 > self.flow.allowed {
            return Err(Ok(Wait::Change));
        }
        let held = self.held_until.filter(|&moment| moment > now);
        let limits = [held, self.requests.room(1, now), self.tokens.room(estimate.tokens, now)];
        if let Some(moment) = limits.into_iter().flatten().max() {
            return Err(Ok(Wait::Until(moment)));
        }
        enough(purse.reserve(estimate.most))?;
        self.flow.in_flight += 1;
        self.requests.take(1, now);
        self.tokens.take(estimate.tokens, now);
        self.account.requests += 1;
        Ok(now)
    }
}

/// One request's permission to be in flight. What was reserved for it is given back when it goes.
#[derive(Debug)]
pub struct Turn<'a> {
    governor: &'a Governor,
    estimate: Estimate,
    pub sent: Instant,
}

impl Turn<'_> {
    /// The answer came.
    pub fn answered(self, usage: Usage, cost: f64, timing: Timing) {
        self.settle((usage, cost), |state| {
            state.account.answer(usage, cost, timing);
            state.flow.open();
        });
    }

    /// No answer came, or not all of it; `lost` is to be paid for all the same.
    pub fn failed(self, failure: &Failure, (usage, cost): (Usage, f64)) {
        let sent = self.sent;
        self.settle((usage, cost), |state| {
            state.account.lose(usage, cost);
            let Failure::Transient { wait, cause, .. } = failure else { return };
            let until = wait.and_then(|wait| Instant::now().checked_add(wait));
            state.held_until = state.held_until.max(until);
            if *cause == Cause::Limit {
                state.flow.ease(sent);
            }
        });
    }

    /// The answer was no longer needed; what it came to by then is to be paid for all the same.
    pub fn dropped(self, (usage, cost): (Usage, f64)) {
        self.settle((usage, cost), |state| state.account.lose(usage, cost));
    }

    fn settle(self, (usage, cost): (Usage, f64), settle: impl FnOnce(&mut State)) {
        let tokens = usage.tokens();
        self.governor.purse.spend(Amount { tokens, cost });
        let mut state = self.governor.state();
        state.tokens.correct(self.sent, self.estimate.tokens, tokens);
        settle(&mut state);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.governor.state();
        state.flow.in_flight -= 1;
        drop(state);
        self.governor.purse.release(self.estimate.most);
        self.governor.changed.notify_one();
    }
}

/// How many requests may be in flight: fewer after the server said there were too many, then slowly more again.
#[derive(Debug)]
struct Flow {
    most: f64,
    allowed: f64,
    in_flight: usize,
    /// When the number was last lowered.
    eased: Option<Instant>,
}

impl Flow {
    /// A request that was sent at `sent` met a rate limit. One wave of refusals halves the number once.
    fn ease(&mut self, sent: Instant) {
        if self.eased.is_none_or(|eased| sent > eased) {
            self.allowed = (self.allowed / 2.0).max(1.0);
            self.eased = Some(Instant::now());
        }
    }

    fn open(&mut self) {
        self.allowed = (self.allowed + 1.0 / self.allowed).min(self.most);
    }
}

/// What was sent within the last minute, of which a server allows only so much.
#[derive(Debug)]
struct Window {
    /// 0 for no limit.
    most: u64,
    sent: VecDeque<(Instant, u64)>,
}

impl Window {
    fn new(most: u64) -> Self {
        Window { most, sent: VecDeque::new() }
    }

    /// None if there is room for `amount` now, else when there may be. An amount above the limit goes alone.
    fn room(&mut self, amount: u64, now: Instant) -> Option<Instant> {
        while self.sent.front().is_some_and(|&(sent, _)| now.duration_since(sent) >= MINUTE) {
            self.sent.pop_front();
        }
        let used = self.sent.iter().fold(0_u64, |used, &(_, amount)| used.saturating_add(amount));
        let fits = self.most == 0 || used == 0 || used.saturating_add(amount) <= self.most;
        self.sent.front().filter(|_| !fits).map(|&(sent, _)| sent + MINUTE)
    }

    fn take(&mut self, amount: u64, now: Instant) {
        if self.most > 0 {
            self.sent.push_back((now, amount));
        }
    }

    /// What was sent at a moment came to another amount.
    fn correct(&mut self, sent: Instant, expected: u64, found: u64) {
        if let Some((_, amount)) = self.sent.iter_mut().find(|&&mut entry| entry == (sent, expected)) {
            *amount = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn governor(config: EndpointConfig) -> Governor {
        Governor::new(&config, Purse::new(&config))
    }

    /// Seconds after which each of `count` requests, of `tokens` each, is admitted; each takes `seconds`.
    async fn admissions(governor: &Governor, count: usize, tokens: u64, seconds: u64) -> Vec<u64> {
        let started = Instant::now();
        let request = |_| async {
            let turn =
                governor.admit(Estimate { tokens, ..Estimate::default() }, &Patience::default()).await.expect("no cap");
            let after = started.elapsed().as_secs();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let usage = Usage { completion_tokens: tokens, ..Usage::default() };
            turn.answered(usage, 0.0, Timing::default());
            after
        };
        futures::future::join_all((0..count).map(request)).await
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_holds_more_than_its_limits() {
        let config = EndpointConfig { in_flight: 2, ..Default::default() };
        assert_eq!(admissions(&governor(config), 5, 0, 10).await, [0, 0, 10, 10, 20]);
        let config = EndpointConfig { requests_per_minute: 2, ..Default::default() };
        assert_eq!(admissions(&governor(config), 5, 0, 1).await, [0, 0, 60, 60, 120]);
        let config = EndpointConfig { tokens_per_minute: 100, ..Default::default() };
        assert_eq!(admissions(&governor(config.clone()), 4, 40, 1).await, [0, 0, 60, 60]);
        assert_eq!(admissions(&governor(config), 3, 140, 1).await, [0, 60, 120]);
    }

    #[tokio::test(start_paused = true)]
    async fn everyone_keeps_the_wait_that_the_server_asks_for() -> Result<(), Failure> {
        let governor = governor(EndpointConfig { in_flight: 8, ..Default::default() });
        let patience = Patience::default();
        let turns = [
            governor.admit(Estimate::default(), &patience).await?,
            governor.admit(Estimate::default(), &patience).await?,
        ];
        let refusal = |seconds| Failure::Transient {
            message: String::new(),
            wait: Some(Duration::from_secs(seconds)),
            cause: Cause::Limit,
        };
        for (turn, seconds) in turns.into_iter().zip([30, 20]) {
            turn.failed(&refusal(seconds), Default::default());
        }
        // One wave of refusals halves eight to four; each answer lets in a little more.
        assert_eq!(admissions(&governor, 7, 0, 10).await, [30, 30, 30, 30, 40, 40, 40]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_turn_is_over_and_counted_as_lost() -> Result<(), Failure> {
        let config = EndpointConfig { in_flight: 1, max_tokens: Some(10), tokens_per_minute: 9, ..Default::default() };
        let (governor, patience) = (governor(config), Patience::default());
        let lost = Usage { prompt_tokens: 3, ..Usage::default() };
        let estimate = Estimate { tokens: 6, most: Amount { tokens: 6, cost: 0.0 } };
        governor.admit(estimate, &patience).await?.dropped((lost, 0.5));
        // Neither the cap nor the minute has room for the second but for what the first did not take.
        let started = Instant::now();
        let second = governor.admit(estimate, &patience).await?;
        assert_eq!(started.elapsed(), Duration::ZERO);
        second.answered(Usage { completion_tokens: 2, ..Usage::default() }, 0.25, Timing::default());
        let refused = governor.admit(estimate, &patience).await;
        assert!(matches!(refused, Err(Failure::Capped(ref why)) if why.contains("5 are spent")), "{refused:?}");
        let Account { requests, answered, cost, .. } = governor.account();
        assert_eq!((requests, answered, cost), (2, 1, 0.75));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn who_shares_a_purse_waits_for_what_others_give_back() -> Result<(), Failure> {
        let config = EndpointConfig { max_tokens: Some(10), ..Default::default() };
        let (purse, patience) = (Purse::new(&config), Patience::default());
        let [one, other] = [(); 2].map(|()| Governor::new(&EndpointConfig::default(), purse.clone()));
        let estimate = Estimate { tokens: 6, most: Amount { tokens: 6, cost: 0.0 } };
        let turn = one.admit(estimate, &patience).await?;
        let started = Instant::now();
        let (waited, ()) = tokio::join!(other.admit(estimate, &patience), async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            turn.answered(Usage { completion_tokens: 4, ..Usage::default() }, 0.0, Timing::default());
        });
        assert_eq!(started.elapsed().as_secs(), 5);
        waited?.answered(Usage { completion_tokens: 6, ..Usage::default() }, 0.0, Timing::default());
        let refused = one.admit(estimate, &patience).await;
        assert!(matches!(refused, Err(Failure::Capped(ref why)) if why.contains("10 are spent")), "{refused:?}");
        assert_eq!((one.account().tokens(), other.account().tokens()), (4, 6));
        Ok(())
    }
}
