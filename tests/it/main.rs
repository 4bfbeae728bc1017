//! Tests of what the parts do together, one file a behaviour.

mod local_model;
mod tiny_model;
