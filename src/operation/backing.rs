//! The model that answers an operator's prompts, and its price.

use std::sync::Arc;

use super::identity::Identity;
use crate::model::{LanguageModel, Price};

/// The model of an operator, and what it costs.
#[derive(Clone)]
pub struct Backing {
    pub model: Arc<dyn LanguageModel>,
    /// What requests call the model; empty for the back end's own.
    pub asks: String,
    /// For readers of a record.
    pub shown: String,
    pub price: Price,
    /// Those that may answer in its place, as a fallback numbers them from 1.
    pub reserve: Vec<Reserve>,
}

/// A model that may answer in the place of an operator's own. What it answers is recorded as its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    pub id: String,
    /// For readers of a record.
    pub shown: String,
    /// What the operator is where this model answers.
    pub identity: Identity,
}

impl Backing {
    /// The back end's own model.
    pub fn new(model: Arc<dyn LanguageModel>, price: Price) -> Self {
        let shown = model.id().to_owned();
        Backing { model, asks: String::new(), shown, price, reserve: Vec::new() }
    }

    /// As [`Backing::id`], where number `place` of those in reserve answers, counted from 0; its own where there is none.
    pub fn id_of(&self, place: usize) -> [&str; 2] {
        self.reserve.get(place).map_or(self.id(), |reserve| [reserve.id.as_str(), ""])
    }

    /// What decides what it answers: the back end, and which of its models.
    pub fn id(&self) -> [&str; 2] {
        [self.model.id(), &self.asks]
    }
}
