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

/// The settings of a kind, with what follows from them.
#[async_trait]
pub(super) trait Kind: fmt::Debug + Send + Sync {
    /// What plans, schedules and surveys must know of it, but for what its prompt reads.
    fn signature(&self, operator: &Operator) -> Signature;

    /// # Errors
    /// The settings make no sense, alone or for this operator.
    fn check(&self, _: &Operator, _: PromptReads) -> Result<()> {
        Ok(())
    }

    /// What it reads of the solutions, where its prompt reads that.
    fn reads(&self, prompt: PromptReads) -> Reads {
        match prompt {
            PromptReads { solutions: true, .. } => Reads::Texts,
            PromptReads { solution: true, .. } => Reads::Current,
            _ => Reads::Nothing,
        }
    }

    /// Of the settings all that decides what it does.
    fn content(&self) -> Content {
        Content::default()
    }

    /// What it checks solutions with.
    fn checker(&self) -> Option<Checker> {
        None
    }

    /// Whether it runs what was written in Python.
    fn needs_python(&self) -> bool {
        false
    }

    /// The program of the user's that it runs, if it does.
    fn program(&self) -> Option<Program> {
        None
    }

    /// Whether it takes nothing on this board: it asks no model and uses no tool.
    fn is_free(&self, operator: &Operator, board: &Board) -> bool {
        let signature = self.signature(operator);
        !signature.is_at_work() || signature.needs_solution && board.solutions.is_empty()
    }

    /// What it does where these outputs were recorded in place of a run.
    fn recorded(&self, outputs: Vec<Solution>, _: &Board) -> Effect {
        if outputs.is_empty() { Effect::Keep } else { Effect::Append(outputs) }
    }

    /// Acts on a board, which has a solution if it needs one.
    ///
    /// # Errors
    /// Those of the model and of tools. What a model writes, however wrong, is no error.
    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error>;
}

/// What decides what an operator does beside its prompt, model and sampling.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub rounds: u32,
    pub checker: Option<Checker>,
    pub language: Language,
    /// Of kinds that have other settings.
    pub settings: Option<serde_json::Value>,
}

/// A program of the user's, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Program {
    /// Its name and its arguments.
    pub words: Vec<String>,
    /// Folders that it reads.
    pub read: Vec<String>,
    /// Whether it runs with the user's rights.
    pub is_trusted: bool,
}
