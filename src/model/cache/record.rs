//! One recorded completion, and the address that identifies it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::{Completion, Error, Request};

/// A digest of everything that a completion depends on.
pub(super) type Address = [u8; 32];

/// A completion with the request that it answers: one line of an exported recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Id of the back end, see [`super::super::LanguageModel::id`].
    pub model: String,
    pub request: Request,
    pub completion: Completion,
    /// When it was recorded, in seconds since 1970.
    pub recorded: i64,
}

impl Record {
    /// A record made now.
    pub(super) fn new(model: &str, request: &Request, completion: Completion) -> Self {
        Record { model: model.to_owned(), request: request.clone(), completion, recorded: now() }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

/// The address of the answer that the back end `model` gives to `request`.
pub(super) fn address(model: &str, request: &Request) -> Result<Address, Error> {
    let mut hash = Sha256::new();
    hash.update(model);
    hash.update([0]);
    serde_json::to_writer(&mut hash, request).map_err(|error| Error::Permanent(error.to_string()))?;
    Ok(hash.finalize().into())
}
