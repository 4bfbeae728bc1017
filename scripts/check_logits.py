"""Loads a Llama folder with transformers and prints the logits of fixed prompts, for a comparison with another back end.

    python scripts/check_logits.py models/arithmetic-llama --out logits.json

For each prompt: its token ids, the five highest logits of the last position, and all logits of it under --out.
"""

import argparse
import json

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

PROMPTS = [
    "sam has 14 apples and finds 3 more . how many apples does sam have now ? <|direct|>",
    "sam has 14 apples and finds 3 more . how many apples does sam have now ? <|chain|>",
    "each of 23 trucks carries 141 crates . how many crates do the trucks carry ? <|program|>",
    "Zorbla has 9,876 Pens! <|candidate|> 13 + 7 = 21 . the answer is 21 <|refine|>",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--out")
    o = parser.parse_args()
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
