"""Scores sequences portion by portion: alone or with other processes, anew or continued.

What is fed is planned in `planning`, how in `portions` and `reader`; here batches are formed and
results collected. Which rows share a batch depends on the portion alone, so one process and several
give the same numbers.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from musicllm import artifacts, console
from musicllm.inference.scorer.memory import Room, is_out_of_memory, too_large
from musicllm.inference.scorer.planning import Item, Portion, plan
from musicllm.inference.scorer.portions import Prefix, Scored, key_of
from musicllm.inference.scorer.reader import Reader
from musicllm.inference.scorer.team import Alone, Team, dealt

PREFIX_ROWS = 16
"""The rows of a batch, times their length with the prefix, are at most so often its tokens."""

Memoize = Callable[[str, Callable[[], Any]], Any]
"""Returns the JSON value that is stored under a name, or measures and stores it."""


class Scorer:
    """Scores sequences under one model.

    Args:
        model: any causal language model, with or without PEFT's adapters; left as it was.
        team: the processes that share the work; None: this one.
    """

    def __init__(self, model: nn.Module, team: Team | None = None) -> None:
        self.reader = Reader(model)
        self.team = team or Alone()
        with self.reader.reading():
            self._room = Room(self.reader.device, self._feed)

    def score(
        self, items: Sequence[Item], description: str = "scoring", memoize: Memoize | None = None
    ) -> list[Scored]:
        """Score all items.

        Time grows with the tokens that are fed (`planning`), memory with those of a batch and of
        the longest prefix.

        Args:
            items: in any order.
            description: of the progress bar.
            memoize: where finished portions are stored and looked up; None stores nothing.

        Returns:
            One result per item, in their order, in every process of the team.

        Raises:
            StageError: memory does not suffice for one input, or a likelihood is not a number.
        """
        portions = plan(items, share=self.reader.shares)
        mine = dealt(portions, self.team.size)[self.team.rank]
        scored: dict[int, Scored] = {}
        total = sum(len(portion.hosts) for portion in mine)
        with self.reader.reading(), console.progress(description, total, "prompt") as advance:
            measure = _Portions(self.reader, self._room, items, advance)
            for portion in mine:
                scored |= _memoized(portion, items, measure, memoize)
        merged = dict(ChainMap(*self.team.gather(scored)))
        return [merged[number] for number in range(len(items))]

    def _feed(self, num_tokens: int) -> None:
        length = min(num_tokens, self.reader.context or num_tokens)
        rows = [[0] * length] * -(-num_tokens // length)
        self.reader.read(rows, [(0, length - 1, 0)])


class _Portions:
    """Measures portions; the prefix that was fed last serves the next one, too, if it fits."""

    def __init__(
        self, reader: Reader, room: Room, items: Sequence[Item], advance: console.Advance
    ) -> None:
        self._reader = reader
        self._room = room
        self._items = items
        self._advance = advance
        self._prefix: Prefix | None = None

    def of(self, portion: Portion) -> dict[int, Scored]:
        """Return the scores of a portion's items, by number."""
        prefix = self._prefix_of(portion)
        scored: dict[int, Scored] = {}
        waiting = portion.hosts
        while waiting:
            length = len(waiting[0].inputs)  # the longest
            per_row = max(length - portion.shared, -(-length // PREFIX_ROWS))
            batch = waiting[: max(1, self._room.max_tokens // per_row)]
            failure = None
            try:
                scored |= prefix.read(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failure = str(error)
            if failure is not None:  # by now what the failed pass held is free
                self._room.shrink(len(batch), per_row, failure)
                continue
            waiting = waiting[len(batch) :]
            self._advance(len(batch))
        return scored

    def _prefix_of(self, portion: Portion) -> Prefix:
        if self._prefix is None or self._prefix.key != key_of(portion, self._items):
            self._prefix = None  # its memory is free before the next one is made
            try:
                self._prefix = Prefix(self._reader, portion, self._items)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise too_large(str(error)) from error
        return self._prefix


def _memoized(
    portion: Portion, items: Sequence[Item], measure: _Portions, memoize: Memoize | None
) -> dict[int, Scored]:
    """Return the scores of a portion's items, measured, or stored by an earlier run."""
    if memoize is None:
        return measure.of(portion)
    members = [member for host in portion.hosts for member in host.members]

    def values() -> list[list[Any]]:
        scored = measure.of(portion)
        return [[scored[member].logprob, scored[member].is_greedy] for member in members]

    name = artifacts.fingerprint([[items[member].start, items[member].ids] for member in members])
    scored = memoize(f"portion-{name}", values)
    return {member: Scored(*value) for member, value in zip(members, scored, strict=True)}
