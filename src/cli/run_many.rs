//! `lamas run --file`: answers many questions, one JSON line each.

use std::io::BufRead;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::familiarity::Familiar;
use super::output::say_json;
use crate::agent::{Agent, Answered, Ask};
use crate::evaluate::latency::measured_path;
use crate::execute::ExecuteError;
use crate::model;
use crate::plan::Plan;
use crate::report::named;

/// A line of a file of questions; other fields are ignored.
#[derive(Debug, Deserialize)]
pub struct Question {
    #[serde(default)]
    id: Value,
    question: String,
}

/// Reads questions from a file, or from standard input if the path is `-`. A line is an object, or a question as it
/// stands.
///
/// # Errors
/// Names the file and the line that is not a question.
pub fn read(path: &Path) -> Result<Vec<Question>> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { format!("`{}`", path.display()) };
    let lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::io::BufReader::new(std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?))
    };
    let mut questions = Vec::new();
    for (at, line) in lines.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {name}"))?;
        let text = line.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        let question: Question = match text.starts_with(['{', '[']) {
            true => serde_json::from_str(text).map_err(|error| {
                anyhow!("{name} line {}: expected {{\"question\": \"...\"}}, found something else: {error}", at + 1)
            })?,
            false => Question { id: Value::Null, question: text.to_owned() },
        };
        ensure!(
            !question.question.trim().is_empty(),
            "{name} line {}: expected a question, found an empty one",
            at + 1
        );
        questions.push(question);
    }
    ensure!(!questions.is_empty(), "{name}: expected at least one question, found none");
    Ok(questions)
}

/// What answers the questions, and how.
pub struct Many<'a> {
    pub agent: &'a Agent,
    pub ask: Ask<'a>,
    pub familiar: Option<Familiar>,
    /// The number of questions asked in parallel.
    pub at_once: usize,
}

impl Many<'_> {
    /// Answers the questions and writes the answers in order, each as soon as it and all earlier ones are there. A
    /// question that fails produces a line with an `error`.
    ///
    /// # Errors
    /// The output cannot be written, a cap was reached, or questions failed: how many, and the last reason.
    pub async fn answer(&self, questions: Vec<Question>) -> Result<()> {
        let operators = self.agent.solver().catalogue().operators();
        let names: Vec<String> = operators.iter().map(|operator| operator.name.clone()).collect();
        let total = questions.len();
        let ask = async |question: Question| {
            let answered = self.agent.answer(&question.question, self.ask).await;
            (question, answered)
        };
        let mut answers = stream::iter(questions).map(ask).buffered(self.at_once.max(1));
        let (mut failed, mut last) = (0, None);
        while let Some((question, answered)) = answers.next().await {
            let answered = answered.and_then(complete);
            match &answered {
                Ok(answered) => say_json(&self.line(&question, answered, &names)?)?,
                Err(error) => {
                    say_json(
                        &json!({ "id": question.id, "question": question.question, "error": format!("{error:#}") }),
                    )?;
                }
            }
            if let Err(error) = answered {
                failed += 1;
                // A failure that would affect every question ends the whole command.
                let is_for_all = error.chain().any(|cause| match cause.downcast_ref::<model::Error>() {
                    Some(error) => error.is_permanent(),
                    None => cause.downcast_ref::<ExecuteError>().is_some_and(|error| error.cap().is_some()),
                });
                if is_for_all {
                    return Err(error);
                }
                last = Some(error);
            }
        }
        last.map_or(Ok(()), |error| Err(error.context(format!("{failed} of {total} questions failed, the last"))))
    }

    fn line(&self, question: &Question, answered: &Answered, names: &[String]) -> Result<Value> {
        let Answered { answer, confidence, text, trace, chosen, .. } = answered;
        let mut line = json!({
            "id": question.id,
            "question": question.question,
            "answer": answer,
            "confidence": confidence,
            "text": text,
            "plan": layers(&chosen.plan, names),
            "critical_path_tokens": measured_path(trace).tokens,
            "seconds": trace.end(),
            "cost": trace.cost(),
        });
        if self.ask.letters > 0 {
            line["trace"] = named::named(trace, names)?;
        }
        if let Some(familiar) = &self.familiar {
            line["remark"] = familiar.remark(self.agent, &question.question)?.into();
        }
        Ok(line)
    }
}

/// An answer during which no operator failed, or that was found anyway.
fn complete(answered: Answered) -> Result<Answered> {
    match (&answered.answer, answered.trace.failure()) {
        (None, Some(reason)) => {
            Err(anyhow::Error::new(model::Error::Transient(reason.to_owned())).context("no answer"))
        }
        _ => Ok(answered),
    }
}

/// A plan as the names of its operators.
pub fn layers<'n>(plan: &Plan, names: &'n [String]) -> Vec<Vec<&'n String>> {
    let layer = |layer: &crate::plan::Layer| {
        layer.operators.iter().filter_map(|operator| names.get(operator.index())).collect()
    };
    plan.layers.iter().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_and_faults_have_a_line() -> Result<()> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("q.jsonl");
        let read = |text: &str| -> Result<Vec<String>> {
            std::fs::write(&path, text)?;
            Ok(super::read(&path)?.into_iter().map(|it| format!("{} {}", it.id, it.question)).collect())
        };
        let sound = "\u{feff}{\"id\": 7, \"question\": \"a ?\", \"answer\": \"b\"}\r\n\n{\"question\": \"c ?\"}";
        assert_eq!(read(sound)?, ["7 a ?", "null c ?"]);
        let check = |text: &str, expected: &str| {
            let message = read(text).map_err(|error| format!("{error:#}")).unwrap_err();
            assert!(message.contains("q.jsonl`") && message.contains(expected), "{message}");
        };
        assert_eq!(read("{\"question\": \"a\"}\nwhat ?")?, ["null a", "null what ?"]);
        check("{\"question\": \"a\"}\n{what ?", "line 2: expected {\"question\": \"...\"}");
        check("[1]", "line 1: expected");
        check("{\"question\": \" \"}", "line 1: expected a question, found an empty one");
        check("\n\n", "expected at least one question, found none");
        assert!(super::read(&place.path().join("absent")).is_err());
        Ok(())
    }
}
