//! One query over time: a bar for each operator, the critical path in colour.

use anyhow::Result;
use minijinja::context;

use crate::plan::Unit;
use crate::report::drawing::significant_tokens;
use crate::report::number::{counted, significant};
use crate::report::{Bar, Timeline};

use super::axis::Axis;
use super::{pixel, render, text_width};

const WIDTH: f64 = 900.0;
const ROW: f64 = 26.0;
const TOP: f64 = 8.0;

/// The operators of one query down the page, in plan order.
///
/// # Errors
/// None that input can cause; a broken template.
pub fn timeline(shown: &Timeline) -> Result<String> {
    let details: Vec<String> = shown.bars.iter().map(detail).collect();
    let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
    let left = widest(&mut shown.bars.iter().map(|bar| text_width(&bar.operator))).clamp(60.0, 240.0) + 16.0;
    let right = WIDTH - widest(&mut details.iter().map(|text| text_width(text))).clamp(60.0, 260.0) - 12.0;
    let bottom = TOP + shown.bars.len() as f64 * ROW;
    let x = Axis::tight([0.0, shown.end].into_iter(), (left, right), 8.0);
    let bar = |(row, (bar, detail)): (usize, (&Bar, String))| {
        let start = x.at(bar.start);
        context! {
            name => bar.operator, y => TOP + row as f64 * ROW, x => start,
            // What took any time at all is seen.
            width => pixel((x.at(bar.end) - start).max(2.0)),
            on_path => bar.on_path, faulty => bar.fault.is_some(), detail,
            first => row > 0 && shown.bars.get(row - 1).is_some_and(|before| before.layer != bar.layer),
        }
    };
    let bars: Vec<_> = shown.bars.iter().zip(details).enumerate().map(bar).collect();
    render(
        "timeline.svg",
        context! {
            width => WIDTH, height => bottom + 40.0, left, right, top => TOP, bottom, bars, row => ROW,
            x_ticks => x.ticks(), unit => match shown.unit { Unit::Tokens => "tokens", Unit::Seconds => "seconds" },
        },
    )
}

fn detail(bar: &Bar) -> String {
    match &bar.fault {
        Some(fault) => fault.chars().take(36).collect(),
        None => format!(
            "{} tokens, {}, {} s",
            significant_tokens(bar.tokens),
            counted(bar.calls.into(), "call"),
            significant(bar.seconds)
        ),
    }
}
