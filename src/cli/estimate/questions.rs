//! Estimates what many questions cost by asking a few of them.

use anyhow::Result;

use super::tally::{Tally, say};
use crate::cli::session::Session;

/// The maximum number of questions to ask.
const PROBES: usize = 24;

/// Prints what `total` questions will cost. `ask` is told how many questions to ask.
///
/// # Errors
/// Those of `ask`.
pub fn of_questions(session: &Session, total: usize, ask: impl FnOnce(usize) -> Result<()>) -> Result<()> {
    let endpoints = &session.parts.endpoints;
    if endpoints.is_empty() {
        eprintln!("estimate: no endpoint is asked, so nothing is paid");
        return Ok(());
    }
    let probes = total.min(PROBES);
    let before = Tally::from(endpoints.account());
    let bar = session.progress.group("probes", "questions", 0);
    ask(probes)?;
    drop(bar);
    let asked = Tally::from(endpoints.account()) + before * -1.0;
    say(probes, &[("all", asked * (total as f64 / probes.max(1) as f64))]);
    Ok(())
}
