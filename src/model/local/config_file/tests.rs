//! Descriptions of networks against the files that they come from.

use super::super::config::QueryKeyNorm;
use super::*;

const SOUND: &str = r#"{"architectures": ["LlamaForCausalLM"], "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "eos_token_id": [1, 2]}"#;

/// Of another architecture, with more settings.
fn of(architecture: &str, more: &str) -> Result<Config> {
    let more = if more.is_empty() { String::new() } else { format!("1e-5, {more}") };
    let text = SOUND.replace("Llama", architecture);
    parse(&if more.is_empty() { text } else { text.replace("1e-5", &more) })
}

#[test]
fn reads_what_transformers_writes() {
    let config = parse(SOUND).unwrap();
    assert_eq!((config.head, config.key_value_heads, config.tied, config.ends), (4, 2, false, vec![1, 2]));
    let switches = |architecture: &str, more: &str| {
        let Config { input_bias, output_bias, query_key_norm, .. } = of(architecture, more).unwrap();
        (input_bias, output_bias, query_key_norm)
    };
    let biased = "\"attention_bias\": true";
    assert_eq!(switches("Llama", ""), (false, false, QueryKeyNorm::None));
    assert_eq!(switches("Llama", biased), (true, true, QueryKeyNorm::None));
    assert_eq!(switches("Qwen2", biased), (true, false, QueryKeyNorm::None));
    assert_eq!(switches("Qwen3", ""), (false, false, QueryKeyNorm::Head));
    assert_eq!(switches("Mistral", biased), (false, false, QueryKeyNorm::None));
    assert_eq!(switches("Olmo2", ""), (false, false, QueryKeyNorm::Row));
    let gemma = of("Gemma2", "\"query_pre_attn_scalar\": 16, \"hidden_activation\": \"gelu_pytorch_tanh\"").unwrap();
    assert_eq!((gemma.scores, gemma.logit_cap), (Scores { scale: 0.25, cap: Some(50.0) }, Some(30.0)));
    assert_eq!((gemma.embedding_scale, gemma.norm_offset, gemma.tied), (4.0, 1.0, true));
    assert_eq!(gemma.activation, Activation::TanhGelu);
    assert_eq!(of("Gemma2", "\"final_logit_softcapping\": null").unwrap().logit_cap, None);
}

#[test]
fn windows_and_rotations_stand_where_the_file_says() {
    let check = |architecture: &str, more: &str, expected: &[(Option<usize>, Option<usize>)]| {
        let more = format!("\"num_hidden_layers\": {}, {more}", expected.len());
        let text =
            SOUND.replace("Llama", architecture).replace("\"num_hidden_layers\": 2", more.trim_end_matches(", "));
        let layers: Vec<_> = parse(&text).unwrap().layers.iter().map(|layer| (layer.window, layer.rotation)).collect();
        assert_eq!(layers, expected, "{architecture}: {more}");
    };
    let full = (None, Some(0));
    let window = "\"sliding_window\": 8";
    check("Llama", window, &[full, full]);
    check("Mistral", window, &[(Some(8), Some(0)); 2]);
    check("Mistral", "\"sliding_window\": null", &[full, full]);
    check("Phi3", window, &[(Some(8), Some(0)); 2]);
    check("Qwen2", &format!("{window}, \"max_window_layers\": 1"), &[full, full]);
    check(
        "Qwen2",
        &format!("{window}, \"max_window_layers\": 1, \"use_sliding_window\": true"),
        &[full, (Some(8), Some(0))],
    );
    check("Gemma2", window, &[(Some(8), Some(0)), full, (Some(8), Some(0))]);
    check("Gemma3", &format!("{window}, \"sliding_window_pattern\": 2"), &[(Some(8), Some(1)), full]);
    let listed = format!("{window}, \"layer_types\": [\"full_attention\", \"sliding_attention\"]");
    check("Gemma3", &listed, &[full, (Some(8), Some(1))]);
    check("Olmo3", window, &[(Some(8), Some(1)), (Some(8), Some(1)), (Some(8), Some(1)), full]);
    check("SmolLM3", "", &[full, full, full, (None, None)]);
    check("SmolLM3", "\"no_rope_layers\": [0, 1]", &[(None, None), full]);
}

#[test]
fn both_spellings_of_rotations_say_the_same() {
    let check = |architecture: &str, older: &str, newer: &str| {
        let [older, newer] = [older, newer].map(|more| of(architecture, more).unwrap().rotations);
        assert_eq!(older, newer, "{architecture}");
    };
    check("Llama", "\"rope_theta\": 100.0", "\"rope_parameters\": {\"rope_theta\": 100.0, \"rope_type\": \"default\"}");
    check(
        "Qwen2",
        "\"rope_theta\": 100, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 16}",
        "\"rope_parameters\": {\"rope_theta\": 100, \"rope_type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 16}",
    );
    check(
        "Gemma3",
        "\"rope_theta\": 500, \"rope_local_base_freq\": 50, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8}",
        "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 500, \"rope_type\": \"linear\", \"factor\": 8}, \
            \"sliding_attention\": {\"rope_theta\": 50, \"rope_type\": \"default\"}}",
    );
    check(
        "Phi3",
        "\"partial_rotary_factor\": 0.5, \"original_max_position_embeddings\": 16, \
            \"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1.5], \"long_factor\": [2.5]}",
        "\"rope_parameters\": {\"rope_type\": \"longrope\", \"partial_rotary_factor\": 0.5, \
            \"original_max_position_embeddings\": 16, \"short_factor\": [1.5], \"long_factor\": [2.5]}",
    );
}

#[test]
fn says_what_is_wrong() {
    let check = |from: &str, to: &str, expected: &str| {
        let error = parse(&SOUND.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("LlamaFor", "MixtralFor", "`Phi3ForCausalLM`, found `MixtralForCausalLM`");
    check("[\"LlamaForCausalLM\"]", "[]", "found none");
    check("\"hidden_size\": 16,", "", "missing field `hidden_size`");
    check("\"hidden_size\": 16", "\"hidden_size\": 18", "multiple of 4 heads, found 18");
    check("heads\": 2", "heads\": 3", "divide the 4 attention heads, found 3");
    check("\"vocab_size\": 20", "\"vocab_size\": 0", "`vocab_size`");
    check("1e-5", "1e-5, \"hidden_act\": \"gelu\"", "found `gelu`");
    check("1e-5", "1e-5, \"mlp_bias\": true", "found `mlp_bias`");
    check("1e-5", "1e-5, \"use_bidirectional_attention\": true", "found `use_bidirectional_attention`");
    check("1e-5", "1e-5, \"quantization_config\": {\"quant_method\": \"gptq\"}", "of the kind `gptq`; hint: ");
    check("1e-5", "1e-5, \"rope_scaling\": {\"rope_type\": \"dynamic\"}", "found `dynamic`");
    check("1e-5", "1e-5, \"attn_logit_softcapping\": -1", "`attn_logit_softcapping` above 0");
    check("}", "", "not valid JSON");
    let error =
        of("Gemma2", "\"sliding_window\": 8, \"layer_types\": [\"chunked_attention\"]").unwrap_err().to_string();
    assert!(error.contains("found `chunked_attention`"), "{error}");
    let error = of("Gemma2", "\"sliding_window\": 8, \"layer_types\": [\"full_attention\"]").unwrap_err().to_string();
    assert!(error.contains("expected 2 layers in `layer_types`, found 1"), "{error}");
}
