//! Debate: answers in rounds. After the first round, each answer is written with the answers of the previous round in
//! view.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::model;
use crate::operation::board::{Board, Effect};
use crate::operation::identity::Reads;
use crate::operation::kind::{Content, Kind};
use crate::operation::operator::Operator;
use crate::operation::prompts::{Material, PromptReads};
use crate::operation::work::Work;
use crate::plan::Signature;

/// Settings of a `debate` operator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Debate {
    /// Answers in each round, given in parallel.
    #[serde(default = "three")]
    samples: u32,
    #[serde(default = "two")]
    rounds: u32,
}

fn three() -> u32 {
    3
}

fn two() -> u32 {
    2
}

#[async_trait]
impl Kind for Debate {
    fn signature(&self, _: &Operator) -> Signature {
        let solutions = self.samples as usize;
        let (rounds, most_calls) = (Some(self.rounds), self.samples * self.rounds);
        Signature { solutions, is_side_by_side: false, rounds, most_calls, ..Signature::ANSWERS }
    }

    fn check(&self, operator: &Operator, prompt: PromptReads) -> Result<()> {
        let Debate { samples, rounds } = self;
        ensure!((2..=16).contains(samples), "expected 2 to 16 `samples` in a debate, found {samples}");
        ensure!((2..=8).contains(rounds), "expected 2 to 8 `rounds` of a debate, found {rounds}");
        if operator.prompt.is_some() {
            ensure!(
                prompt.solutions,
                "expected a prompt that reads the answers of the round before; hint: `{{% for s in solutions %}}`, which the \
                 first round finds empty"
            );
            ensure!(
                operator.temperature > 0.0,
                "expected a `temperature` above 0, found 0, at which all answers of a round are the same"
            );
        }
        Ok(())
    }

    /// The solutions that its prompt reads come from its own rounds.
    fn reads(&self, _: PromptReads) -> Reads {
        Reads::Nothing
    }

    fn content(&self) -> Content {
        Content { rounds: self.rounds, settings: Some(json!({ "samples": self.samples })), ..Content::default() }
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        let sheet = board.sheet();
        let mut answers: Vec<String> = Vec::new();
        for _ in 0..self.rounds {
            let said: Vec<&str> = answers.iter().map(String::as_str).collect();
            let solution = said.last().copied().unwrap_or_default();
            answers =
                work.ask_together(Material { solution, solutions: &said, ..sheet.material() }, self.samples).await?;
        }
        Ok(Effect::Append(answers.into_iter().map(|text| work.solution(text)).collect()))
    }
}
