//! `lamas inspect`: shows what a checkpoint contains.

use std::path::PathBuf;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::output::{Tables, rendered, say, say_json};
use crate::agent::newest;
use crate::checkpoint::Checkpoint;
use crate::operation::Catalogue;
use crate::printable::printable;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint (.safetensors), or a run folder, for its newest checkpoint
    checkpoint: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let (checkpoint, path) = match args.checkpoint.is_dir() {
        true => newest(&args.checkpoint)?,
        false => (Checkpoint::load(&args.checkpoint)?, args.checkpoint),
    };
    let provenance = &checkpoint.provenance;
    let catalogue = Catalogue::parse(provenance.catalogue.clone(), &format!("{} (catalogue)", path.display()))?;
    let operators: Vec<&str> = catalogue.operators().iter().map(|operator| operator.name.as_str()).collect();
    let parameters: usize = checkpoint.weights.values().map(|tensor| tensor.elem_count()).sum();
    if args.json {
        let tensors: serde_json::Map<_, _> =
            checkpoint.weights.iter().map(|(name, tensor)| (name.clone(), json!(tensor.dims()))).collect();
        say_json(&json!({
            "encoder": provenance.encoder,
            "operators": operators,
            "models": catalogue.models(),
            "seed": provenance.seed,
            "step": checkpoint.step,
            "revision": provenance.revision,
            "parameters": parameters,
            "tensors": tensors,
            "configuration": provenance.configuration,
        }))?;
        return Ok(());
    }
    say(format_args!("encoder     {}", printable(&provenance.encoder)))?;
    say(format_args!("operators   {}", operators.join(", ")))?;
    for (name, model) in catalogue.models() {
        say(format_args!("model       {}: {}", printable(name), printable(&model.place())))?;
    }
    say(format_args!("seed        {}", provenance.seed))?;
    say(format_args!("step        {}", checkpoint.step))?;
    say(format_args!("revision    {}", printable(provenance.revision.as_deref().unwrap_or("unknown"))))?;
    say(format_args!("parameters  {parameters}"))?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["tensor", "shape", "norm"]);
    for (name, tensor) in &checkpoint.weights {
        let norm = tensor.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
        table.add_row([printable(name).into_owned(), format!("{:?}", tensor.dims()), format!("{norm:.4}")]);
    }
    let configuration = serde_json::to_string_pretty(&provenance.configuration)?;
    say(format_args!("\n{}\n\nconfiguration\n{}", rendered(&table), printable(&configuration)))?;
    Ok(())
}
