"""The trained network: embeddings, probabilities and log-probabilities as numpy arrays."""

import os
from typing import TYPE_CHECKING, Any, Iterable, Optional, Sequence, Union

from . import _native
from ._errors import InputError
from ._values import PlanLike, plan_text

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


def _numpy() -> Any:
    """numpy, which is loaded only where arrays are asked for."""
    try:
        import numpy
    except ImportError as error:
        raise ImportError("arrays need numpy; hint: `pip install lamas[arrays]`") from error
    return numpy


class Controller:
    """A trained controller as a function from questions to probabilities of operators.

    >>> controller = lamas.Controller.open("runs/arithmetic-adaptive")
    >>> controller.probabilities("alex has 7 books .").shape
    (1, 8)
    """

    def __init__(self, native: _native.Agent) -> None:
        if not native.is_trained:
            raise InputError("expected a trained controller, found none; hint: open a run that `train` has made")
        self._native = native

    @staticmethod
    def open(path: Union[str, "os.PathLike[str]"]) -> "Controller":
        """Opens the controller of a run folder or of a checkpoint."""
        return Controller(_native.Agent.open(os.fspath(path), "{}"))

    @property
    def operators(self) -> Sequence[str]:
        """The names of the operators: the columns of :meth:`probabilities`."""
        return self._native.operators

    def embed(self, questions: Union[str, Iterable[str]]) -> "NDArray[numpy.float32]":
        """The embeddings that the controller reads, one row for each question."""
        array = _numpy()
        given = [questions] if isinstance(questions, str) else list(questions)
        values, dimension = self._native.embed(given)
        rows: "NDArray[numpy.float32]" = array.frombuffer(values, array.float32).reshape(len(given), dimension).copy()
        return rows

    def probabilities(
        self, question: str, plan: Optional[PlanLike] = None, *, latency_weight: Optional[float] = None
    ) -> "NDArray[numpy.float32]":
        """For each layer of a plan (the likeliest one if absent), the probability of each operator given the layers
        before: of being in the layer, or, for the published methods, of being drawn first."""
        array = _numpy()
        named = None if plan is None else plan_text(plan)
        values = self._native.probabilities(question, named, latency_weight)
        rows: "NDArray[numpy.float32]" = array.frombuffer(values, array.float32).reshape(-1, len(self.operators)).copy()
        return rows

    def log_probabilities(
        self, question: str, plans: Iterable[PlanLike], *, latency_weight: Optional[float] = None
    ) -> "NDArray[numpy.float64]":
        """The log-probability that the controller draws each plan; minus infinity for a plan that it cannot draw."""
        array = _numpy()
        values = self._native.log_probabilities(question, [plan_text(plan) for plan in plans], latency_weight)
        found: "NDArray[numpy.float64]" = array.asarray(values, array.float64)
        return found
