"""Does choosing a plan per question pay, and can an embedding learn it? A regression study, no reinforcement learning.

    python scripts/routing_study.py --train train-outcomes.jsonl --test test-outcomes.jsonl --encoder models/static-minilm

Reads the outcomes that scripts/evaluate_arithmetic_llama.py writes. For each of a dozen plans it takes the utility of a
question, score - latency weight x critical path - price x completion tokens (tools cost one token of path), fits ridge
regressions from the question's features to every plan's utility on the training questions, and takes the plan predicted
best on the test questions. The best plan in hindsight is chosen on half of a question's draws and scored on the others.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer

from evaluate_arithmetic_llama import vote

TOOL = 1.0


def chains_vote(count):
    def plan(d):
        chains = d["chains"][:count]
        return vote([c["answer"] for c in chains]), max(c["tokens"] for c in chains), sum(c["tokens"] for c in chains)

    return plan


def beside(*plans):
    """Plans side by side whose answers vote, ties to the earliest."""

    def plan(d):
        parts = [part(d) for part in plans]
        return vote([p[0] for p in parts]), max(p[1] for p in parts), sum(p[2] for p in parts)

    return plan


def direct(d):
    return d["direct"]["answer"], d["direct"]["tokens"], d["direct"]["tokens"]


def program(d):
    return d["program"]["answer"], d["program"]["tokens"] + TOOL, d["program"]["tokens"]


def single(index):
    return lambda d: (d["chains"][index]["answer"], d["chains"][index]["tokens"], d["chains"][index]["tokens"])


def refined(d):
    tokens = d["chains"][0]["tokens"] + d["refined"]["tokens"]
    return d["refined"]["answer"], tokens, tokens


def checked(d):
    first = d["chains"][0]
    answer, path, tokens = (first["answer"], first["tokens"], first["tokens"]) if first["holds"] else refined(d)
    return answer, path + TOOL, tokens


PLANS = {
    "direct": direct,
    "chain": single(0),
    "program": program,
    "3 chains, vote": chains_vote(3),
    "5 chains, vote": chains_vote(5),
    "program beside 1 chain, vote": beside(program, single(0)),
    "program beside 3 chains, vote": beside(program, *map(single, range(3))),
    "program beside 5 chains, vote": beside(program, *map(single, range(5))),
    "chain, refine": refined,
    "chain, check, refine if false": checked,
    "direct beside program, vote": beside(direct, program),
    "direct beside 3 chains, vote": beside(direct, *map(single, range(3))),
}


class Outcomes:
    """score, path, tokens and utility [questions, plans, draws]."""

    def __init__(self, path, o):
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        self.questions, self.kinds = [r["question"] for r in rows], np.array([r["kind"] for r in rows])
        cells = [[[plan(d) for d in r["draws"]] for plan in PLANS.values()] for r in rows]
        self.score = np.array([[[c[0] == r["answer"] for c in cs] for cs in css] for r, css in zip(rows, cells)], dtype=float)
        self.path = np.array([[[c[1] for c in cs] for cs in css] for css in cells], dtype=float)
        self.tokens = np.array([[[c[2] for c in cs] for cs in css] for css in cells], dtype=float)
        self.utility = self.score - o.latency_weight * self.path - o.token_price * self.tokens
        self.program_right = np.array([[d["program"]["answer"] == r["answer"] for d in r["draws"]] for r in rows], dtype=float)
        self.direct_right = np.array([[d["direct"]["answer"] == r["answer"] for d in r["draws"]] for r in rows], dtype=float)
        self.chain_right = np.array([[d["chains"][0]["answer"] == r["answer"] for d in r["draws"]] for r in rows], dtype=float)


def static_table(folder, texts):
    """The embedded encoder: normalised sum of token vectors, projected."""
    folder = Path(folder)
    tensors = load_file(str(folder / "embeddings.safetensors"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    table = tensors["codes"].astype(np.float32) * tensors["scales"][:, None]
    rows = np.stack([table[e.ids].sum(0) for e in tokenizer.encode_batch(texts, add_special_tokens=False)])
    rows = rows @ tensors["projection"].astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def lengths(texts):
    words = np.array([len(text.split()) for text in texts], dtype=float)
    return np.stack([words / 10, (words / 10) ** 2, (words / 10) ** 3, np.log(words)], axis=1)


def taken(outcomes, choice):
    """Means of score, path, tokens and utility of the chosen plan of each question, and each question's utility."""
    rows = np.arange(len(choice))
    values = [array[rows, choice].mean(-1) for array in (outcomes.score, outcomes.path, outcomes.tokens, outcomes.utility)]
    return [value.mean() for value in values], values[-1]


def show(name, means, gain, error):
    print(f"| {name} | {means[0]:.3f} | {means[1]:.1f} | {means[2]:.1f} | {means[3]:.4f} | {gain:+.4f} ± {error:.4f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--encoder", default="models/static-minilm")
    parser.add_argument("--latency-weight", type=float, default=0.0025)
    parser.add_argument("--token-price", type=float, default=2e-4)
    o = parser.parse_args()
    train, test = Outcomes(o.train, o), Outcomes(o.test, o)
    target = train.utility.mean(-1)
    static = int(target.mean(0).argmax())
    _, base = taken(test, np.full(len(test.questions), static))
    count = len(base)

    def report(name, choice):
        means, utility = taken(test, choice)
        gain = utility - base
        show(name, means, gain.mean(), gain.std() / count**0.5)
        return gain.mean()

    print(f"{len(train.questions)} training and {count} test questions, {test.utility.shape[2]} draws each\n")
    print("| plan | score | path | tokens | utility | against the best static plan |\n|---|---|---|---|---|---|")
    for index, name in enumerate(PLANS):
        report(name + (" (best static)" if index == static else ""), np.full(count, index))

    best_of_kind = {kind: int(target[train.kinds == kind].mean(0).argmax()) for kind in set(train.kinds)}
    gains = {"kind": report("best plan per kind", np.array([best_of_kind.get(kind, static) for kind in test.kinds]))}
    features = {
        "length only": (lengths(train.questions), lengths(test.questions)),
        "embedding": (static_table(o.encoder, train.questions), static_table(o.encoder, test.questions)),
    }
    chosen = {}
    for name, (x, y) in features.items():
        ridge = RidgeCV(alphas=np.logspace(-4, 2, 13)).fit(x, target)
        chosen[name] = ridge.predict(y).argmax(1)
        gains[name] = report(f"ridge, {name}", chosen[name])

    draws = test.utility.shape[2]
    halves = [np.arange(draws) < draws // 2, np.arange(draws) >= draws // 2]
    hindsight = [[], [], [], []]
    for picked, scored in (halves, halves[::-1]):
        choice = test.utility[:, :, picked].mean(-1).argmax(1)
        for store, array in zip(hindsight, (test.score, test.path, test.tokens, test.utility)):
            store.append(array[np.arange(count), choice][:, scored].mean(-1))
    means = [np.mean(x) for x in hindsight]
    gain = np.mean(hindsight[3], 0) - base
    show("best plan in hindsight", means, gain.mean(), gain.std() / count**0.5)
    print(f"\nthe embedding closes {gains['embedding'] / gain.mean():.0%} of the gap, the length {gains['length only'] / gain.mean():.0%}")

    print("\n| AUC of a logistic regression | embedding | length only |\n|---|---|---|")
    for label in ("program_right", "direct_right", "chain_right"):
        cells = []
        for x, y in (features["embedding"], features["length only"]):
            model = LogisticRegressionCV(Cs=np.logspace(-1, 4, 6), cv=4, scoring="roc_auc", max_iter=2000, l1_ratios=(0,), use_legacy_attributes=False)
            model.fit((x - x.mean(0)) / x.std(0) if x.shape[1] < 10 else x, getattr(train, label)[:, 0] > 0.5)
            scores = model.decision_function((y - x.mean(0)) / x.std(0) if x.shape[1] < 10 else y)
            cells.append(roc_auc_score(getattr(test, label)[:, 0] > 0.5, scores))
        print(f"| {label.replace('_', ' ')} | {cells[0]:.3f} | {cells[1]:.3f} |")

    print("\nplans taken by kind (embedding):")
    names = list(PLANS)
    for kind in sorted(set(test.kinds)):
        counts = defaultdict(int)
        for index in chosen["embedding"][test.kinds == kind]:
            counts[names[index]] += 1
        print(f"  {kind}: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda item: -item[1])))


if __name__ == "__main__":
    main()
