"""Times the published decision and training step, in our own PyTorch, alternating with `cargo bench`.

    python scripts/bench_reference.py --minilm FOLDER [--threads 1] [--rounds 5] [--out tests/perf/RESULTS.md]

Both sides use the same number of threads, the same MiniLM weights and the same sizes: 4 layers, 8 operators, 4 queries in
a training step. The reference encodes one query after another with sentence-transformers, as the published code does;
its fair version has the embeddings ready and processes the batch at once. Needs torch and sentence-transformers.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS, OPERATORS, QUERIES, EMBEDDING, HIDDEN, THRESHOLD = 4, 8, 4, 384, 32, 0.3
# The question of tests/perf/encoder.rs.
QUESTION = re.search(r'QUESTION: &str = "(.*?)"', (ROOT / "tests/perf/encoder.rs").read_text(), re.S).group(1)
QUESTION = re.sub(r"\\\n\s*", "", QUESTION)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minilm", required=True, help="folder with all-MiniLM-L6-v2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", help="Markdown file to which the rows are appended")
    return parser.parse_args()


class Reference:
    """The published controller (E1, E2, E7) with its text encoder."""

    def __init__(self, minilm, threads):
        import torch
        from sentence_transformers import SentenceTransformer, models

        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.torch = torch
        transformer = models.Transformer(minilm, max_seq_length=256)
        pooling = models.Pooling(transformer.get_word_embedding_dimension(), pooling_mode="mean")
        self.encoder = SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu")
        linear = torch.nn.Linear
        self.query_sides = torch.nn.ModuleList(linear(EMBEDDING, HIDDEN) for _ in range(LAYERS))
        self.operator_sides = torch.nn.ModuleList(
            linear(EMBEDDING if layer == 0 else 2 * EMBEDDING, HIDDEN) for layer in range(LAYERS)
        )
        self.operators = torch.nn.functional.normalize(torch.randn(OPERATORS, EMBEDDING), dim=1)
        parameters = [*self.query_sides.parameters(), *self.operator_sides.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=0.01)
        self.cached = self.encode([QUESTION] * QUERIES)

    def encode(self, texts):
        return self.encoder.encode(texts, convert_to_tensor=True, show_progress_bar=False).clone()

    def probabilities(self, layer, queries, previous):
        """[queries, operators], given the embedding of the previous layer's first choice, [queries, EMBEDDING]."""
        F = self.torch.nn.functional
        count = len(queries)
        operators = self.operators.expand(count, -1, -1)
        if layer > 0:
            operators = self.torch.cat([operators, previous[:, None].expand(-1, OPERATORS, -1)], dim=-1)
        sides = F.normalize(self.operator_sides[layer](operators), dim=-1)
        scores = (sides @ F.normalize(self.query_sides[layer](queries), dim=-1)[:, :, None])[:, :, 0]
        return self.torch.softmax(scores, dim=-1)

    def draw(self, probabilities):
        """Operators without replacement until their probabilities sum to more than the threshold."""
        left, chosen, mass = probabilities.clone(), [], 0.0
        while mass <= THRESHOLD:
            operator = int(self.torch.multinomial(left, 1))
            chosen.append(operator)
            mass += float(probabilities[operator])
            left[operator] = 0.0
        return chosen

    def episode(self, query):
        """The log-probabilities of a drawn plan, one for each choice."""
        previous, log_probs = None, []
        for layer in range(LAYERS):
            probabilities = self.probabilities(layer, query[None], previous)[0]
            chosen = self.draw(probabilities.detach())
            log_probs.append(self.torch.log(probabilities[chosen] + 1e-10))
            previous = self.operators[chosen[0]][None]
        return self.torch.cat(log_probs)

    def decide(self):
        with self.torch.no_grad():
            self.episode(self.encode([QUESTION])[0])

    def decide_from_embedding(self):
        with self.torch.no_grad():
            self.episode(self.cached[0])

    def descend(self, log_probs):
        loss = -(log_probs * self.torch.randn_like(log_probs)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def step_as_published(self):
        self.descend(self.torch.cat([self.episode(self.encode([QUESTION])[0]) for _ in range(QUERIES)]))

    def step_with_cached_embeddings(self):
        """The whole batch at once, with two operators in each layer, known in advance."""
        torch = self.torch
        chosen = torch.arange(QUERIES * LAYERS * 2).view(QUERIES, LAYERS, 2) % OPERATORS
        log_probs, previous = [], None
        for layer in range(LAYERS):
            probabilities = self.probabilities(layer, self.cached, previous)
            log_probs.append(torch.log(probabilities.gather(1, chosen[:, layer]) + 1e-10))
            previous = self.operators[chosen[:, layer, 0]]
        self.descend(torch.cat(log_probs).flatten())


def median_seconds(work, least=0.5):
    """Median over at least 5 calls, and as many as fill `least` seconds."""
    work()
    times, begun = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < least:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def cargo_bench(bench, name, options):
    """The median that divan prints for one benchmark, in seconds."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(options.threads), "LAMAS_MINILM": options.minilm}
    command = ["cargo", "bench", "--locked", "--bench", bench, "--", "--exact", name]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    rows = re.findall(r"([\d.]+) (ns|µs|ms|s) *│", done.stdout)
    if done.returncode != 0 or len(rows) < 3:
        raise SystemExit(f"expected one timing of `{name}` from {' '.join(command)}, found:\n{done.stdout}{done.stderr}")
    number, unit = rows[2]
    return float(number) * {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]


def main():
    options = arguments()
    reference = Reference(options.minilm, options.threads)
    ours = {
        "MiniLM": ("encoder", "encoder::minilm::1"),
        "table": ("encoder", "encoder::static_table::1"),
        "greedy": ("decision", "decision::greedy::published"),
        "step": ("training", "training::paper::4"),
        "our step": ("training", "training::default::4"),
    }
    theirs = {
        "decision": reference.decide,
        "decision from an embedding": reference.decide_from_embedding,
        "step as published": reference.step_as_published,
        "step with cached embeddings": reference.step_with_cached_embeddings,
    }
    seconds = {name: [] for name in [*ours, *theirs]}
    for _ in range(options.rounds):
        for name, work in theirs.items():
            seconds[name].append(median_seconds(work))
        for name, (bench, path) in ours.items():
            seconds[name].append(cargo_bench(bench, path, options))
    s = {name: statistics.median(times) for name, times in seconds.items()}
    rows = [
        ("decision with MiniLM", s["decision"], s["MiniLM"] + s["greedy"]),
        ("decision with the embedded encoder, against MiniLM", s["decision"], s["table"] + s["greedy"]),
        ("decision from an embedding", s["decision from an embedding"], s["greedy"]),
        ("training step, `paper`, against the published way", s["step as published"], s["step"]),
        ("training step, default, against the published way", s["step as published"], s["our step"]),
        ("training step, `paper`, both with cached embeddings", s["step with cached embeddings"], s["step"]),
        ("training step, default, both with cached embeddings", s["step with cached embeddings"], s["our step"]),
    ]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    torch_version = reference.torch.__version__
    lines = [
        f"\n`scripts/bench_reference.py --threads {options.threads} --rounds {options.rounds}`, {processor()}, torch "
        f"{torch_version}, commit {commit.strip()}\n",
        "| | PyTorch, ms | lamas, ms | ratio |",
        "|---|---|---|---|",
        *(f"| {name} | {1e3 * a:.3f} | {1e3 * b:.3f} | {a / b:.1f} |" for name, a, b in rows),
    ]
    print("\n".join(lines))
    if options.out:
        with open(options.out, "a") as out:
            out.write("\n".join(lines) + "\n")


def processor():
    try:
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        return f"{len(names)} x {names[0]}"
    except (OSError, IndexError):
        return f"{os.cpu_count()} x {platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()
