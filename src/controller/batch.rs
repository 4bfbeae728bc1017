//! Plans as index and mask arrays, so that a whole batch is evaluated without a loop over plans.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::{Result, ensure};

use super::{ControllerConfig, Selection};
use crate::plan::{Layer, OperatorId, Plan, Signature, feasible, is_open};

/// Plans for `Q` queries over `O` operators. A *row* is a layer shared by plans of one query that agree in all earlier layers;
/// it is evaluated once.
pub(super) struct Batch {
    /// `D`, the number of layers that matter: those of the longest plan, plus the one before which it ended.
    pub depth: usize,
    /// `N`, the most conditions of a layer.
    pub conditions: usize,
    /// What rows may know of the previous layer: weights over operators, `[D, N, O]`.
    pub previous: Vec<f32>,
    /// Position of each query's latency weight on the controller's scale, `[Q]`; 0 if it is not an input.
    pub positions: Vec<f32>,
    /// For each row, its index in `[D, Q]`.
    pub queries: Vec<u32>,
    /// For each row, its index in `[D, N]`.
    pub knows: Vec<u32>,
    /// Operators that may be chosen in each row, `[R, O]`.
    pub allowed: Vec<u8>,
    /// 1 if the row's set can be empty, `[R]`.
    pub can_end: Vec<u8>,
    /// The row of each choice, in the order of [`Plan::choices`] over all plans.
    pub rows: Vec<u32>,
    /// The operator of each choice.
    pub operators: Vec<u32>,
    pub drawn: Drawn,
}

/// How the choices were made.
pub(super) enum Drawn {
    /// One by one: for each choice, the operators that could still be drawn, `[choices, O]`.
    OneByOne {
        left: Vec<u8>,
    },
    Sets(DrawnSets),
}

/// The sets of a batch: the layers of all plans, and the empty sets that ended plans early.
#[derive(Default)]
pub(super) struct DrawnSets {
    /// The row of each set and its size, as an index in `[R, K + 1]`.
    pub sizes: Vec<u32>,
    /// The row of each set.
    pub rows: Vec<u32>,
    /// For each choice, its set and its share of it (one over the size).
    pub own: Vec<(u32, f32)>,
    /// For each choice, the empty set that followed and the choice's share of it; zero except for choices of a last layer.
    pub end: Vec<(u32, f32)>,
}

/// The rows and conditions met so far.
#[derive(Default)]
struct Met<'a> {
    rows: HashMap<(usize, &'a [Layer]), u32>,
    /// By layer.
    conditions: Vec<HashMap<&'a [OperatorId], u32>>,
}

impl Batch {
    /// A batch of plans, each with the number of its query.
    ///
    /// # Errors
    /// This controller cannot draw a plan: too many layers, a layer that is empty or too large, or an operator that is unknown,
    /// repeated or masked.
    pub fn new(
        config: &ControllerConfig,
        signatures: &[Signature],
        latency_weights: &[f64],
        plans: &[(usize, &Plan)],
    ) -> Result<Self> {
        let is_set = config.selection == Selection::Sets;
        let longest = plans.iter().map(|(_, plan)| plan.layers.len()).max().unwrap_or(0);
        ensure!(longest <= config.layers, "expected a plan of at most {} layers, found {longest}", config.layers);
        let mut batch = Batch {
            depth: (longest + usize::from(is_set)).clamp(1, config.layers),
            conditions: 0,
            previous: Vec::new(),
            positions: latency_weights.iter().map(|&weight| config.position(weight)).collect(),
            queries: Vec::new(),
            knows: Vec::new(),
            allowed: Vec::new(),
            can_end: Vec::new(),
            rows: Vec::new(),
            operators: Vec::new(),
            drawn: match is_set {
                true => Drawn::Sets(DrawnSets::default()),
                false => Drawn::OneByOne { left: Vec::new() },
            },
        };
        let mut met = Met { rows: HashMap::new(), conditions: vec![HashMap::new(); batch.depth] };
        for &(query, plan) in plans {
            let found = plan.layers.len();
            for layer in 0..found {
                batch.push_layer(config, signatures, &mut met, query, plan, layer)?;
            }
            if is_set && (1..config.layers).contains(&found) {
                batch.push_end(config, signatures, &mut met, query, plan);
            }
        }
        batch.settle_conditions(config, signatures.len(), &met);
        Ok(batch)
    }

    fn push_layer<'a>(
        &mut self,
        config: &ControllerConfig,
        signatures: &[Signature],
        met: &mut Met<'a>,
        query: usize,
        plan: &'a Plan,
        layer: usize,
    ) -> Result<()> {
        let operators = signatures.len();
        let chosen = &plan.layers[layer].operators;
        let size = chosen.len();
        ensure!(size > 0, "expected at least one operator in layer {layer}, found none");
        for &operator in chosen {
            let index = operator.index();
            ensure!(index < operators, "expected an operator below {operators} in layer {layer}, found {index}");
        }
        let row = self.row(config, signatures, met, query, &plan.layers[..layer]);
        let mut open = self.allowed[row as usize * operators..][..operators].to_vec();
        for &operator in chosen {
            let index = operator.index();
            ensure!(open[index] == 1, "operator {index} cannot be drawn in layer {layer}: repeated, or masked there");
            self.rows.push(row);
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
            sets.push(row, size, width);
        }
        Ok(())
    }

    /// The plan ended before its last layer.
    fn push_end<'a>(
        &mut self,
        config: &ControllerConfig,
        signatures: &[Signature],
        met: &mut Met<'a>,
        query: usize,
        plan: &'a Plan,
    ) {
        let row = self.row(config, signatures, met, query, &plan.layers);
        let last = plan.layers.last().map_or(0, |layer| layer.operators.len());
        if let Drawn::Sets(sets) = &mut self.drawn {
            let choices = sets.end.len();
            sets.end[choices - last..].fill((sets.rows.len() as u32, 1.0 / last as f32));
            sets.push(row, 0, config.width);
        }
    }

    /// The row of the layer that follows `before`.
    fn row<'a>(
        &mut self,
        config: &ControllerConfig,
        signatures: &[Signature],
        met: &mut Met<'a>,
        query: usize,
        before: &'a [Layer],
    ) -> u32 {
        let next = self.queries.len() as u32;
        let layer = before.len();
        match met.rows.entry((query, before)) {
            Entry::Occupied(row) => *row.get(),
            Entry::Vacant(row) => {
                row.insert(next);
                let last: &[OperatorId] = before.last().map_or(&[], |layer| layer.operators.as_slice());
                let conditions = &mut met.conditions[layer];
                let condition = conditions.len() as u32;
                let condition = *conditions.entry(last).or_insert(condition);
                self.queries.push((layer * self.positions.len() + query) as u32);
                self.knows.push(condition);
                self.can_end.push(u8::from(is_open(signatures, before)));
                match config.is_masked() {
                    true => self.allowed.extend(can_act(config, signatures, before).into_iter().map(u8::from)),
                    false => self.allowed.extend(std::iter::repeat_n(1, signatures.len())),
                }
                next
            }
        }
    }

    /// Lays the conditions of all layers out as one grid.
    fn settle_conditions(&mut self, config: &ControllerConfig, operators: usize, met: &Met<'_>) {
        self.conditions = met.conditions.iter().map(HashMap::len).max().unwrap_or(0).max(1);
        self.previous = vec![0.0; self.depth * self.conditions * operators];
        for (layer, conditions) in met.conditions.iter().enumerate() {
            for (previous, &condition) in conditions {
                let place = (layer * self.conditions + condition as usize) * operators;
                add_condition(config.selection, previous, &mut self.previous[place..place + operators]);
            }
        }
        let queries = self.positions.len().max(1);
        for (knows, &query) in self.knows.iter_mut().zip(&self.queries) {
            *knows += (query as usize / queries * self.conditions) as u32;
        }
    }
}

impl DrawnSets {
    fn push(&mut self, row: u32, size: usize, width: usize) {
        self.rows.push(row);
        self.sizes.push(row * (width as u32 + 1) + size as u32);
    }
}

/// Which operators may be chosen for the layer after `before`, `[O]`. A plan of sets ends with an empty one and needs no stop.
pub(super) fn can_act(config: &ControllerConfig, signatures: &[Signature], before: &[Layer]) -> Vec<bool> {
    let mut can_act = feasible(signatures, before, config.layers);
    if config.selection == Selection::Sets {
        can_act.iter_mut().zip(signatures).for_each(|(can_act, signature)| *can_act &= !signature.ends);
    }
    can_act
}

/// Adds weights over the previous layer's operators to `weights` `[O]`: equal ones, or only the first operator as published.
pub(super) fn add_condition(selection: Selection, previous: &[OperatorId], weights: &mut [f32]) {
    let known = match selection {
        Selection::Published => &previous[..previous.len().min(1)],
        Selection::Sets | Selection::Threshold => previous,
    };
    for operator in known {
        weights[operator.index()] += 1.0 / known.len() as f32;
    }
}
