//! Progress on standard error: the step, how far it is, its speed, what was spent, and the time left for all steps. On
//! a terminal this is one moving line, elsewhere a plain line every half minute.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::progress_line::{Course, Part, Spent};
use crate::execute::Episode;
use crate::objective::Objective;
use crate::settings::Endpoints;

/// How often a line is written without a terminal, and how often it is redrawn on one.
const PLAIN: Duration = Duration::from_secs(30);
const DRAWN: Duration = Duration::from_millis(500);

/// The line on the terminal, if there is one.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes to standard error next to the progress line, which reappears below.
pub fn aside(write: impl FnOnce()) {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// The steps of a command, one after another. Clones share the same state.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    course: Mutex<Course>,
    started: Instant,
    /// `None` if nothing is drawn.
    drawn: Option<ProgressBar>,
    endpoints: Endpoints,
    /// Whether the current step is a group of others.
    is_grouped: AtomicBool,
    /// Dropping it ends the thread that keeps the line up to date.
    _ticking: Option<Sender<()>>,
}

impl Progress {
    /// The progress of a command that asks these endpoints.
    pub fn new(endpoints: Endpoints) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let drawn = is_terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
            // An invalid template is our mistake and not worth a crash.
            ProgressStyle::with_template("{wide_msg}").map_or(bar.clone(), |style| bar.with_style(style))
        });
        SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&drawn);
        let (ticking, ends) = channel();
        let shared = Arc::new(Shared {
            course: Mutex::default(),
            started: Instant::now(),
            drawn,
            endpoints,
            is_grouped: AtomicBool::new(false),
            _ticking: Some(ticking),
        });
        let weak = Arc::downgrade(&shared);
        std::thread::spawn(move || tick(&weak, &ends, if is_terminal { DRAWN } else { PLAIN }));
        Progress(shared)
    }

    /// For work whose progress is not shown.
    pub fn hidden() -> Self {
        Progress(Arc::new(Shared {
            course: Mutex::default(),
            started: Instant::now(),
            drawn: None,
            endpoints: Endpoints::default(),
            is_grouped: AtomicBool::new(false),
            _ticking: None,
        }))
    }

    /// Announces the steps to come, each with its amount of work in any unit.
    pub fn plan(&self, steps: impl IntoIterator<Item = (String, f64)>) {
        self.0.course().plan(steps.into_iter().collect());
    }

    /// Sets what all steps together are expected to cost, in dollars.
    pub fn expect_cost(&self, dollars: f64) {
        self.0.course().expected = Some(dollars);
    }

    /// Begins the step of this name, planned or not. It counts up to `total`, in `unit`, a plural. Within a group it
    /// becomes part of the group's step.
    pub fn begin(&self, label: &str, unit: &'static str, total: u64) -> Bar {
        if self.0.is_grouped.load(Ordering::Relaxed) {
            let bar = Bar { shared: self.0.clone(), within: Some(format!("{label}: ")), is_group: false };
            bar.message(String::new());
            return bar;
        }
        self.0.course().begin(label, Part { unit, total, ..Part::default() }, self.0.started.elapsed());
        self.0.draw();
        Bar { shared: self.0.clone(), within: None, is_group: false }
    }

    /// Begins a step that consists of others: it counts what they count.
    pub fn group(&self, label: &str, unit: &'static str, total: u64) -> Bar {
        let mut bar = self.begin(label, unit, total);
        bar.is_group = true;
        self.0.is_grouped.store(true, Ordering::Relaxed);
        bar
    }
}

/// A step in progress; dropping it ends the step.
pub struct Bar {
    shared: Arc<Shared>,
    /// Its name within its group.
    within: Option<String>,
    is_group: bool,
}

impl Bar {
    /// Counts work that was done.
    pub fn inc(&self, count: u64) {
        self.shared.course().part.done += count;
    }

    /// Sets how much is done, and of how much.
    pub fn set(&self, done: u64, total: u64) {
        let mut course = self.shared.course();
        (course.part.done, course.part.total) = (done, total);
    }

    /// Sets an additional text to show.
    pub fn message(&self, text: String) {
        let text = format!("{}{text}", self.within.as_deref().unwrap_or_default());
        self.shared.course().part.message = text.trim_end_matches([' ', ':']).to_owned();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.within.is_some() {
            return;
        }
        if self.is_group {
            self.shared.is_grouped.store(false, Ordering::Relaxed);
        }
        self.shared.course().end();
        if let Some(bar) = &self.shared.drawn {
            bar.set_message("");
            bar.finish_and_clear();
            bar.reset();
        }
    }
}

impl Shared {
    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current line; `None` between two steps.
    fn line(&self) -> Option<String> {
        let mut course = self.course();
        let spent = (!self.endpoints.is_empty()).then(|| self.endpoints.account().cost);
        let spent = Spent { dollars: spent.unwrap_or_default(), of: course.expected };
        course.line(self.started.elapsed(), spent)
    }

    fn draw(&self) {
        if let (Some(bar), Some(line)) = (&self.drawn, self.line()) {
            bar.set_message(line);
        }
    }
}

/// Keeps the line up to date until nobody holds the progress any more.
fn tick(shared: &Weak<Shared>, ends: &Receiver<()>, every: Duration) {
    while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(every) {
        let Some(shared) = shared.upgrade() else { return };
        match (&shared.drawn, shared.line()) {
            (Some(_), _) => shared.draw(),
            (None, Some(line)) => eprintln!("{line}"),
            (None, None) => {}
        }
    }
}

/// Means over the episodes seen so far.
pub struct Running<'a> {
    objective: &'a Objective,
    bar: &'a Bar,
    score: f64,
    path: f64,
    count: u32,
}

impl<'a> Running<'a> {
    pub fn new(objective: &'a Objective, bar: &'a Bar) -> Self {
        Running { objective, bar, score: 0.0, path: 0.0, count: 0 }
    }

    /// Adds one episode and advances the bar.
    pub fn see(&mut self, episode: &Episode) {
        self.score += episode.score;
        self.path += self.objective.measure(episode).path;
        self.count += 1;
        let count = f64::from(self.count);
        self.bar.message(format!("score {:.3}, path {:.1}", self.score / count, self.path / count));
        self.bar.inc(1);
    }
}
