//! The operator catalogue: operators as data, one `[[operator]]` table each, and the models that they name, one
//! `[[model]]` table each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::identity::Reads;
use super::kind::Program;
use super::kinds::Operation;
use super::operator::Operator;
use super::prompts::Prompts;
use super::reading::{Fault, read};
use super::tools::Checker;
use crate::folder::{Folder, line_of};
use crate::model::{Definitions, definitions};
use crate::plan::{OperatorId, Signature};

/// The operators that plans are made of; an [`OperatorId`] is an index into it.
#[derive(Clone, Debug)]
pub struct Catalogue {
    operators: Vec<Operator>,
    /// One for each operator, in the same order; the same holds for the fields below.
    operations: Vec<Operation>,
    signatures: Vec<Signature>,
    /// `FILE:LINE`.
    places: Vec<String>,
    prompts: Prompts,
    /// The error for the first operator that lacks something needed to ask a model.
    unsendable: Option<String>,
    models: Definitions,
    /// The folder that relative paths of commands start from.
    folder: Option<PathBuf>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) operator: Vec<Spanned<IgnoredAny>>,
    /// Read by [`definitions`].
    #[serde(default)]
    pub(super) model: Vec<Spanned<IgnoredAny>>,
}

impl Catalogue {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// Names the file, the line and the operator with the mistake.
    pub fn load(folder: &Folder, file: &str) -> Result<Self> {
        let catalogue = Self::parse(folder.read_text(file)?, &format!("{folder}/{file}"))?;
        Ok(catalogue.in_folder(folder))
    }

    /// Reads a catalogue from its text; `origin` names it in errors.
    ///
    /// # Errors
    /// Those of [`Catalogue::load`].
    pub fn parse(text: String, origin: &str) -> Result<Self> {
        let place = |at: Range<usize>| {
            let operator = operator_at(&text, at.start).map_or(String::new(), |name| format!(": operator `{name}`"));
            format!("{origin}:{}{operator}", line_of(&text, at.start))
        };
        let fault = |Fault { at, text }: Fault| anyhow!("{}: {text}", place(at));
        let File { operator: tables, .. } = toml::from_str(&text).map_err(|error| fault(error.into()))?;
        ensure!(!tables.is_empty(), "{origin}: expected at least one `[[operator]]`, found none");
        ensure!(tables.len() <= usize::from(u16::MAX), "{origin}: expected at most {} operators", u16::MAX);
        let (mut operators, mut operations, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut lines = BTreeMap::new();
        let mut unsendable = None;
        let mut prompts = Prompts::new();
        for table in operator_tables(&text).map_err(fault)? {
            let at = table.span();
            let (operator, operation) = read(table).map_err(fault)?;
            let asks = check(&operator, &operation, &mut prompts).with_context(|| place(at.clone()))?;
            let lacking = asks.then(|| operator.check_prompt().err()).flatten();
            unsendable = unsendable.or_else(|| Some(format!("{}: {}", place(at.clone()), lacking?)));
            let line = line_of(&text, at.start);
            if let Some(first) = lines.insert(operator.name.clone(), line) {
                return Err(anyhow!("{}: expected a unique name, found that of line {first}", place(at)));
            }
            places.push(format!("{origin}:{line}"));
            operators.push(operator);
            operations.push(operation);
        }
        let models = definitions(&text, origin)?;
        let of = |(operator, operation): (&Operator, &Operation)| signature(operator, operation, &prompts);
        let signatures = operators.iter().zip(&operations).map(of).collect();
        Ok(Catalogue { operators, operations, signatures, places, prompts, unsendable, models, folder: None, text })
    }

    /// The same catalogue, with the relative paths of its commands starting from `folder`, unless a folder is already
    /// set.
    pub fn in_folder(self, folder: &Folder) -> Self {
        let folder = match folder {
            Folder::Disk(path) => std::path::absolute(path).ok(),
            Folder::Embedded { .. } => None,
        };
        Catalogue { folder: self.folder.or(folder), ..self }
    }

    /// The folder that relative paths of commands start from.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The names of the operators that run a user's program, with these programs.
    pub fn programs(&self) -> Vec<(&str, Program)> {
        let described = self.operators.iter().zip(&self.operations);
        let programs = described.map(|(operator, operation)| (operator.name.as_str(), operation.as_kind().program()));
        programs.filter_map(|(name, program)| Some((name, program?))).collect()
    }

    /// Checks that the operators have everything needed to ask a model. Operators with recorded outputs need none of
    /// it.
    ///
    /// # Errors
    /// Names the file, the line and the operator that lacks something.
    pub fn check_prompts(&self) -> Result<()> {
        self.unsendable.as_ref().map_or(Ok(()), |fault| Err(anyhow!("{fault}")))
    }

    /// Checks that these operators accept another number of samples.
    ///
    /// # Errors
    /// Names an operator that is not in the catalogue or takes no samples.
    pub fn check_samples(&self, samples: &[(OperatorId, u32)]) -> Result<()> {
        for &(id, samples) in samples {
            let operator = self.operator(id).zip(self.signature(id)).filter(|(_, it)| it.is_side_by_side);
            let (operator, _) =
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

    /// What each operator does.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The index of the operator with that name.
    ///
    /// # Errors
    /// Lists the names that exist.
    pub fn find(&self, name: &str) -> Result<OperatorId> {
        let position = self.operators.iter().position(|operator| operator.name == name);
        position.and_then(|position| u16::try_from(position).ok()).map(OperatorId).with_context(|| {
            let names: Vec<_> = self.operators.iter().map(|operator| operator.name.as_str()).collect();
            format!("expected an operator of the catalogue ({}), found `{name}`", names.join(", "))
        })
    }

    /// The models that the catalogue defines, whether or not an operator names them.
    pub fn models(&self) -> &Definitions {
        &self.models
    }

    /// Where an operator is defined: file, line and name, for errors.
    pub fn place(&self, id: OperatorId) -> String {
        let place = self.places.get(id.index()).map_or("", String::as_str);
        let name = self.operator(id).map_or("", |operator| operator.name.as_str());
        format!("{place}: operator `{name}`")
    }

    /// What plans, schedules and surveys need to know about each operator.
    pub fn signatures(&self) -> Vec<Signature> {
        self.signatures.clone()
    }

    /// What they need to know about one operator.
    pub fn signature(&self, id: OperatorId) -> Option<Signature> {
        self.signatures.get(id.index()).copied()
    }

    /// What an operator checks solutions with, if it checks any.
    pub fn checker(&self, id: OperatorId) -> Option<Checker> {
        self.operations.get(id.index())?.as_kind().checker()
    }

    /// The operators' prompts.
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// The catalogue as it was written, for checkpoints.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The tables of the operators, each with its position in the text.
fn operator_tables(text: &str) -> Result<Vec<Spanned<DeValue<'_>>>, Fault> {
    let mut file = DeTable::parse(text)?.into_inner();
    Ok(match file.remove("operator").map(Spanned::into_inner) {
        Some(DeValue::Array(tables)) => tables.into_iter().collect(),
        _ => Vec::new(),
    })
}

/// Checks an operator; tells whether it asks a model.
fn check(operator: &Operator, operation: &Operation, prompts: &mut Prompts) -> Result<bool> {
    operator.check()?;
    let kind = operation.as_kind();
    let asks = kind.signature(operator).asks_model;
    if let Some(prompt) = &operator.prompt {
        ensure!(asks, "`{}` operators take no `prompt`", operator.kind);
        prompts.add(&operator.name, prompt)?;
    }
    kind.check(operator, prompts.reads(&operator.name))?;
    Ok(asks)
}

fn signature(operator: &Operator, operation: &Operation, prompts: &Prompts) -> Signature {
    let (kind, prompt) = (operation.as_kind(), prompts.reads(&operator.name));
    let signature = kind.signature(operator);
    Signature {
        reads_solutions: signature.reads_solutions || kind.reads(prompt) != Reads::Nothing,
        reads_context: signature.reads_context || prompt.context,
        is_deterministic: signature.is_deterministic || signature.asks_model && operator.temperature == 0.0,
        ..signature
    }
}

/// The name of the operator whose table holds the byte at `offset`, if the text is valid enough as TOML to tell.
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
    use super::super::prompts::Material;
    use super::*;
    use crate::task::ARITHMETIC;

    const STOP: &str = "[[operator]]\nname = \"Stop\"\nkind = \"stop\"\ndescription = \"Ends.\"\n";

    /// Expects that `text`, after one valid operator of four lines and an empty line, is refused with `message`.
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
             `test`, `refine`, `debate`, `judge`, `command`, `stop`",
        );
        check(
            &generator("temprature = 1.0"),
            "c.toml:10: operator `Go`: unknown setting `temprature` of a `generate` operator, expected one of `name`, `kind`, \
             `description`, `prompt`, `temperature`, `top_p`, `max_tokens`, `model`, `hedge`, `hedge_with`, `tool_seconds`, \
             `samples`; hint: did you mean `temperature`?",
        );
        check(
            &generator("max_tokens = \"many\""),
            "c.toml:10: operator `Go`: invalid type: string \"many\", expected u32",
        );
        check("[[operator]]\nname = \"Go\"\nkind = \"stop\"", "c.toml:6: operator `Go`: missing field `description`");
        check("[[operator]\n", "c.toml:6: unclosed array table, expected `]`");
        check(STOP, "c.toml:6: operator `Stop`: expected a unique name, found that of line 1");
        check(&generator(""), "c.toml:6: operator `Go`: expected a `prompt`, found none");
        check(&generator("prompt = \"q\""), "c.toml:6: operator `Go`: expected `max_tokens` of at least 1, found 0");
        check(
            &generator("prompt = \"{{ querry }}\"\nmax_tokens = 9"),
            "c.toml:6: operator `Go`: prompt: expected question, solution, solutions, context, feedback, system, history, found \
             `querry`",
        );
        check(
            &generator("prompt = \"q\"\nmax_tokens = 9\nrounds = 2"),
            "c.toml:12: operator `Go`: `rounds` is a setting of `program`, `test`, `debate` operators, found it for a \
             `generate` operator",
        );
        check(
            &generator("prompt = \"q\"\nmax_tokens = 9\ntop_p = 1.5"),
            "c.toml:6: operator `Go`: expected `top_p` above 0 and at most 1, found 1.5",
        );
        check(
            &generator("prompt = \"q\"\nmax_tokens = 9\nhedge = 2\nhedge_with = [\"a\", \"b\"]"),
            "c.toml:6: operator `Go`: `hedge_with` names 2 models beside `model`, but `hedge` asks 2 in all; hint: \
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
        let sent = catalogue.prompts().messages("SelfRefine", "what is 1 and 1", &[], material)?;
        let sent: Vec<&str> = sent.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(sent, ["what is 1 and 1 <|candidate|> 1 + 1 = 3 <|refine|>"]);
        Ok(())
    }

    #[test]
    fn prompts_read_all_solutions() -> Result<()> {
        let text =
            generator("prompt = '''{{ question }}{% for s in solutions %} {{ loop.index }}: {{ s }}{% endfor %}'''");
        let catalogue = Catalogue::parse(format!("{text}\nmax_tokens = 9"), "c.toml")?;
        let material = Material { solutions: &["one", "two"], ..Material::default() };
        let sent = catalogue.prompts().messages("Go", "?", &[], material)?;
        assert_eq!(sent.last().map(|message| message.content.as_str()), Some("? 1: one 2: two"));
        assert!(catalogue.signatures()[0].reads_solutions);
        Ok(())
    }

    #[test]
    fn settings_of_a_kind_must_make_sense() {
        let check = |kind: &str, settings: &str, message: &str| {
            let table = format!("[[operator]]\nname = \"Go\"\nkind = \"{kind}\"\ndescription = \"Acts.\"\n{settings}");
            let error = Catalogue::parse(table, "c").err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.starts_with("c:") && error.contains(message), "{kind} {settings}: {error}");
        };
        let reads = "max_tokens = 9\nprompt = \"{% for s in solutions %}{{ s }}{% endfor %}\"\n";
        let alone = "max_tokens = 9\nprompt = \"{{ question }}\"\ntemperature = 1.0\n";
        check("debate", alone, "expected a prompt that reads the answers of the round before");
        check("debate", reads, "expected a `temperature` above 0");
        check("debate", &format!("{reads}temperature = 1.0\nrounds = 1"), "expected 2 to 8 `rounds`");
        check("debate", &format!("{reads}temperature = 1.0\nsamples = 99"), "expected 2 to 16 `samples`");
        check("judge", alone, "expected a prompt that reads the solutions");
        check("judge", &format!("{reads}best = 0.0"), "expected `best`, the highest rating, above 0");
        check("judge", &format!("{reads}score = true"), "hint: did you mean `scores`?");
        check("command", "", "missing field `command`");
        check("command", "command = []", "expected a `command`, a program with its arguments");
        check("command", "command = [\"x\"]\nseconds = 0.0", "expected `seconds` above 0");
        check("command", "command = [\"x\"]\ngives = \"advice\"", "unknown variant `advice`");
        check("command", "command = [\"x\"]\nprompt = \"p\"", "`command` operators take no `prompt`");
        check("comand", "", "hint: did you mean `command`?");
        check("refine", &format!("{reads}samples = 2"), "`samples` is a setting of `generate`, `debate` operators");
        // Settings with a value that has no effect are allowed in any operator, as they always were.
        let silent = format!("{}rounds = 0\nlanguage = \"arithmetic\"", generator(alone));
        assert!(Catalogue::parse(silent, "c").is_ok());
    }
}
