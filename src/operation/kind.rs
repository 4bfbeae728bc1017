//! The interface of a kind of operator. Everything that differs between kinds is here.

use std::fmt;

use anyhow::Result;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::board::{Board, Effect, Solution};
use super::identity::Reads;
use super::operator::Operator;
use super::prompts::PromptReads;
use super::tools::{Checker, Language};
use super::work::Work;
use crate::model;
use crate::plan::Signature;

/// The settings of a kind of operator, and everything that depends on them.
#[async_trait]
pub(super) trait Kind: fmt::Debug + Send + Sync {
    /// What plans, schedules and surveys need to know about it, except what its prompt reads.
    fn signature(&self, operator: &Operator) -> Signature;

    /// # Errors
    /// The settings are invalid, alone or for this operator.
    fn check(&self, _: &Operator, _: PromptReads) -> Result<()> {
        Ok(())
    }

    /// What it reads of the solutions, given what its prompt reads.
    fn reads(&self, prompt: PromptReads) -> Reads {
        match prompt {
            PromptReads { solutions: true, .. } => Reads::Texts,
            PromptReads { solution: true, .. } => Reads::Current,
            _ => Reads::Nothing,
        }
    }

    /// The part of the settings that determines what it does.
    fn content(&self) -> Content {
        Content::default()
    }

    /// What it checks solutions with.
    fn checker(&self) -> Option<Checker> {
        None
    }

    /// Whether it runs Python programs.
    fn needs_python(&self) -> bool {
        false
    }

    /// The user's program that it runs, if any.
    fn program(&self) -> Option<Program> {
        None
    }

    /// Whether it takes no time and costs nothing on this board: it neither asks a model nor uses a tool.
    fn is_free(&self, operator: &Operator, board: &Board) -> bool {
        let signature = self.signature(operator);
        !signature.is_at_work() || signature.needs_solution && board.solutions.is_empty()
    }

    /// Its effect if these outputs were recorded and take the place of a run.
    fn recorded(&self, outputs: Vec<Solution>, _: &Board) -> Effect {
        if outputs.is_empty() { Effect::Keep } else { Effect::Append(outputs) }
    }

    /// Acts on a board. The board has a solution if this operator needs one.
    ///
    /// # Errors
    /// Those of the model and of tools. What a model writes, however wrong, is not an error.
    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error>;
}

/// What determines an operator's behaviour besides its prompt, model and sampling.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub rounds: u32,
    pub checker: Option<Checker>,
    pub language: Language,
    /// For kinds that have other settings.
    pub settings: Option<serde_json::Value>,
}

/// A user's program, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Program {
    /// Its name and its arguments.
    pub words: Vec<String>,
    /// Folders that it may read.
    pub read: Vec<String>,
    /// Whether it runs with the user's rights.
    pub is_trusted: bool,
}
