//! Whether a server is asked: the first contact with it and, in `lamas serve`, its breaker.

use super::OpenAi;
use super::breaker::{Circuit, Pass};
use super::contact::{self, Contact};
use super::retry::{Attempts, Cause, Failure};
use crate::model::Error;

impl OpenAi {
    /// Finds out whether the endpoint is there at all.
    ///
    /// # Errors
    /// It is not.
    pub async fn reach(&self) -> Result<(), Error> {
        self.contact().await.map(drop)
    }

    /// The first contact with the endpoint, made once, before the first call. With a breaker it is repeated until it
    /// succeeds, since the endpoint may come up while a server runs.
    pub(super) async fn contact(&self) -> Result<&Contact, Error> {
        let make = || async {
            let pass = self.pass()?;
            self.governor.probed();
            let contact = Contact::make(&self.client, self.address.method("models"), &self.config);
            let made = tokio::select! {
                made = contact => made,
                why = self.patience.over() => return Err(Error::Capped(why)),
            };
            made.map_err(|why| {
                let why = self.key.said(&why);
                pass.into_iter().for_each(|pass| pass.failed(&why));
                let base = self.address.as_str();
                Error::Broken(format!("`{base}`: {why}{}", contact::HINT))
            })
        };
        match self.breaker {
            Some(_) => self.reached.get_or_try_init(make).await,
            None => self.contact.get_or_init(make).await.as_ref().map_err(Clone::clone),
        }
    }

    /// Lets a request through, unless the server failed too often.
    pub(super) fn pass(&self) -> Result<Option<Pass>, Error> {
        let entered = self.breaker.as_ref().map(|breaker| breaker.enter()).transpose();
        let base = self.address.as_str();
        entered.map_err(|refusal| Error::Transient(format!("`{base}`, model `{}`: {refusal}", self.model)))
    }

    /// Notes what the outcome of a request says about the server. A rate limit or a spending cap says nothing.
    pub(super) fn judge(&self, pass: Option<Pass>, failure: Option<&Failure>) {
        let Some(pass) = pass else { return };
        match failure {
            Some(Failure::Transient { cause: Cause::Limit, .. } | Failure::Capped(_)) => {}
            Some(Failure::Transient { message, .. }) => pass.failed(message),
            Some(Failure::Permanent(_) | Failure::Unanswerable { .. } | Failure::Dialect { .. }) | None => {
                pass.answered()
            }
        }
    }

    /// The error of a call whose request failed, if the server is not asked any more.
    pub(super) fn refused(&self, failure: &Failure, attempts: &Attempts) -> Option<Error> {
        let Failure::Transient { message, .. } = failure else { return None };
        let is_open = self.breaker.as_ref().is_some_and(|breaker| breaker.circuit() == Circuit::Open);
        is_open.then(|| Error::Exhausted { message: message.clone(), requests: attempts.retries() + 1 })
    }
}
