"""The loop: write, check, and write again what has a fault, until it has none or tries run out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from musicllm.data.records import Message
from musicllm.evals.requests import Request
from musicllm.inference.engines import Engine
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.serve.answers import check_tunes
from musicllm.serve.repair import Repair
from musicllm.serve.repair.faults import Fault, faults_of

STEP = 0x85EBCA6B
"""Odd, so that the tries of an answer have different seeds, and not those of other candidates."""


@dataclass(frozen=True)
class Try:
    """One try of an answer.

    Attributes:
        request: what the model saw.
        completion: what it wrote.
        faults: of the answer; none ends the loop.
    """

    request: WritingRequest
    completion: Completion
    faults: Sequence[Fault]


@dataclass
class Chain:
    """The tries of one answer, the first one's request at the beginning.

    Attributes:
        first: request of the first try.
        tries: so far.
    """

    first: WritingRequest
    tries: list[Try] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether the last try has no fault."""
        return bool(self.tries) and not self.tries[-1].faults

    def is_over(self, num_tries: int) -> bool:
        """Return whether nothing more is written, with a limit on the tries."""
        return self.is_right or len(self.tries) >= num_tries

    def next_request(self, repair: Repair, engine: Engine) -> WritingRequest:
        """Return the request of the next try: the first with a seed of its own, and faults told.

        A beginning that is continued, a kind of repair that says nothing, and a conversation that
        would leave no room for an answer are written again as they were.
        """
        if not self.tries:
            return self.first
        seed = (self.first.seed + len(self.tries) * STEP) % 2**32
        again = replace(self.first, seed=seed)
        if self.first.messages is None:
            return again
        last = self.tries[-1]
        messages = repair.follow_up(self.first.messages, last.completion.text, last.faults)
        if messages is None or not _has_room(engine, messages, self.first):
            return again
        return replace(again, messages=tuple(messages))


def write(
    engine: Engine,
    chains: Sequence[Chain],
    *,
    num_tries: int,
    repair: Repair,
    faults: Callable[[int, WritingRequest, Completion], Sequence[Fault]],
) -> Iterator[int]:
    """Add tries to chains until each is right or has `num_tries`; yield the index that grew.

    All chains take their next try together, so that an engine's batches stay full; a chain is a
    function of its own first request, not of the others. Cost: at most `num_tries` times that of
    the answers, and less by those that are right at once.

    Args:
        engine: any.
        chains: with the tries that are there already.
        num_tries: of one answer, at most.
        repair: what the model sees in a further try.
        faults: of an answer, by the index of its chain.
    """
    while due := [index for index, chain in enumerate(chains) if not chain.is_over(num_tries)]:
        requests = [chains[index].next_request(repair, engine) for index in due]
        for place, completion in engine.write(requests):
            index, request = due[place], requests[place]
            own = Try(request, completion, faults(index, request, completion))
            chains[index].tries.append(own)
            yield index


def _has_room(engine: Engine, messages: Sequence[Message], first: WritingRequest) -> bool:
    count = None if engine.context is None else engine.count_tokens(messages)
    if engine.context is None or count is None:
        return True
    return count + first.settings.max_new_tokens <= engine.context


def compose(
    engine: Engine,
    request: WritingRequest,
    *,
    num_tries: int,
    repair: Repair,
    conditions: Request | None = None,
) -> Try:
    """Return the first try without faults; where all have some, the one with the fewest.

    Args:
        engine: any.
        request: of a tune; a beginning is checked together with its continuation.
        num_tries: at most.
        repair: what the model sees in a further try.
        conditions: that the first tune must meet; None for none.

    Raises:
        MusicLLMError: whatever the engine raises.
    """

    def faults(_index: int, _request: WritingRequest, completion: Completion) -> list[Fault]:
        tunes = check_tunes(f"{request.text or ''}{completion.text}")
        return faults_of(tunes, finished=completion.finished, request=conditions)

    chain = Chain(request)
    for _ in write(engine, [chain], num_tries=num_tries, repair=repair, faults=faults):
        pass
    return min(chain.tries, key=lambda own: len(own.faults))
