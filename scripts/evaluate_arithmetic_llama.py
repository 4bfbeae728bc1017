"""Runs every operator of the arithmetic workload on a split, in PyTorch, and prints accuracy and tokens.

    python scripts/evaluate_arithmetic_llama.py --model models/arithmetic-llama --problems data/arithmetic/test.jsonl --outcomes test-outcomes.jsonl

Each draw of a problem is one direct answer, five chains, one program and one refinement of the first chain. --outcomes
writes what a dozen small plans make of them, for scripts/routing_study.py; `lamas operators` does the same with the Rust
back end. Tokens are completion tokens with the final `</s>`.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import torch

from arithmetic_llama import load_folder, sample

CHAINS = 5
STATEMENT = re.compile(r"(?:([a-z]) = |return )(.+)")
TERM = re.compile(r"[a-z]|[0-9]+")


def final_answer(chain):
    """The number after `the answer is`, or None."""
    found = re.findall(r"the answer is (\d+)", chain)
    return found[-1] if found else None


def run_program(program):
    """What `a = 5 * 12 ; b = a - 7 ; return b` returns, or None if it does not run; division must be exact."""
    values = {}
    for statement in program.split(" ; "):
        match = STATEMENT.fullmatch(statement)
        value = expression(match[2].split(" "), values) if match else None
        if value is None or value.denominator != 1:
            return None
        if match[1] is None:
            return str(value)
        values[match[1]] = value
    return None


def expression(tokens, values):
    def term(token):
        if not TERM.fullmatch(token):
            return None
        return values.get(token) if token.isalpha() else Fraction(token)

    terms, signs = [term(token) for token in tokens[::2]], tokens[1::2]
    if len(tokens) % 2 == 0 or None in terms:
        return None
    total, product = Fraction(0), terms[0]
    for sign, value in zip(signs, terms[1:]):
        if sign in "+-":
            total, product = total + product, value if sign == "+" else -value
        elif sign == "*":
            product = product * value
        elif sign == "/" and value != 0 and product.denominator == 1:
            product = product / value
            if product.denominator != 1:
                return None
        else:
            return None
    return total + product


def equations_hold(chain):
    """Whether every `a op b = c` in the chain holds, for the operations that programs have."""
    for left, sign, right, result in re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", chain):
        if expression([left, sign, right], {}) != Fraction(result):
            return False
    return True


def vote(answers, executed=None):
    """The most frequent answer; among equals the program's, or else the last one; None is no vote."""
    counts = Counter(answer for answer in answers if answer is not None)
    last = {answer: position for position, answer in enumerate(answers)}
    return max(counts, key=lambda answer: (counts[answer], answer == executed, last[answer])) if counts else None


def outcomes(model, tokenizer, problems, o):
    """One dict per problem: its fields and `draws`."""
    generator = torch.Generator().manual_seed(o.seed)
    eos = tokenizer.token_to_id("</s>")

    def run(texts, temperature, max_tokens):
        prompts = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        done = sample(model, prompts, eos, temperature, max_tokens, generator)
        return [(text, len(ids)) for text, ids in zip(tokenizer.decode_batch(done), done)]

    questions = [p["question"] for p in problems]
    results = [{k: p[k] for k in ("id", "question", "answer", "kind", "steps")} | {"draws": []} for p in problems]
    for _ in range(o.draws):
        direct = run([f"{q} <|direct|>" for q in questions], o.direct_temperature, o.direct_tokens)
        programs = run([f"{q} <|program|>" for q in questions], o.program_temperature, o.max_tokens)
        chains = run([f"{q} <|chain|>" for q in questions for _ in range(CHAINS)], o.temperature, o.max_tokens)
        first = chains[::CHAINS]
        refined = run(
            [f"{q} <|candidate|> {chain} <|refine|>" for q, (chain, _) in zip(questions, first)], o.refine_temperature, o.max_tokens
        )
        for i, result in enumerate(results):
            result["draws"].append(
                {
                    "direct": {"answer": direct[i][0], "tokens": direct[i][1]},
                    "program": {"text": programs[i][0], "answer": run_program(programs[i][0]), "tokens": programs[i][1]},
                    "chains": [
                        {"text": chain, "answer": final_answer(chain), "tokens": tokens, "holds": equations_hold(chain)}
                        for chain, tokens in chains[i * CHAINS : (i + 1) * CHAINS]
                    ],
                    "refined": {"text": refined[i][0], "answer": final_answer(refined[i][0]), "tokens": refined[i][1]},
                }
            )
    return results


# What one run of a tool adds to the path, in tokens.
TOOL = 1.0


def chains_vote(count):
    def plan(d):
        chains = d["chains"][:count]
        return vote([c["answer"] for c in chains]), max(c["tokens"] for c in chains), sum(c["tokens"] for c in chains)

    return plan


def beside(*plans):
    """Parallel plans whose answers vote."""

    def plan(d):
        parts = [part(d) for part in plans]
        executed = program(d)[0] if program in plans else None
        return vote([p[0] for p in parts], executed), max(p[1] for p in parts), sum(p[2] for p in parts)

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


# Named as `lamas operators --plan` reads them.
PLANS = {
    "Generate": direct,
    "GenerateCoT": single(0),
    "Programmer": program,
    "MultiGenerateCoT;ScEnsemble": chains_vote(3),
    "MultiGenerateCoT,GenerateCoT;GenerateCoT;ScEnsemble": chains_vote(5),
    "Programmer,GenerateCoT;ScEnsemble": beside(program, single(0)),
    "Programmer,MultiGenerateCoT;ScEnsemble": beside(program, *map(single, range(3))),
    "Programmer,MultiGenerateCoT,GenerateCoT;GenerateCoT;ScEnsemble": beside(program, *map(single, range(5))),
    "GenerateCoT;SelfRefine": refined,
    "GenerateCoT;Test": checked,
    "Generate,Programmer;ScEnsemble": beside(program, direct),
    "Generate,MultiGenerateCoT;ScEnsemble": beside(direct, *map(single, range(3))),
}


COLUMNS = ["direct", "chain", "vote 3", "vote 5", "program", "no run", "refined", "mends", "breaks"]


def row(results):
    """Means over the draws of `results`: {column: (value, tokens)}."""
    sums = defaultdict(list)
    for result in results:
        right = result["answer"]
        for d in result["draws"]:
            chains = [c["answer"] for c in d["chains"]]
            sums["direct"].append((d["direct"]["answer"] == right, d["direct"]["tokens"]))
            sums["program"].append((d["program"]["answer"] == right, d["program"]["tokens"]))
            sums["no run"].append((d["program"]["answer"] is None, 0))
            for c in d["chains"]:
                sums["chain"].append((c["answer"] == right, c["tokens"]))
            sums["vote 3"].append((vote(chains[:3]) == right, max(c["tokens"] for c in d["chains"][:3])))
            sums["vote 5"].append((vote(chains) == right, max(c["tokens"] for c in d["chains"])))
            fixed = d["refined"]["answer"] == right
            sums["refined"].append((fixed, d["refined"]["tokens"]))
            if chains[0] == right:
                sums["breaks"].append((not fixed, 0))
            else:
                sums["mends"].append((fixed, 0))
    return {column: tuple(sum(x) / len(x) for x in zip(*values)) for column, values in sums.items()}


def table(results, key):
    groups = defaultdict(list)
    for result in results:
        groups[result[key]].append(result)
    print(f"\n| {key} | n | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 2))
    for name, group in [*sorted(groups.items()), ("all", results)]:
        means = row(group)
        cells = []
        for column in COLUMNS:
            value, tokens = means.get(column, (None, 0))
            cells.append("-" if value is None else f"{value:.3f}" + (f" / {tokens:.1f}" if tokens else ""))
        print(f"| {name} | {len(group)} | " + " | ".join(cells) + " |")


def plan_outcomes(results):
    """What each plan did on each problem in each draw, in the form of `lamas operators --out`."""
    for result in results:
        for number, draw in enumerate(result["draws"]):
            for name, plan in PLANS.items():
                answer, path, tokens = plan(draw)
                yield {
                    "plan": name,
                    "problem": result["id"],
                    "kind": result["kind"],
                    "steps": result["steps"],
                    "question": result["question"],
                    "draw": number,
                    "score": float(answer == result["answer"]),
                    "path": path,
                    "completion_tokens": tokens,
                }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="models/arithmetic-llama")
    parser.add_argument("--problems", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--outcomes")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=1.85, help="of chains")
    parser.add_argument("--direct-temperature", type=float, default=0.0)
    parser.add_argument("--program-temperature", type=float, default=0.5)
    parser.add_argument("--refine-temperature", type=float, default=0.0)
    parser.add_argument("--direct-tokens", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    model, tokenizer = load_folder(o.model)
    problems = [json.loads(line) for line in Path(o.problems).read_text().splitlines()][: o.limit]
    results = outcomes(model, tokenizer, problems, o)
    table(results, "steps")
    table(results, "kind")
    if o.outcomes:
        Path(o.outcomes).write_text("".join(json.dumps(line) + "\n" for line in plan_outcomes(results)))


if __name__ == "__main__":
    main()
