//! A circuit breaker: a server that failed several times in a row is not asked for a while, so that callers learn of it
//! at once. `lamas serve` has one for each upstream; training waits and retries.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which a server is not asked any more, if they span at least `SPAN`: of many requests at
/// once, a few fail together by chance.
pub const FAILURES: u32 = 5;
const SPAN: Duration = Duration::from_secs(1);
/// Failures in a row that are not chance, however fast they come.
const MANY: u32 = 20;
/// The first pause; each trial that fails doubles it.
pub const PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Which requests a server gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Circuit {
    /// All of them.
    Closed,
    /// One, which tries whether it answers again.
    HalfOpen,
    /// None.
    Open,
}

impl Circuit {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Circuit::Closed => "closed",
            Circuit::HalfOpen => "half-open",
            Circuit::Open => "open",
        }
    }
}

/// Why a server is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    failures: u32,
    wait: Duration,
    why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wait = self.wait.as_secs_f64().ceil().max(1.0);
        let Refusal { failures, why, .. } = self;
        write!(
            f,
            "it failed {failures} times in a row and is not asked now; it is tried again in {wait} s; at last: {why}"
        )
    }
}

/// The breaker of a server.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// When the first of them was.
    since: Option<Instant>,
    /// Why the last one failed.
    why: String,
    /// Some from the failure that opened it until the next answer.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: Instant,
    pause: Duration,
    /// Whether a trial request is on its way.
    is_tried: bool,
}

/// A request that may be sent. If it is dropped without an outcome, it says nothing about the server.
#[derive(Debug)]
pub struct Pass {
    breaker: Arc<Breaker>,
    is_trial: bool,
}

impl Breaker {
    /// Lets a request through.
    ///
    /// # Errors
    /// The server failed too often.
    pub fn enter(self: &Arc<Self>) -> Result<Pass, Refusal> {
        let mut state = self.lock();
        let (failures, why) = (state.failures, state.why.clone());
        let Some(open) = &mut state.open else { return Ok(Pass { breaker: self.clone(), is_trial: false }) };
        let wait = open.until.saturating_duration_since(Instant::now());
        if open.is_tried || !wait.is_zero() {
            return Err(Refusal { failures, wait, why });
        }
        open.is_tried = true;
        Ok(Pass { breaker: self.clone(), is_trial: true })
    }

    /// Which requests the server gets.
    pub fn circuit(&self) -> Circuit {
        match self.lock().open {
            None => Circuit::Closed,
            Some(open) if open.is_tried || open.until <= Instant::now() => Circuit::HalfOpen,
            Some(_) => Circuit::Open,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The server answered, even if it refused this request.
    pub fn answered(mut self) {
        self.is_trial = false;
        *self.breaker.lock() = State::default();
    }

    /// The server failed, for this reason.
    pub fn failed(mut self, why: &str) {
        let was_trial = std::mem::take(&mut self.is_trial);
        let mut state = self.breaker.lock();
        state.failures = state.failures.saturating_add(1);
        why.clone_into(&mut state.why);
        let lasts = state.since.get_or_insert_with(Instant::now).elapsed();
        let is_out = state.failures >= FAILURES && lasts >= SPAN || state.failures >= MANY;
        let pause = match state.open {
            Some(open) if was_trial => (2 * open.pause).min(LONGEST),
            // One that was sent before it opened.
            Some(_) => return,
            None if is_out => PAUSE,
            None => return,
        };
        state.open = Some(Open { until: Instant::now() + pause, pause, is_tried: false });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_trial
            && let Some(open) = &mut self.breaker.lock().open
        {
            open.is_tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_is_tried_by_one() -> Result<(), Refusal> {
        let breaker = Arc::new(Breaker::default());
        let fail = |times: u32| (0..times).try_for_each(|_| breaker.enter().map(|pass| pass.failed("away")));
        let check = |expected: Circuit| assert_eq!(breaker.circuit(), expected);
        fail(MANY - 1)?;
        breaker.enter()?.answered();
        let late = breaker.enter()?;
        fail(FAILURES - 1)?;
        tokio::time::advance(SPAN).await;
        check(Circuit::Closed);
        fail(1)?;
        check(Circuit::Open);
        let said = breaker.enter().expect_err("a refusal").to_string();
        assert_eq!(said, "it failed 5 times in a row and is not asked now; it is tried again in 10 s; at last: away");
        // A request sent before it opened does not keep it open longer.
        late.failed("later");
        tokio::time::advance(PAUSE).await;
        check(Circuit::HalfOpen);
        let trial = breaker.enter()?;
        assert!(breaker.enter().is_err());
        drop(trial);
        fail(1)?;
        check(Circuit::Open);
        tokio::time::advance(PAUSE).await;
        check(Circuit::Open);
        tokio::time::advance(PAUSE).await;
        breaker.enter()?.answered();
        check(Circuit::Closed);
        fail(MANY - 1)?;
        check(Circuit::Closed);
        fail(1)?;
        for _ in 0..9 {
            tokio::time::advance(LONGEST).await;
            fail(1)?;
        }
        tokio::time::advance(LONGEST).await;
        check(Circuit::HalfOpen);
        Ok(())
    }
}
