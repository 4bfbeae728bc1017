//! The model that answers an operator's prompts, and its price.

use std::sync::Arc;

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
}

impl Backing {
    /// The back end's own model.
    pub fn new(model: Arc<dyn LanguageModel>, price: Price) -> Self {
        let shown = model.id().to_owned();
        Backing { model, asks: String::new(), shown, price }
    }

    /// What decides what it answers: the back end, and which of its models.
    pub fn id(&self) -> [&str; 2] {
        [self.model.id(), &self.asks]
    }
}
