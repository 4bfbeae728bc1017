//! Checks whether a question resembles the training questions. Far from them, what was learned may not apply.

use anyhow::Result;

use crate::agent::Agent;

/// The maximum number of training questions that are compared with each other.
const COMPARED: usize = 400;
/// The share of training questions that count as usual: their nearest neighbour is at least as close as `usual`.
const USUAL: f64 = 0.99;

/// The embeddings of the training questions, and how close the nearest of them usually is to a question.
pub struct Familiar {
    /// Normalised to length one.
    known: Vec<Vec<f32>>,
    /// The cosine to the nearest neighbour that nearly all training questions reach.
    usual: f32,
}

impl Familiar {
    /// For the run that an agent answers with; `None` if its training questions are not available, or too few.
    pub fn of(agent: &Agent) -> Option<Self> {
        let problems = agent.solver().problems("train").ok()?;
        let embeddings = agent.embed(&problems.iter().map(|it| it.question.as_str()).collect::<Vec<_>>()).ok()?;
        Self::new(embeddings.rows().map(<[f32]>::to_vec).collect())
    }

    fn new(known: Vec<Vec<f32>>) -> Option<Self> {
        let known: Vec<Vec<f32>> = known.into_iter().map(unit).collect();
        let step = known.len().div_ceil(COMPARED).max(1);
        let others =
            |at: usize| known.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, other)| other);
        let nearest = |at: usize| others(at).map(|other| cosine(&known[at], other)).fold(-1.0, f32::max);
        let mut nearest: Vec<f32> = (0..known.len()).step_by(step).map(nearest).collect();
        nearest.sort_by(f32::total_cmp);
        let usual = *nearest.get(((1.0 - USUAL) * nearest.len() as f64) as usize).filter(|_| known.len() >= 10)?;
        Some(Familiar { known, usual })
    }

    /// A remark on a question that is further from all training questions than they usually are from each other.
    ///
    /// # Errors
    /// The question cannot be embedded.
    pub fn remark(&self, agent: &Agent, question: &str) -> Result<Option<String>> {
        let embeddings = agent.embed(&[question])?;
        Ok(embeddings.row(0).and_then(|embedding| self.told(embedding)))
    }

    fn told(&self, embedding: &[f32]) -> Option<String> {
        let embedding = unit(embedding.to_vec());
        let near = self.known.iter().map(|known| cosine(known, &embedding)).fold(-1.0, f32::max);
        (near < self.usual).then(|| {
            format!(
                "this question is unlike the training questions: its nearest neighbour has a cosine of {near:.2}, while {:.0} % of theirs have \
                 {:.2} or more; what was learned may not apply",
                100.0 * USUAL,
                self.usual
            )
        })
    }
}

fn unit(mut embedding: Vec<f32>) -> Vec<f32> {
    let length = embedding.iter().map(|value| value * value).sum::<f32>().sqrt();
    embedding.iter_mut().for_each(|value| *value /= length.max(f32::MIN_POSITIVE));
    embedding
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_further_than_usual_is_told_of() {
        // Directions within a tenth of a turn of each other.
        let at = |angle: f32| vec![3.0 * angle.cos(), 3.0 * angle.sin(), 0.0];
        let known: Vec<Vec<f32>> = (0..50).map(|place| at(place as f32 * 0.01)).collect();
        let familiar = Familiar::new(known).expect("enough questions");
        assert!(familiar.usual > 0.99);
        assert_eq!(familiar.told(&at(0.254)), None);
        let far = familiar.told(&[0.0, 0.0, 1.0]).unwrap_or_default();
        assert!(far.contains("a cosine of 0.00, while 99 % of theirs have 1.00 or more"), "{far}");
        assert!(familiar.told(&[0.0; 3]).is_some());
        assert!(Familiar::new(vec![at(0.0); 3]).is_none() && Familiar::new(Vec::new()).is_none());
    }
}
