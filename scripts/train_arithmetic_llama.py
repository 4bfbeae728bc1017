"""Trains the embedded arithmetic Llama on a corpus of the Rust generator and writes the model folder.

    lamas data arithmetic --split corpus --count 120000 --seed 1 > corpus.jsonl
    python scripts/train_arithmetic_llama.py --corpus corpus.jsonl --out models/arithmetic-llama --work /tmp/arithmetic

Each problem is packed once: its story, then one branch for every mode (direct, chain, program, refine); a branch sees the
story and itself, and its positions go on from the end of the story. The loss counts completions only. Beside problems
there are drills, bare equations with the loss after `=`. From `--own-mistakes` of the run on, refine branches show chains
that the model itself sampled. The same seed and --updates give the same run; --resume goes on from the last checkpoint.
"""

import argparse
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import arithmetic_tokenizer as text
from arithmetic_llama import Config, Llama, sample, save_folder

ROW = 512


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True, help="the model folder")
    parser.add_argument("--work", required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--minutes", type=float, help="finish early, decay included, after this time")
    parser.add_argument("--problems", type=int, default=20, help="per update")
    parser.add_argument("--direct-only", type=int, default=8, help="further problems per update that show the direct answer only")
    parser.add_argument("--drills", type=int, default=16, help="per update")
    parser.add_argument("--rate", type=float, default=0.02, help="Muon's learning rate")
    parser.add_argument("--adam-rate", type=float, default=3e-3)
    parser.add_argument("--refine", type=float, default=0.4, help="share of the problems that show a refine branch")
    parser.add_argument("--right", type=float, default=0.35, help="share of right candidates among them")
    parser.add_argument("--own-mistakes", type=float, default=0.75)
    parser.add_argument("--own-samples", type=int, default=16000)
    parser.add_argument("--own-temperature", type=float, default=1.3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    return parser.parse_args()


class Corpus:
    """The problems as token ids."""

    def __init__(self, path, tokenizer=None):
        self.problems = [json.loads(line) for line in Path(path).read_text().splitlines()]
        self.tokenizer = tokenizer or text.build(text.words_of(self.problems, at_least=20))
        self.ids = {token: self.tokenizer.token_to_id(token) for token in text.SPECIAL}

        def encode(texts):
            return [np.array(e.ids, dtype=np.int32) for e in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

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

    def branch(self, prompt, completion):
        """Token ids and, for each, whether the next one is learnt."""
        ids = np.concatenate([prompt, completion, [self.ids[text.EOS]]])
        learnt = np.zeros(len(ids), dtype=bool)
        learnt[len(prompt) - 1 : -1] = True
        return ids, learnt

    def mode(self, token):
        return np.array([self.ids[token]], dtype=np.int32)


class Packer:
    """Draws the problems of an update and lays them out in rows of ROW tokens."""

    def __init__(self, corpus, options):
        self.corpus, self.options, self.own = corpus, options, {}

    def document(self, index, draw):
        c, o = self.corpus, self.options
        branches = [c.branch(c.mode(text.CHAIN), c.chain[index])]
        if len(c.direct[index]):
            branches.append(c.branch(c.mode(text.DIRECT), c.direct[index]))
        if len(c.program[index]):
            branches.append(c.branch(c.mode(text.PROGRAM), c.program[index]))
        own = self.own.get(index)
        if own or draw.random() < o.refine:
            if own:
                candidate = own[draw.integers(len(own))]
            elif draw.random() < o.right or not c.wrong[index]:
                candidate = c.chain[index]
            else:
                candidate = c.wrong[index][draw.integers(len(c.wrong[index]))]
            prompt = np.concatenate([c.mode(text.CANDIDATE), candidate, c.mode(text.REFINE)])
            branches.append(c.branch(prompt, c.chain[index]))
        return c.story[index], branches

    def drill(self, draw):
        """Bare equations, the loss after each `=`."""
        c = self.corpus
        ids = [c.ids[text.BOS]]
        for _ in range(6):
            ids += [*c.equations[draw.integers(len(c.equations))], c.tokenizer.token_to_id(".")]
        equals, stop = c.tokenizer.token_to_id("="), c.tokenizer.token_to_id(".")
        learnt, after = [], False
        for token in ids:
            after = (after or token == equals) and token != stop
            learnt.append(after)
        return np.array(ids), [(np.array([], dtype=np.int32), np.array([], dtype=bool))], np.array(learnt)

    def draw(self, update):
        c, o = self.corpus, self.options
        draw = np.random.default_rng([o.seed, update])
        documents = []
        pool = sorted(self.own)
        for slot in range(o.problems):
            # Half of the problems come from the sampled ones, once there are any.
            index = pool[draw.integers(len(pool))] if pool and slot % 2 else int(draw.integers(len(c.problems)))
            story, branches = self.document(index, draw)
            documents.append((story, branches, np.zeros(len(story), dtype=bool)))
        for _ in range(o.direct_only if c.has_direct else 0):
            index = c.has_direct[draw.integers(len(c.has_direct))]
            story = c.story[index]
            documents.append((story, [c.branch(c.mode(text.DIRECT), c.direct[index])], np.zeros(len(story), dtype=bool)))
        documents += [self.drill(draw) for _ in range(o.drills)]
        return self.rows(documents)

    def rows(self, documents):
        """ids, positions, document and branch of each token, and whether its successor is learnt; [rows, ROW] each."""
        lengths = [len(story) + sum(len(ids) for ids, _ in branches) for story, branches, _ in documents]
        fill, place = [], [None] * len(documents)
        for d in sorted(range(len(documents)), key=lambda d: -lengths[d]):
            if lengths[d] > ROW:
                continue
            row = next((r for r, used in enumerate(fill) if used + lengths[d] <= ROW), len(fill))
            if row == len(fill):
                fill.append(0)
            place[d], fill[row] = (row, fill[row]), fill[row] + lengths[d]
        ids, positions, document, branch = (np.zeros((len(fill), ROW), dtype=np.int64) for _ in range(4))
        learnt = np.zeros((len(fill), ROW), dtype=bool)
        for d, (story, branches, story_learnt) in enumerate(documents):
            if place[d] is None:
                continue
            row, at = place[d]
            parts = [(story, story_learnt, 0, 0)] + [(b, l, len(story), k + 1) for k, (b, l) in enumerate(branches)]
            for part, flags, start, number in parts:
                here = slice(at, at + len(part))
                ids[row, here], learnt[row, here] = part, flags
                positions[row, here] = np.arange(start, start + len(part))
                document[row, here], branch[row, here] = d + 1, number
                at += len(part)
        return ids, positions, document, branch, learnt


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
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.mT if tall else x


def loss_of(model, batch, device):
    ids, positions, document, branch, learnt = (torch.from_numpy(array).to(device) for array in batch)
    same = document[:, :, None] == document[:, None, :]
    visible = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    mask = (same & visible & torch.ones(ROW, ROW, dtype=torch.bool, device=device).tril())[:, None]
    hidden = model.hidden(ids, positions, mask)
    rows, columns = learnt.nonzero(as_tuple=True)
    return F.cross_entropy(model.logits(hidden[rows, columns]), ids[rows, columns + 1]), len(rows)


def own_candidates(model, corpus, options):
    """Chains sampled from the model: {problem index: candidates}, with `options.right` of the problems showing a right one."""
    draw = np.random.default_rng([options.seed, 1 << 40])
    generator = torch.Generator(options.device).manual_seed(options.seed)
    chosen = draw.choice(len(corpus.problems), size=min(options.own_samples, len(corpus.problems)), replace=False).tolist()
    prompts = [[*corpus.story[i].tolist(), corpus.ids[text.CHAIN]] for i in chosen]
    longest = max(len(corpus.chain[i]) for i in chosen) + 8
    model.eval()
    completions = sample(model, prompts, corpus.ids[text.EOS], options.own_temperature, longest, generator)
    model.train()
    right, wrong = {}, {}
    for i, completion in zip(chosen, completions):
        if not completion or completion[-1] != corpus.ids[text.EOS]:
            continue
        said = corpus.tokenizer.decode(completion).rsplit(" ", 1)[-1]
        (right if said == corpus.problems[i]["answer"] else wrong)[i] = [np.array(completion[:-1], dtype=np.int32)]
    keep = int(len(wrong) * options.right / (1 - options.right))
    print(f"own samples: {len(right)} right, {len(wrong)} wrong", flush=True)
    return {**wrong, **{i: right[i] for i in sorted(right)[:keep]}}


def main():
    o = arguments()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    random.seed(o.seed)
    work = Path(o.work)
    work.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(o.corpus)
    config = Config(
        vocab_size=corpus.tokenizer.get_vocab_size(), hidden_size=o.width, intermediate_size=3 * o.width, num_hidden_layers=o.layers
    )
    model = Llama(config).to(o.device)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [Muon(matrices, o.rate), torch.optim.AdamW(others, o.adam_rate, betas=(0.9, 0.98), weight_decay=0.0)]
    rates = [o.rate, o.adam_rate]
    packer = Packer(corpus, o)
    update, spent, tokens = 0, 0.0, 0
    checkpoint = work / "checkpoint.pt"
    if o.resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        update, spent, tokens, packer.own = state["update"], state["spent"], state["tokens"], state["own"]
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(corpus.problems)} problems, vocabulary {config.vocab_size}", flush=True)

    def save():
        state = {"model": model.state_dict(), "optimizers": [x.state_dict() for x in optimizers], "own": packer.own}
        torch.save({**state, "update": update, "spent": spent, "tokens": tokens}, work / "checkpoint.tmp")
        os.replace(work / "checkpoint.tmp", checkpoint)
        save_folder(model, corpus.tokenizer, o.out)
        text.save(corpus.tokenizer, o.out)

    begun, saved, average = time.time() - spent, time.time(), None
    while True:
        spent = time.time() - begun
        progress = max(update / o.updates, spent / (60 * o.minutes) if o.minutes else 0.0)
        if progress >= 1:
            break
        if progress >= o.own_mistakes and not packer.own:
            packer.own = own_candidates(model, corpus, o)
        factor = min(1.0, (update + 1) / 60) * max(0.02, 1 - progress)
        batch = packer.draw(update)
        loss, _ = loss_of(model, batch, o.device)
        for optimizer, rate in zip(optimizers, rates):
            optimizer.zero_grad(set_to_none=True)
            optimizer.param_groups[0]["lr"] = rate * factor
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        update, tokens = update + 1, tokens + int((batch[2] > 0).sum())
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if update % 100 == 0:
            print(f"update {update} loss {average:.4f} tokens {tokens / 1e6:.2f}M minutes {(time.time() - begun) / 60:.1f}", flush=True)
        if time.time() - saved > 60 * o.checkpoint_minutes:
            save()
            saved = time.time()
    save()


if __name__ == "__main__":
    main()
