//! Program: writes a program and runs it; a program that does not run adds nothing.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use serde::Deserialize;

use crate::model;
use crate::operation::board::{Board, Effect, Solution};
use crate::operation::kind::{Content, Kind};
use crate::operation::operator::Operator;
use crate::operation::prompts::{Material, PromptReads};
use crate::operation::tools::{Language, MOST_ROUNDS};
use crate::operation::work::Work;
use crate::plan::Signature;
use crate::sandbox::Executed;
use crate::task::AnswerForm;

/// Appended to a Python program, so that one that defines `solution()` need not print.
const CALL: &str = "
if callable(globals().get('solution')):
    _answer = solution()
    if _answer is not None:
        print(_answer)
";
/// Longest printed output, in bytes, that is taken as an answer.
const LONGEST_ANSWER: usize = 1000;

/// Settings of a `program` operator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Program {
    /// Further programs after the first one.
    #[serde(default)]
    rounds: u32,
    #[serde(default)]
    language: Language,
}

#[async_trait]
impl Kind for Program {
    fn signature(&self, _: &Operator) -> Signature {
        Signature { most_calls: self.rounds + 1, ..Signature::COMPUTES }
    }

    fn check(&self, _: &Operator, _: PromptReads) -> Result<()> {
        ensure!(self.rounds <= MOST_ROUNDS, "expected at most {MOST_ROUNDS} `rounds`, found {}", self.rounds);
        Ok(())
    }

    fn content(&self) -> Content {
        Content { rounds: self.rounds, language: self.language, ..Content::default() }
    }

    fn needs_python(&self) -> bool {
        self.language == Language::Python
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        let sheet = board.sheet();
        let (mut text, mut feedback) = (String::new(), String::new());
        for _ in 0..=self.rounds {
            text = work.ask(Material { feedback: &feedback, ..sheet.material() }).await?;
            let result = match self.language {
                Language::Arithmetic => {
                    work.evaluate(|evaluator| evaluator.run(&text)).map(worded).map_err(|error| error.to_string())
                }
                Language::Python => python(work, &text).await?,
            };
            match result {
                Ok(solution) => return Ok(Effect::Append(vec![solution])),
                Err(fault) => feedback = fault,
            }
        }
        Ok(Effect::Unusable(format!("{text}\n{}", fault(&feedback))))
    }
}

/// What is wrong, without the program that feedback repeats.
fn fault(feedback: &str) -> &str {
    feedback.rsplit("```\n").next().unwrap_or(feedback)
}

/// The run as a chain of equations, so that later operators can read it like any other solution.
fn worded(Executed { value, mut steps }: Executed) -> Solution {
    steps.push(format!("the answer is {value}"));
    Solution { text: steps.join(" . "), answer: Some(value.to_string()), executed: true, ..Solution::default() }
}

/// Runs the program in a reply; the last line that it prints is the answer. If there is none, returns the program
/// together with what is wrong with it.
async fn python(work: &mut Work<'_>, text: &str) -> Result<Result<Solution, String>, model::Error> {
    let Some(program) = AnswerForm::Python.extract(text) else {
        return Ok(Err("expected a Python program in a code block, found none".to_owned()));
    };
    let run = work.run_python(&format!("{program}\n{CALL}"), "").await?;
    let printed = run.stdout.lines().map(str::trim).rfind(|line| !line.is_empty());
    let fault = match (run.fault(), printed) {
        (Some(fault), _) => fault,
        (None, None) => "the program printed nothing".to_owned(),
        (None, Some(answer)) if answer.len() > LONGEST_ANSWER => "the program printed no short answer".to_owned(),
        (None, Some(answer)) => {
            let text = format!("```python\n{program}\n```\nThe answer is {answer}");
            return Ok(Ok(Solution { executed: true, ..work.solution(text) }));
        }
    };
    Ok(Err(format!("```python\n{program}\n```\n{fault}")))
}
