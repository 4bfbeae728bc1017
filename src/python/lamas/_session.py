"""Sessions: the agent decides, your program executes."""

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Literal, Optional, Sequence, Union

from . import _native
from ._values import Latency, Plan, latency, plan_of


@dataclass(frozen=True)
class Solution:
    """A solution that one of your operators gave, and what it took."""

    text: str
    answer: Optional[str] = None
    """The final answer; if absent, it is looked for in the text."""
    score: Optional[float] = None
    """From 0 to 1, if you graded it."""
    tokens: int = 0
    prompt_tokens: int = 0
    seconds: Optional[float] = None
    """If absent, the time since the operator started."""
    cost: Optional[float] = None
    """Dollars; if absent, by the price of the operator's model."""
    executed: bool = False
    """Whether a program that ran computed the answer."""

    def _written(self) -> Dict[str, Any]:
        used = {"prompt_tokens": self.prompt_tokens, "tokens": self.tokens, "seconds": self.seconds, "cost": self.cost}
        return {"text": self.text, "answer": self.answer, "score": self.score, "executed": self.executed, "used": used}


@dataclass(frozen=True)
class Arrived:
    """An operator has given a solution and goes on."""

    choice: int
    solution: Solution
    at: Optional[float] = None
    """Seconds from the start of the session; now if absent."""

    def _what(self) -> Dict[str, Any]:
        return {"arrived": self.solution._written()}


@dataclass(frozen=True)
class Ended:
    """An operator has ended: with solutions, with a mark from 0 to 1 for each solution that it read, or with context."""

    choice: int
    solutions: Union[Solution, Sequence[Solution]] = ()
    marks: Sequence[Optional[float]] = ()
    context: Optional[str] = None
    tokens: int = 0
    """What was used besides the solutions."""
    prompt_tokens: int = 0
    seconds: Optional[float] = None
    cost: Optional[float] = None
    at: Optional[float] = None

    def _what(self) -> Dict[str, Any]:
        given = [self.solutions] if isinstance(self.solutions, Solution) else list(self.solutions)
        used = {"prompt_tokens": self.prompt_tokens, "tokens": self.tokens, "seconds": self.seconds, "cost": self.cost}
        ended: Dict[str, Any] = {"solutions": [solution._written() for solution in given], "marks": list(self.marks)}
        return {"ended": {**ended, "context": self.context, "used": used}}


@dataclass(frozen=True)
class Failed:
    """An operator has failed. The question goes on without it, and nothing is recorded."""

    choice: int
    reason: str = ""
    at: Optional[float] = None

    def _what(self) -> Dict[str, Any]:
        return {"failed": self.reason}


Report = Union[Arrived, Ended, Failed]


@dataclass(frozen=True)
class Start:
    """An operator that your program is to start now."""

    choice: int
    """Its number, which its reports name."""
    operator: str
    layer: int
    samples: int
    """How many solutions it is to give."""
    solutions: List[str]
    """The solutions that it reads, in plan order."""
    context: List[str]
    """What other operators left for it to read."""


@dataclass(frozen=True)
class Step:
    """A decision, and what to start."""

    action: Literal["commit", "wait", "drop", "end"]
    """``commit``: layers were added to the plan; ``drop``: cancel ``cancel``. After both, ask again at once. ``wait``:
    report news before you ask again. ``end``: the answer is there; cancel ``cancel``."""
    start: List[Start] = field(default_factory=list)
    """What to start now, whatever the action; each operator is named once."""
    layers: List[List[str]] = field(default_factory=list)
    """What was committed."""
    cancel: List[int] = field(default_factory=list)
    """The numbers of operators that are no longer needed."""
    answer: Optional[str] = None
    """The final answer, at the end."""
    text: Optional[str] = None
    """The solution that the vote takes, at the end."""
    confidence: Optional[float] = None
    took: Optional[Latency] = None
    """From the start to the end of the last operator that ended."""
    cost: float = 0.0
    """Dollars, at the end."""


class Session:
    """A question whose operators your program executes, with asyncio, LangGraph, Ray or threads.

    >>> session = agent.session(question, budget="2s", record="outcomes.jsonl")
    >>> step = session.next()
    >>> while step.action != "end":
    ...     begin(step.start)
    ...     step = session.next(wait_for_one() if step.action == "wait" else [])

    Plain votes and stops run inside; everything else is yours to start when a step names it.
    """

    def __init__(self, native: _native.Session, operators: Sequence[str]) -> None:
        self._native = native
        self._operators = operators

    @property
    def first(self) -> Plan:
        """The plan that the question begins with, without probabilities."""
        return plan_of(self._native.first(), self._operators)

    def next(self, reports: Union[Report, Iterable[Report]] = ()) -> Step:
        """Takes all that has happened since the last call, and decides.

        Raises ``InputError``, and takes nothing in, if a report does not fit what was to be started.
        """
        given = [reports] if isinstance(reports, (Arrived, Ended, Failed)) else reports
        written = [{"choice": report.choice, "at": report.at, "what": report._what()} for report in given]
        value = json.loads(self._native.next(json.dumps(written)))
        return Step(
            action=value["action"],
            start=[Start(**start) for start in value["start"]],
            layers=value.get("layers", []),
            cancel=value.get("choices", value.get("cancel", [])),
            answer=value.get("answer"),
            text=value.get("text"),
            confidence=value.get("confidence"),
            took=latency(value.get("took")),
            cost=value.get("cost", 0.0),
        )
