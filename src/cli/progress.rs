//! Progress bars on standard error: rate, time left, running score and critical path.

use std::fmt::Display;

use indicatif::{ProgressBar, ProgressStyle};

use crate::execute::Episode;
use crate::objective::Objective;

/// A bar over `total` pieces of work; drawn only on a terminal.
pub fn bar(label: impl Display, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = "{prefix:22} {bar:24} {pos}/{len} {per_sec:>10} eta {eta:>4}  {msg}";
    // A template that does not parse is a mistake of ours, not worth a crash: the default style shows the same bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_prefix(label.to_string())
}

/// Means over the episodes seen so far.
pub struct Running<'a> {
    objective: &'a Objective,
    bar: &'a ProgressBar,
    score: f64,
    path: f64,
    count: u32,
}

impl<'a> Running<'a> {
    pub fn new(objective: &'a Objective, bar: &'a ProgressBar) -> Self {
        Running { objective, bar, score: 0.0, path: 0.0, count: 0 }
    }

    /// Takes in one episode and moves the bar on.
    pub fn see(&mut self, episode: &Episode) {
        self.score += episode.score;
        self.path += self.objective.measure(episode).path;
        self.count += 1;
        let count = f64::from(self.count);
        self.bar.set_message(format!("score {:.3}  path {:.1}", self.score / count, self.path / count));
        self.bar.inc(1);
    }
}
