//! Score against time or dollars: what each method pays for being right.

use anyhow::Result;
use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::evaluate::{Estimate, Row};

use super::axis::Axis;
use super::{pixel, render, text_width};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 54.0;

/// One method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub name: String,
    /// Its mean time or dollars.
    pub takes: f64,
    pub score: Estimate,
    /// Drawn in the accent colour: the trained controller.
    pub ours: bool,
}

impl Point {
    /// The point of a method that needs this much; `None` if it has no score.
    pub fn of(row: &Row, takes: f64) -> Option<Self> {
        let summary = &row.summary;
        let (name, ours) = (summary.name.clone(), row.gain.is_none());
        Some(Point { name, takes, score: summary.score?, ours })
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

/// All methods, plotted over what they take (`axis` names it with its unit), and the line through those that no other
/// method beats in both. Methods on this line and ours have labels that avoid each other; the others show their names
/// on hover.
///
/// # Errors
/// None that input can cause; a broken template.
pub fn scores(points: &[Point], axis: &str) -> Result<String> {
    let points: Vec<&Point> =
        points.iter().filter(|point| point.takes.is_finite() && point.score.mean.is_finite()).collect();
    let x = Axis::fit(points.iter().map(|point| point.takes).chain([0.0]), (LEFT, RIGHT), 5.0);
    let scores = points.iter().flat_map(|point| [point.score.low, point.score.high]);
    let y = Axis::fit(scores, (BOTTOM, TOP), 5.0);
    let places: Vec<(f64, f64)> = points.iter().map(|point| (x.at(point.takes), y.at(point.score.mean))).collect();
    let frontier = frontier(&points);
    let is_named: Vec<bool> = (0..points.len()).map(|at| points[at].ours || frontier.contains(&at)).collect();
    let labels = place_labels(&points, &places, &is_named);
    let marks: Vec<_> = points
        .iter()
        .zip(&places)
        .zip(labels)
        .map(|((point, place), label)| {
            context! {
                x => place.0, y => place.1, low => y.at(point.score.low), high => y.at(point.score.high),
                name => point.name, ours => point.ours,
                label => label.map(|label| context! {
                    x => label.x, y => pixel(label.y + 13.0), text => short(&point.name),
                    // Where a line from the point meets the label.
                    near_x => pixel(place.0.clamp(label.x, label.x + label.width)),
                    near_y => pixel(place.1.clamp(label.y, label.y + label.height)),
                }),
            }
        })
        .collect();
    let line: Vec<String> = frontier.iter().map(|&at| format!("{},{}", places[at].0, places[at].1)).collect();
    render(
        "scores.svg",
        context! {
            width => WIDTH, height => HEIGHT, left => LEFT, right => RIGHT, top => TOP, bottom => BOTTOM,
            x_ticks => x.ticks(), y_ticks => y.ticks(), marks, frontier => line.join(" "), axis,
        },
    )
}

/// A name short enough to fit beside its point.
fn short(name: &str) -> String {
    const MOST: usize = 28;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}\u{2026}", name[..end].trim_end()),
        None => name.to_owned(),
    }
}

/// Methods for which no other is both cheaper and better, cheapest first.
fn frontier(points: &[&Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let rank = |index: &usize| (points[*index].takes, -points[*index].score.mean);
    order.sort_by(|a, b| rank(a).0.total_cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1)));
    let mut best = f64::NEG_INFINITY;
    order.retain(|&index| {
        let better = points[index].score.mean > best;
        best = best.max(points[index].score.mean);
        better
    });
    order
}

/// For each named point, the place around it where its label covers the least of what is already there.
fn place_labels(points: &[&Point], places: &[(f64, f64)], is_named: &[bool]) -> Vec<Option<Rectangle>> {
    let around = |&(x, y): &(f64, f64), radius: f64| Rectangle {
        x: x - radius,
        y: y - radius,
        width: 2.0 * radius,
        height: 2.0 * radius,
    };
    let mut taken: Vec<Rectangle> = places.iter().map(|place| around(place, 6.0)).collect();
    let mut labels = Vec::with_capacity(points.len());
    for ((point, &(x, y)), is_named) in points.iter().zip(places).zip(is_named) {
        if !is_named {
            labels.push(None);
            continue;
        }
        let (width, height) = (text_width(&short(&point.name)), 17.0);
        let spot = |dx: f64, dy: f64| Rectangle { x: pixel(x + dx), y: pixel(y + dy), width, height };
        let sides = [9.0, -9.0 - width, -width / 2.0];
        let heights = [-8.5, 6.0, -23.0, 22.0, -39.0, 38.0, -55.0];
        let spots = heights.iter().flat_map(|&dy| sides.iter().map(move |&dx| (dx, dy)));
        let spots: Vec<Rectangle> = spots.map(|(dx, dy)| spot(dx, dy)).collect();
        let outside = |spot: &Rectangle| {
            let excess = (LEFT - spot.x).max(0.0) + (spot.x + width - RIGHT).max(0.0);
            // Text that is cut off cannot be read at all.
            100.0 * (excess + (TOP - 12.0 - spot.y).max(0.0) + (spot.y + height - BOTTOM).max(0.0)) * height
        };
        let covered = |spot: &Rectangle| outside(spot) + taken.iter().map(|other| spot.overlap(other)).sum::<f64>();
        let best = spots.into_iter().reduce(|best, next| if covered(&next) < covered(&best) { next } else { best });
        taken.extend(best);
        labels.push(best);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(takes: f64, score: f64) -> Point {
        Point { name: "a method".into(), takes, score: Estimate { mean: score, low: score, high: score }, ours: false }
    }

    #[test]
    fn the_frontier_holds_what_nothing_dominates() {
        let points = [point(5.0, 0.5), point(3.0, 0.4), point(9.0, 0.45), point(3.0, 0.3), point(20.0, 0.9)];
        assert_eq!(frontier(&points.iter().collect::<Vec<_>>()), [1, 0, 4]);
    }

    #[test]
    fn labels_of_a_crowd_do_not_overlap_and_are_not_cut_off() {
        let points = [point(50.0, 0.90), point(51.0, 0.91), point(52.0, 0.90), point(51.0, 0.89), point(100.0, 0.0)];
        let points: Vec<&Point> = points.iter().collect();
        let places = [(200.0, 100.0), (205.0, 96.0), (210.0, 100.0), (205.0, 104.0), (440.0, 300.0)];
        let labels: Vec<Rectangle> = place_labels(&points, &places, &[true; 5]).into_iter().flatten().collect();
        assert_eq!(labels.len(), 5);
        for (index, label) in labels.iter().enumerate() {
            assert!(labels[..index].iter().all(|other| label.overlap(other) == 0.0), "label {index}");
            assert!(label.x >= LEFT && label.x + label.width <= RIGHT, "label {index}");
        }
        assert!(place_labels(&points, &places, &[false; 5]).iter().all(Option::is_none));
    }

    #[test]
    fn long_names_are_shortened_between_letters() {
        assert_eq!(short("größer"), "größer");
        assert_eq!(short(&"ö".repeat(40)), "ö".repeat(28) + "\u{2026}");
    }
}
