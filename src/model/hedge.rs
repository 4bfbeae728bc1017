//! Hedging: sends the same request to several models or servers at once. The first answer counts, the others are
//! dropped, and all are paid for.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{FuturesUnordered, StreamExt};

use super::hedged::Hedged;
use super::{Completion, Error, FinishReason, LanguageModel, Meter, Price, Reading, Request};

/// One of the models that get the request.
pub struct Hedger {
    pub model: Arc<dyn LanguageModel>,
    pub price: Price,
}

/// Models that are asked together and answer as one.
pub struct Hedge {
    hedgers: Vec<Hedger>,
    id: String,
}

impl Hedge {
    /// Asks all of these at once. This is a different model from each of them: answering first changes the answers, the
    /// time and the cost.
    pub fn new(hedgers: Vec<Hedger>) -> Self {
        let id = joined(hedgers.iter().map(|hedger| hedger.model.id().into()));
        Hedge { hedgers, id }
    }
}

fn joined<'a>(ids: impl Iterator<Item = Cow<'a, str>>) -> String {
    format!("first of {}", ids.collect::<Vec<_>>().join(" and "))
}

/// The requests of one call. If it is dropped because the whole call was dropped, the call's meter shows what the
/// requests used.
struct Underway<'a> {
    hedgers: &'a [Hedger],
    meters: Vec<Meter>,
    whole: &'a Meter,
    is_answered: bool,
}

impl Underway<'_> {
    /// What all requests but `taken` used; `dollars` is the price of that one.
    fn beside(&self, taken: usize, dollars: f64) -> Hedged {
        let mut hedged = Hedged { cost: dollars, ..Hedged::default() };
        for (place, (hedger, meter)) in self.hedgers.iter().zip(&self.meters).enumerate() {
            let Reading { requests, usage, .. } = meter.read();
            if place != taken && requests > 0 {
                hedged.usage += usage;
                hedged.cost += hedger.price.cost(usage);
            }
        }
        hedged
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let readings: Vec<Reading> = self.meters.iter().map(Meter::read).collect();
        let sent = readings.iter().enumerate().filter(|(_, reading)| reading.requests > 0);
        // The request that had written most stands for the call: its tokens show how far the answer had come.
        let Some((foremost, reading)) = sent.max_by_key(|(_, reading)| reading.written) else { return };
        let retries: u32 = readings.iter().map(|reading| reading.requests.saturating_sub(1)).sum();
        let dollars = self.hedgers.get(foremost).map_or(0.0, |hedger| hedger.price.cost(reading.usage));
        let hedged = Some(self.beside(foremost, dollars));
        let first = readings.iter().filter_map(|reading| reading.sent).min();
        self.whole.shows(Reading { requests: 1 + retries, sent: first, hedged, ..*reading });
    }
}

#[async_trait]
impl LanguageModel for Hedge {
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        let meters: Vec<Meter> = self.hedgers.iter().map(|_| Meter::default()).collect();
        let mut underway =
            Underway { hedgers: &self.hedgers, meters: meters.clone(), whole: meter, is_answered: false };
        // Dropped before `underway`, so that the meters are final by then.
        let ask = async |(place, (hedger, meter)): (usize, (&Hedger, &Meter))| {
            (place, hedger.model.complete_metered(request, meter).await)
        };
        let mut asked: FuturesUnordered<_> = self.hedgers.iter().zip(&meters).enumerate().map(ask).collect();
        let (mut textless, mut failure) = (None, None);
        while let Some((place, result)) = asked.next().await {
            match result {
                Ok(completion) if has_no_text(&completion) => {
                    // Another model may have a longer context or a milder filter.
                    meters[place].came_to(completion.usage, completion.usage.completion_tokens);
                    textless = textless.or(Some((place, completion)));
                }
                Ok(completion) => {
                    drop(asked);
                    return Ok(taken(&mut underway, place, completion));
                }
                Err(error) => failure = Some(worse(failure, error)),
            }
        }
        drop(asked);
        match (textless, failure) {
            (Some((place, completion)), _) => Ok(taken(&mut underway, place, completion)),
            (None, Some(failure)) => {
                underway.is_answered = true;
                Err(failure)
            }
            (None, None) => Err(Error::Permanent("expected at least one model to ask, found none".into())),
        }
    }

    fn has_virtual_time(&self) -> bool {
        self.hedgers.iter().all(|hedger| hedger.model.has_virtual_time())
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn identity(&self, request: &Request) -> Cow<'_, str> {
        joined(self.hedgers.iter().map(|hedger| hedger.model.identity(request))).into()
    }

    fn identities(&self, request: &Request) -> Vec<Cow<'_, str>> {
        let mut all: Vec<Vec<Cow<'_, str>>> = vec![Vec::new()];
        for hedger in &self.hedgers {
            let own = hedger.model.identities(request);
            all = all
                .iter()
                .flat_map(|before| own.iter().map(|id| [&before[..], std::slice::from_ref(id)].concat()))
                .collect();
        }
        all.into_iter().map(|ids| joined(ids.into_iter()).into()).collect()
    }
}

/// The answer of model `place`, with what all requests used.
fn taken(underway: &mut Underway<'_>, place: usize, completion: Completion) -> Completion {
    underway.is_answered = true;
    let dollars = underway.hedgers.get(place).map_or(0.0, |hedger| hedger.price.cost(completion.usage));
    Completion { hedged: Some(underway.beside(place, dollars)), ..completion }
}

/// Whether there is no text because the back end filtered the request or its context was too small.
fn has_no_text(completion: &Completion) -> bool {
    completion.text.is_empty() && matches!(completion.finish, FinishReason::Filtered | FinishReason::ContextExceeded)
}

/// The error of a call if all its requests failed. An error that a retry may fix comes first, then a cap, since the
/// work can be resumed later, then other permanent errors.
fn worse(known: Option<Error>, error: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::Transient(_) | Error::Exhausted { .. } => 2,
        Error::Capped(_) => 1,
        Error::Permanent(_) | Error::Broken(_) => 0,
    };
    match known {
        Some(known) if rank(&known) >= rank(&error) => known,
        _ => error,
    }
}
