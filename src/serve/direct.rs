//! One plain call of an upstream model.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::chat_request::ChatRequest;
use super::fault::Fault;
use super::outcome::Outcome;
use super::run::{Run, Upstream, Via};
use crate::model::openai::{OpenAi, Relay};
use crate::model::{FinishReason, LanguageModel, Message, Meter, Price, Request, Role, Sampling};

/// Tokens of a local model's answer whose request names no limit.
const USUAL: u32 = 1024;

/// What came of a call that was passed on.
pub struct Passed {
    pub outcome: Outcome,
    /// What the server answered, whole; none where it was passed on in pieces.
    pub body: Option<Map<String, Value>>,
}

/// Asks an upstream model, or those in reserve behind it while it does not answer. Each piece of a streamed answer goes to
/// `hear` as it comes, in JSON; from the first on nobody else is asked.
///
/// # Errors
/// Those of [`ask`].
pub async fn ask_in_turn(
    run: &Run,
    at: usize,
    request: &ChatRequest,
    draw: u64,
    until: Instant,
    hear: &(dyn Fn(&str) + Send + Sync),
) -> Result<Passed, Fault> {
    let is_heard = AtomicBool::new(false);
    let heard = |piece: &str| {
        is_heard.store(true, Ordering::Relaxed);
        hear(piece);
    };
    let (mut failure, mut cost) = (Fault::inside("expected an upstream model, found none"), 0.0);
    for (place, upstream) in run.upstreams_from(at).into_iter().enumerate() {
        match ask(upstream, request, draw, until, &heard).await {
            Ok(mut passed) => {
                passed.outcome.cost += cost;
                passed.outcome.fallback = (place > 0).then(|| upstream.name.clone());
                return Ok(passed);
            }
            Err(fault) => {
                cost += fault.cost;
                let is_over = !fault.is_outside || is_heard.load(Ordering::Relaxed) || Instant::now() >= until;
                // The first says best what is wrong with the model that was asked for.
                failure = if place == 0 { fault } else { failure };
                if is_over {
                    break;
                }
            }
        }
    }
    Err(failure.costing(cost))
}

/// Asks an upstream model once. Each piece of a streamed answer goes to `hear` as it comes, in JSON.
///
/// # Errors
/// There is no answer, or none in time; the request asks a local model for more than text.
async fn ask(
    upstream: &Upstream,
    request: &ChatRequest,
    draw: u64,
    until: Instant,
    hear: &(dyn Fn(&str) + Send + Sync),
) -> Result<Passed, Fault> {
    let meter = Meter::default();
    match &upstream.via {
        Via::Endpoint(client) => pass_on(client, upstream, request, until, hear, &meter).await,
        Via::Local(model, price) => {
            if let Some(beyond) = request.beyond.filter(|beyond| *beyond != "an answer that is begun") {
                let message = format!("a local model gives one text answer; the request asks for {beyond}");
                return Err(Fault::invalid(message).coded("unsupported"));
            }
            let asked = local_request(request, draw);
            let completed = timeout_at(until, model.complete_metered(&asked, &meter)).await;
            let completion = completed.map_err(|_| Fault::late())?.map_err(|error| Fault::of_model(&error))?;
            if completion.finish == FinishReason::ContextExceeded {
                let message = "the messages do not fit into the context of the model";
                return Err(Fault::of("messages", message).coded("context_length_exceeded"));
            }
            let (usage, tokens) = (completion.usage, completion.usage.completion_tokens);
            let is_cut = completion.finish == FinishReason::Length;
            let cost = price.cost(usage);
            let outcome =
                Outcome { text: completion.text, is_cut, usage, answer_tokens: tokens, cost, ..Outcome::default() };
            Ok(Passed { outcome, body: None })
        }
    }
}

async fn pass_on(
    client: &OpenAi,
    upstream: &Upstream,
    request: &ChatRequest,
    until: Instant,
    hear: &(dyn Fn(&str) + Send + Sync),
    meter: &Meter,
) -> Result<Passed, Fault> {
    let mut body = request.body.clone();
    body.insert("stream".into(), request.stream.into());
    let whole: Mutex<Option<String>> = Mutex::default();
    let keep = |text: &str| {
        if !request.stream {
            *whole.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        }
        hear(text);
    };
    let asked = client.relay(Relay { body, model: &upstream.asks, hear: &keep }, meter);
    let price = price(client, upstream);
    let answered = match timeout_at(until, asked).await {
        Ok(answered) => answered,
        // What the call came to by then is to be paid for.
        Err(_) => return Err(Fault::late().costing(price.cost(meter.read().usage))),
    };
    let usage = answered.map_err(|refused| Fault::of_relay(&refused).costing(price.cost(meter.read().usage)))?;
    let text = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
    let cost = price.cost(usage);
    let body = text.map(|text| serde_json::from_str(&text)).transpose();
    let body = body.map_err(|_| Fault::upstream("a model's answer is no JSON object").costing(cost))?;
    let outcome = Outcome { usage, answer_tokens: usage.completion_tokens, cost, ..Outcome::default() };
    Ok(Passed { outcome, body })
}

fn price(client: &OpenAi, upstream: &Upstream) -> Price {
    let model = if upstream.asks.is_empty() { client.model() } else { &upstream.asks };
    client.prices().of(model).unwrap_or_default()
}

/// Most dollars that a call may cost.
pub fn most(upstream: &Upstream, request: &ChatRequest) -> f64 {
    let price = match &upstream.via {
        Via::Endpoint(client) => price(client, upstream),
        Via::Local(_, price) => *price,
    };
    let read = Value::Object(request.body.clone()).to_string().len() as u64;
    let choices = request.body.get("n").and_then(Value::as_u64).unwrap_or(1).max(1);
    let written = request.cut.max_tokens.unwrap_or(4096).saturating_mul(choices);
    price.cost(crate::plan::Usage { prompt_tokens: read, completion_tokens: written, ..Default::default() })
}

fn local_request(request: &ChatRequest, draw: u64) -> Request {
    let number = |name: &str| request.body.get(name).and_then(Value::as_f64).map(|number| number as f32);
    let max_tokens = request.cut.max_tokens.map_or(USUAL, |most| u32::try_from(most).unwrap_or(u32::MAX));
    let sampling = Sampling {
        temperature: number("temperature").unwrap_or(1.0),
        top_p: number("top_p").filter(|&top_p| top_p > 0.0).unwrap_or(1.0),
        max_tokens,
        stop: request.cut.stop.clone(),
    };
    let mut messages = request.talk.before.clone();
    messages.push(Message { role: Role::User, content: request.talk.question.clone() });
    Request { model: String::new(), messages, sampling, sample: draw }
}
