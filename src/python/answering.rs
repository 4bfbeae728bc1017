//! A question that is being answered.

use std::io::Write;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Error, Result, anyhow};
use pyo3::prelude::*;
use serde_json::json;
use tokio::task::JoinHandle;

use super::fault::raised;
use super::runtime::{PATIENCE, runtime};
use super::wish::Wish;
use crate::agent::{self, Answered};
use crate::evaluate::latency::measured_path;
use crate::execute::{Event, Observer};
use crate::model;
use crate::plan::Plan;
use crate::report::named::named;

/// What has happened so far.
#[derive(Default)]
struct News {
    /// Events in JSON that nobody has taken yet.
    events: Vec<String>,
    is_done: bool,
    result: Option<Result<String>>,
    /// Gets a byte when something changes, for an event loop; closed when the answer is there. Nothing else would do: a thread
    /// that enters Python while Python ends is killed, and the process with it.
    wakes: Option<UnixStream>,
}

#[derive(Default)]
struct Heard {
    news: Mutex<News>,
    changed: Condvar,
}

impl Heard {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut News)) {
        let mut news = self.news();
        change(&mut news);
        // If it is full or closed, whoever reads it is awake or gone.
        news.wakes.as_ref().into_iter().for_each(|mut wakes| _ = wakes.write_all(b"."));
        if news.is_done {
            news.wakes = None;
        }
        drop(news);
        self.changed.notify_all();
    }
}

impl Observer for Heard {
    fn hear(&self, event: &Event<'_>) {
        if let Ok(line) = serde_json::to_string(event) {
            self.change(|news| news.events.push(line));
        }
    }
}

/// A question that is being answered.
#[pyclass(frozen, module = "lamas._native")]
pub struct Answering {
    heard: Arc<Heard>,
    task: JoinHandle<()>,
    /// The other end of what wakes an event loop.
    reader: Mutex<Option<UnixStream>>,
}

impl Answering {
    /// Begins to answer. If `wakes`, an event loop can wait for news: see [`Answering::reader`].
    ///
    /// # Errors
    /// There is no runtime, or no stream can be made.
    pub fn begin(agent: Arc<agent::Agent>, question: String, wish: Wish, wakes: bool) -> Result<Self> {
        let runtime = runtime()?;
        let (wakes, reader) = match wakes {
            true => {
                let (own, other) = UnixStream::pair().context("cannot make a stream to wake an event loop")?;
                own.set_nonblocking(true)?;
                (Some(own), Some(other))
            }
            false => (None, None),
        };
        let news = News { wakes, ..News::default() };
        let heard = Arc::new(Heard { news: Mutex::new(news), ..Heard::default() });
        let listener = heard.clone();
        let task = runtime.spawn(async move {
            let answered = agent.answer(&question, wish.ask(Some(&*listener))).await;
            let result = answered.and_then(|answered| written(&agent, &answered));
            listener.change(|news| (news.is_done, news.result) = (true, Some(result)));
        });
        Ok(Answering { heard, task, reader: Mutex::new(reader) })
    }
}

#[pymethods]
impl Answering {
    /// Waits for news, for a moment at most; says whether the answer is there.
    fn wait(&self, py: Python<'_>) -> PyResult<bool> {
        let is_done = py.detach(|| {
            let news = self.heard.news();
            let is_quiet = |news: &mut News| !news.is_done && news.events.is_empty() && !self.task.is_finished();
            let waited = self.heard.changed.wait_timeout_while(news, PATIENCE, is_quiet);
            waited.unwrap_or_else(PoisonError::into_inner).0.is_done || self.task.is_finished()
        });
        py.check_signals()?;
        Ok(is_done)
    }

    /// The file descriptor of a socket that can be read when there is news, and that ends with the answer; once, and the
    /// caller's to close.
    fn reader(&self) -> Option<i32> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).take().map(IntoRawFd::into_raw_fd)
    }

    /// Whether the answer is there.
    fn is_done(&self) -> bool {
        self.heard.news().is_done || self.task.is_finished()
    }

    /// The events since the last call, in JSON.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.news().events)
    }

    /// The answer in JSON, once.
    fn result(&self, py: Python<'_>) -> PyResult<String> {
        let lost = || Error::from(model::Error::Broken("the answer was stopped, or taken before".into()));
        let result = self.heard.news().result.take().unwrap_or_else(|| Err(lost()));
        result.map_err(|error| raised(py, &error))
    }

    /// Stops answering, and drops all calls.
    fn cancel(&self) {
        self.task.abort();
        self.heard.change(|news| news.is_done = true);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer in JSON.
fn written(agent: &agent::Agent, answered: &Answered) -> Result<String> {
    let operators = agent.solver().catalogue().operators();
    let names: Vec<String> = operators.iter().map(|operator| operator.name.clone()).collect();
    let (trace, chosen) = (&answered.trace, &answered.chosen);
    if let (None, Some(reason)) = (&answered.answer, trace.failure()) {
        return Err(anyhow!(model::Error::Transient(reason.to_owned())).context("no answer"));
    }
    let usage = trace.usage();
    Ok(json!({
        "answer": answered.answer,
        "confidence": answered.confidence,
        "text": answered.text,
        "plan": layers(&chosen.plan, &names),
        "latency_weight": chosen.latency_weight,
        "within_budget": chosen.is_within,
        "predicted": chosen.predicted.as_ref().map(|predicted| predicted.path),
        "tokens": measured_path(trace).tokens,
        "seconds": trace.end(),
        "cost": trace.cost(),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "trace": named(trace, &names)?,
    })
    .to_string())
}

/// A plan as the names of its operators.
pub fn layers<'n>(plan: &Plan, names: &'n [String]) -> Vec<Vec<&'n str>> {
    let layer = |layer: &crate::plan::Layer| {
        layer.operators.iter().filter_map(|operator| names.get(operator.index()).map(String::as_str)).collect()
    };
    plan.layers.iter().map(layer).collect()
}
