//! The catalogue settings that all kinds of operators share.

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::model::Sampling;
use crate::printable::printable;

const MOST_HEDGES: u32 = 4;

/// One operator of a catalogue, without the settings of its kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Operator {
    pub name: String,
    /// The name of its kind.
    pub kind: String,
    /// What the controller knows of the operator: this text is embedded by the encoder.
    pub description: String,
    /// A template over `question`, `solution` (the current one), `solutions`, `context` and `feedback`, and over what
    /// was said before the question: `system` and `history`. Those of the last two that it does not mention are sent
    /// before it as messages.
    #[serde(default)]
    pub prompt: Option<String>,
    /// 0 always takes the likeliest token.
    #[serde(default)]
    pub temperature: f32,
    #[serde(default = "everything")]
    pub top_p: f32,
    #[serde(default)]
    pub max_tokens: u32,
    /// Name of a `[[model]]` table or, if there are none, of a model at the endpoint; empty for the only model.
    #[serde(default)]
    pub model: String,
    /// The number of models or servers that each request goes to at once; the first answer is used.
    #[serde(default = "one")]
    pub hedge: u32,
    /// Names of the models that hedged requests go to besides `model`. If there are too few, its replicas follow, then
    /// `model` itself again.
    #[serde(default)]
    pub hedge_with: Vec<String>,
    /// Seconds charged for one run of the evaluator, of Python or of a command, so that latencies are the same on every
    /// machine. If absent, the measured time is charged.
    #[serde(default)]
    pub tool_seconds: Option<f64>,
}

impl Operator {
    /// How the operator's completions are sampled.
    pub fn sampling(&self) -> Sampling {
        let &Operator { temperature, top_p, max_tokens, .. } = self;
        Sampling { temperature, top_p, max_tokens, stop: Vec::new() }
    }

    /// Checks that there is a prompt to ask a model with.
    pub(super) fn check_prompt(&self) -> Result<()> {
        ensure!(self.prompt.is_some(), "expected a `prompt`, found none");
        ensure!(self.max_tokens > 0, "expected `max_tokens` of at least 1, found {}", self.max_tokens);
        Ok(())
    }

    /// Checks the settings that are the same for all kinds.
    pub(super) fn check(&self) -> Result<()> {
        let Operator { temperature, top_p, .. } = *self;
        ensure!(!self.name.trim().is_empty(), "expected a name, found none");
        ensure!(
            printable(&self.name) == self.name,
            "expected a name of visible letters, found `{}`",
            printable(&self.name)
        );
        ensure!(!self.description.trim().is_empty(), "expected a description, found none");
        ensure!(temperature.is_finite() && temperature >= 0.0, "expected a temperature from 0 up, found {temperature}");
        ensure!(top_p > 0.0 && top_p <= 1.0, "expected `top_p` above 0 and at most 1, found {top_p}");
        let charge = self.tool_seconds.unwrap_or(0.0);
        ensure!(charge.is_finite() && charge >= 0.0, "expected `tool_seconds` from 0 up, found {charge}");
        self.check_hedge()
    }

    fn check_hedge(&self) -> Result<()> {
        let Operator { hedge, hedge_with, .. } = self;
        ensure!((1..=MOST_HEDGES).contains(hedge), "expected `hedge` from 1 to {MOST_HEDGES}, found {hedge}");
        ensure!(*hedge == 1 || self.prompt.is_some(), "only operators that ask a model take `hedge`");
        ensure!(
            hedge_with.len() < *hedge as usize,
            "`hedge_with` names {} models beside `model`, but `hedge` asks {hedge} in all; hint: `hedge = {}`",
            hedge_with.len(),
            hedge_with.len() + 1
        );
        Ok(())
    }
}

fn one() -> u32 {
    1
}

fn everything() -> f32 {
    1.0
}
