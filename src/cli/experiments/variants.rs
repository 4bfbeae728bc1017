//! The trained methods of `lamas compare`: the published ones, ours, ours without each improvement, and ours with
//! additions that did not pay.

use anyhow::Result;

use crate::controller::Selection;
use crate::learn::{Baseline, Credit, SurveyConfig, TrainingConfig};
use crate::plan::Schedule;
use crate::settings::{Preset, Settings};

/// The name of our method in the table.
pub const OURS: &str = "adaptive";

/// A method with its settings.
#[derive(Clone)]
pub struct Variant {
    pub name: String,
    pub settings: Settings,
}

/// All trained methods; ours comes last. `resolve` gives the settings of a preset, with the benchmark's weights.
///
/// The published methods make `passes` passes.
///
/// # Errors
/// Those of `resolve`.
pub fn variants(passes: u32, resolve: impl Fn(Preset) -> Result<Settings>) -> Result<Vec<Variant>> {
    let (ours, paper, maas) = (resolve(Preset::Adaptive)?, resolve(Preset::Paper)?, resolve(Preset::Maas)?);
    let published = |name: &str, base: &Settings, change: fn(&mut Settings)| {
        let mut settings = base.clone();
        settings.training.epochs = passes;
        change(&mut settings);
        Variant { name: name.into(), settings }
    };
    let changed = |name: &str, change: fn(&mut Settings)| {
        let mut settings = ours.clone();
        change(&mut settings);
        Variant { name: name.into(), settings }
    };
    Ok(vec![
        published("MaAS", &maas, |_| ()),
        published("MaAS, in parallel", &maas, |s| s.training.execution = Schedule::Layered.into()),
        published("LAMaS", &paper, |_| ()),
        published("LAMaS, lambda_t = 0", &paper, |s| s.training.credit = Credit::None),
        published("LAMaS, uniform", &paper, |s| s.training.credit = Credit::Uniform),
        changed("no survey, drawn plans", draw),
        changed("drawn plans, no leave one out", |s| {
            draw(s);
            s.training.baseline = Baseline::MovingAverage;
        }),
        changed("and drawn plans", |s| {
            s.training = TrainingConfig { epochs: 3, learning_rate: 0.002, anneal: true, ..s.training.clone() };
        }),
        changed("one operator a layer", |s| s.controller.selection = Selection::Threshold),
        changed("one operator a layer, no dataflow", |s| {
            s.controller.selection = Selection::Threshold;
            s.training.execution.schedule = Schedule::Layered;
        }),
        changed("no own share (E5)", |s| s.training.credit = Credit::CriticalPath),
        changed("no dataflow", |s| s.training.execution.schedule = Schedule::Layered),
        changed("no quorum", |s| s.training.execution.quorum = false),
        changed("no halting head", |s| s.training.execution.halting = false),
        Variant { name: OURS.into(), settings: ours.clone() },
    ])
}

/// Learns from drawn plans alone, as many for each problem as the survey has.
fn draw(settings: &mut Settings) {
    let training = &settings.training;
    settings.training = TrainingConfig { survey: SurveyConfig::none(), epochs: 10, ..training.clone() };
}
