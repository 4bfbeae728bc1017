"""Learns which language-model calls to make in parallel for each question: right answers, fast.

``Agent`` answers questions with a trained controller, or decides for a program that executes them itself
(``Agent.session``); ``Controller`` is the network alone; ``train`` and ``grade`` do what the commands of the same name do.
"""

from pathlib import Path as _Path

from . import _native
from ._agent import Agent, Stream
from ._commands import Grade, Run, grade, train
from ._controller import Controller
from ._errors import CapError, Error, InputError, OutsideError
from ._session import Arrived, Ended, Failed, Report, Session, Solution, Start, Step
from ._values import Answer, Budget, Event, Latency, Plan, PlanLike

__version__ = _native.__version__

_helper = _Path(__file__).with_name("lamas-sandbox")
if _helper.exists():
    _native.use_helper(str(_helper))

__all__ = [
    "Agent",
    "Answer",
    "Arrived",
    "Budget",
    "CapError",
    "Controller",
    "Ended",
    "Error",
    "Event",
    "Failed",
    "Grade",
    "InputError",
    "Latency",
    "OutsideError",
    "Plan",
    "PlanLike",
    "Report",
    "Run",
    "Session",
    "Solution",
    "Start",
    "Step",
    "Stream",
    "grade",
    "train",
]
