"""Questions on their way to an engine that works in a thread of its own, and what comes back.

The engine takes questions as it has room; who asks sees everything in its own thread.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from musicllm.inference.engines import Engine, Joinable
from musicllm.inference.requests import Completion, WritingRequest

T = TypeVar("T")

ENDING_S = 30.0
"""When asking is stopped, the engine ends at its next token, or within this time."""

NO_LIMIT_S = 1e9


class Result(NamedTuple, Generic[T]):
    """What became of a question.

    Attributes:
        question: as it was put.
        outcome: what the engine wrote, or why it did not.
    """

    question: T
    outcome: Completion | Exception


class _Ticket(Generic[T]):
    """A question for the engine; see `inference.feed.Ticket`."""

    seconds_left = NO_LIMIT_S

    def __init__(self, desk: Desk[T], question: T, request: WritingRequest) -> None:
        self.request = request
        self._desk = desk
        self._question = question

    @property
    def is_over(self) -> bool:
        return self._desk.is_stopped

    def piece(self, text: str) -> None:
        """Leave it alone: the whole comes at the end."""

    def done(self, completion: Completion) -> None:
        self._desk.answers.put(Result(self._question, completion))

    def fail(self, error: Exception) -> None:
        self._desk.answers.put(Result(self._question, error))


class Desk(Generic[T]):
    """Use as `with Desk(engine) as desk`; for the engine it is a `Feed`.

    Args:
        engine: writes; the desk does not close it.

    Attributes:
        num_together: questions that the engine works on at a time.
        num_open: questions whose result was not taken yet.
        is_stopped: nothing more shall be written.
        answers: results, in the order in which they come.
    """

    def __init__(self, engine: Engine) -> None:
        self.num_together = engine.num_together if isinstance(engine, Joinable) else 1
        self.num_open = 0
        self.is_stopped = False
        self.answers: queue.SimpleQueue[Result[T] | BaseException] = queue.SimpleQueue()
        self._engine = engine
        self._waiting: deque[_Ticket[T]] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._wake: Callable[[], None] | None = None
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="teacher", daemon=True)

    def __enter__(self) -> Self:
        """Let the engine begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what is under way, and wait for its end."""
        with self._changed:
            self.is_stopped = self._is_closing = True
            self._waiting.clear()
            self._notify()
        self._thread.join(ENDING_S)

    def put(self, question: T, request: WritingRequest) -> None:
        """Hand a question to the engine."""
        with self._changed:
            self._waiting.append(_Ticket(self, question, request))
            self.num_open += 1
            self._notify()

    def get(self, timeout_s: float | None = None) -> Result[T] | None:
        """Return the next result, or None if none comes within this time.

        Raises:
            BaseException: the engine itself has failed.
        """
        try:
            result = self.answers.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(result, BaseException):
            raise result
        self.num_open -= 1
        return result

    @property
    def is_closed(self) -> bool:
        """See `Feed`."""
        with self._changed:
            return self._is_closing and not self._waiting

    def take(self) -> _Ticket[T] | None:
        """See `Feed`."""
        with self._changed:
            return self._waiting.popleft() if self._waiting else None

    def wait(self) -> bool:
        """See `Feed`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return bool(self._waiting)

    def listen(self, wake: Callable[[], None] | None) -> None:
        """See `Feed`."""
        with self._changed:
            self._wake = wake

    def _notify(self) -> None:
        self._changed.notify_all()
        if self._wake is not None:
            self._wake()

    def _work(self) -> None:
        try:
            if isinstance(self._engine, Joinable):
                self._engine.serve(self)
            else:
                self._one_by_one()
        except BaseException as error:  # noqa: BLE001 - it is raised where results are awaited
            self.answers.put(error)

    def _one_by_one(self) -> None:
        """Let an engine that cannot be joined write one question after the other."""
        while self.wait():
            ticket = self.take()
            if ticket is None:
                continue
            try:
                [(_, completion)] = self._engine.write([ticket.request])
            except Exception as error:  # noqa: BLE001 - it belongs to the question
                ticket.fail(error)
            else:
                ticket.done(completion)
