//! The prompts of a catalogue: templates over the question and the board.

use anyhow::{Result, anyhow, ensure};
use minijinja::{Environment, UndefinedBehavior};

use crate::model::{Message, Role};

/// The variables that prompts may read.
const VARIABLES: [&str; 7] = ["question", "solution", "solutions", "context", "feedback", "system", "history"];

/// What a prompt template may read besides the question.
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

/// Which of these a prompt reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PromptReads {
    pub solution: bool,
    pub solutions: bool,
    pub context: bool,
}

/// Prompts by operator name.
#[derive(Clone, Debug)]
pub struct Prompts(Environment<'static>);

impl Prompts {
    pub(super) fn new() -> Self {
        let mut prompts = Environment::new();
        prompts.set_undefined_behavior(UndefinedBehavior::Strict);
        Prompts(prompts)
    }

    /// # Errors
    /// It is not a valid template, or reads a variable that does not exist.
    pub(super) fn add(&mut self, name: &str, prompt: &str) -> Result<()> {
        let added = self.0.add_template_owned(name.to_owned(), prompt.to_owned());
        added.map_err(|error| anyhow!("prompt: {error}"))?;
        let unknown = self.0.get_template(name)?.undeclared_variables(false);
        // A set is in hash order. Taking the smallest name gives the same message for the same mistake.
        let unknown = unknown.iter().filter(|name| !VARIABLES.contains(&name.as_str())).min();
        ensure!(
            unknown.is_none(),
            "prompt: expected {}, found `{}`",
            VARIABLES.join(", "),
            unknown.map_or("", |name| name)
        );
        Ok(())
    }

    /// What the prompt of that name reads; nothing if there is no such prompt.
    pub(super) fn reads(&self, name: &str) -> PromptReads {
        let variables = self.0.get_template(name).map(|prompt| prompt.undeclared_variables(false)).unwrap_or_default();
        let [solution, solutions, context] = ["solution", "solutions", "context"].map(|name| variables.contains(name));
        PromptReads { solution, solutions, context }
    }

    /// What a model is sent: the prompt of that name, preceded by those parts of the earlier conversation that the
    /// prompt does not read itself.
    ///
    /// # Errors
    /// There is no such prompt, or filling it in fails.
    pub(super) fn messages(
        &self,
        name: &str,
        question: &str,
        conversation: &[Message],
        material: Material<'_>,
    ) -> Result<Vec<Message>> {
        let Material { solution, solutions, context, feedback } = material;
        let prompt = self.0.get_template(name)?;
        let (mut system, mut history, mut before) = (String::new(), String::new(), Vec::new());
        if !conversation.is_empty() {
            let read = prompt.undeclared_variables(false);
            let [reads_system, reads_history] = ["system", "history"].map(|name| read.contains(name));
            system = said(conversation.iter().filter(|message| message.role == Role::System), false);
            history = said(conversation.iter().filter(|message| message.role != Role::System), true);
            let is_read = |message: &&Message| if message.role == Role::System { reads_system } else { reads_history };
            before.extend(conversation.iter().filter(|message| !is_read(message)).cloned());
        }
        let values = minijinja::context! { question, solution, solutions, context, feedback, system, history };
        before.push(Message { role: Role::User, content: prompt.render(values)? });
        Ok(before)
    }
}

/// Messages one after another, with the speakers named if they are not all the same.
fn said<'a>(messages: impl Iterator<Item = &'a Message>, names: bool) -> String {
    let line = |message: &Message| match (names, message.role) {
        (false, _) => message.content.clone(),
        (true, Role::Assistant) => format!("assistant: {}", message.content),
        (true, _) => format!("user: {}", message.content),
    };
    messages.map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_goes_into_the_prompt_or_before_it() -> Result<()> {
        let say = |role, content: &str| Message { role, content: content.to_owned() };
        let before = [
            say(Role::System, "be brief"),
            say(Role::User, "hi"),
            say(Role::Assistant, "hello"),
            say(Role::System, "!"),
        ];
        let check = |prompt: &str, expected: &[&str]| -> Result<()> {
            let mut prompts = Prompts::new();
            prompts.add("Go", prompt)?;
            let sent = prompts.messages("Go", "?", &before, Material::default())?;
            let sent: Vec<&str> = sent.iter().map(|message| message.content.as_str()).collect();
            assert_eq!(sent, expected, "{prompt}");
            Ok(())
        };
        check("Q {{ question }}", &["be brief", "hi", "hello", "!", "Q ?"])?;
        check("{{ system }} Q {{ question }}", &["hi", "hello", "be brief\n! Q ?"])?;
        check("{{ history }} Q {{ question }}", &["be brief", "!", "user: hi\nassistant: hello Q ?"])?;
        check("{{ system }}{{ history }}{{ question }}", &["be brief\n!user: hi\nassistant: hello?"])
    }
}
