//! The governors and the purse of a process whose clients come and go: a reopened client continues where the previous one
//! stopped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::breaker::{Breaker, Circuit};
use super::config::EndpointConfig;
use super::governor::Governor;
use super::ledger::Account;
use super::purse::Purse;

/// One governor for each endpoint and model that was ever asked, and one purse for all.
#[derive(Debug)]
pub struct Books {
    purse: Purse,
    /// By the id of the client.
    governors: Mutex<BTreeMap<String, Arc<Governor>>>,
    breakers: Mutex<BTreeMap<String, Arc<Breaker>>>,
}

impl Books {
    /// Books with nothing in them, and the caps of these settings.
    pub fn new(config: &EndpointConfig) -> Self {
        Books { purse: Purse::new(config), governors: Mutex::default(), breakers: Mutex::default() }
    }

    /// What all may spend together.
    pub fn purse(&self) -> &Purse {
        &self.purse
    }

    /// What all were asked for so far.
    pub fn account(&self) -> Account {
        let mut sum = Account::default();
        self.lock().values().for_each(|governor| sum += governor.account());
        sum
    }

    /// The governor of a client; the settings of the first one hold.
    pub(super) fn governor(&self, client: &str, config: &EndpointConfig) -> Arc<Governor> {
        let new = || Arc::new(Governor::new(config, self.purse.clone()));
        self.lock().entry(client.to_owned()).or_insert_with(new).clone()
    }

    /// How each endpoint and model is asked, by the id of its client.
    pub fn circuits(&self) -> Vec<(String, Circuit)> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.iter().map(|(client, breaker)| (client.clone(), breaker.circuit())).collect()
    }

    /// The breaker of a client.
    pub(super) fn breaker(&self, client: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.entry(client.to_owned()).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Governor>>> {
        self.governors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
