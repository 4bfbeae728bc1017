//! Results: the table on standard output; in the run folder the report, the episodes and the figures as JSON.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::methods::{self, Chosen};
use super::output::{format, say_json_lines, say_table};
use super::provenance::About;
use super::remarks::remarks;
use super::session::Session;
use super::split::Split;
use crate::agent::Trained;
use crate::checkpoint::write_atomic;
use crate::disk::create_folder;
use crate::evaluate::{Evaluation, Row, compare};
use crate::execute::Episode;
use crate::plan::{Billing, Unit};
use crate::report::verdict::verdicts;
use crate::report::{Breakdown, Example, Probabilities, Report, html, jsonl, named, table, worst_first};
use crate::task::Problem;

/// The maximum number of queries that the report shows with their texts, and of letters in them, so that a browser can
/// open it.
const EXAMPLES: usize = 1500;
const EXAMPLE_LETTERS: usize = 12 << 20;

/// The step name of [`Results::measure`].
pub const EVALUATION: &str = "evaluation";

/// The file of a run's outcomes.
pub const OUTCOMES: &str = "outcomes.jsonl";

/// Everything measured, ready to be shown.
pub struct Results {
    rows: Vec<Row>,
    trained: Vec<Evaluation>,
    /// For all methods, ours last.
    outcomes: Vec<OutcomeLine>,
    /// What the table does not show, one line each.
    remarks: Vec<String>,
}

/// The result for one method, seed and problem: a line of `outcomes.jsonl`.
#[derive(Serialize, Deserialize)]
pub struct OutcomeLine {
    pub method: String,
    /// The seed of the pass: the controller's, if the method has one.
    pub seed: u64,
    pub problem: String,
    pub score: f64,
    /// In the unit of the objective.
    pub critical_path: f64,
    pub seconds: f64,
    pub dollars: f64,
    /// With dropped calls billed in full.
    #[serde(default)]
    pub dollars_in_full: f64,
    pub utility: f64,
    /// The operators that ran, in plan order.
    pub operators: Vec<String>,
}

impl Results {
    /// Measures the trained controllers and, if `beside` is given, the baselines. Prints what was finished, even on
    /// errors.
    pub fn measure(
        session: &Session,
        split: &Split,
        chosen: &Chosen,
        trained: &[Trained],
        beside: bool,
        as_json: bool,
    ) -> Result<Self> {
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        let methods = 1 + if beside { methods::beside(session, trained) } else { 0 };
        let questions = methods * split.problems.len() * chosen.seeds.len();
        if beside {
            methods::say_left_out(session);
        }
        let evaluation = session.progress.group(EVALUATION, "questions", questions as u64);
        let outcome = methods::measure_all(session, split, chosen, beside.then_some(trained), [&mut ours, &mut others]);
        drop(evaluation);
        let trained: Vec<Evaluation> = ours.into_iter().flatten().collect();
        let outcomes = outcomes(session, &others, &trained, &chosen.seeds);
        let rows = compare(&others, &trained, &session.objective);
        let mut remarks = remarks(&rows, others.iter().map(Vec::as_slice).chain([trained.as_slice()]));
        if outcome.is_err() {
            remarks.push("not every method is measured on all questions yet, so there is no verdict".to_owned());
        }
        let results = Results { rows, trained, outcomes, remarks };
        if results.trained.iter().any(|pass| !pass.episodes.is_empty()) {
            results.print(session, outcome.is_ok(), as_json)?;
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

    /// Adds evaluated controllers to the other methods and prints the table.
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
        results.print(session, true, as_json)?;
        Ok(results)
    }

    /// Prints the table of `rows` with `remarks` below it; `trained` holds the passes of the last row.
    pub fn of_rows(
        session: &Session,
        rows: Vec<Row>,
        trained: Vec<Evaluation>,
        remarks: Vec<String>,
        as_json: bool,
    ) -> Result<Self> {
        let results = Results { rows, trained, outcomes: Vec::new(), remarks };
        results.print(session, true, as_json)?;
        Ok(results)
    }

    /// Prints the table, or the same figures as JSON, to standard output; a verdict only if every method is measured.
    fn print(&self, session: &Session, is_whole: bool, as_json: bool) -> Result<()> {
        if as_json {
            say_json_lines(&self.rows)?;
        } else {
            let styled = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let verdicts = if is_whole { verdicts(&self.rows, session.objective.unit) } else { Vec::new() };
            let said =
                [format!("\n{}", table::legend(&self.rows))].into_iter().chain(self.remarks.clone()).chain(verdicts);
            say_table(table::table(&self.rows, styled, format()), said)?;
        }
        Ok(())
    }

    /// Writes `report.html`, `results.json`, `test-episodes.jsonl` and `outcomes.jsonl` to `folder`.
    pub fn write(&self, session: &Session, split: &Split, about: About, folder: &Path) -> Result<()> {
        create_folder(folder)?;
        let operators = session.names();
        let episodes: Vec<_> = self.trained.iter().flat_map(|pass| pass.episodes.clone()).collect();
        let depth = episodes.iter().map(|episode| episode.plan.layers.len()).max().unwrap_or(1);
        jsonl::write(&folder.join("test-episodes.jsonl"), &self.lines(split, &about.provenance.seeds, &operators)?)?;
        if !self.outcomes.is_empty() {
            jsonl::write(&folder.join(OUTCOMES), &self.outcomes)?;
        }
        let results = json!({
            "provenance": about.provenance,
            "objective": session.objective,
            "execution": session.execution,
            "rows": self.rows,
        });
        write_atomic(&folder.join("results.json"), serde_json::to_string_pretty(&results)?.as_bytes())?;
        let mut examples = self.examples(split);
        let left_out = worst_first(&mut examples, EXAMPLES, EXAMPLE_LETTERS);
        let report = Report {
            title: about.title,
            provenance: about.provenance,
            curves: about.curves.to_owned(),
            objective: session.objective,
            schedule: session.execution.schedule,
            rows: self.rows.clone(),
            panels: about.panels,
            probabilities: Probabilities::chosen(&operators, depth, &episodes),
            breakdown: Breakdown::new(&self.trained, &split.problems, &operators, &session.objective),
            operators,
            examples,
            left_out,
            config: about.config,
        };
        write_atomic(&folder.join("report.html"), html::html(&report)?.as_bytes())?;
        eprintln!("wrote {}", folder.join("report.html").display());
        Ok(())
    }

    /// Every query in every pass of the trained controllers, with its question and its operators' texts.
    fn lines(&self, split: &Split, seeds: &[u64], names: &[String]) -> Result<Vec<EpisodeLine>> {
        let problems = by_id(split);
        let passes =
            self.trained.iter().enumerate().flat_map(|(at, pass)| pass.episodes.iter().map(move |it| (at, it)));
        let line = |(at, episode): (usize, &Episode)| {
            let problem = problems.get(episode.problem.as_str());
            Ok(EpisodeLine {
                seed: seeds.get(at).copied(),
                question: problem.map(|problem| problem.question.clone()),
                reference: problem.map(|problem| problem.answer.clone()),
                episode: named::named(episode, names)?,
            })
        };
        passes.map(line).collect()
    }

    /// The queries of the first controller.
    fn examples(&self, split: &Split) -> Vec<Example> {
        let episodes = self.trained.first().into_iter().flat_map(|pass| &pass.episodes);
        let problems = by_id(split);
        let example = |episode: &Episode| {
            let problem = problems.get(episode.problem.as_str())?;
            let (question, reference) = (problem.question.clone(), problem.answer.clone());
            Some(Example { question, reference, episode: episode.clone() })
        };
        episodes.filter_map(example).collect()
    }
}

fn by_id(split: &Split) -> BTreeMap<&str, &Problem> {
    split.problems.iter().map(|problem| (problem.id.as_str(), problem)).collect()
}

/// A line of `test-episodes.jsonl`.
#[derive(Serialize)]
struct EpisodeLine {
    seed: Option<u64>,
    question: Option<String>,
    reference: Option<String>,
    #[serde(flatten)]
    episode: serde_json::Value,
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
            dollars_in_full: episode.trace.billed(Billing::Full),
            utility: session.objective.utility(episode.score, &episode.trace),
            operators: episode.plan.choices().map(|(_, id)| name(id.index())).collect(),
        }
    };
    passes.flat_map(|pass| pass.1.episodes.iter().map(move |episode| line(pass, episode))).collect()
}
