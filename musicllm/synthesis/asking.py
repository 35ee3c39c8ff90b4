"""Asks the teacher about every item until its answer fits or its tries are over.

Several questions are under way at a time, as many as the engine takes. Within the limits a question
is sent when there is room; a failure of the connection concerns one question, which is sent again
after a while. Every answer is stored as it comes, before anything else is done with it.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field

from musicllm import console
from musicllm.console import Advance
from musicllm.errors import InputError, StageError
from musicllm.inference.engines import Engine
from musicllm.inference.requests import Completion
from musicllm.inference.servers.errors import BusyError, UnansweredError
from musicllm.synthesis import tokens
from musicllm.synthesis.answers import Answer, now
from musicllm.synthesis.desk import Desk, Result
from musicllm.synthesis.dialogue import Dialogues, Question, Settled
from musicllm.synthesis.items import Items
from musicllm.synthesis.kind import Item, Rejected
from musicllm.synthesis.limits import Bucket, Budget, Usage

ENOUGH = 50
"""From so many finished items on, their share of rejected ones can stop the run."""

FIRST_WAIT_S, MOST_WAIT_S = 1.0, 60.0
"""Before a question whose connection failed is sent again; the waits are twice as long each."""

LOOKING_S = 0.05
"""Between two looks whether a question that waits for pace or budget can be sent."""

WAITING_PER_PLACE = 2
"""Questions at the engine for every one that it works on, so that it never waits for the next."""


@dataclass(frozen=True)
class Limits:
    """What asking may send and spend.

    Attributes:
        requests: per minute.
        tokens: per minute.
        budget: of the run.
        max_sends: of one question whose connection fails.
        max_reject_fraction: of the finished items.
    """

    requests: Bucket
    tokens: Bucket
    budget: Budget
    max_sends: int
    max_reject_fraction: float


@dataclass
class Tally:
    """What happened while asking.

    Attributes:
        num_settled: finished items.
        num_rejected: of them.
        num_asked: answers that came.
        num_failed: questions whose connection failed.
        reasons: of rejected items, counted.
        example: one of them, with its reason.
    """

    num_settled: int = 0
    num_rejected: int = 0
    num_asked: int = 0
    num_failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    example: str = ""

    def problem(self, max_reject_fraction: float) -> StageError | None:
        """Return the error of too many rejected items; None where there are few enough."""
        if self.num_rejected <= max_reject_fraction * self.num_settled:
            return None
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common(5))
        return StageError(
            f"{self.num_rejected:,} of {self.num_settled:,} items are rejected, more than "
            f"synthesis.max_reject_fraction={max_reject_fraction:g} of them; of their "
            f"last answers {reasons}; such as {self.example}; look at the prompt and the teacher, "
            "or write a larger fraction; what was answered is stored"
        )


@dataclass(frozen=True)
class _Open:
    """A question under way: the items that share it, and what it can cost at most."""

    items: list[Item]
    bound: Usage


class Asking:
    """See the module; `run` does it.

    Args:
        engine: the teacher.
        items: all of them.
        dialogues: know what is to be asked.
        limits: of sending and spending.
        progress: called for each item that is finished.

    Attributes:
        tally: what has happened so far.
    """

    def __init__(
        self,
        engine: Engine,
        items: Items,
        dialogues: Dialogues,
        limits: Limits,
        progress: Advance,
    ) -> None:
        self.tally = Tally()
        self._engine = engine
        self._items = iter(items)
        self._num_items = len(items)
        self._dialogues = dialogues
        self._limits = limits
        self._progress = progress
        self._open: dict[bytes, _Open] = {}
        self._again: list[tuple[float, int, Item]] = []  # due at, order, item
        self._order = itertools.count()
        self._sends: Counter[str] = Counter()  # failed ones, by item
        self._noted: set[str] = set()
        self._stopped: StageError | None = None
        self._started, self._num_new_tokens = time.monotonic(), 0

    def run(self) -> Tally:
        """Ask about every item; afterwards the store has all answers that decide the result.

        Raises:
            StageError: the budget is used up, or too many items are rejected.
            MusicLLMError: the teacher cannot be asked at all; see `Engine.write`.
        """
        held: Question | None = None
        with Desk[Question](self._engine) as desk:
            while True:
                if self._stopped is None:
                    held = self._fill(desk, held)
                if not desk.num_open and (self._stopped or not (held or self._again)):
                    break
                result = desk.get(self._patience_s(desk, held))
                if result is not None:
                    self._take(result)
        if self._stopped is not None:
            raise self._stopped
        return self.tally

    def _fill(self, desk: Desk[Question], held: Question | None) -> Question | None:
        """Hand questions to the engine while there is room; return one that has to wait."""
        while desk.num_open < WAITING_PER_PLACE * desk.num_together:
            question = held or self._next()
            if question is None or self._stopped is not None:
                return None
            limits, messages = self._limits, question.request.messages or ()
            bound = Usage(tokens.most_of_prompt(messages), self._dialogues.sampling.max_new_tokens)
            if not limits.budget.allows(bound):
                if desk.num_open:
                    return question  # what comes back may have been shorter
                self._stopped = limits.budget.refuse(self.tally.num_settled, self._num_items)
                return None
            if limits.requests.wait_s() or limits.tokens.wait_s():
                return question
            limits.requests.use(1)
            limits.tokens.use(tokens.about_prompt(messages))
            limits.budget.reserve(bound)
            self._open[question.key] = _Open([question.item], bound)
            desk.put(question, question.request)
            held = None
        return held

    def _next(self) -> Question | None:
        """Return the next question; None where there is none now. Finished items are counted."""
        while self._stopped is None:
            if self._again and self._again[0][0] <= time.monotonic():
                item = heapq.heappop(self._again)[2]
            elif (following := next(self._items, None)) is not None:
                item = following
            else:
                return None
            state = self._dialogues.state(item)
            if isinstance(state, Settled):
                self._settle(state)
            elif state.key in self._open:
                self._open[state.key].items.append(item)
            else:
                return state
        return None

    def _patience_s(self, desk: Desk[Question], held: Question | None) -> float | None:
        """Return how long to wait for a result before there may be something else to do."""
        if self._stopped is not None or desk.num_open >= WAITING_PER_PLACE * desk.num_together:
            return None
        if held is not None:
            pace = max(self._limits.requests.wait_s(), self._limits.tokens.wait_s())
            return pace or (LOOKING_S if desk.num_open else 0.0)
        return max(0.0, self._again[0][0] - time.monotonic()) if self._again else None

    def _take(self, result: Result[Question]) -> None:
        """Store an answer, or see what is to be done without one."""
        question, outcome = result
        own = self._open.pop(question.key)
        if isinstance(outcome, Completion):
            answer = _answer(question, outcome)
            usage = Usage(answer.input_tokens, answer.output_tokens)
            self._dialogues.store.add(question.key, answer)
            self._limits.budget.settle(own.bound, usage)
            expected = tokens.about_prompt(question.request.messages or ())
            self._limits.tokens.use(usage.total - expected)
            self._num_new_tokens += usage.output_tokens
            self.tally.num_asked += 1
            wait_s = 0.0
        else:
            wait_s = self._failed(question, own, outcome)
        for item in own.items:
            heapq.heappush(self._again, (time.monotonic() + wait_s, next(self._order), item))

    def _failed(self, question: Question, own: _Open, error: Exception) -> float:
        """Return after how many seconds a question is sent again; 0 where its items are rejected.

        Raises:
            Exception: the error, if it would meet every question.
        """
        self.tally.num_failed += 1
        if isinstance(error, InputError):
            self._limits.budget.settle(own.bound, Usage())
            for item in own.items:
                self._dialogues.refused[item.id] = str(error)
            return 0.0
        if not isinstance(error, BusyError | UnansweredError):
            raise error
        self._limits.budget.settle(own.bound, own.bound)  # the server may have written it all
        self._dialogues.store.charge(own.bound.input_tokens, own.bound.output_tokens)
        name = question.item.id
        self._sends[name] += 1
        if self._sends[name] >= self._limits.max_sends:
            raise error
        wait_s: float = min(FIRST_WAIT_S * 2 ** (self._sends[name] - 1), MOST_WAIT_S)
        if str(error) not in self._noted:
            self._noted.add(str(error))
            console.note(f"{error}; the question is sent again in {wait_s:g} s")
        return wait_s

    def _settle(self, settled: Settled) -> None:
        """Count a finished item; too many rejected ones stop the run."""
        tally = self.tally
        tally.num_settled += 1
        if isinstance(settled.value, Rejected):
            tally.num_rejected += 1
            tally.reasons[settled.value.reason] += 1
            tally.example = f"{settled.item.id}: {settled.value}"
        speed = self._num_new_tokens / max(1e-3, time.monotonic() - self._started)
        cost = self._limits.budget.cost
        self._progress(1, f"{speed:,.0f} tokens/s{f', {cost:.2f} spent' if cost else ''}")
        if tally.num_settled >= ENOUGH:
            self._stopped = tally.problem(self._limits.max_reject_fraction)


def _answer(question: Question, completion: Completion) -> Answer:
    """Return what is stored of a completion; tokens that nobody counted have their upper bound."""
    text = completion.text.encode("utf-8", "replace").decode()
    messages = question.request.messages or ()
    return Answer(
        text,
        completion.finished,
        completion.num_prompt_tokens or tokens.most_of_prompt(messages),
        completion.num_new_tokens or tokens.most(text),
        now(),
    )
