//! Plots as static SVG: geometry in Rust, markup in templates, colours from the page (with defaults of their own).

mod axis;
mod curves;
mod scores;

pub use curves::curves;
pub use scores::{Point, scores};

use anyhow::{Context, Result};
use serde::Serialize;

use super::markup::environment;

const TEMPLATES: [(&str, &str); 3] = [
    ("frame.svg", include_str!("../templates/frame.svg")),
    ("curves.svg", include_str!("../templates/curves.svg")),
    ("scores.svg", include_str!("../templates/scores.svg")),
];

/// Fills a template; every value is escaped.
fn render(template: &str, values: impl Serialize) -> Result<String> {
    let mut environment = environment();
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    environment.get_template(template)?.render(values).with_context(|| format!("cannot draw `{template}`"))
}

/// A plot needs nothing finer than a tenth of a pixel.
fn pixel(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The width in pixels of text at 13 pixels. The estimate is on the safe side for common fonts, some of which are wide,
/// and for scripts with wide letters.
fn text_width(text: &str) -> f64 {
    text.chars().map(|letter| if letter.is_ascii() { 7.9 } else { 13.0 }).sum()
}
