//! `lamas catalogues`: lists the built-in operator catalogues, or prints one.

use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::output::{Tables, rendered, say, say_json_lines};
use crate::operation::{Catalogue, Operator};
use crate::printable::printable;
use crate::settings::{CATALOGUES, catalogue_named};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A built-in catalogue or a catalogue file; default: list the built-in ones
    #[arg(value_name = "NAME|FILE")]
    catalogue: Option<PathBuf>,
    /// Print the catalogue's text, to start your own from
    #[arg(long, requires = "catalogue", conflicts_with = "json")]
    text: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

pub fn run(args: &Args) -> Result<()> {
    args.tables.apply();
    let names = match &args.catalogue {
        Some(path) => vec![path.clone()],
        None => CATALOGUES.map(PathBuf::from).to_vec(),
    };
    let catalogues =
        names.iter().map(|name| Ok((name.as_path(), catalogue_named(name)?))).collect::<Result<Vec<_>>>()?;
    if args.text {
        return catalogues
            .iter()
            .try_for_each(|(_, catalogue)| say(catalogue.text().trim_end().replace("\r\n", "\n")).map_err(Into::into));
    }
    if args.json {
        let all: Vec<_> = catalogues.iter().map(|(name, catalogue)| described(name, catalogue)).collect();
        say_json_lines(&all)?;
        return Ok(());
    }
    for (name, catalogue) in &catalogues {
        say(format_args!("{}\n", name.display()))?;
        for (name, model) in catalogue.models() {
            let key = model.key_env.as_ref().map_or(String::new(), |variable| format!(", key in {variable}"));
            say(format_args!("model {}: {}{}", printable(name), printable(&model.place()), printable(&key)))?;
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["operator", "kind", "model", "what it does"]);
        for Operator { name, kind, model, description, hedge, .. } in catalogue.operators() {
            let kind = serde_json::to_value(kind)?;
            let model = if *hedge > 1 { format!("{model} x {hedge}") } else { model.clone() };
            let cells = [name, kind.as_str().unwrap_or_default(), &model, description];
            table.add_row(cells.map(|cell| printable(cell).into_owned()));
        }
        say(format_args!("\n{}\n", rendered(&table)))?;
    }
    Ok(())
}

fn described(name: &Path, catalogue: &Catalogue) -> serde_json::Value {
    let operator = |operator: &Operator| {
        let Operator { name, kind, model, hedge, description, .. } = operator;
        json!({ "name": name, "kind": kind, "model": model, "hedge": hedge, "description": description })
    };
    let operators: Vec<_> = catalogue.operators().iter().map(operator).collect();
    json!({ "name": name, "models": catalogue.models(), "operators": operators })
}
