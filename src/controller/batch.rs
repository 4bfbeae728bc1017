//! Plans as index and mask arrays, so that a whole batch is evaluated without a loop over plans.

use anyhow::{Result, ensure};

use super::{ControllerConfig, Selection};
use crate::plan::{Kind, OperatorId, Plan, feasible};

/// `P` plans of at most `D` layers over `O` operators; a *row* is one layer of one plan, `layer * P + plan`.
pub(super) struct Batch {
    /// `D`, the most layers that matter: those of the longest plan, and the one before which it ended.
    pub depth: usize,
    /// What each row knows of the layer before it: weights over operators, `[D, P, O]`.
    pub previous: Vec<f32>,
    /// Operators that may be chosen in each row, `[D, P, O]`.
    pub allowed: Vec<u8>,
    /// Where each plan's latency weight lies on the controller's scale, `[P]`; 0 where it is no input.
    pub positions: Vec<f32>,
    /// The row of each choice, in the order of [`Plan::choices`] over all plans.
    pub rows: Vec<u32>,
    /// The operator of each choice.
    pub operators: Vec<u32>,
    pub drawn: Drawn,
}

/// How the choices were made.
pub(super) enum Drawn {
    /// One after another: for each choice, the operators that could still be drawn, `[choices, O]`.
    OneByOne {
        left: Vec<u8>,
    },
    Sets(DrawnSets),
}

/// The sets of a batch: the layers of all plans, and the empty set that ended a plan before its last layer.
#[derive(Default)]
pub(super) struct DrawnSets {
    /// `[S]`
    pub rows: Vec<u32>,
    /// `[S]`
    pub sizes: Vec<u32>,
    /// 1 where the set can be empty, `[S]`.
    pub can_end: Vec<u8>,
    /// For each choice, the set that it is in and its share of that set, one over the size.
    pub own: Vec<(u32, f32)>,
    /// For each choice, the empty set that followed and the choice's share of it, nothing but for those of a last layer.
    pub end: Vec<(u32, f32)>,
}

impl Batch {
    /// # Errors
    /// A plan that this controller cannot draw: too many layers, a layer that is empty or too large, an operator that is
    /// unknown, repeated or masked.
    pub fn new(config: &ControllerConfig, kinds: &[Kind], latency_weights: &[f64], plans: &[Plan]) -> Result<Self> {
        let is_set = config.selection == Selection::Sets;
        let longest = plans.iter().map(|plan| plan.layers.len()).max().unwrap_or(0);
        ensure!(longest <= config.layers, "expected a plan of at most {} layers, found {longest}", config.layers);
        let depth = (longest + usize::from(is_set)).clamp(1, config.layers);
        let cells = depth * plans.len() * kinds.len();
        let mut batch = Batch {
            depth,
            previous: vec![0.0; cells],
            allowed: vec![1; cells],
            positions: latency_weights.iter().map(|&weight| config.position(weight)).collect(),
            rows: Vec::new(),
            operators: Vec::new(),
            drawn: match is_set {
                true => Drawn::Sets(DrawnSets::default()),
                false => Drawn::OneByOne { left: Vec::new() },
            },
        };
        for (index, plan) in plans.iter().enumerate() {
            let found = plan.layers.len();
            for layer in 0..found {
                batch.push_row(config, kinds, plan, layer, layer * plans.len() + index)?;
            }
            if is_set && (1..config.layers).contains(&found) {
                batch.push_end(config, kinds, plan, found * plans.len() + index);
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
        let chosen = &plan.layers[layer].operators;
        let size = chosen.len();
        ensure!(size > 0, "expected at least one operator in layer {layer}, found none");
        for &operator in chosen {
            let index = operator.index();
            ensure!(index < operators, "expected an operator below {operators} in layer {layer}, found {index}");
        }
        let mut open = self.condition(config, kinds, plan, layer, row);
        for &operator in chosen {
            let index = operator.index();
            ensure!(open[index] == 1, "operator {index} cannot be drawn in layer {layer}: repeated, or masked there");
            self.rows.push(row as u32);
            self.operators.push(index as u32);
            match &mut self.drawn {
                Drawn::OneByOne { left } => left.extend_from_slice(&open),
                Drawn::Sets(sets) => {
                    sets.own.push((sets.rows.len() as u32, 1.0 / size as f32));
                    sets.end.push((0, 0.0));
                }
            }
            open[index] = 0;
        }
        if let Drawn::Sets(sets) = &mut self.drawn {
            let width = config.width;
            ensure!(size <= width, "expected at most {width} operators in layer {layer}, found {size}");
            sets.push(row, size, layer > 0);
        }
        Ok(())
    }

    /// The plan ended before the layer of this row.
    fn push_end(&mut self, config: &ControllerConfig, kinds: &[Kind], plan: &Plan, row: usize) {
        let layer = plan.layers.len();
        self.condition(config, kinds, plan, layer, row);
        let last = plan.layers[layer - 1].operators.len();
        if let Drawn::Sets(sets) = &mut self.drawn {
            let choices = sets.end.len();
            sets.end[choices - last..].fill((sets.rows.len() as u32, 1.0 / last as f32));
            sets.push(row, 0, true);
        }
    }

    /// Fills in what a row knows of the layer before it, and which operators it may hold; these are returned, `[O]`.
    fn condition(
        &mut self,
        config: &ControllerConfig,
        kinds: &[Kind],
        plan: &Plan,
        layer: usize,
        row: usize,
    ) -> Vec<u8> {
        let cells = row * kinds.len()..(row + 1) * kinds.len();
        if let Some(before) = layer.checked_sub(1) {
            add_condition(config.selection, &plan.layers[before].operators, &mut self.previous[cells.clone()]);
        }
        if config.is_masked() {
            let can_act = can_act(config.selection, kinds, plan, layer);
            self.allowed[cells.clone()].iter_mut().zip(can_act).for_each(|(cell, can_act)| *cell = can_act.into());
        }
        self.allowed[cells].to_vec()
    }
}

impl DrawnSets {
    fn push(&mut self, row: usize, size: usize, can_end: bool) {
        self.rows.push(row as u32);
        self.sizes.push(size as u32);
        self.can_end.push(can_end.into());
    }
}

/// Which operators may be chosen for a layer of a plan, `[O]`. A plan made of sets ends with an empty one and needs no stop.
pub(super) fn can_act(selection: Selection, kinds: &[Kind], plan: &Plan, layer: usize) -> Vec<bool> {
    let mut can_act = feasible(kinds, &plan.layers[..layer]);
    if selection == Selection::Sets {
        can_act.iter_mut().zip(kinds).for_each(|(can_act, kind)| *can_act &= *kind != Kind::Stop);
    }
    can_act
}

/// Weights over the previous layer's operators, added to `weights` `[O]`: all of them alike, or the first alone as published.
pub(super) fn add_condition(selection: Selection, previous: &[OperatorId], weights: &mut [f32]) {
    let known = match selection {
        Selection::Published => &previous[..previous.len().min(1)],
        Selection::Sets | Selection::Threshold => previous,
    };
    for operator in known {
        weights[operator.index()] += 1.0 / known.len() as f32;
    }
}
