//! The facts beside the figures of a report: what was run, where, when and at what cost.

use std::ffi::OsString;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use super::session::Session;
use crate::record::each_call;
use crate::report::{Panel, Provenance};

/// What the report says besides the figures.
pub struct About {
    pub title: String,
    pub provenance: Provenance,
    /// What the panels show.
    pub curves: &'static str,
    pub panels: Vec<Panel>,
    pub config: serde_json::Value,
}

/// When this process began.
static STARTED: OnceLock<Instant> = OnceLock::new();

/// The command line, which need not be that of the process.
static WORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes the start of a command line.
pub fn begins(words: &[OsString]) {
    STARTED.get_or_init(Instant::now);
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    *WORDS.lock().unwrap_or_else(PoisonError::into_inner) = words.collect();
}

/// The command line that began last.
pub fn words() -> Vec<String> {
    WORDS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What training has asked for so far, as far as it was recorded.
pub fn training_cost(session: &Session) -> String {
    let Some(record) = session.solver().record() else { return "no model was asked".to_owned() };
    let (mut calls, mut tokens, mut dollars) = (0_u64, 0_u64, 0.0);
    let seen = each_call(record.path(), |_, line| {
        calls += 1;
        tokens += line.calls.iter().map(|call| call.usage.tokens()).sum::<u64>();
        dollars += line.cost;
        Ok(())
    });
    match seen {
        Ok(_) => {
            let digits = if dollars < 1.0 { 4 } else { 2 };
            format!("{calls} operator calls, {tokens} tokens, {dollars:.digits$} $")
        }
        // A missing cost must not make the whole report fail.
        Err(_) => String::new(),
    }
}

/// The command, the version, the machine and the seeds of this process.
pub fn provenance(seeds: Vec<u64>, device: &candle_core::Device) -> Provenance {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Provenance {
        command: words().join(" "),
        version: version(),
        machine: format!(
            "{} {}, {cores} cores, device {:?}",
            std::env::consts::OS,
            std::env::consts::ARCH,
            device.location()
        ),
        seeds,
        date: httpdate::fmt_http_date(SystemTime::now()),
        seconds: STARTED.get().map(|started| started.elapsed().as_secs_f64()),
        training: String::new(),
    }
}

/// The version of the program, with the revision that it was built from, if known.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    revision().map_or(version.to_owned(), |revision| format!("{version} ({revision})"))
}

/// The git revision of the program, if the build knew it.
pub fn revision() -> Option<String> {
    option_env!("LAMAS_REVISION").filter(|revision| !revision.is_empty()).map(str::to_owned)
}
