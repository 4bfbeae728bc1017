"""The agent: a trained controller with everything needed to answer questions."""

import json
import os
from typing import TYPE_CHECKING, AsyncIterator, Callable, List, Mapping, Optional, Sequence, Tuple, Union

from . import _native
from ._controller import Controller
from ._session import Session
from ._values import Answer, Budget, Event, Plan, PlanLike, answer_of, event_of, plan_of, wish

if TYPE_CHECKING:
    import asyncio

Path = Union[str, "os.PathLike[str]"]


class Agent:
    """Answers questions, plans them, or decides for a program that executes them itself.

    >>> agent = lamas.Agent.open("runs/arithmetic-adaptive")
    >>> agent.answer("a hall has 432 rows of 6 seats . how many seats are in the hall ?").answer
    '2592'

    An agent is immutable: any number of threads and tasks can ask it at once. It belongs to the process that opened it.
    """

    def __init__(self, native: _native.Agent) -> None:
        self._native = native

    @staticmethod
    def open(
        path: Path,
        *,
        endpoint: Optional[str] = None,
        send_keys: Optional[Mapping[str, str]] = None,
        python: Optional[Path] = None,
        run_commands: bool = False,
        allow_unsandboxed: bool = False,
    ) -> "Agent":
        """Opens a checkpoint, or the newest one of a run folder, with the benchmark, operators and models of its run.

        Keys come from the environment, as on the command line. A run that was made elsewhere gets your key, and starts
        programs, only if you name its server (``endpoint``, or ``send_keys={"VARIABLE": "https://server"}``) or its
        interpreter (``python``), or allow its commands (``run_commands``, confined).

        Raises ``InputError`` if there is no such run, or if it asks for more than you allow.
        """
        allowed = {
            "endpoint": endpoint,
            "send_keys": list((send_keys or {}).items()),
            "python": None if python is None else os.fspath(python),
            "run_commands": run_commands,
            "allow_unsandboxed": allow_unsandboxed,
        }
        return Agent(_native.Agent.open(os.fspath(path), json.dumps(allowed)))

    @staticmethod
    def untrained(*, benchmark: Optional[Path] = None, catalogue: Optional[Path] = None) -> "Agent":
        """An agent without a controller and without a model: its sessions follow plans that you give, for recording.

        ``benchmark`` is a folder or the name of a published benchmark, ``catalogue`` a file or a built-in name.
        """
        places = [None if place is None else os.fspath(place) for place in (benchmark, catalogue)]
        return Agent(_native.Agent.untrained(*places))

    @property
    def operators(self) -> List[str]:
        """The names of the operators, in catalogue order."""
        return self._native.operators

    @property
    def remarks(self) -> List[str]:
        """What you should know, one line each: what differs from training, or programs that run without confinement."""
        return self._native.remarks

    @property
    def latency_weights(self) -> Optional[Tuple[float, float]]:
        """The range of latency weights that the controller serves; none if it was trained for one."""
        return self._native.latency_weights

    @property
    def controller(self) -> Controller:
        """The trained network. Raises ``InputError`` if there is none."""
        return Controller(self._native)

    def plan(
        self,
        question: str,
        *,
        budget: Optional[Budget] = None,
        latency_weight: Optional[float] = None,
        confidence: Optional[float] = None,
    ) -> Plan:
        """The first decision for a question: layers of operators, their probabilities, the predicted latency.

        It runs nothing. ``budget`` needs a controller that serves many latency weights (``train(latency_weights=...)``).
        """
        text = self._native.plan(question, wish(budget, latency_weight, None, confidence))
        return plan_of(text, self._native.operators)

    def answer(
        self,
        question: str,
        *,
        budget: Optional[Budget] = None,
        latency_weight: Optional[float] = None,
        plan: Optional[PlanLike] = None,
        confidence: Optional[float] = None,
        conversation: Sequence[Tuple[str, str]] = (),
        draw: int = 0,
        letters: int = 0,
        on_event: Optional[Callable[[Event], object]] = None,
    ) -> Answer:
        """Answers a question. Other threads go on meanwhile, and Ctrl-C stops it.

        ``plan`` is used instead of the controller's, ``confidence`` keeps asking until the answer is right with that
        probability, ``conversation`` holds (role, text) pairs before the question, ``draw`` distinguishes independent
        answers, and the trace keeps ``letters`` of each text. ``on_event`` hears what happens, in this thread.
        """
        options = wish(budget, latency_weight, plan, confidence, None, "", conversation, draw, letters)
        answering = self._native.answer(question, options, False)
        try:
            is_done = False
            while not is_done:
                is_done = answering.wait()
                events = answering.take()
                if on_event is not None:
                    for event in events:
                        on_event(event_of(event))
        except BaseException:
            answering.cancel()
            raise
        return answer_of(answering.result())

    def stream(
        self,
        question: str,
        *,
        budget: Optional[Budget] = None,
        latency_weight: Optional[float] = None,
        plan: Optional[PlanLike] = None,
        confidence: Optional[float] = None,
        conversation: Sequence[Tuple[str, str]] = (),
        draw: int = 0,
        letters: int = 0,
    ) -> "Stream":
        """Begins to answer a question; for ``async for event in stream`` and then ``await stream.answer()``.

        Needs a running event loop. Options as in :meth:`answer`.
        """
        options = wish(budget, latency_weight, plan, confidence, None, "", conversation, draw, letters)
        return Stream(self._native, question, options)

    async def answer_async(
        self,
        question: str,
        *,
        budget: Optional[Budget] = None,
        latency_weight: Optional[float] = None,
        plan: Optional[PlanLike] = None,
        confidence: Optional[float] = None,
        conversation: Sequence[Tuple[str, str]] = (),
        draw: int = 0,
        letters: int = 0,
    ) -> Answer:
        """Like :meth:`answer`, without blocking the event loop. Cancelling the task drops all calls."""
        options = wish(budget, latency_weight, plan, confidence, None, "", conversation, draw, letters)
        return await Stream(self._native, question, options).answer()

    def session(
        self,
        question: str,
        *,
        budget: Optional[Budget] = None,
        latency_weight: Optional[float] = None,
        plan: Optional[PlanLike] = None,
        confidence: Optional[float] = None,
        record: Optional[Path] = None,
        problem: str = "",
        draw: Optional[int] = None,
    ) -> Session:
        """A question whose operators your program executes: see :class:`Session`.

        What ends is written to the file ``record``, one JSON line for each call, as the outcome of ``problem`` (the id
        of a problem of the benchmark). ``lamas train --traces`` learns from it, and ``lamas record merge`` joins the
        files of several processes.
        """
        if draw is None:
            # Outcomes of the world outside are independent, whatever asked for them.
            draw = int.from_bytes(os.urandom(6), "big")
        options = wish(budget, latency_weight, plan, confidence, None, problem, (), draw)
        place = None if record is None else os.fspath(record)
        return Session(self._native.session(question, options, place), self._native.operators)

    def __repr__(self) -> str:
        return f"Agent(operators={self.operators!r})"


class Stream:
    """A question that is being answered in an event loop."""

    def __init__(self, native: _native.Agent, question: str, options: str) -> None:
        import asyncio
        import socket

        self._loop: "asyncio.AbstractEventLoop" = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._events: List[str] = []
        self._answer: Optional[Answer] = None
        self._answering = native.answer(question, options, True)
        self._socket = socket.socket(fileno=self._answering.reader())
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._hear)

    def _hear(self) -> None:
        try:
            has_ended = not self._socket.recv(4096)
        except BlockingIOError:
            return
        if has_ended:
            self._close()
        self._news.set()

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def _wait(self) -> bool:
        """Waits for news; says whether the answer is there and all events have been taken."""
        try:
            while True:
                self._news.clear()
                is_done = self._answering.is_done()
                self._events += self._answering.take()
                if self._events:
                    return False
                if is_done:
                    self._close()
                    return True
                await self._news.wait()
        except BaseException:
            self.cancel()
            raise

    async def __aiter__(self) -> AsyncIterator[Event]:
        """What happens, in the order in which it was decided."""
        while not await self._wait():
            events, self._events = self._events, []
            for event in events:
                yield event_of(event)

    async def answer(self) -> Answer:
        """The answer, once it is there; events that nobody has read are passed over."""
        while not await self._wait():
            self._events = []
        if self._answer is None:
            self._answer = answer_of(self._answering.result())
        return self._answer

    def cancel(self) -> None:
        """Stops answering, and drops all calls."""
        self._answering.cancel()
        self._close()
        self._news.set()
