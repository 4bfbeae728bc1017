//! What routers read of a question: the position of its embedding among the training questions, and the surface of its text.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::evidence::Asked;

/// Principal axes of the training questions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// `[E]`
    centre: Vec<f32>,
    /// Unit vectors, `[A][E]`, those with the largest variance first.
    axes: Vec<Vec<f32>>,
}

/// Most axes.
const AXES: usize = 64;
/// Rounds of subspace iteration: the first axes need a few, the last may be mixed with their neighbours.
const ROUNDS: usize = 20;
/// How many numbers [`surface`] gives.
const SURFACE: usize = 12;

impl Features {
    /// From the embeddings `[N][E]`.
    pub fn new(queries: &[&[f32]], rng: &mut impl Rng) -> Self {
        let (count, width) = (queries.len(), queries.first().map_or(0, |query| query.len()));
        let mut centre = vec![0f64; width];
        for query in queries {
            centre.iter_mut().zip(*query).for_each(|(sum, &value)| *sum += f64::from(value) / count as f64);
        }
        let mut products = vec![vec![0f64; width]; width];
        for query in queries {
            let row: Vec<f64> = query.iter().zip(&centre).map(|(&value, centre)| f64::from(value) - centre).collect();
            for (products, &value) in products.iter_mut().zip(&row) {
                products.iter_mut().zip(&row).for_each(|(sum, other)| *sum += value * other);
            }
        }
        let random = |_| (0..width).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
        let mut axes: Vec<Vec<f64>> = (0..AXES.min(width).min(count)).map(random).collect();
        orthonormalize(&mut axes);
        for _ in 0..ROUNDS {
            for axis in &mut axes {
                *axis = products.iter().map(|row| dot(row, axis)).collect();
            }
            orthonormalize(&mut axes);
        }
        let single = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect();
        Features { centre: single(centre), axes: axes.into_iter().map(single).collect() }
    }

    /// Number of axes, `A`.
    pub fn axes(&self) -> usize {
        self.axes.len()
    }

    /// Coordinates on the axes, `[A]`.
    pub fn place(&self, embedding: &[f32]) -> Vec<f32> {
        let centred: Vec<f32> = embedding.iter().zip(&self.centre).map(|(value, centre)| value - centre).collect();
        self.axes.iter().map(|axis| axis.iter().zip(&centred).map(|(axis, value)| axis * value).sum()).collect()
    }

    /// Coordinates on the first `axes` axes and the surface of the text, `[axes + 12]`.
    pub fn of(&self, asked: Asked<'_>, axes: usize) -> Vec<f32> {
        let mut features = self.place(asked.embedding);
        features.truncate(axes);
        features.extend(surface(asked.question));
        features
    }
}

/// The surface of a text: logarithms of its length, words, digits, lines, commas, brackets, question marks and capitals, the
/// (logarithmic) length of its words, and the shares of digits, capitals and signs.
fn surface(text: &str) -> [f32; SURFACE] {
    let count = |is: &dyn Fn(char) -> bool| text.chars().filter(|&letter| is(letter)).count() as f32;
    let (length, words) = (count(&|_| true), text.split_whitespace().count() as f32);
    let (digits, capitals) = (count(&|letter| letter.is_ascii_digit()), count(&char::is_uppercase));
    let signs = count(&|letter| !letter.is_alphanumeric() && !letter.is_whitespace());
    let share = |count: f32| count / length.max(1.0);
    let marks = ['\n', ',', '(', '?'].map(|mark| count(&|letter| letter == mark).ln_1p());
    let [lines, commas, brackets, questions] = marks;
    [
        length.ln_1p(),
        words.ln_1p(),
        digits.ln_1p(),
        lines,
        commas,
        brackets,
        questions,
        capitals.ln_1p(),
        length.ln_1p() - words.ln_1p(),
        share(digits),
        share(capitals),
        share(signs),
    ]
}

/// Gram-Schmidt, twice because of rounding; an axis that depends on earlier ones becomes zero.
fn orthonormalize(axes: &mut [Vec<f64>]) {
    for at in 0..axes.len() {
        let (before, rest) = axes.split_at_mut(at);
        let Some(own) = rest.first_mut() else { continue };
        for _ in 0..2 {
            for other in before.iter() {
                let share = dot(own, other);
                own.iter_mut().zip(other).for_each(|(value, other)| *value -= share * other);
            }
        }
        let length = dot(own, own).sqrt();
        own.iter_mut().for_each(|value| *value = if length > 1e-12 { *value / length } else { 0.0 });
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn the_first_axis_is_that_of_the_largest_spread() {
        let rows: Vec<[f32; 3]> = (0..40).map(|at| [0.5 + (at % 2) as f32, 1.0, 0.2 * ((at / 2) % 2) as f32]).collect();
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        let features = Features::new(&rows, &mut random::stream(1, &[&"axes"]));
        let place = |row: &[f32]| features.place(row).iter().map(|value| value.abs()).collect::<Vec<f32>>();
        let near = |found: f32, expected: f32| assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        let found = place(&[1.5, 1.0, 0.2]);
        near(found[0], 0.5);
        near(found[1], 0.1);
        let asked = Asked { question: "How many, 12?", embedding: &[1.5, 1.0, 0.2] };
        let found = features.of(asked, 1);
        assert_eq!((found.len(), found[3]), (1 + SURFACE, 2f32.ln_1p()));
    }
}
