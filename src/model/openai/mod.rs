//! A language model behind an OpenAI-compatible endpoint (`/chat/completions`): OpenAI, vLLM, SGLang, llama.cpp,
//! Ollama, LiteLLM and others.
//!
//! There is one client for each model at a server. Its governor decides when a request is sent, `retry` whether it is sent again.
//! Clients that share a purse share their caps. Each sample of a prompt is a separate request, so that it has its own seed, latency
//! and place in a store.
//!
//! Nothing that a server sends is trusted. Input is bounded in size and in time (`incoming`, `events`); a field of the wrong kind
//! counts as absent (`json`, `piece`); a text is shown shortened, harmless and without the key (`redact`).

mod address;
mod answer;
mod asked_wait;
mod books;
mod breaker;
mod config;
mod contact;
mod dialect;
mod events;
mod fault;
mod governor;
mod incoming;
mod json;
mod ledger;
mod network_error;
mod patience;
mod piece;
mod purse;
mod reach;
mod redact;
mod relay;
mod retry;
mod size;
mod trace_context;
mod underway;
mod wire;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout, timeout_at};

pub use self::books::Books;
pub use self::breaker::Circuit;
pub use self::config::EndpointConfig;
pub use self::ledger::Account;
pub use self::patience::{Listener, Notice};
pub use self::purse::Purse;
pub use self::redact::{KEY_VARIABLES, Key};
pub use self::relay::{Refused, Relay};
pub use self::retry::is_of_key;
pub use self::trace_context::{TraceContext, traced};

use self::network_error::describe;
use self::size::likely;

use self::address::Address;
use self::answer::{Reply, Terms, late, later};
use self::breaker::Breaker;
use self::config::duration;
use self::contact::Contact;
use self::dialect::Dialect;
use self::fault::Fault;
use self::governor::{Estimate, Governor};
use self::incoming::error_body;
use self::patience::Patience;
use self::purse::Amount;
use self::retry::{Attempts, Cause, Failure};
use self::underway::{Prompts, Sent, Underway};
use self::wire::Body;
use super::{Completion, Error, FinishReason, LanguageModel, Meter, Price, Prices, Request, Timing};
use crate::plan::Usage;

/// Tokens that a chat template may add to each message.
const TEMPLATE: u64 = 16;

/// The client of one endpoint.
pub struct OpenAi {
    id: String,
    model: String,
    address: Address,
    url: Url,
    key: Key,
    client: reqwest::Client,
    config: EndpointConfig,
    prices: Prices,
    governor: Arc<Governor>,
    /// None where requests are sent whatever became of those before.
    breaker: Option<Arc<Breaker>>,
    patience: Patience,
    contact: OnceCell<Result<Contact, Error>>,
    /// As that, where it is made until it succeeds.
    reached: OnceCell<Contact>,
    /// Of each model that lacks something.
    dialects: Mutex<HashMap<String, Dialect>>,
    counted: Arc<Prompts>,
}

impl OpenAi {
    /// A client for the endpoint; sends nothing yet.
    ///
    /// # Errors
    /// A setting out of range, no model, or a model without a price.
    pub fn new(config: EndpointConfig, key: Key, prices: &Prices) -> Result<Self> {
        config.validate()?;
        let address = config.address()?;
        let model = config.model()?.to_owned();
        let mut prices = prices.clone();
        if let Some(price) = config.price {
            prices.0.insert(model.clone(), Price::flat(price));
        }
        prices.of(&model)?;
        let mut headers = HeaderMap::new();
        if let Some(secret) = key.secret() {
            let (name, text) = match address.has_key_header() {
                true => (HeaderName::from_static("api-key"), secret.to_owned()),
                false => (AUTHORIZATION, format!("Bearer {secret}")),
            };
            // The error would show the key.
            let value = HeaderValue::try_from(text).ok();
            let mut value = value.context("expected a key of letters, digits and signs, found others")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(duration(config.connect_seconds))
            // A redirect would turn the request into another one, and take the key elsewhere.
            .redirect(Policy::none())
            .user_agent(concat!("lamas/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers);
        if address.is_local() {
            builder = builder.no_proxy();
        }
        let client =
            builder.build().map_err(|error| anyhow::anyhow!("cannot start the network client: {}", describe(error)))?;
        Ok(OpenAi {
            id: format!("{model}@{}", address.as_str()),
            model,
            url: address.method("chat/completions"),
            address,
            key,
            client,
            governor: Arc::new(Governor::new(&config, Purse::new(&config))),
            breaker: None,
            patience: Patience::default(),
            contact: OnceCell::new(),
            reached: OnceCell::new(),
            dialects: Mutex::default(),
            counted: Arc::default(),
            config,
            prices,
        })
    }

    /// The same client, which tells `listener` what it waits for and what it finds out about the models.
    pub fn telling(mut self, listener: Listener) -> Self {
        self.patience = Patience::telling(listener);
        self
    }

    /// The same client before its first request, which may spend only what `purse` allows all who share it.
    pub fn sharing(mut self, purse: &Purse) -> Self {
        self.governor = Arc::new(Governor::new(&self.config, purse.clone()));
        self
    }

    /// As [`OpenAi::sharing`], with the governor and the breaker that these books keep for the endpoint.
    pub fn booked(mut self, books: &Books) -> Self {
        self.governor = books.governor(&self.id, &self.config);
        self.breaker = Some(books.breaker(&self.id));
        self
    }

    /// What the endpoint calls the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The same client beside that of another server of the same model: what one counts of a prompt, the other knows.
    pub fn beside(mut self, other: &OpenAi) -> Self {
        self.counted = other.counted.clone();
        self
    }

    /// Ends all waits for a moment to come, those between two tries first of all; calls that would have waited end as
    /// capped, with `why`. Requests in flight are answered.
    pub fn stop_waiting(&self, why: &str) {
        self.patience.end(why);
    }

    /// The price list, with the price that the settings give.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// What all requests of this client came to so far.
    pub fn account(&self) -> Account {
        self.governor.account()
    }

    /// One request, with all that waiting for its turn takes.
    async fn attempt(
        &self,
        request: &Request,
        model: &str,
        price: Price,
        meter: &Meter,
    ) -> Result<Completion, Failure> {
        let size: u64 = request.messages.iter().map(|message| message.content.len() as u64).sum();
        let template = TEMPLATE * request.messages.len() as u64;
        let turn = self.governor.admit(estimate(request, size, template, price), &self.patience).await?;
        let sent = turn.sent;
        let known = Sent::new(&(&request.model, &request.messages), size, request.sampling.max_tokens.into());
        let mut underway = Underway::new(turn, known, price, &self.counted, meter);
        let total = duration(self.config.total_seconds);
        let terms = Terms {
            stall: duration(self.config.stall_seconds),
            until: later(total),
            total,
            max_tokens: request.sampling.max_tokens,
            key: &self.key,
            dialect: self.dialect(model),
            hear: None,
        };
        let body = Body::new(request, model, terms.dialect);
        let sending = self.send(&body, &terms, &mut underway.answer);
        let outcome = match timeout_at(terms.until, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::transient(late(total))),
        };
        if let Err(failure) = outcome {
            if let Failure::Dialect { next, .. } = failure {
                self.learn(model, next);
            }
            let base = self.address.as_str();
            let failure = failure.reworded(|message| format!("`{base}`, model `{model}`: {message}"));
            underway.failed(&failure);
            return Err(failure);
        }
        let usage = underway.usage();
        let answer = &mut underway.answer;
        if answer.usage.is_none() && answer.is_streamed {
            // A server that does not count in its streams is asked for whole answers from now on: right costs are worth
            // more than the time to the first token. What has come already keeps its estimate, which is marked.
            self.learn(model, Dialect { stream: false, ..terms.dialect });
        }
        let since = |moment: Option<Instant>| moment.unwrap_or_else(Instant::now).duration_since(sent).as_secs_f64();
        let total = since(answer.last_token);
        let first_token = answer.first_token.map_or(total, |moment| since(Some(moment)));
        let timing = Timing { first_token, total, ..Timing::default() };
        let (mut text, mut finish) = (std::mem::take(&mut answer.text), answer.finish.unwrap_or(FinishReason::Stop));
        underway.answered(timing);
        // Where the server could not be asked to stop there, or did not.
        let stops = request.sampling.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(end) = stops.filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
            finish = FinishReason::Stop;
        }
        Ok(Completion { text, usage, finish, timing, hedged: None })
    }

    async fn send(&self, body: &(impl Serialize + Sync), terms: &Terms<'_>, answer: &mut Reply) -> Result<(), Failure> {
        answer.is_streamed = terms.dialect.stream;
        let first = if answer.is_streamed { terms.stall } else { Duration::MAX };
        let mut request = self.client.post(self.url.clone()).json(body);
        if let Some(context) = TraceContext::current() {
            request = request.header("traceparent", context.child().to_string());
        }
        let response = match timeout(first, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                answer.refused = error.is_connect();
                let (is_hopeless, is_connection) = (error.is_builder(), error.is_connect());
                let message = self.key.said(&describe(error));
                return Err(match (is_hopeless, is_connection) {
                    (true, _) => Failure::Permanent(message),
                    (_, true) => Failure::Transient { message, wait: None, cause: Cause::Connection },
                    _ => Failure::transient(message),
                });
            }
            Err(_) => return Err(Failure::transient(format!("no token for {} s", terms.stall.as_secs_f64()))),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return answer.read(response, terms).await;
        }
        answer.refused = true;
        let fault = Fault::read(&error_body(response, terms.until).await, &self.key);
        Err(Failure::of(status, &headers, &fault, terms.dialect))
    }

    fn dialects(&self) -> MutexGuard<'_, HashMap<String, Dialect>> {
        self.dialects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dialect(&self, model: &str) -> Dialect {
        self.dialects().get(model).copied().unwrap_or(Dialect::new(self.config.stream))
    }

    /// Remembers what a model lacks.
    fn learn(&self, model: &str, lacks: Dialect) {
        let mut dialects = self.dialects();
        let before = dialects.get(model).copied().unwrap_or(Dialect::new(self.config.stream));
        let now = before.and(lacks);
        dialects.insert(model.to_owned(), now);
        drop(dialects);
        let lost = before.draws_by().into_iter().filter(|name| !now.draws_by().contains(name)).collect::<Vec<_>>();
        if !lost.is_empty() {
            let lost = lost.join("` and `");
            self.patience.tell(&Notice::Remark(format!(
                "`{}`, model `{model}`: it does not accept our `{lost}`; it samples with its own settings, at random even \
                 if 0 is asked for, and its answers are recorded as such",
                self.address.as_str()
            )));
        }
    }
}

#[async_trait]
impl LanguageModel for OpenAi {
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        let called = Instant::now();
        let model = if request.model.is_empty() { &self.model } else { &request.model };
        let price = self.prices.of(model).map_err(|error| Error::Permanent(error.to_string()))?;
        let contact = self.contact().await?;
        let _alone = contact.alone(|| self.governor.account().answered == 0).await;
        let mut attempts = Attempts::new(&self.config, wire::draw_key(request));
        loop {
            let pass = self.pass()?;
            let outcome = self.attempt(request, model, price, meter).await;
            self.judge(pass, outcome.as_ref().err());
            let failure = match outcome {
                Ok(mut completion) => {
                    let timing = &mut completion.timing;
                    timing.queued = (called.elapsed().as_secs_f64() - timing.total).max(0.0);
                    timing.retries = attempts.retries();
                    return Ok(completion);
                }
                Err(Failure::Unanswerable { finish, message }) => {
                    self.patience.remark_once(finish, &message);
                    let (queued, retries) = (called.elapsed().as_secs_f64(), attempts.retries());
                    let timing = Timing { queued, retries, ..Timing::default() };
                    let (text, usage) = (String::new(), Usage::default());
                    return Ok(Completion { text, usage, finish, timing, hedged: None });
                }
                Err(failure) => failure,
            };
            let is_new = self.governor.account().answered == 0;
            let failure = if is_new { contact.judge(failure, model, &self.key) } else { failure };
            if let Some(refused) = self.refused(&failure, &attempts) {
                return Err(refused);
            }
            attempts.failed(failure, &self.patience).await?;
        }
    }

    /// The model and where it is served.
    fn id(&self) -> &str {
        &self.id
    }

    fn identity(&self, request: &Request) -> Cow<'_, str> {
        let model = if request.model.is_empty() { &self.model } else { &request.model };
        self.dialect(model).identity(&self.id, &request.sampling)
    }

    fn identities(&self, request: &Request) -> Vec<Cow<'_, str>> {
        Dialect::identities(&self.id, &request.sampling)
    }
}

/// A token holds at least one byte of the text; what the template adds comes on top.
fn estimate(request: &Request, size: u64, template: u64, price: Price) -> Estimate {
    let completion_tokens = request.sampling.max_tokens.into();
    let most = Usage { prompt_tokens: size + template, completion_tokens, ..Usage::default() };
    Estimate {
        tokens: likely(size) + template + completion_tokens,
        most: Amount { tokens: most.tokens(), cost: price.cost(most) },
    }
}
