//! Plans as index and mask arrays, so that a whole batch is evaluated without a loop over plans.

use anyhow::{Result, ensure};

use super::{Conditioning, ControllerConfig};
use crate::plan::{Kind, Plan, feasible};

/// `P` plans of at most `L` layers over `O` operators; a *row* is one layer of one plan, `layer * P + plan`.
pub(super) struct Batch {
    /// What each row knows of the layer before it: weights over operators, `[L, P, O]`.
    pub previous: Vec<f32>,
    /// Operators in the softmax of each row, `[L, P, O]`.
    pub allowed: Vec<u8>,
    /// The row of each choice, in the order of [`Plan::choices`] over all plans.
    pub rows: Vec<u32>,
    /// The operator of each choice.
    pub operators: Vec<u32>,
    /// For each choice, the operators that could still be drawn, `[choices, O]`.
    pub left: Vec<u8>,
    /// The rows that a plan has.
    pub used: Vec<u32>,
    /// Where each plan's latency weight lies on the controller's scale, `[P]`; 0 where it is no input.
    pub positions: Vec<f32>,
}

impl Batch {
    /// # Errors
    /// A plan that this controller cannot draw: too many layers, an empty layer, an operator that is unknown,
    /// repeated or masked.
    pub fn new(config: &ControllerConfig, kinds: &[Kind], latency_weights: &[f64], plans: &[Plan]) -> Result<Self> {
        let operators = kinds.len();
        let cells = config.layers * plans.len() * operators;
        let mut batch = Batch {
            previous: vec![0.0; cells],
            allowed: vec![1; cells],
            rows: Vec::new(),
            operators: Vec::new(),
            left: Vec::new(),
            used: Vec::new(),
            positions: latency_weights.iter().map(|&weight| config.position(weight)).collect(),
        };
        for (index, plan) in plans.iter().enumerate() {
            let found = plan.layers.len();
            ensure!(found <= config.layers, "expected a plan of at most {} layers, found {found}", config.layers);
            for layer in 0..found {
                batch.push_row(config, kinds, plan, layer, layer * plans.len() + index)?;
            }
        }
        Ok(batch)
    }

    fn push_row(
        &mut self,
        config: &ControllerConfig,
        kinds: &[Kind],
        plan: &Plan,
        layer: usize,
        row: usize,
    ) -> Result<()> {
        let operators = kinds.len();
        let cells = row * operators..(row + 1) * operators;
        let chosen = &plan.layers[layer].operators;
        ensure!(!chosen.is_empty(), "expected at least one operator in layer {layer}, found none");
        for &operator in chosen {
            let index = operator.index();
            ensure!(index < operators, "expected an operator below {operators} in layer {layer}, found {index}");
        }
        if let Some(before) = layer.checked_sub(1) {
            add_condition(config.conditioning, &plan.layers[before].operators, &mut self.previous[cells.clone()]);
        }
        if config.masked {
            for (cell, allowed) in self.allowed[cells.clone()].iter_mut().zip(feasible(kinds, &plan.layers[..layer])) {
                *cell = allowed.into();
            }
        }
        let mut left = self.allowed[cells].to_vec();
        for &operator in chosen {
            let index = operator.index();
            ensure!(left[index] == 1, "operator {index} cannot be drawn in layer {layer}: repeated, or masked there");
            self.rows.push(row as u32);
            self.operators.push(index as u32);
            self.left.extend_from_slice(&left);
            left[index] = 0;
        }
        self.used.push(row as u32);
        Ok(())
    }
}

/// Weights over the previous layer's operators, added to `weights` `[O]`.
pub(super) fn add_condition(conditioning: Conditioning, previous: &[crate::plan::OperatorId], weights: &mut [f32]) {
    let known = match conditioning {
        Conditioning::First => &previous[..previous.len().min(1)],
        Conditioning::Set => previous,
    };
    for operator in known {
        weights[operator.index()] += 1.0 / known.len() as f32;
    }
}
