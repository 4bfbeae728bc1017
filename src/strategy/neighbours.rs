//! Nearest neighbours: similar questions have similar outcomes.

use serde::{Deserialize, Serialize};

/// Training questions with their outcomes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Coordinates of each, normalised, `[N][A]`.
    places: Vec<Vec<f32>>,
    /// `[N][T]`
    targets: Vec<Vec<f32>>,
    /// How many neighbours to use.
    count: usize,
}

/// Numbers of neighbours to choose from.
pub const COUNTS: [usize; 4] = [10, 20, 40, 80];

impl Neighbours {
    /// From the coordinates `[N][A]` of questions and their outcomes `[N][T]`.
    pub fn new(places: Vec<Vec<f32>>, targets: &[Vec<f64>], count: usize) -> Self {
        // Three digits are enough, and make a checkpoint a third of the size.
        let short = |value: f32| (value * 1e3).round() / 1e3;
        let places = places.into_iter().map(|place| unit(place).into_iter().map(short).collect()).collect();
        let targets = targets.iter().map(|row| row.iter().map(|&value| short(value as f32)).collect()).collect();
        Neighbours { places, targets, count }
    }

    /// The mean outcome `[T]` of the nearest neighbours of `place` `[A]`.
    pub fn predict(&self, place: &[f32]) -> Vec<f64> {
        self.among(place, |_| true, &[self.count]).pop().unwrap_or_default()
    }

    /// Like [`Neighbours::predict`], for each of `counts`, among the questions that `counts_in` admits.
    pub fn among(&self, place: &[f32], counts_in: impl Fn(usize) -> bool, counts: &[usize]) -> Vec<Vec<f64>> {
        let place = unit(place.to_vec());
        let near = |at: usize| self.places[at].iter().zip(&place).map(|(x, y)| x * y).sum::<f32>();
        let mut nearest: Vec<(f32, usize)> =
            (0..self.places.len()).filter(|&at| counts_in(at)).map(|at| (near(at), at)).collect();
        let most = counts.iter().copied().max().unwrap_or_default().min(nearest.len());
        let order = |one: &(f32, usize), other: &(f32, usize)| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1));
        if most < nearest.len() {
            nearest.select_nth_unstable_by(most, order);
            nearest.truncate(most);
        }
        nearest.sort_unstable_by(order);
        let mean = |&count: &usize| {
            let taken = &nearest[..count.min(nearest.len())];
            let mut mean = vec![0.0; self.targets.first().map_or(0, Vec::len)];
            for (_, at) in taken {
                let share = |&value: &f32| f64::from(value) / taken.len() as f64;
                let targets = self.targets.get(*at).into_iter().flatten();
                mean.iter_mut().zip(targets).for_each(|(sum, value)| *sum += share(value));
            }
            mean
        };
        counts.iter().map(mean).collect()
    }
}

fn unit(mut place: Vec<f32>) -> Vec<f32> {
    let length = place.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    place.iter_mut().for_each(|value| *value /= length);
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_count() {
        let places = vec![vec![2.0, 0.0], vec![1.0, 0.1], vec![0.0, 3.0], vec![-1.0, 0.0]];
        let targets = [[1.0], [0.5], [0.0], [-1.0]].map(Vec::from);
        let neighbours = Neighbours::new(places, &targets, 2);
        assert_eq!(neighbours.predict(&[5.0, 0.0]), [0.75]);
        assert_eq!(neighbours.among(&[5.0, 0.0], |at| at > 0, &[1, 9]), [[0.5], [-0.5 / 3.0]].map(Vec::from));
        assert_eq!(Neighbours::default().predict(&[1.0]), [] as [f64; 0]);
    }
}
