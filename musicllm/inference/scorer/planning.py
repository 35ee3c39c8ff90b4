"""Which tokens go through a model to score many sequences, and which are shared.

A sequence is fed without its last token, which nothing follows. Equal inputs are fed once, and so
is one that another begins with: the options of a question that are one token each become one input.
Inputs that begin alike share a prefix (a hint, solved examples), fed once for all of them. No model
runs here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

OVERHEAD_TOKENS = 64
"""What a prefix of its own costs beside its tokens: a pass of one row, and smaller batches."""

MAX_HOSTS = 256
MAX_TOKENS = 1 << 16
"""Inputs and tokens of one portion at most (one input may be longer); an interruption loses it."""


@dataclass(frozen=True)
class Item:
    """A sequence, and where the part begins that is scored.

    Attributes:
        ids: tokens.
        start: index of the first token that is scored, given all before it; at least 1.
    """

    ids: tuple[int, ...]
    start: int

    def __post_init__(self) -> None:
        """Refuse what has nothing before it or nothing to score."""
        assert 1 <= self.start < len(self.ids), "an item needs tokens before and behind its start"


@dataclass(frozen=True)
class Host:
    """An input that is fed, and the items that are read from it.

    Attributes:
        inputs: tokens.
        members: numbers of the items; the input of each, its tokens but the last, begins this one.
    """

    inputs: tuple[int, ...]
    members: tuple[int, ...]


@dataclass(frozen=True)
class Portion:
    """Inputs that are scored in one go, in batches, the longest first.

    Attributes:
        shared: how many tokens all inputs begin with that are fed once; fewer than the shortest
            has, and no item's last token stands among them or right behind them.
        hosts: at least one.
    """

    shared: int
    hosts: tuple[Host, ...]

    @property
    def cost(self) -> int:
        """Tokens that are fed."""
        return self.shared + sum(len(host.inputs) - self.shared for host in self.hosts)


def plan(items: Sequence[Item], *, share: bool = True) -> list[Portion]:
    """Return portions that score all items, those with the longest inputs first.

    Takes O(n log n) comparisons of sequences for n items, and as many again at every length at
    which groups of inputs part.

    Args:
        items: in any order; equal ones cost nothing.
        share: whether inputs may share a prefix.
    """
    if not items:
        return []
    hosts = _hosts(items)
    shortest = {host: min(len(items[member].ids) for member in host.members) for host in hosts}
    groups = _groups(hosts, shortest) if share else [(0, hosts)]
    portions = [portion for shared, group in groups for portion in _divided(shared, group)]
    return sorted(portions, key=lambda portion: -len(portion.hosts[0].inputs))


def _hosts(items: Sequence[Item]) -> list[Host]:
    """Return the inputs to be fed, in the order of their tokens.

    What begins a longer input is read from it, unless that is more than twice as long, since then
    next to nothing could be shared.
    """
    order = sorted(range(len(items)), key=lambda number: items[number].ids[:-1])
    longest: tuple[int, ...] = ()
    waiting: list[tuple[tuple[int, ...], list[int]]] = []
    for number in reversed(order):
        inputs = items[number].ids[:-1]
        if longest[: len(inputs)] == inputs and len(longest) <= 2 * len(inputs):
            waiting[-1][1].append(number)
        else:
            longest = inputs
            waiting.append((inputs, [number]))
    return [Host(inputs, tuple(sorted(members))) for inputs, members in reversed(waiting)]


def _groups(hosts: list[Host], shortest: dict[Host, int]) -> list[tuple[int, list[Host]]]:
    """Divide sorted inputs into groups, each with the number of tokens that it shares."""
    _, groups = _best(hosts, shortest, 0)
    alone = [host for shared, group in groups if not shared for host in group]
    return [group for group in groups if group[0]] + ([(0, alone)] if alone else [])


def _best(
    hosts: list[Host], shortest: dict[Host, int], begun: int
) -> tuple[int, list[tuple[int, list[Host]]]]:
    """Return the cheapest division of inputs that agree in their first `begun` tokens."""
    total = sum(len(host.inputs) for host in hosts)
    if len(hosts) == 1:
        return total, [(0, hosts)]
    common = _num_common(hosts[0].inputs, hosts[-1].inputs, begun)
    shared = max(0, min(common - 1, min(shortest[host] for host in hosts) - 2))
    cost = total
    if (len(hosts) - 1) * shared > OVERHEAD_TOKENS:
        cost = total - (len(hosts) - 1) * shared + OVERHEAD_TOKENS
    best = cost, [(shared if cost < total else 0, hosts)]
    parts = [
        _best(list(part), shortest, common)
        for _, part in groupby(hosts, key=lambda host: host.inputs[common : common + 1])
    ]
    divided = sum(part for part, _ in parts)
    return best if cost <= divided else (divided, [group for _, some in parts for group in some])


def _num_common(first: tuple[int, ...], last: tuple[int, ...], begun: int) -> int:
    """Return how many tokens the first and last of sorted inputs, so all between, begin with."""
    limit = min(len(first), len(last))
    for place in range(begun, limit):
        if first[place] != last[place]:
            return place
    return limit


def _divided(shared: int, hosts: list[Host]) -> Iterator[Portion]:
    """Divide a group into portions, the longest inputs first."""
    part: list[Host] = []
    size = 0
    for host in sorted(hosts, key=lambda host: -len(host.inputs)):
        own = len(host.inputs) - shared
        if part and (len(part) == MAX_HOSTS or size + own > MAX_TOKENS):
            yield Portion(shared, tuple(part))
            part, size = [], 0
        part.append(host)
        size += own
    yield Portion(shared, tuple(part))
