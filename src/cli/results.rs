//! Results: the table on standard output, and in the run folder the report, the episodes and the figures as JSON.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::methods::{self, Chosen};
use super::output::say;
use super::remarks::remarks;
use super::session::Session;
use super::split::Split;
use crate::agent::Trained;
use crate::checkpoint::write_atomic;
use crate::disk::create_folder;
use crate::evaluate::{Evaluation, Row, compare};
use crate::execute::Episode;
use crate::plan::Unit;
use crate::report::{Example, Panel, Probabilities, Provenance, Report, html, jsonl, table};

/// Queries shown with their timelines in the report.
const EXAMPLES: usize = 6;

/// What was measured, ready to be shown.
pub struct Results {
    rows: Vec<Row>,
    trained: Vec<Evaluation>,
    /// Of all methods, ours last.
    outcomes: Vec<OutcomeLine>,
    /// What the table does not say, one line each.
    remarks: Vec<String>,
}

/// What came of one method, seed and problem: a line of `outcomes.jsonl`.
#[derive(Serialize)]
struct OutcomeLine {
    method: String,
    /// Of the pass: the controller's where the method has one.
    seed: u64,
    problem: String,
    score: f64,
    /// In the unit of the objective.
    critical_path: f64,
    seconds: f64,
    dollars: f64,
    utility: f64,
    /// Those asked, in plan order.
    operators: Vec<String>,
}

impl Results {
    /// Measures the trained controllers and, `beside` them, the baselines; prints what was finished, also on errors.
    pub fn measure(
        session: &Session,
        split: &Split,
        chosen: &Chosen,
        trained: &[Trained],
        beside: bool,
        as_json: bool,
    ) -> Result<Self> {
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        let mut outcome = methods::measure_trained(session, session.execution, split, chosen, &mut ours);
        if beside && outcome.is_ok() {
            outcome = methods::measure_baselines(session, split, &chosen.seeds, &mut others);
        }
        if beside && outcome.is_ok() {
            outcome = methods::measure_candidates(session, split, trained, &mut others);
        }
        let trained: Vec<Evaluation> = ours.into_iter().flatten().collect();
        let outcomes = outcomes(session, &others, &trained, &chosen.seeds);
        let rows = compare(&others, &trained, &session.objective);
        let remarks = remarks(&rows, others.iter().map(Vec::as_slice).chain([trained.as_slice()]));
        let results = Results { rows, trained, outcomes, remarks };
        if results.trained.iter().any(|pass| !pass.episodes.is_empty()) {
            results.print(as_json)?;
        }
        outcome.map(|()| results)
    }

    /// The rows of the table, ours last.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The passes of the trained controllers.
    pub fn trained(&self) -> &[Evaluation] {
        &self.trained
    }

    /// Puts evaluated controllers beside other methods and prints the table.
    pub fn of(
        session: &Session,
        others: &[Vec<Evaluation>],
        trained: Vec<Evaluation>,
        seeds: &[u64],
        as_json: bool,
    ) -> Result<Self> {
        let outcomes = outcomes(session, others, &trained, seeds);
        let rows = compare(others, &trained, &session.objective);
        let remarks = remarks(&rows, others.iter().map(Vec::as_slice).chain([trained.as_slice()]));
        let results = Results { rows, trained, outcomes, remarks };
        results.print(as_json)?;
        Ok(results)
    }

    /// Prints the table of `rows`, of which `trained` are the passes of the last.
    pub fn of_rows(rows: Vec<Row>, trained: Vec<Evaluation>, as_json: bool) -> Result<Self> {
        let results = Results { rows, trained, outcomes: Vec::new(), remarks: Vec::new() };
        results.print(as_json)?;
        Ok(results)
    }

    /// The table, or the same figures as JSON, on standard output.
    fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            say(serde_json::to_string_pretty(&self.rows)?)?;
        } else {
            let styled = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            say(format_args!("{}\n\n{}", table::table(&self.rows, styled), table::legend(&self.rows)))?;
            self.remarks.iter().try_for_each(say)?;
        }
        Ok(())
    }

    /// Writes `report.html`, `results.json`, `test-episodes.jsonl` and `outcomes.jsonl` to `folder`.
    pub fn write(&self, session: &Session, split: &Split, about: About, folder: &Path) -> Result<()> {
        create_folder(folder)?;
        let operators = session.names();
        let episodes: Vec<_> = self.trained.iter().flat_map(|pass| pass.episodes.clone()).collect();
        let depth = episodes.iter().map(|episode| episode.plan.layers.len()).max().unwrap_or(1);
        jsonl::write(&folder.join("test-episodes.jsonl"), &episodes)?;
        if !self.outcomes.is_empty() {
            jsonl::write(&folder.join("outcomes.jsonl"), &self.outcomes)?;
        }
        let results = json!({
            "provenance": about.provenance,
            "objective": session.objective,
            "execution": session.execution,
            "rows": self.rows,
        });
        write_atomic(&folder.join("results.json"), serde_json::to_string_pretty(&results)?.as_bytes())?;
        let report = Report {
            title: about.title,
            provenance: about.provenance,
            objective: session.objective,
            schedule: session.execution.schedule,
            rows: self.rows.clone(),
            panels: about.panels,
            probabilities: Probabilities::chosen(&operators, depth, &episodes),
            operators,
            examples: self.examples(split),
            config: about.config,
        };
        write_atomic(&folder.join("report.html"), html::html(&report)?.as_bytes())?;
        eprintln!("wrote {}", folder.join("report.html").display());
        Ok(())
    }

    /// The first queries of the first controller that got plans of different shapes.
    fn examples(&self, split: &Split) -> Vec<Example> {
        let mut seen = BTreeSet::new();
        let episodes = self.trained.first().into_iter().flat_map(|pass| &pass.episodes);
        episodes
            .filter(|episode| seen.insert(format!("{:?}", episode.plan)))
            .filter_map(|episode| {
                let problem = split.problems.iter().find(|problem| problem.id == episode.problem)?;
                Some(Example {
                    question: problem.question.clone(),
                    reference: problem.answer.clone(),
                    episode: episode.clone(),
                })
            })
            .take(EXAMPLES)
            .collect()
    }
}

/// One line for each method, seed and problem.
fn outcomes(session: &Session, others: &[Vec<Evaluation>], trained: &[Evaluation], seeds: &[u64]) -> Vec<OutcomeLine> {
    let names = session.names();
    let passes = others.iter().map(Vec::as_slice).chain([trained]);
    let passes = passes.flat_map(|passes| passes.iter().enumerate());
    let line = |(at, pass): (usize, &Evaluation), episode: &Episode| {
        let name = |index: usize| names.get(index).cloned().unwrap_or_default();
        OutcomeLine {
            method: pass.name.clone(),
            seed: seeds.get(at).copied().unwrap_or(at as u64),
            problem: episode.problem.clone(),
            score: episode.score,
            critical_path: session.objective.path(&episode.trace),
            seconds: episode.trace.path(Unit::Seconds).length,
            dollars: episode.trace.cost(),
            utility: session.objective.utility(episode.score, &episode.trace),
            operators: episode.plan.choices().map(|(_, id)| name(id.index())).collect(),
        }
    };
    passes.flat_map(|pass| pass.1.episodes.iter().map(move |episode| line(pass, episode))).collect()
}

/// What the report says beside the figures.
pub struct About {
    pub title: String,
    pub provenance: Provenance,
    pub panels: Vec<Panel>,
    pub config: serde_json::Value,
}

/// The command, the version, the machine and the seeds of this process.
pub fn provenance(seeds: Vec<u64>, device: &candle_core::Device) -> Provenance {
    let command: Vec<String> = std::env::args().collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Provenance {
        command: command.join(" "),
        version: version(),
        machine: format!(
            "{} {}, {cores} cores, device {:?}",
            std::env::consts::OS,
            std::env::consts::ARCH,
            device.location()
        ),
        seeds,
        date: String::new(),
    }
}

/// The version of the program, with the revision that it was built from where known.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    revision().map_or(version.to_owned(), |revision| format!("{version} ({revision})"))
}

/// The git revision of the program, where the build knew it.
pub fn revision() -> Option<String> {
    option_env!("LAMAS_REVISION").filter(|revision| !revision.is_empty()).map(str::to_owned)
}
