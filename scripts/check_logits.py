"""Loads a folder with transformers and prints the logits of fixed prompts, to compare them with another back end.

    python scripts/check_logits.py models/arithmetic-llama --out logits.json
    python scripts/check_logits.py tiny --random Qwen3 --out logits.json    # first writes a small random checkpoint there

For each prompt: its token ids, the five highest logits of the last position; --out gets all logits of that position.
"""

import argparse
import json

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

PROMPTS = [
    "sam has 14 apples and finds 3 more . how many apples does sam have now ? <|direct|>",
    "sam has 14 apples and finds 3 more . how many apples does sam have now ? <|chain|>",
    "each of 23 trucks carries 141 crates . how many crates do the trucks carry ? <|program|>",
    "Zorbla has 9,876 Pens! <|candidate|> 13 + 7 = 21 . the answer is 21 <|refine|>",
]


def write_random(family, folder):
    """A sharded bf16 checkpoint of the family with the tokens of the built-in model; no parameter is 0 or 1."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained("models/arithmetic-llama")
    special = {"Llama": {"attention_bias": True}, "Qwen2": {"tie_word_embeddings": True}, "Qwen3": {"head_dim": 24}}[family]
    config = getattr(transformers, family + "Config")(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, **special)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "norm" in name else 0.0, 0.2)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="100KB")
    tokenizer.save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--out")
    parser.add_argument("--random", choices=["Llama", "Qwen2", "Qwen3"])
    o = parser.parse_args()
    if o.random:
        write_random(o.random, o.folder)
    model = AutoModelForCausalLM.from_pretrained(o.folder, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(o.folder)
    written = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        top = logits.topk(5)
        print(prompt, ids, sep="\n  ")
        for value, token in zip(top.values.tolist(), top.indices.tolist()):
            print(f"  {value:9.4f}  {tokenizer.convert_ids_to_tokens(token)}")
        written.append({"prompt": prompt, "ids": ids, "logits": logits.tolist()})
    if o.out:
        with open(o.out, "w") as file:
            json.dump(written, file)


if __name__ == "__main__":
    main()
