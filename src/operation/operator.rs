//! An operator of a catalogue, and what its table may say.

use anyhow::{Result, anyhow, ensure};
use minijinja::Environment;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::tools::{Checker, Language};
use crate::model::Sampling;
use crate::plan::Kind;
use crate::printable::printable;

/// What prompts may read.
const VARIABLES: [&str; 6] = ["question", "solution", "solutions", "feedback", "system", "history"];
const MOST_HEDGES: u32 = 4;

/// One operator of a catalogue.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    pub name: String,
    #[serde(deserialize_with = "known_kind")]
    pub kind: Kind,
    /// What the controller knows of the operator: the encoder embeds this text.
    pub description: String,
    /// A template over `question`, `solution` (the current one), `solutions` and `feedback`, and over what was said before the
    /// question: `system` and `history`. What it does not mention of these goes before it as messages.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Answers that a `generate` operator gives side by side.
    #[serde(default = "one")]
    pub samples: u32,
    /// 0 takes the likeliest token every time.
    #[serde(default)]
    pub temperature: f32,
    #[serde(default = "everything")]
    pub top_p: f32,
    #[serde(default)]
    pub max_tokens: u32,
    /// Name of a `[[model]]` table or, where there are none, of a model at the endpoint; empty for the only model.
    #[serde(default)]
    pub model: String,
    /// To how many models or servers each request goes at once; the first to answer is heard.
    #[serde(default = "one")]
    pub hedge: u32,
    /// Names of the models that hedged requests go to beside `model`; where there are fewer, its replicas, then again itself.
    #[serde(default)]
    pub hedge_with: Vec<String>,
    /// Repairs after failed tests, or programs after the first one.
    #[serde(default)]
    pub rounds: u32,
    #[serde(default)]
    pub checker: Option<Checker>,
    #[serde(default)]
    pub language: Language,
    /// What one run of the evaluator or of Python is charged, so that latencies are the same on every machine; where
    /// absent, its measured time.
    #[serde(default)]
    pub tool_seconds: Option<f64>,
}

impl Operator {
    /// How the operator's completions are drawn.
    pub fn sampling(&self) -> Sampling {
        let &Operator { temperature, top_p, max_tokens, .. } = self;
        Sampling { temperature, top_p, max_tokens, stop: Vec::new() }
    }

    /// Checks that there is what a model is asked by.
    pub(super) fn check_prompt(&self) -> Result<()> {
        let is_silent = self.prompt.is_none() && matches!(self.kind, Kind::Ensemble | Kind::Stop);
        ensure!(is_silent || self.prompt.is_some(), "expected a `prompt`, found none");
        ensure!(is_silent || self.max_tokens > 0, "expected `max_tokens` of at least 1, found {}", self.max_tokens);
        Ok(())
    }

    /// Checks the settings against the kind, and compiles the prompt into `prompts`.
    pub(super) fn check(&self, prompts: &mut Environment<'static>) -> Result<()> {
        let Operator { kind, samples, rounds, temperature, top_p, .. } = *self;
        ensure!(!self.name.trim().is_empty(), "expected a name, found none");
        ensure!(printable(&self.name) == self.name, "expected a name of letters, found `{}`", printable(&self.name));
        ensure!(!self.description.trim().is_empty(), "expected a description, found none");
        ensure!(temperature.is_finite() && temperature >= 0.0, "expected a temperature from 0 up, found {temperature}");
        ensure!(top_p > 0.0 && top_p <= 1.0, "expected `top_p` above 0 and at most 1, found {top_p}");
        ensure!(samples == 1 || kind == Kind::Generate, "only `generate` operators take `samples`");
        ensure!((1..=64).contains(&samples), "expected 1 to 64 `samples`, found {samples}");
        ensure!(rounds == 0 || matches!(kind, Kind::Program | Kind::Test), "only `program` and `test` take `rounds`");
        ensure!(rounds <= 16, "expected at most 16 `rounds`, found {rounds}");
        ensure!(self.checker.is_some() == (kind == Kind::Test), "`test` operators, and only those, need a `checker`");
        let is_program = kind == Kind::Program;
        ensure!(is_program || self.language == Language::default(), "only `program` operators take a `language`");
        let charge = self.tool_seconds.unwrap_or(0.0);
        ensure!(charge.is_finite() && charge >= 0.0, "expected `tool_seconds` from 0 up, found {charge}");
        self.check_hedge()?;
        let Some(prompt) = &self.prompt else { return Ok(()) };
        ensure!(kind != Kind::Stop, "`stop` operators take no `prompt`");
        prompts.add_template_owned(self.name.clone(), prompt.clone()).map_err(|error| anyhow!("prompt: {error}"))?;
        let unknown = prompts.get_template(&self.name)?.undeclared_variables(false);
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

    fn check_hedge(&self) -> Result<()> {
        let Operator { hedge, hedge_with, .. } = self;
        ensure!((1..=MOST_HEDGES).contains(hedge), "expected `hedge` from 1 to {MOST_HEDGES}, found {hedge}");
        ensure!(*hedge == 1 || self.prompt.is_some(), "only operators that ask a model take `hedge`");
        ensure!(
            hedge_with.len() < *hedge as usize,
            "`hedge_with` names {} models beside `model`, and `hedge` asks {hedge} in all; hint: `hedge = {}`",
            hedge_with.len(),
            hedge_with.len() + 1
        );
        Ok(())
    }
}

fn known_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    Kind::deserialize(deserializer).map_err(|error| {
        D::Error::custom(error.to_string().replacen("unknown variant", "unknown operator kind", 1).trim())
    })
}

fn one() -> u32 {
    1
}

fn everything() -> f32 {
    1.0
}
