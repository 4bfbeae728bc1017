//! Judge: a model rates each solution or picks the best one; the vote weighs them accordingly.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::model;
use crate::operation::board::{Board, Effect, Solution};
use crate::operation::identity::Reads;
use crate::operation::kind::{Content, Kind};
use crate::operation::operator::Operator;
use crate::operation::prompts::PromptReads;
use crate::operation::reply::{chosen, rated};
use crate::operation::weight::Mark;
use crate::operation::work::Work;
use crate::plan::Signature;

/// Settings of a `judge` operator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Judge {
    /// Whether the model rates each solution; otherwise it names the best one.
    #[serde(default = "yes")]
    scores: bool,
    /// The highest rating; the lowest is 0.
    #[serde(default = "ten")]
    best: f64,
}

fn yes() -> bool {
    true
}

fn ten() -> f64 {
    10.0
}

impl Judge {
    /// The marks that a reply gives to this many solutions; none for those about which nothing can be read.
    fn marks(&self, reply: &str, solutions: usize) -> Effect {
        let marks: Vec<Option<Mark>> = match self.scores {
            true => rated(reply, solutions).into_iter().map(|rating| Mark::new(rating? / self.best)).collect(),
            false => match chosen(reply, solutions) {
                Some(best) => (0..solutions).map(|at| Mark::new(f64::from(u8::from(at == best)))).collect(),
                None => Vec::new(),
            },
        };
        match marks.iter().any(Option::is_some) {
            true => Effect::Judge(marks),
            false => Effect::Unusable(reply.to_owned()),
        }
    }
}

#[async_trait]
impl Kind for Judge {
    fn signature(&self, _: &Operator) -> Signature {
        Signature { solutions: 0, scores: true, ..Signature::IMPROVES }
    }

    fn check(&self, operator: &Operator, prompt: PromptReads) -> Result<()> {
        let best = self.best;
        ensure!(best.is_finite() && best > 0.0, "expected `best`, the highest rating, above 0, found {best}");
        ensure!(
            operator.prompt.is_none() || prompt.solutions,
            "expected a prompt that reads the solutions; hint: `{{% for s in solutions %}}{{{{ loop.index }}}}: {{{{ s }}}}{{% \
             endfor %}}`"
        );
        Ok(())
    }

    fn reads(&self, _: PromptReads) -> Reads {
        Reads::Texts
    }

    fn content(&self) -> Content {
        let Judge { scores, best } = self;
        Content { settings: Some(json!({ "scores": scores, "best": best })), ..Content::default() }
    }

    /// Marks, in the form of a record or of a reply.
    fn recorded(&self, outputs: Vec<Solution>, board: &Board) -> Effect {
        let Some(output) = outputs.last() else { return Effect::Keep };
        match serde_json::from_str(&output.text) {
            Ok(marks) => Effect::Judge(marks),
            Err(_) => self.marks(&output.text, board.solutions.len()),
        }
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        let reply = work.ask(board.sheet().material()).await?;
        Ok(self.marks(&reply, board.solutions.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scores: bool, reply: &str, expected: &[Option<f64>]) {
        let expected: Vec<Option<Mark>> = expected.iter().map(|share| share.and_then(Mark::new)).collect();
        let nothing = || Effect::Unusable(reply.to_owned());
        let expected = if expected.is_empty() { nothing() } else { Effect::Judge(expected) };
        assert_eq!(Judge { scores, best: 10.0 }.marks(reply, 3), expected, "{reply}");
    }

    #[test]
    fn a_reply_becomes_marks() {
        check(true, "1: 7\n2: 10\n3: 0", &[Some(0.7), Some(1.0), Some(0.0)]);
        check(true, "Solution 2: 4.5", &[None, Some(0.45), None]);
        check(true, "1: 70\n2: 8", &[None, Some(0.8), None]);
        check(true, "1: 70", &[]);
        check(true, "I cannot say.", &[]);
        check(false, "Solution 2 is best.", &[Some(0.0), Some(1.0), Some(0.0)]);
        check(false, "none of them", &[]);
    }

    #[test]
    fn what_was_recorded_is_read_as_marks_or_as_a_reply() {
        let board = Board { solutions: vec![Solution::default(); 2], ..Board::default() };
        let recorded = |text: &str| {
            let output = Solution { text: text.to_owned(), ..Solution::default() };
            Judge { scores: true, best: 10.0 }.recorded(vec![output], &board)
        };
        let marks = Effect::Judge(vec![Mark::new(0.3), None]);
        assert_eq!(recorded("[0.3,null]"), marks);
        assert_eq!(recorded("1: 3"), marks);
        assert_eq!(recorded("?"), Effect::Unusable("?".to_owned()));
    }
}
