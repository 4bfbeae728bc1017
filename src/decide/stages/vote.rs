//! A vote that knows who votes: how likely each answer is right, and how likely none is.
//!
//! A conditional logit over the answers and "none is right". The logit of an answer is the sum of its supporters' weights, of the
//! weights of their pairs (models of one family are not independent witnesses), and of a weight for their number. "None" has a
//! weight of its own, plus one for each operator asked and one for each that gave no answer.

use serde::{Deserialize, Serialize};

/// What an operator said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was not asked, or has not answered yet.
    Unasked,
    /// It ended without an answer.
    Nothing,
    /// The number of its answer; equal answers share a number.
    Answer(u32),
}

/// How likely the answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Belief {
    /// The likeliest answer, if there is any.
    pub leader: Option<u32>,
    /// Probability that the leader is right.
    pub posterior: f64,
    /// Probability of the second-likeliest answer.
    pub runner_up: f64,
    /// Probability that no answer is right.
    pub none: f64,
}

/// The weights of `O` operators, `[2O + O(O-1)/2 + O + 4]`: see [`Vote::features`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    pub operators: usize,
    pub weights: Vec<f64>,
}

/// The numbers of supporters that have a weight: two, three and four.
const SEVERAL: usize = 3;

impl Vote {
    /// A vote with zero weights: all answers and "none" are equally likely.
    pub fn new(operators: usize) -> Self {
        Vote {
            operators,
            weights: vec![0.0; 3 * operators + operators * operators.saturating_sub(1) / 2 + SEVERAL + 1],
        }
    }

    /// Strength of the ridge penalty on each weight.
    pub fn penalties(&self) -> Vec<f64> {
        let (operators, pairs) = (self.operators, self.operators * self.operators.saturating_sub(1) / 2);
        let parts = [(operators, 0.3), (pairs, 0.3), (SEVERAL, 0.03), (1, 0.01), (2 * operators, 0.3)];
        parts.into_iter().flat_map(|(count, penalty)| vec![penalty; count]).collect()
    }

    /// Indices of the weights that count for each answer (with its number) and, last, for "none".
    pub fn features(&self, said: &[Said]) -> Vec<(Option<u32>, Vec<usize>)> {
        let operators = self.operators;
        let several = operators + operators * operators.saturating_sub(1) / 2;
        let none = several + SEVERAL;
        let mut answers: Vec<(u32, Vec<usize>)> = Vec::new();
        let mut of_none = vec![none];
        for (at, said) in said.iter().enumerate() {
            match said {
                Said::Unasked => continue,
                Said::Nothing => of_none.push(none + 1 + operators + at),
                Said::Answer(number) => match answers.iter_mut().find(|(other, _)| other == number) {
                    Some((_, supporters)) => supporters.push(at),
                    None => answers.push((*number, vec![at])),
                },
            }
            of_none.push(none + 1 + at);
        }
        let features = |(number, supporters): (u32, Vec<usize>)| {
            let mut features = supporters.clone();
            for (at, &second) in supporters.iter().enumerate() {
                features.extend(supporters[..at].iter().map(|&first| operators + second * (second - 1) / 2 + first));
            }
            features.extend((2..=supporters.len().min(SEVERAL + 1)).map(|count| several + count - 2));
            (Some(number), features)
        };
        answers.into_iter().map(features).chain([(None, of_none)]).collect()
    }

    /// Probability of each alternative listed by [`Vote::features`].
    pub fn probabilities(&self, features: &[(Option<u32>, Vec<usize>)]) -> Vec<f64> {
        let logit = |(_, places): &(_, Vec<usize>)| places.iter().filter_map(|&at| self.weights.get(at)).sum::<f64>();
        let logits: Vec<f64> = features.iter().map(logit).collect();
        let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
        let sum: f64 = shares.iter().sum();
        shares.into_iter().map(|share| share / sum).collect()
    }

    /// The belief given what the operators said; among equals, the answer given first leads.
    pub fn believe(&self, said: &[Said]) -> Belief {
        let features = self.features(said);
        let mut belief = Belief::default();
        for ((answer, _), probability) in features.iter().zip(self.probabilities(&features)) {
            match answer {
                None => belief.none = probability,
                Some(_) if belief.leader.is_none() || probability > belief.posterior => {
                    belief.runner_up = belief.posterior;
                    (belief.leader, belief.posterior) = (*answer, probability);
                }
                Some(_) => belief.runner_up = belief.runner_up.max(probability),
            }
        }
        belief
    }
}

#[cfg(test)]
mod tests {
    use super::Said::*;
    use super::*;

    #[test]
    fn each_supporter_pair_and_count_has_its_weight() {
        let vote = Vote::new(3);
        assert_eq!((vote.weights.len(), vote.penalties().len()), (16, 16));
        let features = vote.features(&[Answer(7), Answer(5), Answer(7)]);
        // Pairs are (0,1), (0,2), (1,2) from place 3 on, counts from 6, "none" from 9, who was asked from 10, silence from 13.
        assert_eq!(features[0], (Some(7), vec![0, 2, 4, 6]));
        assert_eq!(features[1], (Some(5), vec![1]));
        assert_eq!(features[2], (None, vec![9, 10, 11, 12]));
        assert_eq!(vote.features(&[Nothing, Unasked, Answer(1)])[1], (None, vec![9, 13, 10, 12]));
    }

    #[test]
    fn a_strong_voice_outweighs_two_weak_ones() {
        let mut vote = Vote::new(3);
        vote.weights[..3].copy_from_slice(&[0.5, 0.5, 3.0]);
        let belief = vote.believe(&[Answer(1), Answer(1), Answer(2)]);
        assert_eq!(belief.leader, Some(2));
        let sum = belief.posterior + belief.runner_up + belief.none;
        assert!((sum - 1.0).abs() < 1e-12 && belief.posterior > 0.8, "{belief:?}");
        assert_eq!(vote.believe(&[Unasked; 3]), Belief { none: 1.0, ..Belief::default() });
    }
}
