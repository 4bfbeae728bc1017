//! How many requests are answered at once, and how many wait for that.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::fault::Fault;

/// Weight of the newest answer in the mean of what answers take.
const NEWEST: f64 = 0.1;

/// Lets in so many requests at once.
#[derive(Debug)]
pub struct Gate {
    places: Arc<Semaphore>,
    in_flight: usize,
    most_waiting: usize,
    waiting: AtomicUsize,
    refused: AtomicU64,
    /// What answers took lately, in seconds.
    lasts: Mutex<Option<f64>>,
    /// Whenever a request ends, or begins to wait.
    moved: Notify,
}

/// A request's place among those that are answered; free again once it is dropped.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    since: Instant,
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub fn new(in_flight: usize, most_waiting: usize) -> Self {
        Gate {
            places: Arc::new(Semaphore::new(in_flight)),
            in_flight,
            most_waiting,
            waiting: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            lasts: Mutex::default(),
            moved: Notify::new(),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Too many wait already, or there is none in time.
    pub async fn enter(self: &Arc<Self>, until: Instant) -> Result<Place, Fault> {
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Ok(self.place(permit));
        }
        let _waits = Waits::new(self)?;
        let entered = timeout_at(until, self.places.clone().acquire_owned()).await;
        match entered {
            Ok(Ok(permit)) => Ok(self.place(permit)),
            Ok(Err(_)) => Err(self.refuse()),
            Err(_) => Err(Fault::late()),
        }
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        Place { gate: self.clone(), since: Instant::now(), permit: Some(permit) }
    }

    fn refuse(&self) -> Fault {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let Gate { in_flight, most_waiting, .. } = self;
        let message = format!("{in_flight} requests are being answered and {most_waiting} wait: try again later");
        Fault::busy("server_busy", message, self.wait().as_secs())
    }

    /// How long a place is waited for, by what answers took lately.
    fn wait(&self) -> Duration {
        let lasts = self.lasts.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(1.0);
        let turns = (self.most_waiting as f64 / self.in_flight.max(1) as f64).max(1.0);
        Duration::from_secs_f64((lasts * turns).clamp(1.0, 600.0))
    }

    /// Requests that are answered now.
    pub fn in_flight(&self) -> usize {
        self.in_flight - self.places.available_permits().min(self.in_flight)
    }

    /// Until nobody waits, and more places are free than taken.
    pub async fn calm(&self) {
        self.until(|| self.waiting() == 0 && 2 * self.in_flight() < self.in_flight).await;
    }

    /// Until somebody waits.
    pub async fn crowded(&self) {
        self.until(|| self.waiting() > 0).await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            // Listened for before it is looked, so that nothing happens in between.
            let moved = self.moved.notified();
            if holds() {
                return;
            }
            moved.await;
        }
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let took = self.since.elapsed().as_secs_f64();
        let mut lasts = self.gate.lasts.lock().unwrap_or_else(PoisonError::into_inner);
        *lasts = Some(lasts.map_or(took, |before| before + NEWEST * (took - before)));
        drop(lasts);
        self.permit.take();
        self.gate.moved.notify_waiters();
    }
}

/// One that waits.
struct Waits<'a>(&'a Gate);

impl<'a> Waits<'a> {
    fn new(gate: &'a Gate) -> Result<Self, Fault> {
        let more = |waiting| (waiting < gate.most_waiting).then_some(waiting + 1);
        match gate.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => {
                gate.moved.notify_waiters();
                Ok(Waits(gate))
            }
            Err(_) => Err(gate.refuse()),
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn more_than_may_wait_are_refused_at_once() -> Result<(), Fault> {
        let gate = Arc::new(Gate::new(1, 1));
        let later = Instant::now() + Duration::from_secs(60);
        let first = gate.enter(later).await?;
        let (second, third) = tokio::join!(
            async {
                let place = gate.enter(later).await;
                (place.is_ok(), Instant::now())
            },
            async {
                tokio::task::yield_now().await;
                assert_eq!((gate.in_flight(), gate.waiting()), (1, 1));
                let refused = gate.enter(later).await.err();
                tokio::time::advance(Duration::from_secs(2)).await;
                drop(first);
                refused
            }
        );
        assert!(second.0 && third.is_some_and(|fault| fault.status == 429 && fault.retry_after == Some(1)));
        let held = gate.enter(later).await?;
        let late = gate.enter(Instant::now() + Duration::from_secs(1)).await.err();
        assert_eq!(late.map(|fault| fault.status.as_u16()), Some(504));
        drop(held);
        assert_eq!((gate.in_flight(), gate.waiting()), (0, 0));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_calm_while_more_places_are_free_than_taken() -> Result<(), Fault> {
        let gate = Arc::new(Gate::new(3, 9));
        let later = Instant::now() + Duration::from_secs(60);
        let now = |future: &mut (dyn Future<Output = ()> + Unpin)| future.now_or_never().is_some();
        let [first, second, third] = [gate.enter(later).await?, gate.enter(later).await?, gate.enter(later).await?];
        let (mut calm, mut crowded) = (Box::pin(gate.calm()), Box::pin(gate.crowded()));
        assert_eq!((now(&mut calm), now(&mut crowded)), (false, false));
        let mut fourth = Box::pin(gate.enter(later));
        assert!((&mut fourth).now_or_never().is_none());
        assert!(now(&mut crowded));
        drop((fourth, first));
        assert!(!now(&mut calm));
        drop(second);
        assert!(now(&mut calm));
        drop(third);
        Ok(())
    }
}
