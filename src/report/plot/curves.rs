//! Learning curves: a thin curve for each seed, a thick one for their mean.

use anyhow::Result;
use minijinja::context;
use serde::Serialize;

use crate::report::{Curve, Line, Panel};

use super::axis::Axis;
use super::{pixel, render, text_width};

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 250.0;

#[derive(Serialize)]
struct Drawn {
    thin: Vec<String>,
    mean: String,
    end: Option<(f64, f64)>,
    name: String,
    label_y: f64,
}

/// One panel of curves.
///
/// # Errors
/// None that input can cause; a broken template.
pub fn curves(panel: &Panel) -> Result<String> {
    let points =
        || panel.lines.iter().flat_map(|line| &line.seeds).flat_map(|curve| &curve.0).filter(|point| is_finite(point));
    let several = panel.lines.len() > 1;
    let names = panel.lines.iter().map(|line| text_width(&line.name)).fold(0.0, f64::max);
    let right = WIDTH - if several { names.min(150.0) + 14.0 } else { 16.0 };
    let x = Axis::tight(points().map(|point| point.0), (60.0, right), 6.0);
    let y = Axis::fit(points().map(|point| point.1), (HEIGHT - 44.0, 44.0), 4.0);
    let path = |points: &[(f64, f64)]| {
        let place = |(index, point): (usize, &(f64, f64))| {
            format!("{}{} {}", if index == 0 { "M" } else { "L" }, x.at(point.0), y.at(point.1))
        };
        points.iter().filter(|point| is_finite(point)).enumerate().map(place).collect::<Vec<_>>().join("")
    };
    let drawn = |line: &Line| {
        let mean = mean_curve(&line.seeds);
        let end = mean.last().map(|point| (x.at(point.0), y.at(point.1)));
        let thin =
            if line.seeds.len() > 1 { line.seeds.iter().map(|seed| path(&seed.0)).collect() } else { Vec::new() };
        Drawn { thin, mean: path(&mean), end, name: line.name.clone(), label_y: end.map_or(0.0, |end| end.1 + 4.0) }
    };
    let mut lines: Vec<Drawn> = panel.lines.iter().map(drawn).collect();
    spread(&mut lines);
    render(
        "curves.svg",
        context! {
            width => WIDTH, height => HEIGHT, title => panel.title, axis => panel.axis, lines, several,
            left => 60.0, right, top => 44.0, bottom => HEIGHT - 44.0, x_ticks => x.ticks(), y_ticks => y.ticks(),
        },
    )
}

fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// The mean over the seeds at every `x` that all of them have reached.
fn mean_curve(seeds: &[Curve]) -> Vec<(f64, f64)> {
    let value =
        |curve: &Curve, x: f64| curve.0.iter().find(|point| point.0 == x && is_finite(point)).map(|point| point.1);
    let mean = |x: f64| {
        let values: Option<Vec<f64>> = seeds.iter().map(|seed| value(seed, x)).collect();
        values.map(|values| (x, crate::evaluate::statistics::mean(&values)))
    };
    seeds.first().into_iter().flat_map(|first| &first.0).filter_map(|point| mean(point.0)).collect()
}

/// Moves the labels at the ends of the lines apart.
fn spread(lines: &mut [Drawn]) {
    const LEADING: f64 = 14.0;
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|&a, &b| lines[a].label_y.total_cmp(&lines[b].label_y));
    let mut lowest = f64::NEG_INFINITY;
    for index in order {
        lines[index].label_y = pixel(lines[index].label_y.max(lowest + LEADING));
        lowest = lines[index].label_y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_taken_where_all_seeds_are() {
        let seeds = [Curve(vec![(0.0, 1.0), (1.0, 2.0), (2.0, 9.0)]), Curve(vec![(0.0, 3.0), (1.0, 4.0)])];
        assert_eq!(mean_curve(&seeds), [(0.0, 2.0), (1.0, 3.0)]);
        assert_eq!(mean_curve(&[]), []);
    }
}
