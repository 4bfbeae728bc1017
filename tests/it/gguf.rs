//! GGUF files against their safetensors twins and against candle's own quantised models.

use std::collections::{BTreeMap, HashMap};
use std::io::BufWriter;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2, quantized_qwen3};
use lamas::model::{LanguageModel, Role};

use crate::local_files::{TOKENS, complete, open, run, written};
use crate::tiny_model::TinyModel;

/// The name that llama.cpp gives a tensor.
fn gguf_name(name: &str) -> String {
    let name = name
        .replace("model.embed_tokens", "token_embd")
        .replace("model.layers", "blk")
        .replace("model.norm", "output_norm")
        .replace("lm_head", "output")
        .replace("self_attn.o_proj", "attn_output")
        .replace("input_layernorm", "attn_norm")
        .replace("post_attention_layernorm", "ffn_norm")
        .replace("self_attn.", "attn_")
        .replace("mlp.", "ffn_");
    name.replace("_proj", "")
}

/// The tokens of the GGUF twin: words are made of letters, bytes as GPT-2 spells them.
fn gguf_tokens(count: usize) -> Vec<String> {
    let specials = ["<s>", "</s>", "<think>"].map(String::from);
    let letters = "Ġwxyz0123456789".chars().map(String::from);
    let mut tokens: Vec<String> = specials.into_iter().chain(letters).chain(["wx".into(), "Ġwx".into()]).collect();
    tokens.extend((tokens.len()..count).map(|id| format!("unused{id}")));
    tokens
}

/// The model as llama.cpp's converter would write it.
fn write_gguf(model: &TinyModel, path: &Path, dtype: GgmlDType, more: &[(&str, Value)]) {
    write_tensors(model, model.tensors(), path, dtype, more);
}

/// As [`write_gguf`], with other tensors than the model's.
fn write_tensors(
    model: &TinyModel,
    tensors: HashMap<String, Tensor>,
    path: &Path,
    dtype: GgmlDType,
    more: &[(&str, Value)],
) {
    let family = model.family.to_lowercase();
    let number = |value: usize| Value::U32(value as u32);
    let texts = |list: Vec<String>| Value::Array(list.into_iter().map(Value::String).collect());
    let types = (0..model.vocabulary).map(|id| Value::I32([3, 3, 4].get(id).copied().unwrap_or(1))).collect();
    let mut metadata: BTreeMap<String, Value> = [
        ("general.architecture", Value::String(family.clone())),
        // Of no meaning but to candle, whose Qwen3 otherwise rotates in f16.
        ("general.dtype", number(0)),
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("qwen2".into())),
        ("tokenizer.ggml.tokens", texts(gguf_tokens(model.vocabulary))),
        ("tokenizer.ggml.token_type", Value::Array(types)),
        ("tokenizer.ggml.merges", texts(vec!["w x".into(), "Ġ wx".into()])),
        ("tokenizer.ggml.bos_token_id", number(0)),
        ("tokenizer.ggml.eos_token_id", number(1)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, value) in [
        ("embedding_length", number(model.hidden)),
        ("feed_forward_length", number(model.feed_forward)),
        ("block_count", number(model.layers)),
        ("context_length", number(model.context)),
        ("attention.head_count", number(model.heads)),
        ("attention.head_count_kv", number(model.key_value_heads)),
        ("attention.key_length", number(model.head_size())),
        ("attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("rope.freq_base", Value::F32(10_000.0)),
        ("rope.dimension_count", number(model.head_size())),
    ] {
        metadata.insert(format!("{family}.{name}"), value);
    }
    metadata.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));

    let quantise = |(name, tensor): (String, Tensor)| {
        let tensor = tensor.to_dtype(DType::F32).expect("f32");
        let turned = [("q_proj", model.heads), ("k_proj", model.key_value_heads)].into_iter();
        let heads = turned.filter(|(part, _)| family == "llama" && name.contains(part)).map(|(_, heads)| heads).next();
        let tensor = heads.map_or(tensor.clone(), |heads| side_by_side(&tensor, heads));
        let dtype = if tensor.rank() == 1 { GgmlDType::F32 } else { dtype };
        (gguf_name(&name), QTensor::quantize(&tensor, dtype).expect("a tensor"))
    };
    let tensors: Vec<(String, QTensor)> = tensors.into_iter().map(quantise).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut file = BufWriter::new(std::fs::File::create(path).expect("a writable folder"));
    gguf_file::write(&mut file, &metadata, &tensors).expect("a writable file");
}

/// Dimensions that rotate together become neighbours, as llama.cpp has them for a Llama.
fn side_by_side(tensor: &Tensor, heads: usize) -> Tensor {
    let (shape, rows) = (tensor.dims(), tensor.dims()[0]);
    let halves = tensor.reshape((heads, 2, rows / heads / 2, tensor.elem_count() / rows)).expect("halves of heads");
    halves.transpose(1, 2).and_then(|pairs| pairs.contiguous()?.reshape(shape)).expect("rows")
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// What candle's own reader of the file computes.
fn reference(path: &Path, family: &str) -> candle_core::Result<Vec<f32>> {
    let (mut file, device) = (std::fs::File::open(path)?, Device::Cpu);
    let content = Content::read(&mut file)?;
    let tokens = Tensor::new(&TOKENS, &device)?.unsqueeze(0)?;
    let logits = match family {
        "Llama" => quantized_llama::ModelWeights::from_gguf(content, &mut file, &device)?.forward(&tokens, 0)?,
        "Qwen2" => quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &device)?.forward(&tokens, 0)?,
        _ => quantized_qwen3::ModelWeights::from_gguf(content, &mut file, &device)?.forward(&tokens, 0)?,
    };
    logits.flatten_all()?.to_vec1()
}

#[test]
fn gives_the_logits_of_its_twin() {
    // Quantised rows come in blocks of 32.
    let plain = TinyModel { feed_forward: 64, ..TinyModel::default() };
    for model in [
        plain.clone(),
        TinyModel { attention_bias: true, tied: true, ..plain.clone() },
        TinyModel { family: "Qwen2", ..plain.clone() },
        TinyModel { family: "Qwen2", tied: true, ..plain.clone() },
        TinyModel { family: "Qwen3", head: Some(16), ..plain },
    ] {
        let folder = written(&model);
        let check = |dtype, within: f32| {
            let other = tempfile::tempdir().expect("a temporary folder");
            let path = other.path().join("twin.gguf");
            write_gguf(&model, &path, dtype, &[]);
            let found = run(&path);
            let worst = difference(&found, &run(folder.path()));
            assert!(worst <= within, "{} in {dtype:?} differs by {worst}", model.family);
            assert_eq!(found, run(other.path()), "a folder with one GGUF file is that file");
            open(other.path()).expect("a model");
            if dtype == GgmlDType::F32 && !model.attention_bias {
                let worst = difference(&found, &reference(&path, model.family).expect("logits"));
                assert!(worst < 1e-4, "{} differs from candle by {worst}", model.family);
            }
        };
        check(GgmlDType::F32, 1e-5);
        check(GgmlDType::F16, 5e-3);
        check(GgmlDType::Q8_0, 0.1);
    }
}

#[tokio::test]
async fn brings_its_tokenizer_and_its_template() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("twin.gguf");
    let template = Value::String("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}<think>".into());
    write_gguf(&TinyModel::default(), &path, GgmlDType::F32, &[("tokenizer.chat_template", template)]);
    let model = open(&path).expect("a model");
    // <s>, wx, Ġwx, 1, 2, <think>
    assert_eq!(complete(&model, &[(Role::User, "wx wx12")]).await.usage.prompt_tokens, 6);
    assert!(model.id().starts_with("twin@"), "{}", model.id());

    let plain = folder.path().join("plain.gguf");
    let bos = [("tokenizer.ggml.pre", Value::String("llama-bpe".into()))];
    write_gguf(&TinyModel::default(), &plain, GgmlDType::F32, &bos);
    let model = open(&plain).expect("a model");
    assert_eq!(complete(&model, &[(Role::User, "wx wx12")]).await.usage.prompt_tokens, 5, "a BOS without a template");
    let error = open(folder.path()).err().expect("two files");
    assert!(error.contains("expected one GGUF file, found plain.gguf, twin.gguf"), "{error}");
}

#[tokio::test]
async fn ends_where_any_of_its_ends_comes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("twin.gguf");
    let written = async |name: &str, end: u32| {
        let (eos, end) = (("tokenizer.ggml.eos_token_id", Value::U32(1)), (name, Value::U32(end)));
        write_gguf(&TinyModel::default(), &path, GgmlDType::F32, &[eos, end]);
        complete(&open(&path).expect("a model"), &[(Role::User, "wx 12")]).await.usage.completion_tokens
    };
    let mut firsts = Vec::new();
    for end in 3..60 {
        if written("tokenizer.ggml.eot_token_id", end).await == 1 {
            firsts.push(end);
        }
    }
    let &[first] = firsts.as_slice() else { panic!("expected one first token, found {firsts:?}") };
    assert_eq!(written("tokenizer.ggml.eom_token_id", first).await, 1);
    assert_eq!(written("tokenizer.ggml.eos_token_id", first).await, 1);
    assert!(written("tokenizer.ggml.padding_token_id", first).await > 1);

    let tokens: Vec<Value> = (0..60)
        .map(|id| {
            Value::String(if id == first { "<end_of_turn>".into() } else { gguf_tokens(60)[id as usize].clone() })
        })
        .collect();
    let types = |kind| {
        (0..60).map(move |id| {
            Value::I32(if id == first { kind } else { [3, 3, 4].get(id as usize).copied().unwrap_or(1) })
        })
    };
    for (kind, expected) in [(3, 1), (1, 8)] {
        let more = [
            ("tokenizer.ggml.tokens", Value::Array(tokens.clone())),
            ("tokenizer.ggml.token_type", Value::Array(types(kind).collect())),
        ];
        write_gguf(&TinyModel::default(), &path, GgmlDType::F32, &more);
        let found = complete(&open(&path).expect("a model"), &[(Role::User, "wx 12")]).await;
        assert_eq!(found.usage.completion_tokens, expected, "an end known by its text, of the type {kind}");
    }
}

#[tokio::test]
async fn brings_a_tokenizer_of_sentencepiece() {
    let shape = TinyModel { vocabulary: 300, ..TinyModel::default() };
    let pieces = ["<unk>", "<s>", "</s>"].map(String::from).into_iter();
    let pieces = pieces.chain((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let words = ["▁", "w", "o", "r", "k", "or", "▁w", "ork", "▁work"].map(String::from);
    let tokens: Vec<String> = pieces.chain(words).collect();
    let text = |text: &str| Value::String(text.into());
    let numbers = |number: fn(usize) -> Value| Value::Array((0..tokens.len()).map(number).collect());
    let kinds = |id: usize| Value::I32([2, 3, 3].get(id).copied().unwrap_or(if id < 259 { 6 } else { 1 }));
    let more = [
        ("tokenizer.ggml.model", text("llama")),
        ("tokenizer.ggml.tokens", Value::Array(tokens.iter().map(|token| text(token)).collect())),
        ("tokenizer.ggml.scores", numbers(|id| Value::F32(-(id as f32)))),
        ("tokenizer.ggml.token_type", numbers(kinds)),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("twin.gguf");
    write_gguf(&shape, &path, GgmlDType::F32, &more);
    let model = open(&path).expect("a model");
    let check = async |prompt: &str, expected: u64| {
        assert_eq!(complete(&model, &[(Role::User, prompt)]).await.usage.prompt_tokens, expected, "{prompt}");
    };
    // <s> ▁work
    check("work", 2).await;
    // <s> ▁work ▁w or r
    check("work worr", 5).await;
    // <s> ▁ and the two bytes of é
    check("é", 4).await;
    // <s> once ▁work
    check("<s>work", 2).await;

    let gemma = [&more[..], &[("tokenizer.ggml.add_space_prefix", Value::Bool(false))]].concat();
    write_gguf(&shape, &path, GgmlDType::F32, &gemma);
    let model = open(&path).expect("a model");
    // <s> w ork
    assert_eq!(complete(&model, &[(Role::User, "work")]).await.usage.prompt_tokens, 3, "no space of its own");
}

#[test]
fn stretched_rotations_are_those_of_a_linear_stretch() {
    let model = TinyModel::default();
    let folder = written(&model);
    let path = folder.path().join("twin.gguf");
    write_gguf(
        &model,
        &path,
        GgmlDType::F32,
        &[("llama.rope.scaling.type", Value::String("linear".into())), ("llama.rope.scaling.factor", Value::F32(2.0))],
    );
    let mut config = model.config();
    config["rope_parameters"] = serde_json::json!({"rope_type": "linear", "factor": 2.0});
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("a writable folder");
    assert!(difference(&run(&path), &run(folder.path())) < 1e-5);
    let mut factors = model.tensors();
    factors.insert("rope_freqs.weight".into(), Tensor::full(2f32, 4, &Device::Cpu).expect("factors"));
    write_tensors(&model, factors, &path, GgmlDType::F32, &[]);
    assert!(difference(&run(&path), &run(folder.path())) < 1e-5);
}

#[test]
fn a_file_that_cannot_be_used_is_told() {
    let check = |more: &[(&str, Value)], expected: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("twin.gguf");
        write_gguf(&TinyModel::default(), &path, GgmlDType::F32, more);
        let error = open(&path).err().expect(expected);
        assert!(error.contains(expected) && error.contains("twin.gguf"), "{error}");
    };
    let text = |text: &str| Value::String(text.into());
    check(&[("general.architecture", text("mamba"))], "`gemma3`, `phi3`, found `mamba`");
    check(&[("split.count", Value::U16(3))], "one of 3 parts");
    check(&[("llama.expert_count", Value::U32(8))], "expected no `llama.expert_count`, found 8");
    check(&[("llama.rope.dimension_count", Value::U32(4))], "all 8 dimensions of a head, found 4");
    check(&[("llama.rope.scaling.type", text("ntk"))], "found `ntk`");
    check(&[("llama.attention.causal", Value::Bool(false))], "`llama.attention.causal` to be false");
    check(&[("llama.attention.value_length", Value::U32(4))], "found 4 and 8 dimensions");
    check(&[("llama.attention.clamp_kqv", Value::F32(8.0))], "expected no `llama.attention.clamp_kqv`, found 8");
    check(&[("llama.block_count", Value::U32(3))], "no tensor `model.layers.2.");
    check(&[("llama.block_count", Value::U32(1))], "expected no tensor `model.layers.1.");
    check(&[("tokenizer.ggml.model", text("bert"))], "hint: put the model's `tokenizer.json` into the same folder");
    check(&[("tokenizer.ggml.model", text("llama"))], "`tokenizer.ggml.scores`, found none");
    check(&[("tokenizer.ggml.pre", text("poro"))], "found `poro`");
    check(&[("llama.attention.head_count", Value::U32(8))], "expected shape");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("twin.gguf");
    write_gguf(&TinyModel::default(), &path, GgmlDType::F32, &[]);
    let bytes = std::fs::read(&path).expect("it is there");
    for part in [3, 2] {
        std::fs::write(&path, &bytes[..bytes.len() / part * (part - 1)]).expect("a writable folder");
        let error = open(&path).err().expect("a cut file");
        assert!(error.contains("is not a whole GGUF file"), "{error}");
    }
    std::fs::write(&path, &bytes[..200]).expect("a writable folder");
    assert!(open(&path).err().expect("a cut file").contains("is not a whole GGUF file"));
}
