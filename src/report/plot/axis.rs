//! Scales from data to pixels, and their ticks.

use serde::Serialize;

use crate::report::number::fixed;

use super::pixel;

/// A linear scale: maps data in `low..=high` to pixels in `from..=to`, which may run backwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
}

/// A labelled position.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

impl Axis {
    /// A scale that contains all finite values and ends on round numbers, with about `ticks` ticks.
    pub fn fit(values: impl Iterator<Item = f64>, pixels: (f64, f64), ticks: f64) -> Self {
        let tight = Axis::tight(values, pixels, ticks);
        // Rounding errors must not add a step at either end.
        let first = (tight.low / tight.step + 1e-9).floor();
        let last = (tight.high / tight.step - 1e-9).ceil();
        Axis { low: first * tight.step, high: last * tight.step, ..tight }
    }

    /// A scale that ends exactly at the data.
    pub fn tight(values: impl Iterator<Item = f64>, pixels: (f64, f64), ticks: f64) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // A flat line is placed in the middle of the plot.
        let margin = if high > low { 0.0 } else { high.abs().max(1.0) * 0.05 };
        let (low, high) = (low - margin, high + margin);
        Axis { low, high, from: pixels.0, to: pixels.1, step: round_step((high - low) / ticks) }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        pixel(self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from))
    }

    /// Ticks at the multiples of the step, in ascending order.
    pub fn ticks(&self) -> Vec<Tick> {
        let first = (self.low / self.step - 1e-9).ceil();
        let count = (self.high / self.step + 1e-9).floor() - first;
        let decimals = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        let value = |tick: usize| (first + tick as f64) * self.step;
        let values = (0..=count.max(0.0) as usize).map(value);
        values.map(|value| Tick { at: self.at(value), label: fixed(value, decimals) }).collect()
    }
}

/// The smallest number of the form 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let leading = [1.0, 2.0, 5.0].into_iter().find(|leading| leading * power >= step * (1.0 - 1e-9));
    leading.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], ticks: f64, labels: &[&str]) {
        let axis = Axis::fit(values.iter().copied(), (0.0, 100.0), ticks);
        let found: Vec<String> = axis.ticks().into_iter().map(|tick| tick.label).collect();
        assert_eq!(found, labels, "{values:?}");
    }

    #[test]
    fn ticks_are_round_numbers_around_the_data() {
        check(&[0.0, 1.0, 7.0], 4.0, &["0", "2", "4", "6", "8"]);
        check(&[0.61, 0.842], 4.0, &["0.6", "0.7", "0.8", "0.9"]);
        check(&[0.0003, 0.0011], 3.0, &["0.0000", "0.0005", "0.0010", "0.0015"]);
        check(&[-3.0, 212.0, f64::NAN], 4.0, &["-100", "0", "100", "200", "300"]);
        check(&[2.0], 2.0, &["1.9", "2.0", "2.1"]);
        check(&[], 2.0, &["0.0", "0.5", "1.0"]);
        let tight = Axis::tight([0.0, 16.0].into_iter(), (0.0, 160.0), 6.0).ticks();
        assert_eq!(tight.iter().map(|tick| tick.at).collect::<Vec<_>>(), [0.0, 50.0, 100.0, 150.0]);
    }

    #[test]
    fn pixels_may_run_backwards() {
        let axis = Axis::fit([0.0, 10.0].into_iter(), (200.0, 0.0), 5.0);
        assert_eq!((axis.at(0.0), axis.at(2.5), axis.at(10.0)), (200.0, 150.0, 0.0));
    }
}
