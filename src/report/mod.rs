//! Report: tables, drawings and plots of what evaluation measured. Pure: text in, text out; only `jsonl` writes files.

pub mod breakdown;
pub mod differences;
pub mod drawing;
pub mod explanation;
mod forest;
pub mod format;
pub mod html;
pub mod jsonl;
mod markup;
pub mod named;
mod names;
pub mod number;
pub mod perfetto;
pub mod plot;
pub mod table;
mod timeline;
pub mod transcript;
pub mod verdict;
mod viewer;

pub use breakdown::Breakdown;
pub use timeline::{Bar, Timeline};
pub use viewer::worst_first;

use serde::{Deserialize, Serialize};

use crate::evaluate::Row;
use crate::execute::Episode;
use crate::objective::Objective;
use crate::plan::Schedule;

/// Everything that `report.html` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was trained, on what.
    pub title: String,
    pub provenance: Provenance,
    pub objective: Objective,
    /// The one that critical paths were taken under.
    pub schedule: Schedule,
    /// As made by [`crate::evaluate::compare`]; the trained controller comes last.
    pub rows: Vec<Row>,
    /// What the panels show.
    pub curves: String,
    /// One panel a quantity.
    pub panels: Vec<Panel>,
    pub probabilities: Probabilities,
    /// Names in catalogue order, for plans and timelines.
    pub operators: Vec<String>,
    /// Which plan for which question.
    pub breakdown: Breakdown,
    /// Queries shown with plan, timeline and texts, in this order.
    pub examples: Vec<Example>,
    /// Queries for which there was no room.
    pub left_out: usize,
    /// The whole configuration.
    pub config: serde_json::Value,
}

/// What it takes to make the same report again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub command: String,
    /// Version of the program, with its revision if known.
    pub version: String,
    /// Processor, memory, device.
    pub machine: String,
    pub seeds: Vec<u64>,
    /// When the run ended, as text; empty if unknown.
    pub date: String,
    /// How long this command took.
    pub seconds: Option<f64>,
    /// What training asked for, and what that cost; empty if unknown.
    pub training: String,
}

/// One plot of learning curves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Quantity and unit.
    pub title: String,
    /// What the points are counted in: epochs, steps.
    pub axis: String,
    pub lines: Vec<Line>,
}

/// One quantity: a thin curve for each seed and the mean over the seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub seeds: Vec<Curve>,
}

/// Points `(x, y)` in order of `x`; points that are not finite are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Curve(pub Vec<(f64, f64)>);

/// How often operators are chosen, or how probable they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probabilities {
    /// Names of the columns `0..O`.
    pub operators: Vec<String>,
    /// `L` rows of `O` values in [0, 1].
    pub layers: Vec<Vec<f64>>,
}

/// One query of the test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    pub question: String,
    pub reference: String,
    pub episode: Episode,
}

impl Probabilities {
    /// The share of episodes whose plan holds each operator in each layer.
    pub fn chosen(operators: &[String], layers: usize, episodes: &[Episode]) -> Self {
        let mut counts = vec![vec![0.0; operators.len()]; layers];
        for (layer, operator) in episodes.iter().flat_map(|episode| episode.plan.choices()) {
            if let Some(count) = counts.get_mut(layer).and_then(|row| row.get_mut(operator.index())) {
                *count += 1.0;
            }
        }
        let total = episodes.len().max(1) as f64;
        counts.iter_mut().flatten().for_each(|count| *count /= total);
        Probabilities { operators: operators.to_vec(), layers: counts }
    }
}
