//! How often each operator is chosen in each layer, as a heat map.

use anyhow::Result;
use minijinja::context;

use crate::report::Probabilities;

use super::{render, text_width};

const CELL: f64 = 84.0;
const ROW: f64 = 34.0;
const TOP: f64 = 34.0;

/// Operators down, layers across.
///
/// # Errors
/// None that input can cause; a broken template.
pub fn probabilities(shown: &Probabilities) -> Result<String> {
    let left = shown.operators.iter().map(|name| text_width(name)).fold(60.0, f64::max) + 16.0;
    let rows: Vec<_> = shown
        .operators
        .iter()
        .enumerate()
        .map(|(operator, name)| {
            let value = |layer: &Vec<f64>| layer.get(operator).copied().unwrap_or_default().clamp(0.0, 1.0);
            let cells: Vec<_> = shown
                .layers
                .iter()
                .enumerate()
                .map(|(layer, values)| {
                    let share = value(values);
                    context! {
                        x => left + layer as f64 * CELL, opacity => (share * 1000.0).round() / 1000.0,
                        text => percent(share), strong => share > 0.55,
                    }
                })
                .collect();
            context! { name, y => TOP + operator as f64 * ROW, cells }
        })
        .collect();
    let heads: Vec<_> = (0..shown.layers.len())
        .map(|layer| context! { x => left + (layer as f64 + 0.5) * CELL, text => format!("layer {}", layer + 1) })
        .collect();
    render(
        "probabilities.svg",
        context! {
            width => left + shown.layers.len() as f64 * CELL + 8.0, height => TOP + rows.len() as f64 * ROW + 8.0,
            rows, heads, left, cell_width => CELL - 3.0, cell_height => ROW - 3.0, middle => (CELL - 3.0) / 2.0,
        },
    )
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "\u{2013}".into(),
        percent if percent < 1.0 => "<1 %".into(),
        percent => format!("{percent:.0} %"),
    }
}
