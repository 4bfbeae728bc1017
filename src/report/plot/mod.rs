//! Plots as static SVG: geometry in Rust, markup in templates, colours from the page (with defaults of their own).

mod axis;
mod curves;
mod pareto;
mod probabilities;
mod timeline;

pub use curves::curves;
pub use pareto::{Point, pareto};
pub use probabilities::probabilities;
pub use timeline::timeline;

use anyhow::{Context, Result};
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

const TEMPLATES: [(&str, &str); 5] = [
    ("frame.svg", include_str!("../templates/frame.svg")),
    ("curves.svg", include_str!("../templates/curves.svg")),
    ("pareto.svg", include_str!("../templates/pareto.svg")),
    ("probabilities.svg", include_str!("../templates/probabilities.svg")),
    ("timeline.svg", include_str!("../templates/timeline.svg")),
];

/// Fills a template; every value is escaped.
fn render(template: &str, values: impl Serialize) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    environment.get_template(template)?.render(values).with_context(|| format!("cannot draw `{template}`"))
}

/// Tenths of a pixel are as fine as a plot needs.
fn pixel(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Width in pixels of a text set at 12 pixels; an estimate on the safe side for common fonts.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 6.7
}
