"""The mix: which documents of the training split become rows, and how often.

Every part (a source, or a kind) has an amount to give: its documents, as often as its epochs say,
up to its cap. Without weights every part gives all of it. With weights as much is drawn as the
shares allow: the part that is shortest of its share gives all, the others less. Which documents
are left out depends on the seed and on their own keys, not on the order of the corpus.

Letters: n documents, m of them drawn (some several times, some not at all).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from musicllm.errors import ConfigError, Problem
from musicllm.schema import MixConfig

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """What a mix draws.

    Attributes:
        documents: int64 [m]; the first pass over all parts in the order of the corpus, then the
            second one, and so on.
        report: for every part `part`, `requested` (share, or None without weights),
            `available_documents` (after epochs and caps), and what was drawn: `documents`,
            `tokens`, `share_documents`, `share_tokens`.
    """

    documents: Ints
    report: list[dict[str, Any]]


@dataclass(frozen=True)
class _Part:
    """A part and the order in which its documents are drawn, pass after pass.

    Attributes:
        name: of the part.
        documents: int64; in the order in which a partial pass takes them.
        until: int64; tokens of the first 0, 1, ... of them.
        available: documents that it can give, over all passes.
    """

    name: str
    documents: Ints
    until: Ints
    available: int

    def tokens(self, count: int) -> int:
        """Return the tokens of the first `count` documents over all passes."""
        if not count:
            return 0
        passes, rest = divmod(count, len(self.documents))
        return passes * int(self.until[-1]) + int(self.until[rest])

    def most(self, tokens: Fraction) -> int:
        """Return how many documents can be drawn before they have more than these tokens."""
        if not self.until[-1]:
            return 0
        passes, rest = divmod(math.floor(tokens), int(self.until[-1]))
        rest_documents = int(np.searchsorted(self.until, rest, side="right")) - 1
        return min(self.available, passes * len(self.documents) + rest_documents)


def draw(
    part: npt.NDArray[np.int16],
    lengths: Ints,
    names: Sequence[str],
    mix: MixConfig,
    *,
    seed: int,
    keys: npt.NDArray[np.uint64],
) -> Drawn:
    """Draw the documents that become rows.

    Whole passes over a part come before a partial one, which takes the documents with the smallest
    keys. Shares are met to the nearest document; with `unit=tokens`, to the last whole document
    below. Cost: n log n.

    Args:
        part: int16 [n]; number of the part of every document.
        lengths: int64 [n], in tokens.
        names: of the parts, by number.
        mix: epochs, caps and weights. A part that weights do not name gives nothing.
        seed: mixed with the keys.
        keys: uint64 [n]; stable hashes of the records that the documents were made from.

    Raises:
        ConfigError: a name is no part, a value is out of range, or a weighted part gives nothing.
    """
    problems = [*_unknown_names(names, mix), *_wrong_values(mix)]
    if problems:
        raise ConfigError(problems)
    order = np.argsort(_mixed(keys, seed), kind="stable")
    parts = [
        _part(name, order[part[order] == number], lengths, mix) for number, name in enumerate(names)
    ]
    shares = _shares(parts, mix)
    counts = _counts(parts, shares, mix.unit)
    times = np.zeros(len(part), np.int64)
    for own, count in zip(parts, counts, strict=True):
        if count:
            full, rest = divmod(count, len(own.documents))
            times[own.documents] = full
            times[own.documents[:rest]] += 1
    passes = [np.flatnonzero(times > earlier) for earlier in range(int(times.max(initial=0)))]
    documents = np.concatenate([np.zeros(0, np.int64), *passes])
    return Drawn(documents, _report(parts, shares, counts))


def _part(name: str, documents: Ints, lengths: Ints, mix: MixConfig) -> _Part:
    available = round(mix.epochs.get(name, 1) * len(documents))
    available = min(available, mix.max_documents.get(name, available))
    until = np.concatenate([[0], np.cumsum(lengths[documents], dtype=np.int64)])
    return _Part(name, documents, until, available)


def _shares(parts: Sequence[_Part], mix: MixConfig) -> list[Fraction | None]:
    """Return the share of each part, or None for all when there are no weights."""
    if not mix.weights:
        return [None for _ in parts]
    empty = [
        Problem(
            f"data.mix.weights.{part.name}",
            mix.weights[part.name],
            f"weights a {mix.by} that gives no document",
            f"leave {part.name} out, or look why it is empty (epochs, rejected.jsonl)",
        )
        for part in parts
        if part.name in mix.weights and not part.available
    ]
    if empty:
        raise ConfigError(empty)
    total = sum(map(Fraction, mix.weights.values()))
    return [Fraction(mix.weights.get(part.name, 0)) / total for part in parts]


def _counts(parts: Sequence[_Part], shares: Sequence[Fraction | None], unit: str) -> list[int]:
    """Return how many documents each part gives, over all passes."""
    amounts = [
        part.available if unit == "documents" else part.tokens(part.available) for part in parts
    ]
    total = min(
        (amount / share for amount, share in zip(amounts, shares, strict=True) if share),
        default=Fraction(0),
    )
    counts = []
    for part, share in zip(parts, shares, strict=True):
        if share is None:
            counts.append(part.available)
        elif unit == "documents":
            counts.append(round(share * total))
        else:
            counts.append(part.most(share * total))
    return counts


def _report(
    parts: Sequence[_Part], shares: Sequence[Fraction | None], counts: Sequence[int]
) -> list[dict[str, Any]]:
    tokens = [part.tokens(count) for part, count in zip(parts, counts, strict=True)]
    return [
        {
            "part": part.name,
            "requested": None if share is None else float(share),
            "available_documents": part.available,
            "documents": count,
            "tokens": own,
            "share_documents": count / max(1, sum(counts)),
            "share_tokens": own / max(1, sum(tokens)),
        }
        for part, share, count, own in zip(parts, shares, counts, tokens, strict=True)
    ]


def _mixed(keys: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Mix the seed into keys: SplitMix64's finaliser (Steele, Lea and Flood, 2014)."""
    state = keys ^ np.random.SeedSequence(seed).generate_state(1, np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def _unknown_names(names: Sequence[str], mix: MixConfig) -> Iterator[Problem]:
    for setting in ("weights", "epochs", "max_documents"):
        values: Mapping[str, float] = getattr(mix, setting)
        for name, value in values.items():
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                fix = f"did you mean {near[0]}? " if near else ""
                fix += f"there are {', '.join(names)}" if names else "there is none"
                yield Problem(f"data.mix.{setting}.{name}", value, f"names no {mix.by}", fix)


def _wrong_values(mix: MixConfig) -> Iterator[Problem]:
    for setting, values in (("weights", mix.weights), ("epochs", mix.epochs)):
        for name, value in values.items():
            if not 0 < value < math.inf:
                fix = f"leave {name} out to draw nothing of it" if setting == "weights" else ""
                yield Problem(f"data.mix.{setting}.{name}", value, "is no positive number", fix)
    for name, most in mix.max_documents.items():
        if most < 1:
            yield Problem(f"data.mix.max_documents.{name}", most, "is less than 1")
