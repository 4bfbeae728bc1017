//! The prompts of a catalogue: templates over the question and what stands on the board.

use anyhow::{Result, anyhow, ensure};
use minijinja::{Environment, UndefinedBehavior};

/// What prompts may read.
const VARIABLES: [&str; 5] = ["question", "solution", "solutions", "context", "feedback"];

/// What a prompt template may read beside the question.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Material<'a> {
    /// The current solution.
    pub solution: &'a str,
    pub solutions: &'a [&'a str],
    /// What operators have found for others to read.
    pub context: &'a str,
    /// What was found wrong with the last attempt.
    pub feedback: &'a str,
}

/// Which of that a prompt reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PromptReads {
    pub solution: bool,
    pub solutions: bool,
    pub context: bool,
}

/// Prompts by the names of their operators.
#[derive(Clone, Debug)]
pub struct Prompts(Environment<'static>);

impl Prompts {
    pub(super) fn new() -> Self {
        let mut prompts = Environment::new();
        prompts.set_undefined_behavior(UndefinedBehavior::Strict);
        Prompts(prompts)
    }

    /// # Errors
    /// It is no template, or reads what there is not.
    pub(super) fn add(&mut self, name: &str, prompt: &str) -> Result<()> {
        let added = self.0.add_template_owned(name.to_owned(), prompt.to_owned());
        added.map_err(|error| anyhow!("prompt: {error}"))?;
        let unknown = self.0.get_template(name)?.undeclared_variables(false);
        // A set in hash order: the smallest name, so that the same mistake gives the same message.
        let unknown = unknown.iter().filter(|name| !VARIABLES.contains(&name.as_str())).min();
        ensure!(
            unknown.is_none(),
            "prompt: expected {}, found `{}`",
            VARIABLES.join(", "),
            unknown.map_or("", |name| name)
        );
        Ok(())
    }

    /// What the prompt of that name reads; nothing where there is none.
    pub(super) fn reads(&self, name: &str) -> PromptReads {
        let variables = self.0.get_template(name).map(|prompt| prompt.undeclared_variables(false)).unwrap_or_default();
        let [solution, solutions, context] = ["solution", "solutions", "context"].map(|name| variables.contains(name));
        PromptReads { solution, solutions, context }
    }

    pub(super) fn render(&self, name: &str, question: &str, material: Material<'_>) -> Result<String> {
        let Material { solution, solutions, context, feedback } = material;
        let prompt = self.0.get_template(name)?;
        Ok(prompt.render(minijinja::context! { question, solution, solutions, context, feedback })?)
    }
}
