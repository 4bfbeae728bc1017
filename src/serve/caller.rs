//! Who asks, and when.

use std::sync::Arc;

use axum::http::HeaderMap;
use tokio::time::Instant;

use super::keys::Holder;
use crate::model::openai::TraceContext;

/// The header that names a request.
pub const REQUEST_ID: &str = "x-request-id";
/// The header of W3C's trace context.
pub const TRACE: &str = "traceparent";
/// Longest name of a request that a client may give.
const LONGEST: usize = 128;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Names the request, as its client may have.
    pub id: String,
    /// Names its answer, as nobody else may.
    pub answer: String,
    /// Whose key it has; none where no key is asked for.
    pub holder: Option<Arc<Holder>>,
    pub arrived: Instant,
    /// The span of this request, where it belongs to a trace.
    pub trace: Option<TraceContext>,
}

impl Caller {
    /// Who asks now, without a key so far.
    pub fn new(id: String, headers: &HeaderMap) -> Self {
        let given = headers.get(TRACE).and_then(|value| TraceContext::parse(value.to_str().ok()?));
        let (answer, trace) = (format!("{:032x}", rand::random::<u128>()), given.map(TraceContext::child));
        Caller { id, answer, holder: None, arrived: Instant::now(), trace }
    }

    /// The name of a request: the client's, where it is one, or a new one.
    pub fn name(headers: &HeaderMap) -> String {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let is_name = |id: &&str| {
            (1..=LONGEST).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        given.filter(is_name).map_or_else(|| format!("req-{:032x}", rand::random::<u128>()), str::to_owned)
    }

    /// Whether the caller may administer the server. Without keys nobody may, over this listener.
    pub fn is_admin(&self) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.rights.may("admin"))
    }
}
