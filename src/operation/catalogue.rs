//! The operator catalogue: operators as data, one `[[operator]]` table each, and the models that they name, one `[[model]]`
//! table each.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, anyhow, ensure};
use minijinja::{Environment, UndefinedBehavior};
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::operator::Operator;
use crate::folder::{Folder, line_of};
use crate::model::{Definitions, Message, Role, definitions};
use crate::plan::{Kind, OperatorId, Signature};

/// What a prompt template may read beside the question.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Material<'a> {
    /// The current solution.
    pub solution: &'a str,
    pub solutions: &'a [&'a str],
    /// What was found wrong with the last attempt.
    pub feedback: &'a str,
}

/// The operators that plans are made of; an [`OperatorId`] is a position in it.
#[derive(Clone, Debug)]
pub struct Catalogue {
    operators: Vec<Operator>,
    prompts: Environment<'static>,
    /// For each operator, whether its prompt reads the current solution, and whether it reads all.
    prompts_read: Vec<[bool; 2]>,
    /// What the first operator lacks that is sent to a model.
    unsendable: Option<String>,
    models: Definitions,
    /// `FILE:LINE` of each operator.
    places: Vec<String>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) operator: Vec<Spanned<Operator>>,
    /// Read by [`definitions`].
    #[serde(default)]
    pub(super) model: Vec<Spanned<IgnoredAny>>,
}

impl Catalogue {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// Names the file, the line and the operator at fault.
    pub fn load(folder: &Folder, file: &str) -> Result<Self> {
        Self::parse(folder.read_text(file)?, &format!("{folder}/{file}"))
    }

    /// Reads a catalogue from its text; `origin` names it in errors.
    ///
    /// # Errors
    /// Those of [`Catalogue::load`].
    pub fn parse(text: String, origin: &str) -> Result<Self> {
        let place = |span: Option<Range<usize>>| {
            let start = span.map_or(0, |span| span.start);
            let operator = operator_at(&text, start).map_or(String::new(), |name| format!(": operator `{name}`"));
            format!("{origin}:{}{operator}", line_of(&text, start))
        };
        let file: File =
            toml::from_str(&text).map_err(|error| anyhow!("{}: {}", place(error.span()), error.message()))?;
        let mut prompts = Environment::new();
        prompts.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut lines = BTreeMap::new();
        let mut unsendable = None;
        for operator in &file.operator {
            let (span, operator) = (operator.span(), operator.get_ref());
            operator.check(&mut prompts).with_context(|| place(Some(span.clone())))?;
            unsendable = unsendable.or_else(|| {
                let error = operator.check_prompt().err()?;
                Some(format!("{}: {error}", place(Some(span.clone()))))
            });
            let line = line_of(&text, span.start);
            if let Some(first) = lines.insert(operator.name.as_str(), line) {
                return Err(anyhow!("{}: expected a name of its own, found that of line {first}", place(Some(span))));
            }
        }
        ensure!(!file.operator.is_empty(), "{origin}: expected at least one `[[operator]]`, found none");
        ensure!(file.operator.len() <= usize::from(u16::MAX), "{origin}: expected at most {} operators", u16::MAX);
        drop(lines);
        let models = definitions(&text, origin)?;
        let place = |operator: &Spanned<Operator>| format!("{origin}:{}", line_of(&text, operator.span().start));
        let places = file.operator.iter().map(place).collect();
        let operators: Vec<Operator> = file.operator.into_iter().map(Spanned::into_inner).collect();
        let prompts_read = operators.iter().map(|operator| reads_solutions(&prompts, &operator.name)).collect();
        Ok(Catalogue { operators, prompts, prompts_read, unsendable, models, places, text })
    }

    /// Checks that the operators have what is sent to a model; those with recorded outputs need none of it.
    ///
    /// # Errors
    /// Names the file, the line and the operator that lacks it.
    pub fn check_prompts(&self) -> Result<()> {
        self.unsendable.as_ref().map_or(Ok(()), |fault| Err(anyhow!("{fault}")))
    }

    /// Checks that these operators can take another number of samples.
    ///
    /// # Errors
    /// Names an operator that is not in the catalogue or takes no samples.
    pub fn check_samples(&self, samples: &[(OperatorId, u32)]) -> Result<()> {
        for &(id, samples) in samples {
            let operator = self.operator(id).filter(|operator| operator.kind == Kind::Generate);
            let operator =
                operator.with_context(|| format!("expected a `generate` operator, found number {}", id.0))?;
            ensure!((1..=64).contains(&samples), "`{}`: expected 1 to 64 samples, found {samples}", operator.name);
        }
        Ok(())
    }

    /// The operators, in the order of the file.
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The operator at a position.
    pub fn operator(&self, id: OperatorId) -> Option<&Operator> {
        self.operators.get(id.index())
    }

    /// The position of the operator of that name.
    ///
    /// # Errors
    /// Lists the names there are.
    pub fn find(&self, name: &str) -> Result<OperatorId> {
        let position = self.operators.iter().position(|operator| operator.name == name);
        position.and_then(|position| u16::try_from(position).ok()).map(OperatorId).with_context(|| {
            let names: Vec<_> = self.operators.iter().map(|operator| operator.name.as_str()).collect();
            format!("expected an operator of the catalogue ({}), found `{name}`", names.join(", "))
        })
    }

    /// The models that the catalogue defines, whether an operator names them or not.
    pub fn models(&self) -> &Definitions {
        &self.models
    }

    /// Where an operator stands: file, line and name, for errors.
    pub fn place(&self, id: OperatorId) -> String {
        let place = self.places.get(id.index()).map_or("", String::as_str);
        let name = self.operator(id).map_or("", |operator| operator.name.as_str());
        format!("{place}: operator `{name}`")
    }

    /// The kind of each operator.
    pub fn kinds(&self) -> Vec<Kind> {
        self.operators.iter().map(|operator| operator.kind).collect()
    }

    /// What schedules must know of each operator.
    pub fn signatures(&self) -> Vec<Signature> {
        let signature = |(operator, &[current, all]): (&Operator, &[bool; 2])| {
            let of_kind = Signature::of(operator.kind);
            let asks_model = operator.prompt.is_some() || !matches!(operator.kind, Kind::Ensemble | Kind::Stop);
            Signature {
                reads_solutions: of_kind.reads_solutions || current || all,
                asks_model,
                is_deterministic: !asks_model || operator.temperature == 0.0,
                solutions: of_kind.solutions * operator.samples as usize,
                ..of_kind
            }
        };
        self.operators.iter().zip(&self.prompts_read).map(signature).collect()
    }

    /// For each operator, whether its prompt reads the current solution, and whether it reads all.
    pub(super) fn solutions_read(&self) -> impl Iterator<Item = [bool; 2]> + '_ {
        self.prompts_read.iter().copied()
    }

    /// The catalogue as it was written, for checkpoints.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a model is sent: the prompt, and before it what was said before the question, as far as the prompt does not read
    /// it.
    pub(super) fn messages(
        &self,
        operator: &Operator,
        question: &str,
        conversation: &[Message],
        material: Material<'_>,
    ) -> Result<Vec<Message>> {
        let Material { solution, solutions, feedback } = material;
        let prompt = self.prompts.get_template(&operator.name)?;
        let (mut system, mut history, mut before) = (String::new(), String::new(), Vec::new());
        if !conversation.is_empty() {
            let read = prompt.undeclared_variables(false);
            let [reads_system, reads_history] = ["system", "history"].map(|name| read.contains(name));
            system = said(conversation.iter().filter(|message| message.role == Role::System), false);
            history = said(conversation.iter().filter(|message| message.role != Role::System), true);
            let is_read = |message: &&Message| if message.role == Role::System { reads_system } else { reads_history };
            before.extend(conversation.iter().filter(|message| !is_read(message)).cloned());
        }
        let values = minijinja::context! { question, solution, solutions, feedback, system, history };
        before.push(Message { role: Role::User, content: prompt.render(values)? });
        Ok(before)
    }
}

/// Messages one after another, with who speaks where that is not the same for all.
fn said<'a>(messages: impl Iterator<Item = &'a Message>, names: bool) -> String {
    let line = |message: &Message| match (names, message.role) {
        (false, _) => message.content.clone(),
        (true, Role::Assistant) => format!("assistant: {}", message.content),
        (true, _) => format!("user: {}", message.content),
    };
    messages.map(line).collect::<Vec<_>>().join("\n")
}

/// Whether the prompt of that name reads the current solution, and whether it reads all.
fn reads_solutions(prompts: &Environment<'_>, name: &str) -> [bool; 2] {
    let variables = prompts.get_template(name).map(|prompt| prompt.undeclared_variables(false)).unwrap_or_default();
    ["solution", "solutions"].map(|name| variables.contains(name))
}

/// The name of the operator whose table holds the byte at `offset`, where the text is TOML enough to tell.
fn operator_at(text: &str, offset: usize) -> Option<String> {
    #[derive(Deserialize)]
    struct Outline {
        operator: Vec<Spanned<Name>>,
    }
    #[derive(Deserialize)]
    struct Name {
        name: Option<String>,
    }
    let outline: Outline = toml::from_str(text).ok()?;
    let table = outline.operator.into_iter().rfind(|table| table.span().start <= offset)?;
    table.into_inner().name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::ARITHMETIC;

    const STOP: &str = "[[operator]]\nname = \"Stop\"\nkind = \"stop\"\ndescription = \"Ends.\"\n";

    /// Expects that `text`, after one sound operator of four lines and an empty line, is refused with `message`.
    #[track_caller]
    fn check(text: &str, message: &str) {
        let parsed = Catalogue::parse(format!("{STOP}\n{text}"), "c.toml");
        let error = parsed.and_then(|catalogue| catalogue.check_prompts()).err().map(|error| format!("{error:#}"));
        assert_eq!(error.as_deref(), Some(message), "{text}");
    }

    fn generator(settings: &str) -> String {
        format!("[[operator]]\nname = \"Go\"\nkind = \"generate\"\ndescription = \"Answers.\"\n{settings}")
    }

    #[test]
    fn mistakes_name_file_line_and_operator() {
        check(
            "[[operator]]\nname = \"Go\"\nkind = \"magic\"\ndescription = \"Answers.\"",
            "c.toml:8: operator `Go`: unknown operator kind `magic`, expected one of `generate`, `ensemble`, `program`, \
             `test`, `refine`, `stop`",
        );
        check(
            &generator("temprature = 1.0"),
            "c.toml:10: operator `Go`: unknown field `temprature`, expected one of `name`, `kind`, `description`, \
             `prompt`, `samples`, `temperature`, `top_p`, `max_tokens`, `model`, `hedge`, `hedge_with`, `rounds`, `checker`, \
             `language`, `tool_seconds`",
        );
        check(
            &generator("max_tokens = \"many\""),
            "c.toml:10: operator `Go`: invalid type: string \"many\", expected u32",
        );
        check("[[operator]]\nname = \"Go\"\nkind = \"stop\"", "c.toml:6: operator `Go`: missing field `description`");
        check("[[operator]\n", "c.toml:6: unclosed array table, expected `]`");
        check(STOP, "c.toml:6: operator `Stop`: expected a name of its own, found that of line 1");
        check(&generator(""), "c.toml:6: operator `Go`: expected a `prompt`, found none");
        check(&generator("prompt = \"q\""), "c.toml:6: operator `Go`: expected `max_tokens` of at least 1, found 0");
        check(
            &generator("prompt = \"{{ querry }}\"\nmax_tokens = 9"),
            "c.toml:6: operator `Go`: prompt: expected question, solution, solutions, feedback, system, history, found `querry`",
        );
        check(
            &generator("prompt = \"q\"\nmax_tokens = 9\nrounds = 2"),
            "c.toml:6: operator `Go`: only `program` and `test` take `rounds`",
        );
        check(
            &generator("prompt = \"q\"\nmax_tokens = 9\ntop_p = 1.5"),
            "c.toml:6: operator `Go`: expected `top_p` above 0 and at most 1, found 1.5",
        );
        check(
            &generator("prompt = \"q\"\nmax_tokens = 9\nhedge = 2\nhedge_with = [\"a\", \"b\"]"),
            "c.toml:6: operator `Go`: `hedge_with` names 2 models beside `model`, and `hedge` asks 2 in all; hint: \
             `hedge = 3`",
        );
        check(
            &generator("prompt = \"q\"\nmax_tokens = 9\nhedge = 0"),
            "c.toml:6: operator `Go`: expected `hedge` from 1 to 4, found 0",
        );
        check(
            &format!("{}[[model]]\nname = \"a\"", generator("prompt = \"q\"\nmax_tokens = 9\n")),
            "c.toml:12: model `a`: expected where the model is, found neither `endpoint` nor `folder`; hint: `endpoint = \
             \"URL\"` with `model = \"ID\"`, or `folder = \"PATH\"` for a local model",
        );
        let broken = Catalogue::parse(generator("prompt = \"{{ question\"\nmax_tokens = 9"), "c.toml");
        assert!(
            broken
                .is_err_and(|error| format!("{error:#}").starts_with("c.toml:1: operator `Go`: prompt: syntax error"))
        );
        assert!(Catalogue::parse("operator = []".into(), "c.toml").is_err());
    }

    #[test]
    fn the_built_in_catalogue_has_the_eight_operators() -> Result<()> {
        let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
        let names: Vec<_> = catalogue.operators().iter().map(|operator| operator.name.as_str()).collect();
        let eight = "Generate GenerateCoT MultiGenerateCoT ScEnsemble Programmer Test SelfRefine EarlyStop";
        assert_eq!(names.join(" "), eight);
        assert_eq!(catalogue.find("Test")?, OperatorId(5));
        let readers = catalogue.signatures().iter().map(|signature| signature.reads_solutions).collect::<Vec<_>>();
        assert_eq!(readers, [false, false, false, true, false, true, true, true]);
        assert!(catalogue.find("Tset").is_err_and(|error| error.to_string().contains("EarlyStop), found `Tset`")));
        let material = Material { solution: "1 + 1 = 3", ..Material::default() };
        let sent = catalogue.messages(&catalogue.operators()[6], "what is 1 and 1", &[], material)?;
        let prompt = sent.iter().map(|message| message.content.as_str()).collect::<Vec<_>>();
        assert_eq!(prompt, ["what is 1 and 1 <|candidate|> 1 + 1 = 3 <|refine|>"]);
        Ok(())
    }

    #[test]
    fn prompts_read_all_solutions() -> Result<()> {
        let text =
            generator("prompt = '''{{ question }}{% for s in solutions %} {{ loop.index }}: {{ s }}{% endfor %}'''");
        let catalogue = Catalogue::parse(format!("{text}\nmax_tokens = 9"), "c.toml")?;
        let material = Material { solutions: &["one", "two"], ..Material::default() };
        let sent = catalogue.messages(&catalogue.operators()[0], "?", &[], material)?;
        assert_eq!(sent.last().map(|message| message.content.as_str()), Some("? 1: one 2: two"));
        assert!(catalogue.signatures()[0].reads_solutions);
        Ok(())
    }

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
            let text = generator(&format!("prompt = '''{prompt}'''\nmax_tokens = 9"));
            let catalogue = Catalogue::parse(text, "c.toml")?;
            let sent = catalogue.messages(&catalogue.operators()[0], "?", &before, Material::default())?;
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
