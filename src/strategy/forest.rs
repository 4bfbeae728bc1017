//! Extremely randomised trees (Geurts et al., 2006) that predict several numbers at once.

use rand::Rng;
use rand::seq::index;
use serde::{Deserialize, Serialize};

/// A forest predicts the mean of its trees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    trees: Vec<Tree>,
}

/// A binary tree in preorder: the node after a split is the split's lower branch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tree {
    /// The feature of a split; the number of a leaf.
    at: Vec<u32>,
    thresholds: Vec<f32>,
    /// The upper branch of a split; zero for a leaf.
    upper: Vec<u32>,
    /// `[leaves][T]`
    values: Vec<Vec<f32>>,
}

const TREES: usize = 60;
/// Fewest rows of a leaf.
const LEAF: usize = 10;

/// Rows to learn from.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// `[N][F]`
    pub features: &'a [Vec<f32>],
    /// `[N][T]`
    pub targets: &'a [Vec<f64>],
}

impl Forest {
    /// Fits a forest to the rows with these numbers.
    pub fn new(rows: Rows<'_>, among: &[usize], rng: &mut impl Rng) -> Self {
        let tree = |_| {
            let (mut tree, mut among) = (Tree::default(), among.to_vec());
            tree.grow(rows, &mut among, rng);
            tree
        };
        Forest { trees: (0..TREES).map(tree).collect() }
    }

    /// The prediction `[T]` for the features `[F]`.
    pub fn predict(&self, features: &[f32]) -> Vec<f64> {
        let mut sums = Vec::new();
        for tree in &self.trees {
            let values = tree.predict(features);
            sums.resize(values.len(), 0.0);
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value) / self.trees.len() as f64);
        }
        sums
    }
}

impl Tree {
    /// Adds a node for the rows with these numbers, and everything below it.
    fn grow(&mut self, rows: Rows<'_>, among: &mut [usize], rng: &mut impl Rng) {
        let node = self.at.len();
        self.at.push(0);
        self.thresholds.push(0.0);
        self.upper.push(0);
        let Some((feature, threshold)) = split(rows, among, rng) else {
            self.at[node] = self.values.len() as u32;
            let sums = sums(rows, among.iter().copied());
            let count = among.len().max(1) as f64;
            self.values.push(sums.into_iter().map(|sum| (sum / count) as f32).collect());
            return;
        };
        among.sort_by_key(|&row| rows.features[row][feature] >= threshold);
        let lower = among.partition_point(|&row| rows.features[row][feature] < threshold);
        let (below, above) = among.split_at_mut(lower);
        (self.at[node], self.thresholds[node]) = (feature as u32, threshold);
        self.grow(rows, below, rng);
        self.upper[node] = self.at.len() as u32;
        self.grow(rows, above, rng);
    }

    fn predict(&self, features: &[f32]) -> &[f32] {
        let mut node = 0;
        loop {
            let (Some(&at), Some(&upper), Some(&threshold)) =
                (self.at.get(node), self.upper.get(node), self.thresholds.get(node))
            else {
                return &[];
            };
            if upper == 0 {
                return self.values.get(at as usize).map_or(&[], Vec::as_slice);
            }
            let is_below = features.get(at as usize).is_some_and(|value| *value < threshold);
            // A branch comes after its node, so even a damaged tree ends.
            node = if is_below { node + 1 } else { (upper as usize).max(node + 1) };
        }
    }
}

/// The best split with one random threshold on each of half the features; none if every one leaves too few rows on a side.
fn split(rows: Rows<'_>, among: &[usize], rng: &mut impl Rng) -> Option<(usize, f32)> {
    if among.len() < 2 * LEAF {
        return None;
    }
    let width = rows.features.first().map_or(0, Vec::len);
    let whole = sums(rows, among.iter().copied());
    let mut best: Option<(f64, usize, f32)> = None;
    for feature in index::sample(rng, width, width.div_ceil(2)) {
        let values = || among.iter().map(|&row| rows.features[row][feature]);
        let (low, high) = values().fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low >= high {
            continue;
        }
        let threshold = rng.random_range(low..high);
        let below = || among.iter().copied().filter(|&row| rows.features[row][feature] < threshold);
        let count = below().count();
        if count < LEAF || among.len() - count < LEAF {
            continue;
        }
        let (lower, upper) = (count as f64, (among.len() - count) as f64);
        // The explained sum of squares, up to a constant.
        let gain: f64 = sums(rows, below())
            .iter()
            .zip(&whole)
            .map(|(below, whole)| below * below / lower + (whole - below) * (whole - below) / upper)
            .sum();
        if best.is_none_or(|(most, ..)| gain > most) {
            best = Some((gain, feature, threshold));
        }
    }
    best.map(|(_, feature, threshold)| (feature, threshold))
}

fn sums(rows: Rows<'_>, among: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut sums = vec![0.0; rows.targets.first().map_or(0, Vec::len)];
    for row in among {
        sums.iter_mut().zip(&rows.targets[row]).for_each(|(sum, target)| *sum += target);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn trees_find_what_no_line_does() {
        // The target is the exclusive or of two features; the third is noise.
        let mut rng = random::stream(3, &[&"trees"]);
        let features: Vec<Vec<f32>> = (0..400).map(|_| (0..3).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        let target = |row: &[f32]| f64::from(u8::from((row[0] > 0.0) != (row[1] > 0.0)));
        let targets: Vec<Vec<f64>> = features.iter().map(|row| vec![target(row), -target(row)]).collect();
        let rows = Rows { features: &features, targets: &targets };
        let all: Vec<usize> = (0..400).collect();
        let forest = Forest::new(rows, &all, &mut random::stream(4, &[&"trees"]));
        for corner in [[0.7, 0.7, 0.0], [-0.7, 0.7, 0.3], [0.7, -0.7, -0.9], [-0.7, -0.7, 0.5]] {
            let found = forest.predict(&corner);
            assert!((found[0] - target(&corner)).abs() < 0.3 && (found[0] + found[1]).abs() < 1e-5, "{found:?}");
        }
        let again = Forest::new(rows, &all, &mut random::stream(4, &[&"trees"]));
        assert!(again == forest && Forest::default().predict(&[1.0]).is_empty());
    }
}
