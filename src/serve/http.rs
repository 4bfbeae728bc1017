//! The routes of a server, and what holds for all of them.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::json;

use super::asked::Asked;
use super::caller::{Caller, REQUEST_ID, TRACE};
use super::chat;
use super::fault::Fault;
use super::guard;
use super::page;
use super::responses;
use super::service::Service;

/// Where the page stands, and what it asks for.
const PAGE: &str = "/";
const LIVE: &str = "/admin/live";

type Shared = State<Arc<Service>>;

/// All that a server answers.
pub fn router(service: Arc<Service>) -> Router {
    let asked = Router::new()
        .route("/v1/chat/completions", post(chat::completion))
        .route("/chat/completions", post(chat::completion))
        .route("/v1/responses", post(responses::response))
        .route("/v1/feedback", post(feedback))
        .route("/v1/models", get(models))
        .route("/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/metrics", get(metrics))
        .route("/admin/reload", post(reload))
        .route(LIVE, get(live))
        .route(PAGE, get(page))
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
    let caller = Caller::new(id.clone(), request.headers());
    let trace = caller.trace;
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
    if let Some(trace) = trace.and_then(|trace| HeaderValue::from_str(&trace.to_string()).ok()) {
        headers.insert(HeaderName::from_static(TRACE), trace);
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Lets in who has a key, where keys are asked for.
async fn known(State(service): Shared, mut request: Request, next: Next) -> Response {
    if service.keys.is_empty() {
        return next.run(request).await;
    }
    // Browsers ask for a key in a way of their own; with it they may look, and nothing else.
    let is_page = request.method() == Method::GET && [PAGE, LIVE].contains(&request.uri().path());
    match service.keys.holder(request.headers(), is_page) {
        Ok(holder) => {
            if let Some(caller) = request.extensions_mut().get_mut::<Caller>() {
                caller.holder = Some(holder);
            }
            next.run(request).await
        }
        Err(fault) if is_page => {
            let mut response = fault.into_response();
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"lamas\""));
            response
        }
        Err(fault) => fault.into_response(),
    }
}

async fn feedback(Asked { service, caller, body, .. }: Asked) -> Result<Response, Fault> {
    let journal = service.journal.as_ref().ok_or_else(Fault::not_kept)?;
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
    (status, chat::whole(&json!({ "status": word, "upstreams": service.circuits() }), HeaderMap::new())).into_response()
}

async fn metrics(State(service): Shared, Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    administers(&caller)?;
    Ok(text(service.metrics()))
}

async fn live(State(service): Shared, Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    administers(&caller)?;
    Ok(told(&service))
}

async fn page(Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    administers(&caller)?;
    Ok(page::page())
}

/// What happens now.
fn told(service: &Service) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    chat::whole(&service.told(), headers)
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
        .route(LIVE, get(async |State(service): Shared| told(&service)))
        .route(PAGE, get(async || page::page()))
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
