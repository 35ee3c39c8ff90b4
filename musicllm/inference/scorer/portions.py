"""From the inputs of a portion to the likelihood of every item in it.

A model's outputs are stored as lines: log-likelihoods of an input's tokens, position by position,
summed up from the left, so that any stretch of them is one subtraction. An item is a stretch of the
prefix's line, a stretch of its input's line, and its last token, which may be none of the input's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from transformers import Cache

from musicllm.inference.scorer.planning import Host, Item, Portion
from musicllm.inference.scorer.reader import Reader, TokenQuery


@dataclass(frozen=True)
class Scored:
    """The score of an item under a model.

    Attributes:
        logprob: nats, the sum over the tokens from `start` on.
        is_greedy: whether each of them was the model's first choice.
    """

    logprob: float
    is_greedy: bool


class LogprobLine:
    """Likelihoods behind consecutive positions.

    Args:
        begin: the first position.
        logprobs: nats, of the token behind each.
        is_first: whether that token was the model's first choice.
    """

    def __init__(self, begin: int, logprobs: Sequence[float], is_first: Sequence[bool]) -> None:
        self._begin = begin
        self._sums = [0.0, *accumulate(logprobs)]
        self._misses = [0, *accumulate(not is_hit for is_hit in is_first)]

    def over(self, begin: int, end: int) -> tuple[float, int]:
        """Return the sum, and how many were not the first choice, of what lies in [begin, end)."""
        low, high = (
            min(max(place - self._begin, 0), len(self._sums) - 1) for place in (begin, end)
        )
        return self._sums[high] - self._sums[low], self._misses[high] - self._misses[low]


class Prefix:
    """What the inputs of a portion begin with, fed once.

    Args:
        reader: the model.
        portion: whose inputs follow.
        items: all items.
    """

    def __init__(self, reader: Reader, portion: Portion, items: Sequence[Item]) -> None:
        self._reader = reader
        self._items = items
        self.key = key_of(portion, items)
        ids, begin = self.key
        self._size = portion.shared
        self._cache: Cache | None = None
        self._line = LogprobLine(0, [], [])
        if self._size:
            queries = [(0, place, ids[place + 1]) for place in range(begin, self._size)]
            self._cache, logprobs, is_first = reader.prefix(ids[: self._size], queries)
            self._line = LogprobLine(begin, logprobs.tolist(), is_first.tolist())

    def read(self, hosts: Sequence[Host]) -> dict[int, Scored]:
        """Feed inputs behind the prefix, as one batch, and return the scores of their items."""
        queries: list[TokenQuery] = []
        paths: list[tuple[int, int]] = []
        for row, host in enumerate(hosts):
            paths.append(self._path(host))
            queries += [(row, p - self._size, host.inputs[p + 1]) for p in range(*paths[-1])]
            queries += [(row, *self._last(member)) for member in host.members]
        rows = [host.inputs[self._size :] for host in hosts]
        logprobs, is_first = (
            values.tolist() for values in self._reader.read(rows, queries, self._cache)
        )
        scored: dict[int, Scored] = {}
        done = 0
        for host, (begin, end) in zip(hosts, paths, strict=True):
            own = slice(done, done + max(end - begin, 0))
            line = LogprobLine(begin, logprobs[own], is_first[own])
            for place, member in enumerate(host.members, own.stop):
                scored[member] = self._sum(member, line, logprobs[place], is_first[place])
            done = own.stop + len(host.members)
        return scored

    def _path(self, host: Host) -> tuple[int, int]:
        """Return the positions behind the prefix whose next token is scored and is the input's."""
        members = [self._items[member] for member in host.members]
        first = min(item.start for item in members) - 1
        return max(first, self._size), max(len(item.ids) for item in members) - 2

    def _last(self, member: int) -> tuple[int, int]:
        """Return the position behind the prefix that predicts an item's last token, and that."""
        ids = self._items[member].ids
        return len(ids) - 2 - self._size, ids[-1]

    def _sum(self, member: int, line: LogprobLine, logprob: float, is_first: bool) -> Scored:
        item = self._items[member]
        stretch = item.start - 1, len(item.ids) - 2
        (begun, missed), (followed, missed_too) = self._line.over(*stretch), line.over(*stretch)
        return Scored(begun + followed + logprob, is_first and not missed + missed_too)


def key_of(portion: Portion, items: Sequence[Item]) -> tuple[tuple[int, ...], int]:
    """Return what decides a prefix: its tokens with the one behind, and where scoring begins."""
    starts = [items[member].start for host in portion.hosts for member in host.members]
    return portion.hosts[0].inputs[: portion.shared + 1], min(min(starts) - 1, portion.shared)
