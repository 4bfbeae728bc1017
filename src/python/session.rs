//! Sessions for Python: somebody else executes, the agent decides.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};
use pyo3::prelude::*;
use serde_json::json;

use super::answering::layers;
use super::fault::raised;
use super::wish::Wish;
use crate::agent::{self, Report};
use crate::record::Record;

/// The records that this process writes: a file has one writer.
static RECORDS: Mutex<Option<HashMap<PathBuf, Weak<Record>>>> = Mutex::new(None);

/// The record in a file, which sessions of this process share. Nothing is taken from it.
///
/// # Errors
/// Those of [`Record::open`].
pub fn shared_record(path: &Path) -> Result<Arc<Record>> {
    let mut held = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let records = held.get_or_insert_default();
    let place = std::path::absolute(path).with_context(|| format!("cannot find `{}`", path.display()))?;
    if let Some(record) = records.get(&place).and_then(Weak::upgrade) {
        return Ok(record);
    }
    let record = Arc::new(Record::open(path)?.only_written());
    records.insert(place, Arc::downgrade(&record));
    Ok(record)
}

/// A query that somebody else executes.
#[pyclass(frozen, module = "lamas._native")]
pub struct Session {
    session: Mutex<agent::Session>,
    names: Vec<String>,
}

impl Session {
    /// # Errors
    /// Those of [`agent::Session::new`].
    pub fn begin(
        agent: Arc<agent::Agent>,
        names: Vec<String>,
        question: &str,
        wish: &Wish,
        record: Option<Arc<Record>>,
    ) -> Result<Self> {
        let session = Mutex::new(agent::Session::new(agent, question, &wish.ask(None), record)?);
        Ok(Session { session, names })
    }

    fn advance(&self, reports: &str) -> Result<String> {
        let reports: Vec<Report> = serde_json::from_str(reports).context("reports of a session")?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(serde_json::to_string(&session.next(reports)?)?)
    }
}

#[pymethods]
impl Session {
    /// Takes reports and gives the next step, both in JSON.
    fn next(&self, py: Python<'_>, reports: &str) -> PyResult<String> {
        py.detach(|| self.advance(reports)).map_err(|error| raised(py, &error))
    }

    /// The plan that the query begins with, in JSON.
    fn first(&self) -> String {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let first = session.first();
        json!({
            "layers": layers(&first.plan, &self.names),
            "then": first.then,
            "latency_weight": first.latency_weight,
            "within_budget": first.is_within,
            "predicted": first.predicted.as_ref().map(|predicted| predicted.path),
        })
        .to_string()
    }
}
