//! What each key may ask and spend in a minute and in a day. What a request may cost is reserved before its first call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::keys::Holder;

const MINUTE: u64 = 60;
/// Seconds of a day.
pub const DAY: u64 = 24 * 3600;

/// The books of all keys.
#[derive(Debug, Default)]
pub struct Caps(Mutex<BTreeMap<String, Book>>);

/// What one key asked and spent.
#[derive(Debug, Default)]
struct Book {
    minute: VecDeque<Entry>,
    today: Today,
    /// Numbers the entries.
    next: u64,
    /// Dollars that requests in flight may come to.
    reserved: f64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    at: u64,
    /// Dollars.
    cost: f64,
}

/// What was asked and spent since midnight, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Today {
    /// Days since 1970.
    pub day: u64,
    pub requests: u64,
    /// Dollars.
    pub cost: f64,
}

impl Today {
    /// Begins anew where it is another day.
    pub fn advance(&mut self, day: u64) {
        if self.day != day {
            *self = Today { day, ..Today::default() };
        }
    }
}

/// What is reserved for a request, until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    caps: Arc<Caps>,
    holder: Arc<Holder>,
    number: u64,
    most: f64,
    cost: f64,
}

impl Caps {
    /// Books that go on from what was asked and spent today.
    pub fn restore(today: BTreeMap<String, Today>) -> Self {
        let book = |(name, today)| (name, Book { today, ..Book::default() });
        Caps(Mutex::new(today.into_iter().map(book).collect()))
    }

    /// What each key asked and spent today.
    pub fn today(&self) -> BTreeMap<String, Today> {
        self.lock().iter().map(|(name, book)| (name.clone(), book.today)).collect()
    }

    /// Takes note of a request at `now`, in seconds since 1970, that may cost `most` dollars.
    ///
    /// # Errors
    /// A cap of its key has no room for it.
    pub fn reserve(self: &Arc<Self>, holder: &Arc<Holder>, most: f64, now: u64) -> Result<Reserved, Fault> {
        let mut books = self.lock();
        let book = books.entry(holder.name.clone()).or_default();
        book.advance(now);
        let rights = &holder.rights;
        let (in_minute, in_day) = (book.minute.len() as u64, book.today.requests);
        let soon = book.minute.front().map_or(1, |first| (first.at + MINUTE).saturating_sub(now));
        let tomorrow = (book.today.day + 1) * DAY - now;
        let spent: f64 = book.minute.iter().map(|entry| entry.cost).sum();
        let full = |limit: Option<u64>, found: u64| limit.is_some_and(|limit| found >= limit);
        let dear = |limit: Option<f64>, spent: f64| limit.is_some_and(|limit| spent + book.reserved + most > limit);
        let requests = |what: &str| format!("the key has no requests a {what} left");
        let dollars = |limit: Option<f64>, spent: f64, what: &str| {
            let limit = limit.unwrap_or_default();
            let left = (limit - spent - book.reserved).max(0.0);
            format!(
                "this request may cost up to {most:.6} $, which is reserved first, and the key has {left:.6} of {limit} $ a {what} left"
            )
        };
        let refusals = [
            (full(rights.requests_per_minute, in_minute), "rate_limit_exceeded", requests("minute"), soon),
            (full(rights.requests_per_day, in_day), "rate_limit_exceeded", requests("day"), tomorrow),
            (
                dear(rights.dollars_per_minute, spent),
                "insufficient_quota",
                dollars(rights.dollars_per_minute, spent, "minute"),
                soon,
            ),
            (
                dear(rights.dollars_per_day, book.today.cost),
                "insufficient_quota",
                dollars(rights.dollars_per_day, book.today.cost, "day"),
                tomorrow,
            ),
        ];
        if let Some((_, code, message, wait)) = refusals.into_iter().find(|(refused, ..)| *refused) {
            return Err(Fault::busy(code, message, wait));
        }
        let number = book.next;
        book.next += 1;
        book.minute.push_back(Entry { number, at: now, cost: 0.0 });
        book.today.requests += 1;
        book.reserved += most;
        drop(books);
        Ok(Reserved { caps: self.clone(), holder: holder.clone(), number, most, cost: 0.0 })
    }

    /// Whether requests of this key are in flight: what is reserved for them may turn out to be more than they need.
    pub fn is_reserved(&self, holder: &Holder) -> bool {
        self.lock().get(&holder.name).is_some_and(|book| book.reserved > 0.0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Book>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn advance(&mut self, now: u64) {
        while self.minute.front().is_some_and(|entry| entry.at + MINUTE <= now) {
            self.minute.pop_front();
        }
        self.today.advance(now / DAY);
    }
}

impl Reserved {
    /// The request begins: who goes away before its end pays what it may have come to.
    pub fn begin(&mut self) {
        self.cost = self.most;
    }

    /// The request came to so many dollars.
    pub fn spent(&mut self, cost: f64) {
        self.cost = cost;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut books = self.caps.lock();
        let Some(book) = books.get_mut(&self.holder.name) else { return };
        book.reserved = (book.reserved - self.most).max(0.0);
        book.today.cost += self.cost;
        if let Some(entry) = book.minute.iter_mut().find(|entry| entry.number == self.number) {
            entry.cost = self.cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{Keys, Rights};
    use super::*;

    fn holder(rights: Rights) -> Arc<Holder> {
        let keys = Keys::of_text("sk-some-key").expect("a key");
        let value = axum::http::HeaderValue::from_static("Bearer sk-some-key");
        let headers = [(axum::http::header::AUTHORIZATION, value)].into_iter().collect();
        let mut holder = (*keys.holder(&headers, false).expect("its holder")).clone();
        holder.rights = rights;
        Arc::new(holder)
    }

    #[test]
    fn requests_are_capped_by_minute_and_day() {
        let holder = holder(Rights { requests_per_minute: Some(2), requests_per_day: Some(3), ..Rights::default() });
        let caps = Arc::new(Caps::default());
        let start = 10 * DAY;
        let check = |now: u64, expected: Option<u64>| {
            let wait =
                caps.reserve(&holder, 0.0, start + now).err().map(|fault| (fault.status.as_u16(), fault.retry_after));
            assert_eq!(wait, expected.map(|wait| (429, Some(wait))), "{now}");
        };
        check(0, None);
        check(10, None);
        check(20, Some(40));
        check(60, None);
        check(200, Some(DAY - 200));
        check(DAY, None);
        let restored = Arc::new(Caps::restore(caps.today()));
        assert!(restored.reserve(&holder, 0.0, start + DAY + 100).is_ok());
        assert_eq!(restored.today()["key-1"].requests, 2);
    }

    #[test]
    fn dollars_are_reserved_before_they_are_spent() -> Result<(), Fault> {
        let holder = holder(Rights { dollars_per_day: Some(1.0), ..Rights::default() });
        let caps = Arc::new(Caps::default());
        let mut first = caps.reserve(&holder, 0.6, 0)?;
        assert_eq!(caps.reserve(&holder, 0.6, 0).err().and_then(|fault| fault.code), Some("insufficient_quota"));
        first.spent(0.3);
        drop(first);
        let second = caps.reserve(&holder, 0.6, 1)?;
        drop(second);
        assert_eq!(caps.today()["key-1"], Today { day: 0, requests: 2, cost: 0.3 });
        Ok(())
    }
}
