"""Does choosing a plan per question pay, and can an embedding learn it? A regression study, no reinforcement learning.

    python scripts/routing_study.py --lamas target/release/lamas --work outcomes [--schedule layered --quorum false]

Records with `lamas operators --plan .. --draws .. --out ..` what each of twelve plans does on each training problem in twelve
draws and on each test problem in four; existing files are used again. It takes the utility, score - latency weight x
critical path - price x completion tokens, fits ridge regressions from the question's features to every plan's utility on the
training problems (plain, and with a Gaussian kernel), and takes the plan predicted best on the test problems. The best plan in
hindsight is chosen on half of a problem's draws and scored on the others. Other flags are passed on to `lamas operators`.
"""

import argparse
import json
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tokenizers import Tokenizer

PLANS = [
    "Generate", "GenerateCoT", "MultiGenerateCoT", "Programmer", "GenerateCoT;SelfRefine", "GenerateCoT;Test",
    "MultiGenerateCoT;SelfRefine", "MultiGenerateCoT;Test", "Programmer;SelfRefine", "GenerateCoT,Programmer",
    "MultiGenerateCoT,Programmer", "MultiGenerateCoT,Programmer;SelfRefine",
]  # fmt: skip


DRAWS = {"train": 12, "test": 4}


def recorded(split, o, flags):
    """The file of the outcomes on a split, written if it does not exist."""
    path = Path(o.work) / f"{split}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        plans = [word for plan in PLANS for word in ("--plan", plan)]
        command = [o.lamas, "operators", "--split", split, "--draws", str(DRAWS[split]), "--out", str(path), *plans, *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


class Outcomes:
    """score, path, tokens and utility [problems, plans, draws] of the lines of a file."""

    def __init__(self, path, o, questions=None):
        lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
        if questions:
            first = set(list(dict.fromkeys(line["problem"] for line in lines))[:questions])
            lines = [line for line in lines if line["problem"] in first]
        self.plans = list(dict.fromkeys(line["plan"] for line in lines))
        problems = {line["problem"]: line for line in lines}
        row, column = ({key: i for i, key in enumerate(keys)} for keys in (problems, self.plans))
        draws = 1 + max(line["draw"] for line in lines)
        assert len(lines) == len(row) * len(column) * draws, "expected every plan on every problem in every draw"
        self.score, self.path, self.tokens = (np.zeros((len(row), len(column), draws)) for _ in range(3))
        for line in lines:
            cell = row[line["problem"]], column[line["plan"]], line["draw"]
            self.score[cell], self.path[cell], self.tokens[cell] = line["score"], line["path"], line["completion_tokens"]
        self.questions = [line["question"] for line in problems.values()]
        self.kinds = np.array([line["kind"] for line in problems.values()])
        self.utility = self.score - o.latency_weight * self.path - o.token_price * self.tokens


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
    parser.add_argument("--lamas", required=True, help="the built command")
    parser.add_argument("--work", required=True, help="folder of the recorded outcomes")
    parser.add_argument("--encoder", default="models/static-minilm")
    parser.add_argument("--questions", type=int, default=1000, help="training questions to learn from")
    parser.add_argument("--latency-weight", type=float, default=0.0025)
    parser.add_argument("--token-price", type=float, default=3.5e-4)
    o, flags = parser.parse_known_args()
    train, test = Outcomes(recorded("train", o, flags), o, o.questions), Outcomes(recorded("test", o, flags), o)
    target = train.utility.mean(-1)
    static = int(target.mean(0).argmax())
    _, base = taken(test, np.full(len(test.questions), static))
    count = len(base)

    def report(name, choice):
        means, utility = taken(test, choice)
        gain = utility - base
        show(name, means, gain.mean(), gain.std() / count**0.5)
        return gain.mean()

    assert test.plans == train.plans, "expected the same plans in both files"
    print(f"{len(train.questions)} training and {count} test questions, {train.utility.shape[2]} and {test.utility.shape[2]} draws\n")
    print("| plan | score | path | tokens | utility | against the best static plan |\n|---|---|---|---|---|---|")
    for index, name in enumerate(train.plans):
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

    x, y = features["embedding"]
    grid = {"gamma": [0.5, 1.0, 2.0, 4.0], "alpha": [0.1, 0.3, 1.0, 3.0]}
    kernel = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=5).fit(x, target - target.mean(0))
    report("kernel ridge, embedding", (kernel.predict(y) + target.mean(0)).argmax(1))

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

    classifier = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=np.logspace(-4, 1, 6), cv=4, scoring="roc_auc", max_iter=2000))
    print("\n| AUC of a logistic regression | embedding | length only |\n|---|---|---|")
    for plan in ("Programmer", "Generate", "GenerateCoT"):
        right, truth = (x.score[:, x.plans.index(plan), 0] > 0.5 for x in (train, test))
        cells = []
        for x, y in (features["embedding"], features["length only"]):
            cells.append(roc_auc_score(truth, classifier.fit(x, right).decision_function(y)))
        print(f"| {plan} right | {cells[0]:.3f} | {cells[1]:.3f} |")

    print("\nplans taken by kind (embedding):")
    names = train.plans
    for kind in sorted(set(test.kinds)):
        counts = defaultdict(int)
        for index in chosen["embedding"][test.kinds == kind]:
            counts[names[index]] += 1
        print(f"  {kind}: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda item: -item[1])))


if __name__ == "__main__":
    main()
