//! Names of operators.

use crate::plan::OperatorId;

/// The operator's name, or its position if this catalogue is shorter than the plan's.
pub(super) fn operator_name(names: &[String], operator: OperatorId) -> String {
    names.get(operator.index()).cloned().unwrap_or_else(|| format!("operator {}", operator.0))
}
