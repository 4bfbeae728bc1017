//! A language model behind an OpenAI-compatible endpoint (`/chat/completions`): OpenAI, vLLM, SGLang, llama.cpp,
//! Ollama, LiteLLM and others.
//!
//! One client is opened in a process. Its governor decides when a request is sent, `retry` whether it is sent again.
//! Samples of one prompt are requests of their own, so that each has its seed, its latency and its place in a store.

mod answer;
mod config;
mod governor;
mod ledger;
mod retry;
mod underway;
mod wire;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout};

pub use self::config::{EndpointConfig, Key};
pub use self::ledger::Account;

use self::answer::{Answer, told};
use self::config::duration;
use self::governor::{Estimate, Governor};
use self::ledger::Amount;
use self::retry::{Attempts, Failure};
use self::underway::{Prompts, Underway};
use self::wire::{Body, Dialect, Fault};
use super::{Completion, Error, Finish, LanguageModel, Meter, Price, Prices, Request, Timing};
use crate::plan::Usage;

/// Tokens that a chat template may add to each message.
const TEMPLATE: u64 = 16;

/// The client of one endpoint.
pub struct OpenAi {
    id: String,
    model: String,
    /// Base URL, for messages.
    base: String,
    url: String,
    key: Key,
    client: reqwest::Client,
    config: EndpointConfig,
    prices: Prices,
    governor: Governor,
    dialect: Mutex<Dialect>,
    counted: Prompts,
}

impl OpenAi {
    /// A client for the endpoint; sends nothing yet.
    ///
    /// # Errors
    /// A setting out of range, no model, or a model without a price.
    pub fn new(config: EndpointConfig, key: Key, prices: &Prices) -> Result<Self> {
        config.validate()?;
        let base = config.base_url()?;
        let model = config.model()?.to_owned();
        let mut prices = prices.clone();
        if let Some(price) = config.price {
            prices.0.insert(model.clone(), Price::flat(price));
        }
        prices.of(&model)?;
        let mut headers = HeaderMap::new();
        if let Some(secret) = key.secret() {
            // The error would show the key.
            let value = HeaderValue::try_from(format!("Bearer {secret}")).ok();
            let mut value = value.context("expected a key of letters, digits and signs, found others")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(duration(config.connect_seconds))
            // A redirect would turn the request into another one, and take the key elsewhere.
            .redirect(Policy::none())
            .user_agent(concat!("lamas/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers);
        if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let client =
            builder.build().map_err(|error| anyhow::anyhow!("cannot start the network client: {}", told(error)))?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(OpenAi {
            id: format!("{model}@{base}"),
            model,
            url: format!("{base}/chat/completions"),
            base,
            key,
            client,
            governor: Governor::new(&config),
            dialect: Mutex::new(Dialect::new(config.stream)),
            counted: Prompts::default(),
            config,
            prices,
        })
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
        let turn = self.governor.admit(estimate(request, size, template, price)).await?;
        let sent = turn.sent;
        let mut underway = Underway::new(turn, request, size, price, &self.counted, meter);
        let total = duration(self.config.total_seconds);
        let outcome = match timeout(total, self.send(request, model, sent, &mut underway.answer)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::transient(format!("no answer within {} s", total.as_secs_f64()))),
        };
        if let Err(failure) = outcome {
            let failure =
                failure.reworded(|message| self.key.hide(&format!("`{}`, model `{model}`: {message}", self.base)));
            underway.failed(&failure);
            return Err(failure);
        }
        let usage = underway.usage();
        let answer = &mut underway.answer;
        if answer.usage.is_none() {
            self.stop_streaming();
        }
        let since = |moment: Option<Instant>| moment.unwrap_or_else(Instant::now).duration_since(sent).as_secs_f64();
        let total = since(answer.last_token);
        let first_token = answer.first_token.map_or(total, |moment| since(Some(moment)));
        let timing = Timing { first_token, total, ..Timing::default() };
        let (text, finish) = (std::mem::take(&mut answer.text), answer.finish.unwrap_or(Finish::Stop));
        underway.answered(timing);
        Ok(Completion { text, usage, finish, timing })
    }

    async fn send(&self, request: &Request, model: &str, sent: Instant, answer: &mut Answer) -> Result<(), Failure> {
        let dialect = self.dialect();
        answer.is_streamed = dialect.stream;
        let stall = duration(self.config.stall_seconds);
        let first = if dialect.stream { stall } else { Duration::MAX };
        let body = Body::new(request, model, dialect);
        let response = match timeout(first, self.client.post(&self.url).json(&body).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                answer.refused = error.is_connect();
                let is_hopeless = error.is_builder();
                let message = told(error);
                return Err(if is_hopeless { Failure::Permanent(message) } else { Failure::transient(message) });
            }
            Err(_) => return Err(Failure::transient(format!("no token for {} s", sent.elapsed().as_secs_f64()))),
        };
        let status = response.status();
        if status.is_success() {
            return answer.read(response, stall).await;
        }
        answer.refused = true;
        let headers = response.headers().clone();
        let fault = Fault::read(&response.text().await.unwrap_or_default());
        let failure = Failure::of(status, &headers, &fault, dialect);
        if let Failure::Dialect { next, .. } = failure {
            *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) = next;
        }
        Err(failure)
    }

    fn dialect(&self) -> Dialect {
        *self.dialect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server that does not count in its streams is asked for whole answers from now on: right costs are worth more
    /// than the time to the first token. What has come already keeps its estimate, which is marked.
    fn stop_streaming(&self) {
        self.dialect.lock().unwrap_or_else(PoisonError::into_inner).stream = false;
    }
}

#[async_trait]
impl LanguageModel for OpenAi {
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        let called = Instant::now();
        let model = if request.model.is_empty() { &self.model } else { &request.model };
        let price = self.prices.of(model).map_err(|error| Error::Permanent(error.to_string()))?;
        let mut attempts = Attempts::new(&self.config, wire::draw_key(request));
        loop {
            match self.attempt(request, model, price, meter).await {
                Ok(mut completion) => {
                    let timing = &mut completion.timing;
                    timing.queued = (called.elapsed().as_secs_f64() - timing.total).max(0.0);
                    timing.retries = attempts.retries();
                    return Ok(completion);
                }
                Err(failure) => attempts.failed(failure).await?,
            }
        }
    }

    /// The model and where it is served.
    fn id(&self) -> &str {
        &self.id
    }
}

/// Text of `size` bytes in tokens, as English goes.
fn likely(size: u64) -> u64 {
    size.div_ceil(4)
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
