//! Command: a user's program that reads the question as JSON and answers it, or finds context for other operators.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model;
use crate::operation::board::{Board, Effect, Solution};
use crate::operation::identity::Reads;
use crate::operation::kind::{Content, Kind, Program};
use crate::operation::operator::Operator;
use crate::operation::prompts::PromptReads;
use crate::operation::work::Work;
use crate::plan::Signature;
use crate::sandbox::{Launch, Limits};

/// Settings of a `command` operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments. Relative paths start from the folder of the catalogue.
    command: Vec<String>,
    /// What it receives besides the question.
    #[serde(default)]
    takes: Vec<Taken>,
    #[serde(default)]
    gives: Gift,
    /// Folders that it may read.
    #[serde(default)]
    read: Vec<PathBuf>,
    /// Whether it runs with the user's rights: with network access, child processes and all files.
    #[serde(default)]
    trusted: bool,
    /// Time limit in seconds.
    #[serde(default = "ten")]
    seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Taken {
    Solutions,
    Context,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Gift {
    #[default]
    Solution,
    Context,
}

/// What a program writes to its standard output.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Said {
    solution: Option<String>,
    /// If absent, it is extracted from the solution as the benchmark prescribes.
    answer: Option<String>,
    context: Option<String>,
    /// The tokens that it used, if it knows.
    tokens: u64,
    dollars: f64,
}

fn ten() -> f64 {
    10.0
}

impl Said {
    fn read(output: &str) -> Result<Self> {
        if output.trim().is_empty() {
            return Ok(Said::default());
        }
        let said: Option<Said> = serde_json::from_str(output)?;
        let said = said.unwrap_or_default();
        ensure!(
            said.dollars.is_finite() && said.dollars >= 0.0,
            "expected `dollars` from 0 up, found {}",
            said.dollars
        );
        Ok(said)
    }
}

impl Command {
    fn takes(&self, what: Taken) -> bool {
        self.takes.contains(&what)
    }

    /// What it receives on its standard input.
    fn input(&self, question: &str, board: &Board) -> String {
        let solution = |solution: &Solution| json!({ "text": solution.text, "answer": solution.answer });
        let solutions = if self.takes(Taken::Solutions) { board.solutions.as_slice() } else { &[] };
        let solutions: Vec<_> = solutions.iter().map(solution).collect();
        json!({ "question": question, "solutions": solutions, "context": board.context }).to_string()
    }
}

#[async_trait]
impl Kind for Command {
    fn signature(&self, _: &Operator) -> Signature {
        let takes_solutions = self.takes(Taken::Solutions);
        let answers = self.gives == Gift::Solution;
        Signature {
            reads_solutions: takes_solutions,
            reads_context: self.takes(Taken::Context),
            needs_solution: takes_solutions,
            solutions: usize::from(answers),
            informs: !answers,
            uses_tool: true,
            is_deterministic: false,
            ..Signature::IDLE
        }
    }

    fn check(&self, _: &Operator, _: PromptReads) -> Result<()> {
        let seconds = self.seconds;
        ensure!(!self.command.is_empty(), "expected a `command`, a program with its arguments, found none");
        ensure!(seconds > 0.0 && seconds <= 3600.0, "expected `seconds` above 0 and at most 3600, found {seconds}");
        Ok(())
    }

    fn reads(&self, _: PromptReads) -> Reads {
        if self.takes(Taken::Solutions) { Reads::Solutions } else { Reads::Nothing }
    }

    /// Excludes the time limit and the rights, which do not change what it says.
    fn content(&self) -> Content {
        let Command { command, takes, gives, read, .. } = self;
        let settings = json!({ "command": command, "takes": takes, "gives": gives, "read": read });
        Content { settings: Some(settings), ..Content::default() }
    }

    /// It runs in the same sandbox as Python.
    fn needs_python(&self) -> bool {
        !self.trusted
    }

    fn program(&self) -> Option<Program> {
        let Command { command, read, trusted, .. } = self;
        let read: Vec<String> = read.iter().map(|folder| folder.display().to_string()).collect();
        Some(Program { words: command.clone(), read, is_trusted: *trusted })
    }

    fn recorded(&self, outputs: Vec<Solution>, _: &Board) -> Effect {
        match (self.gives, outputs.is_empty()) {
            (_, true) => Effect::Keep,
            (Gift::Solution, false) => Effect::Append(outputs),
            (Gift::Context, false) => {
                let texts: Vec<String> = outputs.into_iter().map(|output| output.text).collect();
                Effect::Inform(texts.join("\n\n"))
            }
        }
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        let Command { command, read, trusted, seconds, gives, .. } = self;
        let input = self.input(work.task().question, board);
        let limits = Limits { seconds: *seconds, output: 1 << 20, ..Limits::default() };
        let launch = Launch { words: command, folder: work.task().folder, read };
        let run = work.run_command(launch, *trusted, &input, &limits).await?;
        let name = &work.operator().name;
        let broken = |fault: String| model::Error::Transient(format!("command of `{name}`: {fault}"));
        if let Some(fault) = run.fault() {
            work.charge(run.seconds);
            return Err(broken(fault));
        }
        let said = Said::read(&run.stdout).map_err(|error| {
            broken(format!("expected JSON with `solution` or `context`, found something else: {error}"))
        });
        let tokens = said.as_ref().map_or((0, 0.0), |said| (said.tokens, said.dollars));
        work.charge_stated(run.seconds, tokens.0, tokens.1);
        match (gives, said?) {
            (Gift::Solution, Said { solution: Some(text), answer, context: None, .. }) => {
                let answer = answer.map(|answer| work.task().answer.spelled(&answer));
                let solution = work.solution(text);
                let answer = answer.or(solution.answer.clone());
                Ok(Effect::Append(vec![Solution { answer, ..solution }]))
            }
            (Gift::Context, Said { context: Some(text), solution: None, answer: None, .. }) => Ok(Effect::Inform(text)),
            (_, Said { solution: None, context: None, answer: None, .. }) => Ok(Effect::Keep),
            (Gift::Solution, _) => Err(broken("expected a `solution` and no `context`, found otherwise".to_owned())),
            (Gift::Context, _) => Err(broken("expected `context` and no `solution`, found otherwise".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_read() {
        let check = |output: &str, expected: Option<Said>| {
            assert_eq!(Said::read(output).ok(), expected, "{output}");
        };
        let text = |text: &str| Some(text.to_owned());
        check("", Some(Said::default()));
        check(" \n", Some(Said::default()));
        check("null", Some(Said::default()));
        check("{}", Some(Said::default()));
        check(
            r#"{"solution": "it is 8", "tokens": 3, "dollars": 0.5}"#,
            Some(Said { solution: text("it is 8"), tokens: 3, dollars: 0.5, ..Said::default() }),
        );
        check(r#"{"context": "c"}"#, Some(Said { context: text("c"), ..Said::default() }));
        check(r#"{"sollution": "8"}"#, None);
        check(r#"{"dollars": -1}"#, None);
        check("8", None);
        check("{}{}", None);
    }

    #[test]
    fn a_program_is_given_what_it_takes() {
        let command: Command =
            toml::from_str("command = [\"a\"]\ntakes = [\"solutions\"]").expect("settings of a command");
        let solution = Solution { text: "it is 8".into(), answer: Some("8".into()), ..Solution::default() };
        let board = Board { solutions: vec![solution], context: vec!["c".into()] };
        let input = |command: &Command| serde_json::from_str::<serde_json::Value>(&command.input("?", &board)).ok();
        let solutions = json!([{ "text": "it is 8", "answer": "8" }]);
        assert_eq!(input(&command), Some(json!({ "question": "?", "solutions": solutions, "context": ["c"] })));
        let alone = Command { takes: Vec::new(), ..command };
        assert_eq!(input(&alone), Some(json!({ "question": "?", "solutions": [], "context": ["c"] })));
    }
}
