//! Plans as people type them: `;` separates layers, `,` operators.

use anyhow::{Result, ensure};

use crate::operation::Catalogue;
use crate::plan::{Layer, OperatorId, Plan, Signature};

/// Reads `A,B;C` as two layers of operators of the catalogue.
///
/// # Errors
/// An operator is unknown or repeated, a layer is empty, or the first layer generates no solution.
pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Plan> {
    let mut plan = Plan::default();
    for names in text.split(';') {
        let mut layer = Layer::default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let operator = catalogue.find(name)?;
            ensure!(
                !layer.operators.contains(&operator),
                "plan `{text}`: operator `{name}` appears twice in one layer"
            );
            layer.operators.push(operator);
        }
        ensure!(!layer.operators.is_empty(), "plan `{text}`: expected operators in every layer, found an empty one");
        plan.layers.push(layer);
    }
    let is = |id: &OperatorId, wanted: fn(&Signature) -> bool| catalogue.signature(*id).is_some_and(|it| wanted(&it));
    let mut first = plan.layers.iter().filter(|layer| !layer.operators.iter().all(|id| is(id, Signature::prepares)));
    ensure!(
        first.next().is_some_and(|layer| layer.operators.iter().any(|id| is(id, Signature::opens))),
        "plan `{text}`: expected an operator that generates a solution in the first layer, found none"
    );
    Ok(plan)
}

/// On whose answer operators work where there is no other: the one that reasons, or else the first that answers by itself.
pub fn base(catalogue: &Catalogue) -> Option<OperatorId> {
    let opens = |&id: &OperatorId| catalogue.signature(id).is_some_and(|it| it.opens());
    let named = catalogue.find("GenerateCoT").ok().filter(opens);
    named.or_else(|| (0..catalogue.operators().len() as u16).map(OperatorId).find(opens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::ARITHMETIC;

    #[test]
    fn plans_are_read_as_typed() -> Result<()> {
        let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
        assert_eq!(parse("GenerateCoT, Programmer; ScEnsemble", &catalogue)?, Plan::from_indices(&[&[1, 4], &[3]]));
        for (text, expected) in [
            ("Nobody", "Nobody"),
            ("Generate,Generate", "twice"),
            ("Generate;;ScEnsemble", "empty"),
            ("ScEnsemble", "generates a solution"),
        ] {
            let error = parse(text, &catalogue).map_or_else(|error| format!("{error:#}"), |plan| format!("{plan:?}"));
            assert!(error.contains(expected), "{text}: {error}");
        }
        Ok(())
    }
}
