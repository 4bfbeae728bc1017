//! `POST /v1/chat/completions`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::admitted::Admitted;
use super::asked::Asked;
use super::caller::Caller;
use super::chat_request::ChatRequest;
use super::chunks::{Completion, DONE, failed};
use super::cost;
use super::direct::Passed;
use super::driven::Driven;
use super::fault::Fault;
use super::outcome::Outcome;
use super::service::Service;
use super::time::now;

/// Answers a request for a chat completion.
///
/// # Errors
/// The request is at fault, or there is no answer.
pub async fn completion(Asked { service, caller, headers, body }: Asked) -> Result<Response, Fault> {
    let request = ChatRequest::read(body, &headers)?;
    let completion = Completion {
        id: format!("chatcmpl-{}", caller.answer),
        created: now(),
        model: request.model.clone(),
        include_usage: request.include_usage,
    };
    let mut admitted = Admitted::admit(&service, &caller, request).await?;
    if admitted.request.stream {
        let told = notes(&admitted, None);
        let body = Driven::new(service.limits.keep_alive, move |out| stream(admitted, completion, out));
        return Ok(streamed(body, told));
    }
    let explains = admitted.request.wishes.explain;
    let Passed { outcome, body } = admitted.answer(explains, None, &|_| ()).await?;
    let value = match body {
        None => completion.whole(&outcome),
        // Under the name by which the model was asked for.
        Some(mut body) => {
            body.insert("model".into(), completion.model.into());
            body.insert("lamas".into(), outcome.own());
            Value::Object(body)
        }
    };
    Ok(whole(&value, notes(&admitted, Some(&outcome))))
}

/// Writes an answer as it comes.
async fn stream(mut admitted: Admitted, completion: Completion, out: UnboundedSender<Bytes>) {
    // Who does not read any more has dropped this work.
    let send = |bytes: Bytes| drop(out.send(bytes));
    let is_plan = admitted.is_plan();
    let explains = admitted.request.wishes.explain && is_plan;
    if is_plan {
        send(completion.begin());
    }
    let told = explains.then(|| {
        let (out, completion) = (out.clone(), completion.clone());
        Box::new(move |text: &str| drop(out.send(completion.thought(text)))) as _
    });
    let (usage, first, is_passed) = (Mutex::new(None), admitted.first(), AtomicBool::new(false));
    let hear = |piece: &str| {
        let (chunk, said) = completion.passed(piece);
        if let Some(said) = said {
            *usage.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        }
        if let Some(chunk) = chunk {
            first.heard();
            is_passed.store(true, Ordering::Relaxed);
            send(chunk);
        }
    };
    match admitted.answer(false, told, &hear).await {
        Err(fault) => send(failed(&fault)),
        Ok(Passed { outcome, .. }) if is_passed.load(Ordering::Relaxed) => {
            if completion.include_usage {
                let said = usage.into_inner().unwrap_or_else(PoisonError::into_inner);
                send(completion.usage(said.unwrap_or_else(|| outcome.usage()), &outcome));
            }
            send(Bytes::from_static(DONE));
        }
        Ok(Passed { outcome, .. }) => {
            if !is_plan {
                send(completion.begin());
            }
            if !outcome.text.is_empty() {
                send(completion.text(&outcome.text));
            }
            send(completion.end(&outcome));
        }
    }
}

/// What a response tells in its headers.
pub fn notes(admitted: &Admitted, outcome: Option<&Outcome>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut note = |name: &'static str, value: &str| {
        // A name of another alphabet does not fit into a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(beyond) = admitted.passed_on {
        note("x-lamas-passed-through", beyond);
    }
    if admitted.is_plan() && !admitted.request.not_applied.is_empty() {
        note("x-lamas-not-applied", &admitted.request.not_applied.join(", "));
    }
    let Some(outcome) = outcome else { return headers };
    if let Some(planned) = &outcome.planned {
        note("x-lamas-plan", &planned.plan);
        note("x-lamas-critical-path", &format!("{:.1} tokens, {:.3} s", planned.path.tokens, planned.path.seconds));
    }
    if let Some(fallback) = &outcome.fallback {
        note("x-lamas-fallback", fallback);
    }
    cost::note(&mut headers, outcome.cost);
    headers
}

/// A response of JSON.
pub fn whole(value: &Value, headers: HeaderMap) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response of events.
pub fn streamed(body: Driven, headers: HeaderMap) -> Response {
    let mut response = Response::new(Body::from_stream(body));
    *response.headers_mut() = headers;
    let fixed = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    response.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// `GET /v1/models`: those that a key is good for.
pub fn models(service: &Service, caller: &Caller) -> Value {
    let names = service.runs().models();
    let may = |name: &String| caller.holder.as_ref().is_none_or(|holder| holder.rights.may_ask(name));
    let data: Vec<Value> = names.iter().filter(|name| may(name)).map(|name| model(name)).collect();
    json!({ "object": "list", "data": data })
}

/// A model as OpenAI's clients read it.
pub fn model(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "lamas" })
}
