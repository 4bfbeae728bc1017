//! Calibration: whether answers are right as often as their confidence says.

use super::Evaluation;

const BINS: usize = 10;

/// Expected calibration error: mean distance between confidence and score over ten bins with equally many answers. None without
/// confidences.
pub fn calibration_error(passes: &[Evaluation]) -> Option<f64> {
    let episodes = passes.iter().flat_map(|pass| &pass.episodes);
    let mut seen: Vec<(f64, f64)> = episodes.filter_map(|episode| Some((episode.confidence?, episode.score))).collect();
    seen.sort_by(|one, other| one.0.total_cmp(&other.0));
    let size = seen.len().div_ceil(BINS).max(1);
    let distance = |bin: &[(f64, f64)]| bin.iter().map(|(confidence, score)| confidence - score).sum::<f64>().abs();
    let total: f64 = seen.chunks(size).map(distance).sum();
    (!seen.is_empty()).then(|| total / seen.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::Episode;
    use crate::plan::{Plan, Trace};

    #[test]
    fn confidence_is_compared_with_the_share_that_is_right() {
        let check = |answers: &[(Option<f64>, f64)], expected: Option<f64>| {
            let episode = |&(confidence, score): &(Option<f64>, f64)| Episode {
                problem: String::new(),
                plan: Plan::default(),
                trace: Trace::default(),
                answer: None,
                confidence,
                score,
            };
            let pass = Evaluation { episodes: answers.iter().map(episode).collect(), ..Evaluation::default() };
            let found = calibration_error(&[pass]);
            let near = found.zip(expected).is_none_or(|(found, expected)| (found - expected).abs() < 1e-12);
            assert!(found.is_some() == expected.is_some() && near, "{found:?}, not {expected:?}");
        };
        check(&[(None, 1.0)], None);
        check(&[(Some(0.75), 1.0)], Some(0.25));
        // Twenty answers in ten bins of two: half right at one half, all right at one.
        let even: Vec<(Option<f64>, f64)> = (0..20).map(|at| (Some(0.5), f64::from(at % 2))).collect();
        check(&even, Some(0.0));
        check(&[(Some(0.9), 0.0), (Some(0.2), 0.0)], Some(0.55));
    }
}
