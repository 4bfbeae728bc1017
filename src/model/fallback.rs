//! A model with fallbacks: if it cannot be reached, the next one is asked, and the answer says which one it was.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;

use super::hedge::Hedger;
use super::hedged::Hedged;
use super::{Completion, Error, LanguageModel, Meter, Request};

/// A model, and those that are asked in its place while it does not answer.
pub struct Fallback {
    first: Arc<dyn LanguageModel>,
    /// In the order in which they are asked.
    reserve: Vec<Hedger>,
}

impl Fallback {
    /// It has the id of the first; [`Hedged::reserve`] marks an answer of another one.
    pub fn new(first: Arc<dyn LanguageModel>, reserve: Vec<Hedger>) -> Self {
        Fallback { first, reserve }
    }
}

/// A call of a fallback. If it is dropped before its end, the meter of the whole call shows what it used.
struct Underway<'a> {
    hedger: &'a Hedger,
    place: u8,
    meter: Meter,
    whole: &'a Meter,
    is_over: bool,
}

impl Underway<'_> {
    fn hedged(&self, own: Option<Hedged>, dollars: f64) -> Hedged {
        let Hedged { usage, cost, .. } = own.unwrap_or(Hedged { cost: dollars, ..Hedged::default() });
        Hedged { usage, cost, reserve: self.place }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let reading = self.meter.read();
        if !self.is_over && reading.requests > 0 {
            let hedged = self.hedged(reading.hedged, self.hedger.price.cost(reading.usage));
            self.whole.shows(super::Reading { hedged: Some(hedged), ..reading });
        }
    }
}

#[async_trait]
impl LanguageModel for Fallback {
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        let failure = match self.first.complete_metered(request, meter).await {
            Err(error) if error.is_outside() => error,
            answered => return answered,
        };
        // Only the first model knows the name.
        let request = Request { model: String::new(), ..request.clone() };
        for (hedger, place) in self.reserve.iter().zip(1..) {
            let mut call = Underway { hedger, place, meter: Meter::default(), whole: meter, is_over: false };
            let answered = hedger.model.complete_metered(&request, &call.meter).await;
            call.is_over = true;
            match answered {
                Ok(completion) => {
                    let hedged = call.hedged(completion.hedged, hedger.price.cost(completion.usage));
                    return Ok(Completion { hedged: Some(hedged), ..completion });
                }
                Err(error) if error.is_outside() => {}
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    fn has_virtual_time(&self) -> bool {
        self.first.has_virtual_time()
    }

    fn id(&self) -> &str {
        self.first.id()
    }

    fn identity(&self, request: &Request) -> Cow<'_, str> {
        self.first.identity(request)
    }

    fn identities(&self, request: &Request) -> Vec<Cow<'_, str>> {
        self.first.identities(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FinishReason, Message, Price, Reply, Role, Sampling, Scripted};

    fn scripted(id: &'static str, answer: Result<&'static str, Error>) -> Arc<dyn LanguageModel> {
        Arc::new(Scripted::new(id, move |_| answer.clone().map(|text| Reply::new(text, 1))))
    }

    #[tokio::test]
    async fn the_next_is_asked_where_the_first_is_out_of_reach() {
        let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 9, stop: Vec::new() };
        let messages = vec![Message { role: Role::User, content: "?".into() }];
        let request = Request { model: String::new(), messages, sampling, sample: 0 };
        let away = || Err(Error::Transient("away".into()));
        let wrong = || Err(Error::Permanent("wrong".into()));
        let check = async |models: [Result<&'static str, Error>; 3], expected: Result<(&str, Option<u8>), &str>| {
            let [first, second, third] = models.map(|answer| scripted("m", answer));
            let price = Price::flat(1.0);
            let reserve = [second, third].map(|model| Hedger { model, price });
            let found = Fallback::new(first, reserve.into()).complete(&request).await;
            let found =
                found.map(|it| (it.text, it.hedged.map(|it| it.reserve), it.finish)).map_err(|it| it.to_string());
            let expected = expected.map(|(text, reserve)| (text.to_owned(), reserve, FinishReason::Stop));
            assert_eq!(found, expected.map_err(str::to_owned));
        };
        check([Ok("a"), Ok("b"), Ok("c")], Ok(("a", None))).await;
        check([away(), Ok("b"), Ok("c")], Ok(("b", Some(1)))).await;
        check([away(), away(), Ok("c")], Ok(("c", Some(2)))).await;
        check([away(), away(), away()], Err("away")).await;
        check([wrong(), Ok("b"), Ok("c")], Err("wrong")).await;
        check([away(), wrong(), Ok("c")], Err("wrong")).await;
    }
}
