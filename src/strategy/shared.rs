//! Serialises shared values as if they were not shared.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decide::Stages;

pub fn serialize<S: Serializer>(stages: &Option<Arc<Stages>>, serializer: S) -> Result<S::Ok, S::Error> {
    stages.as_deref().serialize(serializer)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<Stages>>, D::Error> {
    Ok(Option::<Stages>::deserialize(deserializer)?.map(Arc::new))
}
