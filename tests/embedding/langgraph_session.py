"""A LangGraph graph whose branches an agent chooses: `python langgraph_session.py FOLDER`.

First the graph runs every operator on each problem, and the outcomes are recorded. A controller is trained from them. Then
the same graph runs only what the controller chooses. Three functions stand for your chains and agents.
"""

import json
import random
import sys
from operator import add
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import Annotated

import lamas

CATALOGUE = """
[[operator]]
name = "Direct"
kind = "generate"
description = "States the result at once."
[[operator]]
name = "Steps"
kind = "generate"
description = "Works through the sum step by step."
temperature = 0.7
[[operator]]
name = "Calculator"
kind = "generate"
description = "Writes the calculation as code and runs it."
"""
BENCHMARK = """
name = "sums"
description = "Products of numbers of one or of four digits."
answer = "integer"
catalogue = "catalogue.toml"
[splits]
train = "train.jsonl"
validation = "validation.jsonl"
test = "test.jsonl"
[reward]
latency_weight = 0.005
cost_weight = 1.0
gamma = 50.0
"""
SIZES = {"train": 160, "validation": 80, "test": 80}


def product(question: str) -> Tuple[int, int]:
    one, other = (int(word) for word in question.split() if word.isdigit())
    return one, other


def direct(question: str) -> lamas.Solution:
    """Right for small numbers only, and fast."""
    one, other = product(question)
    wrong = random.randint(1, 9) if max(one, other) > 99 else 0
    return lamas.Solution(f"{one * other + wrong}", tokens=3)


def steps(question: str) -> lamas.Solution:
    """Mostly right, and slow."""
    one, other = product(question)
    wrong = random.randint(1, 9) if random.random() < 0.2 else 0
    return lamas.Solution(f"step by step: {one * other + wrong}", tokens=60)


def calculator(question: str) -> lamas.Solution:
    """Right, and in between."""
    one, other = product(question)
    return lamas.Solution(f"{one * other}", tokens=25, executed=True)


OPERATORS: Dict[str, Callable[[str], lamas.Solution]] = {"Direct": direct, "Steps": steps, "Calculator": calculator}


class State(TypedDict, total=False):
    question: str
    session: lamas.Session
    step: lamas.Step
    reports: Annotated[List[lamas.Ended], add]
    told: int


class Branch(TypedDict):
    question: str
    start: lamas.Start


def decide(state: State) -> State:
    """Tells the session what the branches came to, and asks what is next."""
    told, reports = state.get("told", 0), state.get("reports", [])
    step = state["session"].next(reports[told:])
    while step.action in ("commit", "drop") and not step.start:
        step = state["session"].next()
    return {"step": step, "told": len(reports)}


def branches(state: State) -> Any:
    step = state["step"]
    if step.action == "end":
        return END
    sends = [Send(start.operator, {"question": state["question"], "start": start}) for start in step.start]
    return sends or "decide"


def node(operator: str) -> Callable[[Branch], State]:
    def run(branch: Branch) -> State:
        return {"reports": [lamas.Ended(branch["start"].choice, OPERATORS[operator](branch["question"]))]}

    return run


def graph() -> Any:
    built: Any = StateGraph(State)
    built.add_node("decide", decide)
    for operator in OPERATORS:
        built.add_node(operator, node(operator))
        built.add_edge(operator, "decide")
    built.add_edge(START, "decide")
    built.add_conditional_edges("decide", branches, [*OPERATORS, "decide", END])
    return built.compile()


def problems(split: str) -> List[Dict[str, str]]:
    random.seed(split)
    made = []
    for number in range(SIZES[split]):
        most = random.choice([9, 9999])
        one, other = random.randint(1, most), random.randint(1, most)
        question = f"How much is {one} times {other} , question {split} {chr(97 + number % 26)} ?"
        made.append({"id": f"{split}-{number}", "question": question, "answer": str(one * other)})
    return made


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalogue.toml").write_text(CATALOGUE)
    (folder / "benchmark.toml").write_text(BENCHMARK)
    for split in SIZES:
        lines = "".join(json.dumps(problem) + "\n" for problem in problems(split))
        (folder / f"{split}.jsonl").write_text(lines)

    compiled, record = graph(), folder / "outcomes.jsonl"
    agent = lamas.Agent.untrained(benchmark=folder)
    for problem in (problem for split in SIZES for problem in problems(split)):
        session = agent.session(problem["question"], plan=[list(OPERATORS)], record=record, problem=problem["id"])
        compiled.invoke({"question": problem["question"], "session": session})

    run = lamas.train(traces=record, benchmark=folder, out=folder / "run")
    agent, right, tokens, asked = run.agent(), 0, 0.0, 0
    for problem in problems("test"):
        session = agent.session(problem["question"], record=folder / "later.jsonl", problem=problem["id"])
        state = compiled.invoke({"question": problem["question"], "session": session})
        right += state["step"].answer == problem["answer"]
        tokens += state["step"].took.tokens
        asked += len(state["reports"])
    count = SIZES["test"]
    print(f"{right} of {count} right, {tokens / count:.1f} tokens and {asked / count:.2f} operators a question")
    assert right >= 0.9 * count and asked < 3 * count


if __name__ == "__main__":
    main()
