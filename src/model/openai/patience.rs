//! How calls wait: a watcher is told, and can end the waiting of all calls.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::model::FinishReason;

/// What a client tells while it works.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A call failed and is going to be tried again.
    Waiting {
        /// How long the call waits at least.
        pause: Duration,
        /// The number of the next request, from 1.
        request: u32,
        /// Requests after which the call is given up.
        requests: u32,
        /// Why the last one came to nothing.
        reason: String,
    },
    /// Something that holds from now on. Said once.
    Remark(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Waiting { pause, request, requests, reason } => {
                let seconds = pause.as_secs_f64();
                let places = if seconds < 10.0 { 1 } else { 0 };
                write!(out, "waiting {seconds:.places$} s, try {request} of {requests}: {reason}")
            }
            Notice::Remark(remark) => out.write_str(remark),
        }
    }
}

/// Hears what a client tells.
pub type Listener = Box<dyn Fn(&Notice) + Send + Sync>;

/// How the calls of one client wait.
#[derive(Default)]
pub struct Patience {
    /// Why nobody waits any longer, once that is so.
    ended: watch::Sender<Option<String>>,
    listener: Option<Listener>,
    /// How answers without text have ended so far.
    outcomes: Mutex<Vec<FinishReason>>,
}

impl Patience {
    /// Patience of which `listener` hears.
    pub fn telling(listener: Listener) -> Self {
        Patience { listener: Some(listener), ..Patience::default() }
    }

    /// Ends all waits, those to come too.
    pub fn end(&self, why: &str) {
        self.ended.send_replace(Some(why.to_owned()));
    }

    /// Sleeps until `moment`.
    ///
    /// # Errors
    /// Why nobody waits any longer.
    pub async fn until(&self, moment: Instant) -> Result<(), String> {
        tokio::select! {
            biased;
            why = self.over() => Err(why),
            () = sleep_until(moment) => Ok(()),
        }
    }

    /// Until nobody waits any longer: why that is so.
    pub async fn over(&self) -> String {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(why) => why.unwrap_or_default(),
            // The sender lives as long as this.
            Err(_) => std::future::pending().await,
        }
    }

    /// Tells of the first answer without text that ended so.
    pub fn remark_once(&self, finish: FinishReason, why: &str) {
        let mut known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&finish) {
            known.push(finish);
            drop(known);
            self.tell(&Notice::Remark(format!("{why}; such questions count as answered without text")));
        }
    }

    pub fn tell(&self, notice: &Notice) {
        if let Some(listener) = &self.listener {
            listener(notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_end_for_all_at_once() {
        let patience = Patience::default();
        let started = Instant::now();
        assert_eq!(patience.until(started + Duration::from_secs(3)).await, Ok(()));
        let (one, other, ()) = tokio::join!(
            patience.until(started + Duration::from_secs(500)),
            patience.until(started + Duration::from_secs(900)),
            async {
                tokio::time::sleep(Duration::from_secs(7)).await;
                patience.end("enough");
            }
        );
        assert_eq!((one, other, started.elapsed().as_secs()), (Err("enough".into()), Err("enough".into()), 10));
        assert_eq!(patience.until(started + Duration::from_secs(500)).await, Err("enough".into()));
    }

    #[test]
    fn notices_are_lines() {
        let reason = || "connection refused".to_owned();
        let notice = Notice::Waiting { pause: Duration::from_secs(12), request: 3, requests: 8, reason: reason() };
        assert_eq!(notice.to_string(), "waiting 12 s, try 3 of 8: connection refused");
        let notice = Notice::Waiting { pause: Duration::from_millis(520), request: 2, requests: 8, reason: reason() };
        assert_eq!(notice.to_string(), "waiting 0.5 s, try 2 of 8: connection refused");
    }
}
