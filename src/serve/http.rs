//! The routes of a server, and what holds for all of them.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::caller::{Caller, REQUEST_ID};
use super::chat;
use super::fault::Fault;
use super::fields::kind;
use super::guard;
use super::responses;
use super::service::Service;

type Shared = State<Arc<Service>>;

/// All that a server answers.
pub fn router(service: Arc<Service>) -> Router {
    let chat = || post(completion);
    let asked = Router::new()
        .route("/v1/chat/completions", chat())
        .route("/chat/completions", chat())
        .route("/v1/responses", post(response))
        .route("/v1/feedback", post(feedback))
        .route("/v1/models", get(models))
        .route("/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/metrics", get(metrics))
        .route("/admin/reload", post(reload))
        .route_layer(from_fn_with_state(service.clone(), known));
    let open = Router::new().route("/health", get(health)).route("/ready", get(ready));
    asked
        .merge(open)
        .fallback(async || Fault::absent("there is nothing at this address").coded("unknown_url"))
        .method_not_allowed_fallback(async || {
            Fault::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "this address expects another method")
                .coded("method_not_allowed")
        })
        .layer(from_fn_with_state(service.clone(), named))
        .with_state(service)
}

/// Gives each request its name, which its response carries, and answers no web page of elsewhere.
async fn named(State(service): Shared, mut request: Request, next: Next) -> Response {
    let id = Caller::name(request.headers());
    let caller = Caller::new(id.clone());
    let is_guarded = service.keys.is_empty();
    let checked = match is_guarded {
        true => guard::check(request.headers(), request.uri(), &service.hosts),
        false => Ok(()),
    };
    request.extensions_mut().insert(caller);
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    };
    service.metrics.responded(response.status());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), id);
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Lets in who has a key, where keys are asked for.
async fn known(State(service): Shared, mut request: Request, next: Next) -> Response {
    if service.keys.is_empty() {
        return next.run(request).await;
    }
    match service.keys.holder(request.headers()) {
        Ok(holder) => {
            if let Some(caller) = request.extensions_mut().get_mut::<Caller>() {
                caller.holder = Some(holder);
            }
            next.run(request).await
        }
        Err(fault) => fault.into_response(),
    }
}

async fn completion(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let body = object(&service, body).await?;
    chat::completion(service, caller, &headers, body).await
}

async fn response(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let body = object(&service, body).await?;
    responses::response(service, caller, &headers, body).await
}

async fn feedback(State(service): Shared, Extension(caller): Extension<Caller>, body: Body) -> Result<Response, Fault> {
    let journal = service.journal.clone().ok_or_else(Fault::not_kept)?;
    let body = object(&service, body).await?;
    let holder = caller.holder.as_ref().map(|holder| holder.name.as_str());
    Ok(chat::whole(&journal.feedback(&body, holder)?, HeaderMap::new()))
}

async fn models(State(service): Shared, Extension(caller): Extension<Caller>) -> Response {
    chat::whole(&chat::models(&service, &caller), HeaderMap::new())
}

async fn model(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    service.runs().find(&name)?;
    if caller.holder.is_some_and(|holder| !holder.rights.may_ask(&name)) {
        return Err(Fault::forbidden("the key may not use this model"));
    }
    Ok(chat::whole(&chat::model(&name), HeaderMap::new()))
}

async fn health() -> Response {
    chat::whole(&json!({ "status": "ok" }), HeaderMap::new())
}

async fn ready(State(service): Shared) -> Response {
    let is_ready = service.is_ready();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if is_ready { "ready" } else { "draining" };
    (status, chat::whole(&json!({ "status": word }), HeaderMap::new())).into_response()
}

async fn metrics(State(service): Shared, Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    administers(&caller)?;
    Ok(text(service.metrics()))
}

async fn reload(State(service): Shared, Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    administers(&caller)?;
    reloaded(&service).await
}

fn administers(caller: &Caller) -> Result<(), Fault> {
    let hint = "hint: a key with `may = [\"admin\"]`, or the listener of `--admin`";
    if caller.is_admin() {
        Ok(())
    } else {
        Err(Fault::forbidden(format!("this is only for administrators of the server; {hint}")))
    }
}

/// Opens the runs again, and says what is served then.
async fn reloaded(service: &Service) -> Result<Response, Fault> {
    service.reload().await.map_err(|error| Fault::inside(format!("the previous runs stay: {error:#}")))?;
    Ok(chat::whole(&json!({ "status": "reloaded", "models": service.runs().models() }), HeaderMap::new()))
}

/// What a server tells on a listener of its own, which only this machine reaches.
pub fn administration(service: Arc<Service>) -> Router {
    let reload = async |State(service): Shared| reloaded(&service).await;
    Router::new()
        .route("/metrics", get(async |State(service): Shared| text(service.metrics())))
        .route("/admin/reload", post(reload))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .fallback(async || Fault::absent("there is nothing at this address").coded("unknown_url"))
        .layer(from_fn_with_state(service.clone(), local))
        .with_state(service)
}

/// Answers no web page, whatever name it gives to this machine.
async fn local(State(service): Shared, request: Request, next: Next) -> Response {
    match guard::check(request.headers(), request.uri(), &service.hosts) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

fn text(text: String) -> Response {
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// The object that a body holds.
async fn object(service: &Service, body: Body) -> Result<Map<String, Value>, Fault> {
    let bytes = bytes(service, body).await?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(Fault::invalid(format!("expected an object in JSON, found {}", kind(&other)))),
        Err(error) => Err(Fault::invalid(format!("expected an object in JSON: {error}")).coded("invalid_json")),
    }
}

async fn bytes(service: &Service, body: Body) -> Result<Bytes, Fault> {
    let most = service.limits.body;
    let fault = |status, message: String| Fault::new(status, "invalid_request_error", message);
    match timeout(service.limits.upload, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("expected a request of at most {most} bytes, found a longer one");
            Err(fault(StatusCode::PAYLOAD_TOO_LARGE, message).coded("request_too_large"))
        }
        Ok(Err(error)) => Err(fault(StatusCode::BAD_REQUEST, format!("the request broke off: {error}"))),
        Err(_) => Err(fault(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive".to_owned())),
    }
}
