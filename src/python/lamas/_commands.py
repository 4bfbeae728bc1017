"""Training and grading."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from . import _native
from ._agent import Agent

Place = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Run:
    """A run folder."""

    folder: Path

    def agent(self) -> Agent:
        """The agent of the run."""
        return Agent.open(self.folder)

    @property
    def results(self) -> Dict[str, Any]:
        """What ``results.json`` holds: the table of all methods, with intervals. Empty if nothing was evaluated."""
        file = self.folder / "results.json"
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def train(
    *,
    out: Place,
    traces: Optional[Place] = None,
    benchmark: Optional[Place] = None,
    catalogue: Optional[Place] = None,
    record: Optional[Place] = None,
    preset: Optional[str] = None,
    seed: Optional[int] = None,
    seeds: Optional[int] = None,
    epochs: Optional[int] = None,
    latency_weights: Optional[str] = None,
    second_costs: Optional[float] = None,
    dollar_costs: Optional[float] = None,
    endpoint: Optional[str] = None,
    model_name: Optional[str] = None,
    price: Optional[float] = None,
    max_cost: Optional[float] = None,
    config: Optional[Place] = None,
    evaluate: bool = True,
    arguments: Sequence[str] = (),
) -> Run:
    """Trains a controller, as ``lamas train`` does; the options are its flags, and ``arguments`` holds further ones.

    The results go to the folder ``out``, the progress to standard error and the table to standard output. Ctrl-C stops
    at the next safe point (a second one ends the process); ``lamas train --resume OUT`` then continues.

    Without ``traces`` (recorded outputs, or a record of sessions) a model answers: the built-in one unless
    ``model_name`` or ``arguments`` say otherwise.
    """
    flags = {
        "out": out,
        "traces": traces,
        "benchmark": benchmark,
        "catalogue": catalogue,
        "record": record,
        "preset": preset,
        "seed": seed,
        "seeds": seeds,
        "epochs": epochs,
        "latency-weights": latency_weights,
        "second-costs": second_costs,
        "dollar-costs": dollar_costs,
        "endpoint": endpoint,
        "model-name": model_name,
        "price": price,
        "max-cost": max_cost,
        "config": config,
    }
    words = ["lamas", "train"]
    for name, value in flags.items():
        if value is not None:
            words += [f"--{name}", os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    words += [] if evaluate else ["--no-evaluation"]
    settle_threads()
    _native.call([*words, *arguments])
    return Run(Path(out))


def settle_threads() -> None:
    """As the command does at its start: without this, a training step takes more than twice as long."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("RAYON_NUM_THREADS", str(cores))
    os.environ.setdefault("CANDLE_NUM_THREADS", "1")


@dataclass(frozen=True)
class Grade:
    """The verdict on one prediction."""

    correct: Optional[bool]
    """None if the task's own tests cannot decide."""
    extracted: Optional[str]
    """The answer that was found in it."""
    reference: Optional[str] = None
    task: Optional[str] = None
    """Of code: the id of its task."""
    fault: Optional[str] = None
    """Of code: why it failed, or why it cannot be decided."""


def grade(
    benchmark: str,
    predictions: Iterable[Mapping[str, Any]],
    *,
    tests: Optional[Iterable[Mapping[str, Any]]] = None,
    python: Optional[Place] = None,
    allow_unsandboxed: bool = False,
) -> List[Grade]:
    """Grades predictions, as ``lamas grade`` does.

    ``benchmark`` is ``math`` or ``gsm8k``, with predictions that hold ``pred`` (the answer) or ``text`` (the solution)
    and ``ref`` or ``gold``; or ``humaneval``, with ``task_id`` and ``completion``, whose tests (``tests``, lines of the
    published file) run confined.

    >>> lamas.grade("math", [{"pred": "0.5", "ref": "\\\\frac{1}{2}"}])[0].correct
    True
    """
    lines = "".join(json.dumps(dict(prediction)) + "\n" for prediction in predictions)
    if benchmark != "humaneval":
        rows = json.loads(_native.grade(benchmark, lines, "predictions"))
        return [Grade(row["correct"], row["extracted"], row["reference"]) for row in rows]
    tasks = None if tests is None else "".join(json.dumps(dict(task)) + "\n" for task in tests)
    interpreter = None if python is None else os.fspath(python)
    rows = json.loads(_native.grade_code(lines, "predictions", tasks, interpreter, allow_unsandboxed))
    return [
        Grade(
            correct=None if row.get("unsupported") else row["correct"],
            extracted=row["extracted"],
            task=row["task_id"],
            fault=row.get("unsupported") or row.get("fault"),
        )
        for row in rows
    ]
