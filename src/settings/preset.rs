//! The presets: the settings of each method before any file or flag.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::controller::ControllerConfig;
use crate::learn::TrainingConfig;
use crate::model::Definitions;
use crate::model::local::Variables;
use crate::model::openai::EndpointConfig;

/// A published method, or this program's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// This program's own method: the best of everything that could answer, the trained network included.
    #[default]
    #[serde(alias = "lamas")]
    Adaptive,
    /// LAMaS as published.
    Paper,
    /// MaAS: one operator after another, no latency term.
    Maas,
}

impl Preset {
    /// The name in run folders and tables.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Adaptive => "adaptive",
            Preset::Paper => "paper",
            Preset::Maas => "maas",
        }
    }

    /// The settings of the method before any file or flag.
    pub fn settings(self) -> Settings {
        let (controller, training) = match self {
            Preset::Adaptive => (ControllerConfig::default(), TrainingConfig::ours()),
            Preset::Paper => (ControllerConfig::published(), TrainingConfig::paper()),
            Preset::Maas => (ControllerConfig::published(), TrainingConfig::maas()),
        };
        Settings {
            seed: 0,
            device: "auto".into(),
            encoder: "static".into(),
            benchmark: None,
            catalogue: None,
            models: Definitions::new(),
            model: None,
            template: Variables::new(),
            dtype: None,
            context: None,
            prices: None,
            python: None,
            allow_unsandboxed: false,
            endpoint: EndpointConfig::default(),
            traces: None,
            cache: None,
            cache_mode: None,
            record: None,
            controller,
            training,
        }
    }
}
