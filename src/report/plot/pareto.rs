//! Score against critical path: what each method pays in time for being right.

use anyhow::Result;
use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::evaluate::{Estimate, Row};
use crate::plan::Unit;

use super::axis::Axis;
use super::{pixel, render, text_width};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = HEIGHT - 52.0;

/// One method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub name: String,
    /// Mean critical path.
    pub path: f64,
    pub score: Estimate,
    /// Drawn in the accent colour: the trained controller.
    pub ours: bool,
}

impl Point {
    /// The point of a method; none where it has no score.
    pub fn of(row: &Row) -> Option<Self> {
        let summary = &row.summary;
        let (name, ours) = (summary.name.clone(), row.gain.is_none());
        Some(Point { name, path: summary.path.mean, score: summary.score?, ours })
    }
}

#[derive(Clone, Copy, PartialEq, Serialize)]
struct Rectangle {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Rectangle {
    fn overlap(&self, other: &Rectangle) -> f64 {
        let along = |a: f64, length: f64, b: f64, other: f64| ((a + length).min(b + other) - a.max(b)).max(0.0);
        along(self.x, self.width, other.x, other.width) * along(self.y, self.height, other.y, other.height)
    }
}

/// All methods, over critical paths in `unit`, with labels that keep out of each other's way, and the line of those that no other beats in both.
///
/// # Errors
/// None that input can cause; a broken template.
pub fn pareto(points: &[Point], unit: Unit) -> Result<String> {
    let points: Vec<&Point> =
        points.iter().filter(|point| point.path.is_finite() && point.score.mean.is_finite()).collect();
    let x = Axis::fit(points.iter().map(|point| point.path).chain([0.0]), (LEFT, RIGHT), 8.0);
    let scores = points.iter().flat_map(|point| [point.score.low, point.score.high]);
    let y = Axis::fit(scores, (BOTTOM, TOP), 6.0);
    let places: Vec<(f64, f64)> = points.iter().map(|point| (x.at(point.path), y.at(point.score.mean))).collect();
    let bars = points.iter().zip(&places).map(|(point, place)| {
        let (top, bottom) = (y.at(point.score.high), y.at(point.score.low));
        Rectangle { x: place.0 - 1.0, y: top, width: 2.0, height: bottom - top }
    });
    let labels = place_labels(&points, &places, bars.collect());
    let marks: Vec<_> = points
        .iter()
        .zip(&places)
        .zip(&labels)
        .map(|((point, place), label)| {
            context! {
                x => place.0, y => place.1, low => y.at(point.score.low), high => y.at(point.score.high),
                name => point.name, ours => point.ours, label_x => label.x, label_y => pixel(label.y + 12.0),
            }
        })
        .collect();
    let frontier: Vec<(f64, f64)> =
        frontier(&points).into_iter().filter_map(|index| places.get(index).copied()).collect();
    let line: Vec<String> = frontier.iter().map(|place| format!("{},{}", place.0, place.1)).collect();
    render(
        "pareto.svg",
        context! {
            width => WIDTH, height => HEIGHT, left => LEFT, right => RIGHT, top => TOP, bottom => BOTTOM,
            x_ticks => x.ticks(), y_ticks => y.ticks(), marks, frontier => line.join(" "),
            unit => unit.plural(),
        },
    )
}

/// Methods that no other is both faster and better than, fastest first.
fn frontier(points: &[&Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let rank = |index: &usize| (points[*index].path, -points[*index].score.mean);
    order.sort_by(|a, b| rank(a).0.total_cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1)));
    let mut best = f64::NEG_INFINITY;
    order.retain(|&index| {
        let better = points[index].score.mean > best;
        best = best.max(points[index].score.mean);
        better
    });
    order
}

/// For each point the spot around it where its label covers least of what is there already.
fn place_labels(points: &[&Point], places: &[(f64, f64)], mut taken: Vec<Rectangle>) -> Vec<Rectangle> {
    let around = |&(x, y): &(f64, f64), radius: f64| Rectangle {
        x: x - radius,
        y: y - radius,
        width: 2.0 * radius,
        height: 2.0 * radius,
    };
    taken.extend(places.iter().map(|place| around(place, 7.0)));
    let mut labels = Vec::with_capacity(points.len());
    for (point, &(x, y)) in points.iter().zip(places) {
        let (width, height) = (text_width(&point.name), 16.0);
        let spot = |dx: f64, dy: f64| Rectangle { x: pixel(x + dx), y: pixel(y + dy), width, height };
        let spots = [
            spot(10.0, -8.0),
            spot(-10.0 - width, -8.0),
            spot(8.0, -24.0),
            spot(8.0, 8.0),
            spot(-8.0 - width, -24.0),
            spot(-8.0 - width, 8.0),
            spot(-width / 2.0, -28.0),
            spot(-width / 2.0, 12.0),
            spot(12.0, -40.0),
            spot(12.0, 24.0),
        ];
        let outside = |spot: &Rectangle| {
            let excess = (LEFT - spot.x).max(0.0) + (spot.x + width - RIGHT).max(0.0);
            (excess + (TOP - spot.y).max(0.0) + (spot.y + height - BOTTOM).max(0.0)) * height
        };
        let covered = |spot: &Rectangle| outside(spot) + taken.iter().map(|other| spot.overlap(other)).sum::<f64>();
        let best = spots.into_iter().reduce(|best, next| if covered(&next) < covered(&best) { next } else { best });
        let best = best.unwrap_or(spots[0]);
        taken.push(best);
        labels.push(best);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(path: f64, score: f64) -> Point {
        Point { name: "a method".into(), path, score: Estimate { mean: score, low: score, high: score }, ours: false }
    }

    #[test]
    fn the_frontier_holds_what_nothing_dominates() {
        let points = [point(5.0, 0.5), point(3.0, 0.4), point(9.0, 0.45), point(3.0, 0.3), point(20.0, 0.9)];
        assert_eq!(frontier(&points.iter().collect::<Vec<_>>()), [1, 0, 4]);
    }

    #[test]
    fn labels_of_a_crowd_do_not_overlap() {
        let points = [point(50.0, 0.90), point(51.0, 0.91), point(52.0, 0.90), point(51.0, 0.89), point(100.0, 0.0)];
        let points: Vec<&Point> = points.iter().collect();
        let places = [(300.0, 100.0), (305.0, 96.0), (310.0, 100.0), (305.0, 104.0), (800.0, 300.0)];
        let labels = place_labels(&points, &places, Vec::new());
        for (index, label) in labels.iter().enumerate() {
            assert!(labels[..index].iter().all(|other| label.overlap(other) == 0.0), "label {index}");
        }
    }
}
