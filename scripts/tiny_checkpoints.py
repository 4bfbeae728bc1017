"""Writes the small random checkpoints under tests/local_models, with what transformers computes from them.

    pip install torch transformers gguf
    python scripts/tiny_checkpoints.py                    # all of them
    python scripts/tiny_checkpoints.py gemma2 phi3 --out elsewhere

Each folder gets `config.json` and `model.safetensors` as transformers saves them, `model.gguf` with the names, numbers
and transforms of llama.cpp's converter, and `expected.json`: the tokens of a prompt, the logits (in float32) after some
of its beginnings, and the tokens that greedy decoding adds, with the least distance of their two highest logits.
Weights are bfloat16, which both formats hold exactly; norms in the GGUF file are float32, as the converter has them.
"""

import argparse
import json
import math
import pathlib
import shutil

import gguf
import torch
import transformers

SIZES = dict(vocab_size=128, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=2)
LONG = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75, original_max_position_embeddings=32,
            short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.5, 7.0])
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)

# Folder: configuration class, its settings, architecture of the GGUF file (None: no file), lengths of beginnings.
CHECKPOINTS = {
    "llama3": ("Llama", dict(rope_parameters=LLAMA3, num_attention_heads=2, num_key_value_heads=1), "LLAMA", (1, 9, 90)),
    "qwen2": ("Qwen2", dict(rope_parameters=YARN, tie_word_embeddings=True), "QWEN2", (1, 9, 90)),
    "qwen2-window": ("Qwen2", dict(use_sliding_window=True, sliding_window=12, max_window_layers=1), None, (1, 9, 40)),
    "qwen3": ("Qwen3", dict(head_dim=12), "QWEN3", (1, 9, 40)),
    "mistral": ("Mistral", dict(sliding_window=None, head_dim=12), "LLAMA", (1, 9, 40)),
    "mistral-window": ("Mistral", dict(sliding_window=10), None, (1, 9, 10, 11, 40)),
    "olmo2": ("Olmo2", {}, "OLMO2", (1, 9, 40)),
    "olmo3": ("Olmo3", dict(num_hidden_layers=4, sliding_window=10, rope_parameters={
        "full_attention": YARN, "sliding_attention": dict(rope_type="default", rope_theta=10000.0)}), "OLMO2", (1, 9, 90)),
    "smollm3": ("SmolLM3", dict(num_hidden_layers=4), "SMOLLM3", (1, 9, 40)),
    "gemma": ("Gemma", dict(head_dim=12, hidden_act="gelu_pytorch_tanh"), "GEMMA", (1, 9, 40)),
    "gemma2": ("Gemma2", dict(head_dim=12, query_pre_attn_scalar=12, sliding_window=10, attn_logit_softcapping=5.0,
                              final_logit_softcapping=3.0), "GEMMA2", (1, 9, 40)),
    "gemma2-scalar": ("Gemma2", dict(head_dim=12, query_pre_attn_scalar=20, sliding_window=10), None, (1, 9, 40)),
    "gemma3": ("Gemma3Text", dict(head_dim=12, query_pre_attn_scalar=12, sliding_window=10, num_hidden_layers=6,
        rope_parameters={"full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                         "sliding_attention": dict(rope_type="default", rope_theta=10000.0)}), "GEMMA3", (1, 9, 40)),
    "phi3": ("Phi3", dict(sliding_window=10), "PHI3", (1, 9, 40)),
    "phi4-mini": ("Phi3", dict(rope_parameters=LONG, original_max_position_embeddings=32, tie_word_embeddings=True),
                  "PHI3", (1, 32, 33, 90)),
}
GREEDY = 12


def tokens(count):
    return [position * position * 7 % 125 + 3 for position in range(count)]


def make(name, kind, special):
    config = getattr(transformers, kind + "Config")(**{**SIZES, **special})
    torch.manual_seed(sum(map(ord, name)))
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name
            middle = 1.0 if is_norm and not kind.startswith("Gemma") else 0.0
            spread = 0.3 if is_norm or parameter.dim() == 1 else 1.4 / math.sqrt(parameter.shape[-1])
            if "embed_tokens" in name and kind.startswith("Gemma"):
                # They are multiplied by the root of their width, and would outweigh all layers.
                spread /= 3
            # Both files hold these numbers exactly. The angles of rotations stay as they are.
            parameter.copy_(parameter.normal_(middle, spread).to(torch.bfloat16))
    return model


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0, -1]


def expected(model, lengths):
    prompt = tokens(max(lengths))
    ids, gap = list(prompt), math.inf
    for _ in range(GREEDY):
        top = logits(model, ids).topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        ids.append(top.indices[0].item())
    after = {str(length): [round(x, 7) for x in logits(model, prompt[:length]).tolist()] for length in lengths}
    return {"prompt": prompt, "logits": after, "greedy": ids[len(prompt):], "smallest_gap": round(gap, 5)}


def permute(weights, heads):
    """llama.cpp rotates neighbouring dimensions of a Llama's heads, transformers those half a head apart."""
    pairs = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


def write_gguf(model, architecture, path):
    config, writer = model.config, gguf.GGUFWriter(path, architecture.lower())
    rope = getattr(config, "rope_parameters", None) or {}
    local, rope = rope.get("sliding_attention"), rope.get("full_attention", rope)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    turned = int(head * rope.get("partial_rotary_factor", 1.0))
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if getattr(config, "head_dim", None):
        writer.add_key_length(head)
        writer.add_value_length(head)
    if architecture in ("LLAMA", "SMOLLM3", "PHI3"):
        writer.add_rope_dimension_count(turned)
    # Gemma's bases of rotations are not written but known, except that of Gemma 3.
    if architecture not in ("GEMMA", "GEMMA2"):
        writer.add_rope_freq_base(rope["rope_theta"])
    if local and architecture != "GEMMA":
        writer.add_rope_freq_base_swa(local["rope_theta"])
    extra = {}
    if rope.get("rope_type") in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope.get("rope_type") == "yarn" or architecture == "PHI3":
        original = rope.get("original_max_position_embeddings") or config.original_max_position_embeddings
        writer.add_rope_scaling_orig_ctx_len(original)
    if rope.get("rope_type") == "longrope":
        scale = config.max_position_embeddings / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        extra["rope_factors_long.weight"] = torch.tensor(rope["long_factor"])
        extra["rope_factors_short.weight"] = torch.tensor(rope["short_factor"])
    if rope.get("rope_type") == "llama3":
        extra["rope_freqs.weight"] = torch.tensor(llama3_factors(rope, head))
    if architecture in ("PHI3", "GEMMA2", "GEMMA3") or (window := getattr(config, "sliding_window", None)):
        writer.add_sliding_window(config.sliding_window or 0)
        if architecture == "OLMO2":
            writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
    if architecture == "GEMMA2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)

    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, architecture), config.num_hidden_layers)
    for name, weights in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if architecture in ("LLAMA", "SMOLLM3") and "q_proj" in name:
            weights = permute(weights, config.num_attention_heads)
        if architecture in ("LLAMA", "SMOLLM3") and "k_proj" in name:
            weights = permute(weights, config.num_key_value_heads)
        if architecture.startswith("GEMMA") and name.endswith("norm.weight"):
            weights = weights + 1
        extra[names.get_name(name, try_suffixes=(".weight", ".bias"))] = weights
    for name, weights in extra.items():
        kind = gguf.GGMLQuantizationType.F32 if weights.dim() == 1 else gguf.GGMLQuantizationType.BF16
        data = gguf.quants.quantize(weights.detach().contiguous().numpy(), kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3_factors(rope, head):
    factors = []
    for dimension in range(0, head, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (dimension / head)
        turns = rope["original_max_position_embeddings"] / wave
        kept = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
        kept = min(max(kept, 0.0), 1.0)
        factors.append(1 / ((1 - kept) / rope["factor"] + kept))
    return factors


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--out", default="tests/local_models")
    o = parser.parse_args()
    for name in o.names or CHECKPOINTS:
        kind, special, architecture, lengths = CHECKPOINTS[name]
        folder = pathlib.Path(o.out) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = make(name, kind, special)
        record = expected(model, lengths)
        if architecture:
            write_gguf(model, architecture, folder / "model.gguf")
        (folder / "expected.json").write_text(json.dumps(record) + "\n")
        model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        size = sum(file.stat().st_size for file in folder.iterdir())
        largest = max(abs(x) for x in sum(record["logits"].values(), []))
        print(f"{name}: {size // 1024} KB, largest logit {largest:.2f}, least gap {record['smallest_gap']}")


if __name__ == "__main__":
    main()
