//! Drawing the next token from its logits.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::kernels;
use crate::model::Request;
use crate::random;

/// How one completion is drawn; owns its random stream.
pub struct Sampler {
    rng: ChaCha8Rng,
    temperature: f32,
    top_p: f32,
}

impl Sampler {
    /// The stream depends on the messages, the sampling and the sample's number: not on the model's name, nor on when
    /// the request runs, nor with which others.
    pub fn new(request: &Request) -> Self {
        let content = serde_json::json!([request.messages, request.sampling]);
        Sampler {
            rng: random::stream(random::key(&[&content]), &[&request.sample]),
            temperature: request.sampling.temperature,
            top_p: request.sampling.top_p,
        }
    }

    /// The next token; the first of the likeliest at temperature 0. None if a logit is not finite.
    pub fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return None;
        }
        if self.temperature == 0.0 {
            let first_best =
                |best: usize, (token, logit): (usize, &f32)| if *logit > logits[best] { token } else { best };
            return Some(logits.iter().enumerate().fold(0, first_best) as u32);
        }
        let mut weights: Vec<f32> = logits.iter().map(|logit| logit / self.temperature).collect();
        let total = f64::from(kernels::softmax_numerators(&mut weights));
        let mut tokens: Vec<(f32, u32)> = weights.into_iter().zip(0..).collect();
        if self.top_p < 1.0 {
            keep_nucleus(&mut tokens, f64::from(self.top_p), total);
        }
        let mass: f64 = tokens.iter().map(|(weight, _)| f64::from(*weight)).sum();
        let mut left = self.rng.random::<f64>() * mass;
        let drawn = tokens.iter().find(|(weight, _)| {
            left -= f64::from(*weight);
            left < 0.0
        });
        drawn.or(tokens.last()).map(|(_, token)| *token)
    }
}

/// Keeps the fewest likeliest tokens that hold `share` of the mass, ties in the order of the vocabulary.
fn keep_nucleus(tokens: &mut Vec<(f32, u32)>, share: f64, total: f64) {
    // All tokens below this weight together are less than what may be left out: they need no sorting.
    let least = (1.0 - share) * total / tokens.len() as f64;
    tokens.retain(|(weight, _)| f64::from(*weight) >= least);
    tokens.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut mass = 0.0;
    let last = tokens.iter().position(|(weight, _)| {
        mass += f64::from(*weight);
        mass >= share * total
    });
    tokens.truncate(last.map_or(tokens.len(), |last| last + 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Message, Role, Sampling};

    fn sampler(temperature: f32, top_p: f32, sample: u64) -> Sampler {
        let message = Message { role: Role::User, content: "a question".into() };
        let sampling = Sampling { temperature, top_p, max_tokens: 8, stop: Vec::new() };
        Sampler::new(&Request { model: String::new(), messages: vec![message], sampling, sample })
    }

    #[test]
    fn draws_in_proportion() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        let check = |temperature: f32, top_p: f32, expected: [f64; 3]| {
            let mut counts = [0.0; 3];
            let mut sampler = sampler(temperature, top_p, 0);
            for _ in 0..20_000 {
                counts[sampler.draw(&logits).expect("finite logits") as usize] += 1.0 / 20_000.0;
            }
            let near = counts.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.015);
            assert!(near, "expected {expected:?}, found {counts:?}");
        };
        check(1.0, 1.0, [0.5, 0.3, 0.2]);
        check(0.5, 1.0, [25.0 / 38.0, 9.0 / 38.0, 4.0 / 38.0]);
        check(1.0, 0.7, [0.625, 0.375, 0.0]);
        check(1.0, 0.4, [1.0, 0.0, 0.0]);
        check(0.0, 1.0, [1.0, 0.0, 0.0]);
    }

    #[test]
    fn ties_go_to_the_first_and_faults_are_told() {
        assert_eq!(sampler(0.0, 1.0, 0).draw(&[1.0, 2.0, 2.0]), Some(1));
        assert_eq!(sampler(1.0, 0.3, 0).draw(&[1.0, 1.0, 1.0]), Some(0));
        assert_eq!(sampler(1.0, 1.0, 0).draw(&[1.0, f32::NAN]), None);
        let draws = |sample| (0..20).map(|_| sampler(1.0, 1.0, sample).draw(&[0.0; 50])).next();
        assert_ne!(draws(0), draws(1));
    }
}
