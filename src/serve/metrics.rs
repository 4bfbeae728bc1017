//! Counters of a server, as Prometheus reads them. Labels are names of served models and fixed words, never what a client
//! sent.

use std::sync::atomic::AtomicU64;

use axum::http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::outcome::Outcome;
use crate::model::openai::{Account, Circuit};
use crate::plan::Usage;

type Dollars = Counter<f64, AtomicU64>;
type Level = Gauge<f64, AtomicU64>;

/// A served model, and a fixed word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels {
    model: String,
    /// The name of the second label, and its value.
    word: Option<(&'static str, &'static str)>,
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        ("model", self.model.as_str()).encode(encoder.encode_label())?;
        if let Some(word) = self.word {
            word.encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// By status.
    responses: Family<Vec<(&'static str, String)>, Counter>,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram>,
    first: Family<Labels, Histogram>,
    tokens: Family<Labels, Counter>,
    dollars: Family<Labels, Dollars>,
    operators: Family<Labels, Histogram>,
    dropped: Family<Labels, Counter>,
    budgets: Family<Labels, Counter>,
    explorations: Family<Vec<(&'static str, &'static str)>, Counter>,
    explored_dollars: Dollars,
    in_flight: Gauge,
    waiting: Gauge,
    lost: Gauge,
    upstream: [Level; 4],
    /// By upstream: 0 closed, 1 half-open, 2 open.
    circuits: Family<Vec<(&'static str, String)>, Gauge>,
}

/// What is read off when the counters are asked for.
#[derive(Clone, Debug)]
pub struct Now {
    pub in_flight: usize,
    pub waiting: usize,
    /// Lines of the journal that could not be written.
    pub lost: u64,
    pub upstream: Account,
    /// Of each upstream.
    pub circuits: Vec<(String, Circuit)>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lamas");
        let metrics = Metrics {
            registry: Registry::default(),
            responses: Family::default(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            first: Family::new_with_constructor(seconds),
            tokens: Family::default(),
            dollars: Family::default(),
            operators: Family::new_with_constructor(|| Histogram::new([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0])),
            dropped: Family::default(),
            budgets: Family::default(),
            explorations: Family::default(),
            explored_dollars: Dollars::default(),
            in_flight: Gauge::default(),
            waiting: Gauge::default(),
            lost: Gauge::default(),
            upstream: Default::default(),
            circuits: Family::default(),
        };
        registry.register("responses", "Responses by status", metrics.responses.clone());
        registry.register("requests", "Requests by how they ended", metrics.requests.clone());
        registry.register("request_seconds", "From the request to the end of its answer", metrics.seconds.clone());
        registry.register("first_token_seconds", "From the request to the first of its text", metrics.first.clone());
        registry.register("tokens", "Tokens of answered requests", metrics.tokens.clone());
        registry.register("cost_dollars", "Dollars spent on requests", metrics.dollars.clone());
        registry.register("plan_operators", "Operators of plans", metrics.operators.clone());
        registry.register("dropped_operators", "Operators whose calls were dropped", metrics.dropped.clone());
        registry.register("budgets", "Requests with a budget, by whether it was kept", metrics.budgets.clone());
        registry.register("explorations", "Requests explored, by what became of it", metrics.explorations.clone());
        let dollars = metrics.explored_dollars.clone();
        registry.register("explored_cost_dollars", "Dollars of exploration, which no request holds", dollars);
        registry.register("in_flight", "Requests being answered", metrics.in_flight.clone());
        registry.register("waiting", "Requests waiting for their turn", metrics.waiting.clone());
        registry.register("journal_lost", "Decisions that could not be saved", metrics.lost.clone());
        let [requests, failed, lost, dollars] = metrics.upstream.clone();
        registry.register("upstream_requests", "Requests to models' servers", requests);
        registry.register("upstream_unanswered", "Of these, those without a whole answer", failed);
        registry.register("upstream_lost_tokens", "Tokens of answers that broke off or were dropped", lost);
        registry.register("upstream_cost_dollars", "Dollars of requests to models' servers", dollars);
        let help = "How an upstream is asked: 0 as usual, 1 by one request that tries it, 2 not at all";
        registry.register("upstream_circuit", help, metrics.circuits.clone());
        Metrics { registry, ..metrics }
    }
}

impl Metrics {
    /// A response goes out.
    pub fn responded(&self, status: StatusCode) {
        self.responses.get_or_create(&vec![("status", status.as_str().to_owned())]).inc();
    }

    /// A request came to this.
    pub fn answered(&self, model: &str, outcome: &Outcome, took: f64) {
        self.ended(model, "answered", took);
        let Usage { prompt_tokens, completion_tokens, .. } = outcome.usage;
        let thoughts = completion_tokens.saturating_sub(outcome.answer_tokens);
        for (kind, tokens) in [("prompt", prompt_tokens), ("answer", outcome.answer_tokens), ("other", thoughts)] {
            self.tokens.get_or_create(&labels(model, "kind", kind)).inc_by(tokens);
        }
        self.spent(model, outcome.cost);
        if let Some(planned) = &outcome.planned {
            self.operators.get_or_create(&of(model)).observe(planned.operators as f64);
            self.dropped.get_or_create(&of(model)).inc_by(planned.dropped as u64);
        }
    }

    /// A request ended otherwise.
    pub fn ended(&self, model: &str, how: &'static str, took: f64) {
        self.requests.get_or_create(&labels(model, "result", how)).inc();
        self.seconds.get_or_create(&of(model)).observe(took);
    }

    /// Dollars of a request.
    pub fn spent(&self, model: &str, dollars: f64) {
        self.dollars.get_or_create(&of(model)).inc_by(dollars);
    }

    /// The first text of an answer went out.
    pub fn first(&self, model: &str, took: f64) {
        self.first.get_or_create(&of(model)).observe(took);
    }

    /// Whether a budget was kept.
    pub fn budget(&self, model: &str, is_kept: bool) {
        self.budgets.get_or_create(&labels(model, "kept", if is_kept { "yes" } else { "no" })).inc();
    }

    /// A request was explored, or not, at so many dollars.
    pub fn explored(&self, how: &'static str, dollars: f64) {
        self.explorations.get_or_create(&vec![("result", how)]).inc();
        self.explored_dollars.inc_by(dollars);
    }

    /// All in Prometheus' text format.
    pub fn text(&self, now: Now) -> String {
        self.in_flight.set(i64::try_from(now.in_flight).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(now.waiting).unwrap_or(i64::MAX));
        self.lost.set(i64::try_from(now.lost).unwrap_or(i64::MAX));
        let Account { requests, answered, lost, cost, .. } = now.upstream;
        let levels = [requests as f64, requests.saturating_sub(answered) as f64, lost.tokens() as f64, cost];
        for (gauge, level) in self.upstream.iter().zip(levels) {
            gauge.set(level);
        }
        for (upstream, circuit) in now.circuits {
            let level = [Circuit::Closed, Circuit::HalfOpen, Circuit::Open].iter().position(|it| *it == circuit);
            let gauge = self.circuits.get_or_create(&vec![("upstream", upstream)]);
            gauge.set(level.and_then(|level| i64::try_from(level).ok()).unwrap_or_default());
        }
        let mut text = String::new();
        // A string takes whatever is written.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn of(model: &str) -> Labels {
    Labels { model: model.to_owned(), word: None }
}

fn labels(model: &str, name: &'static str, value: &'static str) -> Labels {
    Labels { model: model.to_owned(), word: Some((name, value)) }
}
