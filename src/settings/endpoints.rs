//! The endpoints of a process: their clients and their books.

use std::sync::Arc;

use crate::model::openai::{Account, OpenAi};

/// The client of a server.
#[derive(Clone)]
pub struct Endpoint {
    /// The model's name in its `[[model]]` table, with the server where it has several; none where the flags name it.
    pub name: Option<String>,
    pub client: Arc<OpenAi>,
    /// Names of the models that a server of ours asks in its place while it does not answer.
    pub reserve: Vec<String>,
}

/// All that a process asks.
#[derive(Clone, Default)]
pub struct Endpoints(pub Vec<Endpoint>);

impl Endpoints {
    /// Whether all models are local.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each was asked for so far, in the order of their first operators.
    pub fn books(&self) -> Vec<(Option<&str>, Account)> {
        self.0.iter().map(|Endpoint { name, client, .. }| (name.as_deref(), client.account())).collect()
    }

    /// What all were asked for so far.
    pub fn account(&self) -> Account {
        let mut sum = Account::default();
        self.0.iter().for_each(|endpoint| sum += endpoint.client.account());
        sum
    }

    /// See [`OpenAi::stop_waiting`].
    pub fn stop_waiting(&self, why: &str) {
        self.0.iter().for_each(|endpoint| endpoint.client.stop_waiting(why));
    }
}
