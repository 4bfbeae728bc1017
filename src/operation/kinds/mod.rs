//! The kinds of operators, one file each: its settings, its signature and what it does.

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

/// Lists the kinds: the file, of the name that a catalogue uses, and the settings in it. Nothing else tells kinds apart.
macro_rules! kinds {
    ($($name:ident::$settings:ident),* $(,)?) => {
        /// What an operator does, with the settings of its kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Operation {
            $($settings($name::$settings),)*
        }

        /// The kinds there are.
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

/// A kind, as a catalogue is read.
pub(super) struct Entry {
    pub name: &'static str,
    /// What its settings are called.
    pub keys: fn() -> &'static [&'static str],
    /// Reads a table that holds its settings alone.
    pub read: fn(ValueDeserializer<'_>) -> Result<Operation, Error>,
}
