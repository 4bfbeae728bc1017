//! What a question is asked with, as it comes from Python.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::agent::{Agent, Ask, plans};
use crate::evaluate::latency::Budget;
use crate::execute::{Clock, Observer};
use crate::model::{Message, Role};
use crate::plan::Plan;
use crate::random::Purpose;

/// As Python writes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    budget: Option<String>,
    latency_weight: Option<f64>,
    plan: Option<String>,
    confidence: Option<f64>,
    clock: Option<String>,
    called: String,
    conversation: Vec<(String, String)>,
    draw: u64,
    letters: usize,
}

/// The same, understood.
pub struct Wish {
    budget: Option<Budget>,
    latency_weight: Option<f64>,
    plan: Option<Plan>,
    confidence: Option<f64>,
    clock: Option<Clock>,
    called: String,
    conversation: Vec<Message>,
    draw: u64,
    letters: usize,
}

impl Wish {
    /// # Errors
    /// Names what cannot be understood, or what excludes something else.
    pub fn read(text: &str, agent: &Agent) -> Result<Self> {
        if text.is_empty() {
            return Ok(Wish::of(Written::default(), None, None, None, Vec::new()));
        }
        let written: Written = serde_json::from_str(text).context("options of the question")?;
        let ways = [written.budget.is_some(), written.latency_weight.is_some(), written.plan.is_some()];
        ensure!(
            ways.iter().filter(|&&given| given).count() + usize::from(written.confidence.is_some()) <= 1,
            "expected one of `budget`, `latency_weight`, `plan` and `confidence`, found several"
        );
        ensure!(
            written.latency_weight.is_none_or(|weight| weight > 0.0 && weight.is_finite()),
            "expected a `latency_weight` above 0"
        );
        ensure!(
            written.confidence.is_none_or(|share| (0.0..=1.0).contains(&share)),
            "expected a `confidence` from 0 to 1"
        );
        let budget = written.budget.as_deref().map(str::parse).transpose()?;
        let plan = written.plan.as_deref().map(|plan| plans::parse(plan, agent.solver().catalogue())).transpose()?;
        let clock = written.clock.as_deref().map(|clock| clock.parse().map_err(anyhow::Error::msg)).transpose()?;
        let conversation = written.conversation.iter().map(message).collect::<Result<_>>()?;
        Ok(Wish::of(written, budget, plan, clock, conversation))
    }

    fn of(
        written: Written,
        budget: Option<Budget>,
        plan: Option<Plan>,
        clock: Option<Clock>,
        conversation: Vec<Message>,
    ) -> Self {
        let Written { latency_weight, confidence, called, draw, letters, .. } = written;
        Wish { budget, latency_weight, plan, confidence, clock, called, conversation, draw, letters }
    }

    /// The same for the agent.
    pub fn ask<'a>(&'a self, observer: Option<&'a dyn Observer>) -> Ask<'a> {
        Ask {
            within: self.budget,
            latency_weight: self.latency_weight,
            plan: self.plan.as_ref(),
            confidence: self.confidence,
            clock: self.clock,
            called: &self.called,
            conversation: &self.conversation,
            purpose: Purpose::Answer,
            draw: self.draw,
            letters: self.letters,
            observer,
            ..Ask::default()
        }
    }
}

fn message((role, content): &(String, String)) -> Result<Message> {
    let role = match role.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => bail!("expected the role `system`, `user` or `assistant`, found `{role}`"),
    };
    Ok(Message { role, content: content.clone() })
}
