//! What is kept of what is served: the record of calls, one line for each decision, and what people said of answers.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::fields::Fields;
use super::outcome::Outcome;
use super::time::now;
use crate::disk::{WriteError, create_folder};
use crate::record::Record;
use crate::task::AnswerForm;

/// Answers of which something may still be said.
const REMEMBERED: usize = 20_000;

/// What is kept in a folder.
pub struct Journal {
    record: Arc<Record>,
    decisions: Mutex<File>,
    feedback: Mutex<File>,
    explorations: Mutex<File>,
    recent: Mutex<Recent>,
    /// Lines that could not be written.
    lost: AtomicU64,
}

/// The answers of late, oldest first.
#[derive(Default)]
struct Recent {
    shown: HashMap<String, Shown>,
    order: VecDeque<String>,
}

/// An answer that was given.
#[derive(Clone, Debug)]
struct Shown {
    /// Whose key asked.
    holder: Option<String>,
    form: AnswerForm,
    answer: Option<String>,
    /// Of all solutions.
    answers: Vec<String>,
}

/// What was decided for a request, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// Names the answer.
    pub id: String,
    pub request: String,
    /// The trace that it belongs to, where its client says so.
    pub trace: Option<String>,
    /// Seconds since 1970.
    pub time: u64,
    /// Name of the key that asked.
    pub key: Option<String>,
    pub run: String,
    pub model: String,
    pub question: String,
    /// Messages before the question.
    pub before: usize,
    /// A digest of them, in hexadecimal digits; none where there are none.
    pub conversation: Option<String>,
    /// Seconds that it might take.
    pub budget: f64,
    pub in_flight: usize,
    pub waiting: usize,
    /// Seconds that calls waited of late.
    pub queued: f64,
    /// With which the plan was chosen: none is drawn.
    pub probability: f64,
    /// Whether the operators that were not asked are asked afterwards; none where nothing is explored.
    pub explore: Option<Drawn>,
    pub draw: u64,
    /// `answered`, `late`, `failed` or `left`.
    pub result: &'static str,
    /// Seconds from its arrival.
    pub took: f64,
    /// Dollars.
    pub cost: f64,
    /// How the plan came to its answer; none of a plain call.
    pub planned: Option<Value>,
    /// What a plan would have done, where the plain model answered in its place.
    pub shadow: Option<Value>,
}

/// Whether a request is explored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drawn {
    /// Of the requests: the probability of each.
    pub share: f64,
    pub drawn: bool,
    /// Whether it was given up at once, since too many waited to be explored.
    pub dropped: bool,
}

impl Journal {
    /// What is kept in `folder`, which goes on from what is there.
    ///
    /// # Errors
    /// It cannot be written, or another process writes there.
    pub fn open(folder: &Path) -> Result<Self> {
        create_folder(folder)?;
        let append = |name: &str| {
            let path = folder.join(name);
            let file = OpenOptions::new().append(true).create(true).open(&path);
            file.map(Mutex::new).map_err(WriteError::of(format!("open `{}` for writing", path.display())))
        };
        Ok(Journal {
            record: Arc::new(Record::open(&folder.join("record.jsonl"))?.only_written()),
            decisions: append("decisions.jsonl")?,
            feedback: append("feedback.jsonl")?,
            explorations: append("explorations.jsonl")?,
            recent: Mutex::default(),
            lost: AtomicU64::new(0),
        })
    }

    /// The record of calls, which is only written.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Lines that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes note of a decision, and of an answer by a plan, of which something may be said from now on.
    pub fn note(&self, decision: &Decision, outcome: Option<&Outcome>, form: AnswerForm) {
        if let Some(planned) = outcome.and_then(|outcome| outcome.planned.as_ref()) {
            let (answer, answers) = (planned.answer.clone(), planned.answers.clone());
            let shown = Shown { holder: decision.key.clone(), form, answer, answers };
            self.recent().remember(decision.id.clone(), shown);
        }
        if self.append(&self.decisions, decision).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note of what became of an exploration.
    pub fn explored(&self, explored: &impl Serialize) {
        if self.append(&self.explorations, explored).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes in what somebody says of an answer: the right one grades all solutions, a score those that say the same as the
    /// one that was shown. It is said once, by who asked.
    ///
    /// # Errors
    /// There is no such answer of theirs, it was said before, or the request is at fault.
    pub fn feedback(&self, body: &Map<String, Value>, holder: Option<&str>) -> Result<Value, Fault> {
        let fields = Fields::new(body, "");
        let id = fields.text("id")?.ok_or_else(|| fields.expected("id", "the id of an answer"))?;
        let id = ["chatcmpl-", "resp_"].iter().find_map(|prefix| id.strip_prefix(prefix)).unwrap_or(id);
        let (answer, score) = (fields.text("answer")?, fields.number("score", 0.0, 1.0)?);
        if answer.is_some() == score.is_some() {
            return Err(Fault::of(
                "answer",
                "expected the right `answer` or a `score` from 0 to 1, found none or both",
            ));
        }
        let mut recent = self.recent();
        let absent = || Fault::absent("there is no answer of yours with this id that can be rated").at("id");
        let shown = recent.shown.get(id).filter(|shown| shown.holder.as_deref() == holder).ok_or_else(absent)?.clone();
        let grade = |given: &str| match (answer, score) {
            (Some(answer), _) => Some(f64::from(shown.form.equal(answer, given))),
            (None, Some(score)) if shown.answer.as_deref() == Some(given) => Some(score),
            _ => None,
        };
        let mut graded: Vec<(&str, f64)> = Vec::new();
        for given in &shown.answers {
            if graded.iter().all(|(known, _)| known != given) {
                graded.extend(grade(given).map(|score| (given.as_str(), score)));
            }
        }
        let line =
            json!({ "id": id, "time": now(), "key": holder, "answer": answer, "score": score, "graded": graded });
        let kept = self.append(&self.feedback, &line);
        kept.map_err(|error| Fault::inside(format!("the feedback cannot be saved: {error:#}")))?;
        recent.shown.remove(id);
        Ok(json!({ "object": "feedback", "id": id, "graded": graded.len() }))
    }

    fn append(&self, file: &Mutex<File>, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)?;
        Ok(())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn remember(&mut self, id: String, shown: Shown) {
        while self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.shown.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.shown.insert(id, shown);
    }
}

impl Fault {
    /// Nothing is kept by this server.
    pub fn not_kept() -> Self {
        let message = "this server keeps no answers; hint: `lamas serve --record DIR`";
        Fault::new(StatusCode::NOT_FOUND, "invalid_request_error", message).coded("not_recorded")
    }
}
