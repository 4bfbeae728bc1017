"""What the package takes and gives, as plain values."""

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Optional, Sequence, Tuple, Union

Budget = Union[str, float, int]
"""``"2s"``, ``"500ms"`` or ``"120tokens"``; a number counts seconds."""

PlanLike = Union[str, Sequence[Sequence[str]]]
"""``"A,B;C"`` or ``[["A", "B"], ["C"]]``: layers of the names of operators."""


@dataclass(frozen=True)
class Latency:
    """A duration in tokens written one after another, and in seconds."""

    tokens: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The first decision for a question."""

    layers: List[List[str]]
    """The names of the operators, layer by layer."""
    probabilities: List[Dict[str, float]]
    """For each layer, how likely the controller includes each operator of the catalogue, given the layers before; empty
    without a controller."""
    then: Literal["nothing", "escalate", "ask"]
    """What follows: nothing; each further layer only if the answers before it differ; or more operators if that pays."""
    predicted: Optional[Latency]
    """The predicted critical path; none without a latency model."""
    bound: Optional[Latency]
    """What 95 % of such plans take at most."""
    latency_weight: Optional[float]
    """The latency weight that the plan was chosen for, if the controller serves several."""
    within_budget: bool
    """Whether the plan is predicted to keep the budget; true without one."""

    def __str__(self) -> str:
        return ";".join(",".join(layer) for layer in self.layers)


@dataclass(frozen=True)
class Event:
    """Something that happened while a question was answered."""

    kind: Literal["committed", "started", "arrived", "ended"]
    choice: int
    """The number of the operator in the plan."""
    operator: str
    at: Latency
    """From the start of the question."""
    layer: Optional[int] = None
    """Of what was committed."""
    text: Optional[str] = None
    """Of what arrived."""
    answer: Optional[str] = None
    outcome: Any = None
    """How it ended: ``"done"``, ``"cancelled"``, ``"skipped"`` or ``{"failed": reason}``."""


@dataclass(frozen=True)
class Answer:
    """An answer, and what it took."""

    answer: Optional[str]
    """The final answer, if there is one that is certain enough."""
    text: Optional[str]
    """The solution that the vote takes."""
    confidence: Optional[float]
    """Probability that the likeliest answer is right, if the run learned to predict it."""
    plan: List[List[str]]
    """The operators that were committed, layer by layer."""
    tokens: float
    """The critical path in tokens."""
    seconds: float
    cost: float
    """Dollars."""
    prompt_tokens: int
    completion_tokens: int
    predicted: Optional[Latency]
    latency_weight: Optional[float]
    within_budget: bool
    trace: Dict[str, Any] = field(repr=False)
    """What happened to each operator, in the form of ``lamas run --json``."""


def latency(value: Optional[Mapping[str, float]]) -> Optional[Latency]:
    return None if value is None else Latency(value["tokens"], value["seconds"])


def plan_of(text: str, operators: Sequence[str]) -> Plan:
    value = json.loads(text)
    return Plan(
        layers=value["layers"],
        probabilities=[dict(zip(operators, row)) for row in value.get("probabilities", [])],
        then=value["then"],
        predicted=latency(value["predicted"]),
        bound=latency(value.get("bound")),
        latency_weight=value["latency_weight"],
        within_budget=value["within_budget"],
    )


def event_of(text: str) -> Event:
    value = json.loads(text)
    at = Latency(value["at"]["tokens"], value["at"]["seconds"])
    return Event(
        kind=value["event"],
        choice=value["choice"],
        operator=value["operator"],
        at=at,
        layer=value.get("layer"),
        text=value.get("text"),
        answer=value.get("answer"),
        outcome=value.get("outcome"),
    )


def answer_of(text: str) -> Answer:
    value = json.loads(text)
    value["predicted"] = latency(value["predicted"])
    return Answer(**value)


def plan_text(plan: PlanLike) -> str:
    return plan if isinstance(plan, str) else ";".join(",".join(layer) for layer in plan)


def wish(
    budget: Optional[Budget] = None,
    latency_weight: Optional[float] = None,
    plan: Optional[PlanLike] = None,
    confidence: Optional[float] = None,
    clock: Optional[str] = None,
    called: str = "",
    conversation: Sequence[Tuple[str, str]] = (),
    draw: int = 0,
    letters: int = 0,
) -> str:
    """The options of a question, as the native part reads them; those that are absent are left out."""
    said: Dict[str, Any] = {}
    if budget is not None:
        said["budget"] = budget if isinstance(budget, str) else f"{float(budget)!r}s"
    if plan is not None:
        said["plan"] = plan_text(plan)
    for name, value in (("latency_weight", latency_weight), ("confidence", confidence), ("clock", clock)):
        if value is not None:
            said[name] = value
    for name, given in (("called", called), ("conversation", list(conversation)), ("draw", draw), ("letters", letters)):
        if given:
            said[name] = given
    return json.dumps(said) if said else ""
