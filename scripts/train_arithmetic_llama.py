"""Trains the embedded arithmetic Llama on a corpus of the Rust generator and writes the model folder.

    lamas data arithmetic --split corpus --count 160000 --seed 3 --out corpus.jsonl
    python scripts/train_arithmetic_llama.py --corpus corpus.jsonl --out models/arithmetic-llama --work work

Each problem is packed once: its story, then one branch for every mode (direct, chain, program, refine); a branch sees the
story and itself, and its positions continue from the end of the story. The loss covers completions only. Besides problems
there are drills: bare equations, with the loss after `=`. After the share `--own-mistakes` of the run, refine branches show
chains that the model itself sampled. The same seed and --updates give the same run; --resume continues from the last checkpoint.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

import arithmetic_tokenizer as text
from arithmetic_llama import Config, Llama, load_folder, sample, save_folder

ROW = 256
# The direct answers of the short kinds have their own documents; comparisons are the hardest to read.
WEIGHTS = "copy=0.4,look-up=0.4,tiny=0.4,small-product=0.4,compare=8,long=1.5,long-remainder=1.5,count=1.5"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True, help="the model folder")
    parser.add_argument("--work", required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--updates", type=int, default=6500)
    parser.add_argument("--minutes", type=float, help="finish early, decay included, after this time")
    parser.add_argument("--rows", type=int, default=12, help="rows of 256 tokens per update and worker")
    parser.add_argument("--direct-only", type=float, default=0.15, help="share of documents that show a direct answer only")
    parser.add_argument("--drills", type=float, default=0.25, help="share of documents that are bare equations")
    parser.add_argument("--weights", default=WEIGHTS, help="how much more often than in the corpus a kind is shown; default: 1")
    parser.add_argument("--rate", type=float, default=0.02, help="Muon's learning rate")
    parser.add_argument("--adam-rate", type=float, default=3e-3)
    parser.add_argument("--refine", type=float, default=0.4, help="share of the problems that show a refine branch")
    parser.add_argument("--right", type=float, default=0.35, help="share of right candidates among them")
    parser.add_argument("--own-mistakes", type=float, default=0.7, help="progress at which the model's own chains are sampled")
    parser.add_argument("--own-samples", type=int, default=12000)
    parser.add_argument("--own-share", type=float, default=0.5, help="share of the problems that show them from then on")
    parser.add_argument("--own-temperature", type=float, default=1.5)
    parser.add_argument("--init", help="start from this model folder, with its tokenizer and its shape")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each that share an update (CPU only)")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    return parser.parse_args()


class Corpus:
    """The problems as token ids."""

    def __init__(self, path, weights, tokenizer=None):
        self.problems = [json.loads(line) for line in Path(path).read_text().splitlines()]
        weight = {kind: float(number) for kind, number in (part.split("=") for part in weights.split(",") if part)}
        self.cumulative = np.cumsum([weight.get(problem["kind"], 1.0) for problem in self.problems])
        self.tokenizer = tokenizer or text.build(text.words_of(self.problems, at_least=20))
        self.ids = {token: self.tokenizer.token_to_id(token) for token in text.SPECIAL}

        # The corpus has few different words, and the tokenizer reads each word by itself.
        known = {}

        def word(token):
            if token not in known:
                known[token] = self.tokenizer.encode(token, add_special_tokens=False).ids
            return known[token]

        def encode(texts):
            return [np.array([i for token in t.split() for i in word(token)], dtype=np.int32) for t in texts]

        self.story = encode([f"{text.BOS} {p['question']}" for p in self.problems])
        self.chain = encode([p["chain"] for p in self.problems])
        self.direct = encode([p["direct"] or "" for p in self.problems])
        self.program = encode([p["program"] or "" for p in self.problems])
        wrong = [(i, chain) for i, p in enumerate(self.problems) for chain in p["wrong"]]
        self.wrong = [[] for _ in self.problems]
        for (i, _), ids in zip(wrong, encode([chain for _, chain in wrong])):
            self.wrong[i].append(ids)
        self.has_direct = [i for i, ids in enumerate(self.direct) if len(ids)]
        equations = [part for p in self.problems[:20000] for part in p["chain"].split(" . ") if part.count("=") == 1]
        self.equations = encode(equations)
        self.equals, self.stop = self.tokenizer.token_to_id("="), self.tokenizer.token_to_id(".")

    def draw(self, draw):
        """The index of a problem, by the weight of its kind."""
        return int(np.searchsorted(self.cumulative, draw.random() * self.cumulative[-1], side="right"))

    def branch(self, prompt, completion):
        """Token ids and, for each, whether the next one is learnt."""
        ids = np.concatenate([prompt, completion, [self.ids[text.EOS]]])
        learnt = np.zeros(len(ids), dtype=bool)
        learnt[len(prompt) - 1 : -1] = True
        return ids, learnt

    def mode(self, token):
        return np.array([self.ids[token]], dtype=np.int32)


class Packer:
    """Draws the documents of an update and lays them out in rows of ROW tokens."""

    def __init__(self, corpus, options):
        self.corpus, self.options, self.own = corpus, options, {}

    def problem(self, index, draw):
        """The documents of a problem: its story with its branches, with refine separate if they would not fit into one row."""
        c, o = self.corpus, self.options
        branches = [c.branch(c.mode(text.CHAIN), c.chain[index])]
        if len(c.direct[index]):
            branches.append(c.branch(c.mode(text.DIRECT), c.direct[index]))
        if len(c.program[index]):
            branches.append(c.branch(c.mode(text.PROGRAM), c.program[index]))
        own = self.own.get(index)
        if own is None and draw.random() >= o.refine:
            return [document(c.story[index], branches)]
        if own is not None:
            candidate = own
        elif draw.random() < o.right or not c.wrong[index]:
            candidate = c.chain[index]
        else:
            candidate = c.wrong[index][draw.integers(len(c.wrong[index]))]
        prompt = np.concatenate([c.mode(text.CANDIDATE), candidate, c.mode(text.REFINE)])
        refine = c.branch(prompt, c.chain[index])
        if len(c.story[index]) + sum(len(ids) for ids, _ in [*branches, refine]) > ROW:
            return [document(c.story[index], branches), document(c.story[index], [refine])]
        return [document(c.story[index], [*branches, refine])]

    def drill(self, draw):
        """Bare equations, with the loss after each `=`."""
        c = self.corpus
        ids = [c.ids[text.BOS]]
        for _ in range(6):
            ids += [*c.equations[draw.integers(len(c.equations))], c.stop]
        learnt, after = [], False
        for token in ids:
            after = (after or token == c.equals) and token != c.stop
            learnt.append(after)
        return [(np.array(ids), np.array(learnt), np.arange(len(ids)), np.zeros(len(ids), dtype=np.int64))]

    def batch(self, update, rank):
        """ids, whether the next one is learnt, position, document and branch of every token; [rows, ROW] each."""
        c, o = self.corpus, self.options
        draw = np.random.default_rng([o.seed, update, rank])
        pool = sorted(self.own)
        arrays = [np.zeros((o.rows, ROW), dtype=np.int64) for _ in range(5)]
        fill, number, misses = [0] * o.rows, 0, 0
        while misses < 3:
            kind = draw.random()
            if kind < o.drills:
                documents = self.drill(draw)
            elif kind < o.drills + o.direct_only:
                index = c.has_direct[draw.integers(len(c.has_direct))]
                documents = [document(c.story[index], [c.branch(c.mode(text.DIRECT), c.direct[index])])]
            else:
                own = pool and draw.random() < o.own_share
                index = pool[draw.integers(len(pool))] if own else c.draw(draw)
                documents = self.problem(index, draw)
            for ids, learnt, positions, branches in documents:
                row = next((r for r, used in enumerate(fill) if used + len(ids) <= ROW), None)
                if row is None:
                    misses += 1
                    continue
                number += 1
                for array, part in zip(arrays, (ids, learnt, positions, number, branches)):
                    array[row, fill[row] : fill[row] + len(ids)] = part
                fill[row] += len(ids)
        return arrays


def document(story, branches):
    """Ids, learnt, positions and branch numbers of a story (number 0) and the branches that follow it."""
    parts = [(story, np.zeros(len(story), dtype=bool), 0, 0)]
    parts += [(ids, learnt, len(story), k + 1) for k, (ids, learnt) in enumerate(branches)]
    return (
        np.concatenate([ids for ids, _, _, _ in parts]),
        np.concatenate([learnt for _, learnt, _, _ in parts]),
        np.concatenate([np.arange(start, start + len(ids)) for ids, _, start, _ in parts]),
        np.concatenate([np.full(len(ids), k) for ids, _, _, k in parts]),
    )


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by five Newton-Schulz iterations, for matrices; equal shapes go together."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                by_shape.setdefault(tuple(p.shape), []).append(p)
            for shape, parameters in by_shape.items():
                updates = []
                for p in parameters:
                    momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    momentum.lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(momentum, group["momentum"]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for p, update in zip(parameters, orthogonal(torch.stack(updates))):
                    p.add_(update, alpha=-group["lr"] * scale)


def orthogonal(x):
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


def loss_of(model, batch, device):
    ids, learnt, positions, document, branch = (torch.from_numpy(array).to(device) for array in batch)
    same = document[:, :, None] == document[:, None, :]
    visible = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    mask = (same & visible & torch.ones(ROW, ROW, dtype=torch.bool, device=device).tril())[:, None]
    with torch.autocast(device, torch.bfloat16):
        hidden = model.hidden(ids, positions, mask)
    rows, columns = learnt.nonzero(as_tuple=True)
    return F.cross_entropy(model.logits(hidden[rows, columns].float()), ids[rows, columns + 1])


def own_candidates(model, corpus, options, rank):
    """Chains sampled from the model, {problem index: candidate}, a share `options.right` of them right."""
    draw = np.random.default_rng([options.seed, 1 << 40])
    chosen = list(dict.fromkeys(corpus.draw(draw) for _ in range(options.own_samples)))[rank :: options.workers]
    generator = torch.Generator(options.device).manual_seed(options.seed * 1000 + rank)
    prompts = [[*corpus.story[i].tolist(), corpus.ids[text.CHAIN]] for i in chosen]
    longest = max(len(corpus.chain[i]) for i in chosen) + 8
    completions = sample(model, prompts, corpus.ids[text.EOS], options.own_temperature, longest, generator)
    right, wrong = {}, {}
    for i, completion in zip(chosen, completions):
        if completion[-1] == corpus.ids[text.EOS]:
            said = corpus.tokenizer.decode(completion).rsplit(" ", 1)[-1]
            (right if said == corpus.problems[i]["answer"] else wrong)[i] = np.array(completion[:-1], dtype=np.int32)
    print(f"own samples of worker {rank}: {len(right)} right, {len(wrong)} wrong", flush=True)
    keep = int(len(wrong) * options.right / (1 - options.right))
    mine = {**wrong, **{i: right[i] for i in sorted(right)[:keep]}}
    if options.workers == 1:
        return mine
    parts = [None] * options.workers
    dist.all_gather_object(parts, mine)
    return {i: candidate for part in parts for i, candidate in part.items()}


def train(rank, o):
    torch.set_num_threads(1)
    torch.manual_seed(o.seed)
    if o.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{Path(o.work).resolve()}/rendezvous", rank=rank, world_size=o.workers)
    if o.init:
        model, tokenizer = load_folder(o.init, o.device)
        corpus, config = Corpus(o.corpus, o.weights, tokenizer), model.config
    else:
        corpus = Corpus(o.corpus, o.weights)
        size = corpus.tokenizer.get_vocab_size()
        config = Config(vocab_size=size, hidden_size=o.width, intermediate_size=3 * o.width, num_hidden_layers=o.layers)
        model = Llama(config).to(o.device)
    parameters = list(model.parameters())
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [Muon(matrices, o.rate), torch.optim.AdamW(others, o.adam_rate, betas=(0.9, 0.98), weight_decay=0.0)]
    rates = [o.rate, o.adam_rate]
    packer = Packer(corpus, o)
    update, spent, tokens = 0, 0.0, 0
    checkpoint = Path(o.work) / "checkpoint.pt"
    if o.resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        update, spent, tokens, packer.own = state["update"], state["spent"], state["tokens"], state["own"]
    if rank == 0:
        print(f"{sum(p.numel() for p in parameters)} parameters, {len(corpus.problems)} problems, vocabulary {config.vocab_size}", flush=True)

    def save():
        state = {"model": model.state_dict(), "optimizers": [x.state_dict() for x in optimizers], "own": packer.own}
        torch.save({**state, "update": update, "spent": spent, "tokens": tokens}, checkpoint.with_suffix(".tmp"))
        os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
        save_folder(model, corpus.tokenizer, o.out)
        text.save(corpus.tokenizer, o.out)

    begun, saved, average = time.time() - spent, time.time(), None
    while True:
        spent = time.time() - begun
        progress = shared(max(update / o.updates, spent / (60 * o.minutes) if o.minutes else 0.0), o)
        if progress >= 1:
            break
        if progress >= o.own_mistakes and not packer.own and o.own_share > 0:
            packer.own = own_candidates(model, corpus, o, rank)
        batch = packer.batch(update, rank)
        loss = loss_of(model, batch, o.device)
        for optimizer, rate in zip(optimizers, rates):
            optimizer.zero_grad(set_to_none=True)
            optimizer.param_groups[0]["lr"] = rate * min(1.0, (update + 1) / 60) * max(0.02, 1 - progress)
        loss.backward()
        if o.workers > 1:
            flat = torch.cat([p.grad.reshape(-1) for p in parameters])
            dist.all_reduce(flat)
            for p, gradient in zip(parameters, (flat / o.workers).split([p.numel() for p in parameters])):
                p.grad.copy_(gradient.view_as(p))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        update, tokens = update + 1, tokens + o.workers * int((batch[3] > 0).sum())
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if rank == 0 and update % 100 == 0:
            print(f"update {update} loss {average:.4f} tokens {tokens / 1e6:.2f}M minutes {spent / 60:.1f}", flush=True)
        if rank == 0 and time.time() - saved > 60 * o.checkpoint_minutes:
            save()
            saved = time.time()
    if rank == 0:
        save()


def shared(number, o):
    """The number from worker 0, so that all workers make the same decisions."""
    if o.workers == 1:
        return number
    box = torch.tensor([number], dtype=torch.float64)
    dist.broadcast(box, 0)
    return box.item()


def main():
    o = arguments()
    if o.device != "cpu":
        o.workers = 1
    Path(o.work).mkdir(parents=True, exist_ok=True)
    (Path(o.work) / "rendezvous").unlink(missing_ok=True)
    if o.workers == 1:
        train(0, o)
    else:
        torch.multiprocessing.spawn(train, args=(o,), nprocs=o.workers)


if __name__ == "__main__":
    main()
