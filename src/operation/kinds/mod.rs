//! The kinds of operators, one file each, with its settings, its signature and what it does.

mod command;
mod debate;
mod ensemble;
mod generate;
mod judge;
mod program;
mod refine;
mod stop;
mod test;

use serde::Deserialize;
use toml::de::{Error, ValueDeserializer};

use super::fields::fields;
use super::kind::Kind;

pub(super) use test::{CheckResult, check};

/// Lists the kinds: the file, named as in a catalogue, and the settings type in it. Nothing else tells kinds apart.
macro_rules! kinds {
    ($($name:ident::$settings:ident),* $(,)?) => {
        /// What an operator does, with the settings of its kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Operation {
            $($settings($name::$settings),)*
        }

        /// All kinds.
        pub(super) const KINDS: &[Entry] = &[$(Entry {
            name: stringify!($name),
            keys: fields::<$name::$settings>,
            read: |table| Ok(Operation::$settings(Deserialize::deserialize(table)?)),
        },)*];

        impl Operation {
            pub(super) fn as_kind(&self) -> &dyn Kind {
                match self {
                    $(Operation::$settings(settings) => settings,)*
                }
            }
        }
    };
}

kinds! {
    generate::Generate,
    ensemble::Ensemble,
    program::Program,
    test::Test,
    refine::Refine,
    debate::Debate,
    judge::Judge,
    command::Command,
    stop::Stop,
}

/// A kind, as needed to read a catalogue.
pub(super) struct Entry {
    pub name: &'static str,
    /// The names of its settings.
    pub keys: fn() -> &'static [&'static str],
    /// Reads a table that holds only its settings.
    pub read: fn(ValueDeserializer<'_>) -> Result<Operation, Error>,
}
