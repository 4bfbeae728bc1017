//! Reads settings of earlier versions: renames settings that moved and drops those that no longer exist, with a remark
//! on the latter.

use anyhow::Result;
use serde_json::{Map, Value};

use super::{Preset, Settings};
use crate::checkpoint::Checkpoint;

/// Settings that no longer have any effect.
const GONE: [&str; 2] = ["optimize", "agreement"];

/// Turns the settings of an earlier version into those of this one. Returns one line for each setting that no longer
/// exists.
pub fn modernise(settings: &mut Value) -> Vec<String> {
    let Some(training) = settings.get_mut("training").and_then(Value::as_object_mut) else { return Vec::new() };
    if training.get("objective").is_some_and(Value::is_string)
        && let Some(loss) = training.remove("objective")
    {
        training.insert("loss".into(), loss);
    }
    if let Some(Value::Object(mut reward)) = training.remove("reward") {
        let credit = reward.remove("credit");
        training.extend(credit.map(|credit| ("credit".to_owned(), credit)));
        let objective = training.entry("objective").or_insert_with(|| Map::new().into());
        if let Some(objective) = objective.as_object_mut() {
            objective.extend(reward);
        }
    }
    let Some(execution) = training.get_mut("execution").and_then(Value::as_object_mut) else { return Vec::new() };
    let gone = GONE.into_iter().filter(|name| execution.remove(*name).is_some());
    gone.map(|name| format!("setting `training.execution.{name}` no longer exists and has no effect")).collect()
}

/// The settings that a checkpoint was trained with, and one line for each that no longer has any effect. A checkpoint
/// without settings, such as an imported one, gets those of our method, without a halting head.
///
/// # Errors
/// Names the faulty setting.
pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<(Settings, Vec<String>)> {
    let mut configuration = checkpoint.provenance.configuration.clone();
    let gone = modernise(&mut configuration);
    if configuration.get("training").is_none() {
        let mut settings = Preset::default().settings();
        settings.training.execution.halting = false;
        return Ok((settings, gone));
    }
    let settings: Settings = serde_json::from_value(configuration)?;
    settings.validate()?;
    Ok((settings, gone))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_of_earlier_versions_are_read() {
        let reward = json!({ "latency_weight": 0.1, "cost_weight": 3.0, "credit": "critical_path" });
        let execution = json!({ "schedule": "dataflow", "optimize": true, "quorum": true, "agreement": 0 });
        let training = json!({ "objective": "choice_mean", "reward": reward, "execution": execution });
        let mut settings = json!({ "seed": 3, "training": training });
        assert_eq!(modernise(&mut settings).len(), 2);
        let objective = json!({ "latency_weight": 0.1, "cost_weight": 3.0 });
        let execution = json!({ "schedule": "dataflow", "quorum": true });
        let training = json!({
            "objective": objective, "loss": "choice_mean", "credit": "critical_path", "execution": execution,
        });
        assert_eq!(settings, json!({ "seed": 3, "training": training }));
        assert!(modernise(&mut settings).is_empty());
    }
}
