"""Which records stay: the one place that sees all of them, as columns of numbers.

Records are taken in an order, held-out ones first, then the fuller and cleaner ones, and each is
compared with those that stay before it, so the best of several that are the same is kept. Tunes
that are merely related stay, in one group, so that no split can hold a test tune whose cousin was
trained on; a common title is evidence that tunes are related. Texts that are merely similar form no
group: requests made from one wording would chain a whole corpus together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates.melodic import Melodies, melodic_pairs
from musicllm.data.duplicates.near import Texts, near_pairs
from musicllm.data.duplicates.pairs import Pairs, joined, keys_of, runs
from musicllm.data.duplicates.titles import titled_pairs
from musicllm.schema import DuplicatesConfig

REASONS = ("stays", "is a duplicate", "is a near-duplicate", "is a version of another tune")
"""What became of a record, as the sentence "the record ..." continues; by `Decision.reason`."""
STAYS, EXACT, NEAR, MELODIC = range(len(REASONS))

TITLED_SIMILARITY = 0.0
"""Tunes of one title that have more in common than this share a group."""

_PAIRS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class Signatures:
    """What all records show of themselves, in one order; see `signatures`.

    Attributes:
        exact: `exact_hash` of each record, [records].
        fullness: of each record, the greater the better, [records]; see `fullness`.
        texts: None when near duplicates are not asked for.
        melodies: None when not asked for.
        titles: `title_hash` of each record, [records]; None when melodies are not asked for.
        held: how strictly a record's source holds it out, [records]; of copies in two splits the
            one with the greater number stays, be it less full. None where no source does.
    """

    exact: npt.NDArray[np.uint64]
    fullness: npt.NDArray[np.uint64]
    texts: Texts | None = None
    melodies: Melodies | None = None
    titles: npt.NDArray[np.uint64] | None = None
    held: npt.NDArray[np.int8] | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of each record; all arrays are [records].

    Attributes:
        duplicate_of: place of the record that stays instead; -1 for one that stays.
        reason: place in `REASONS`.
        similarity: to `duplicate_of`; 0 for one that stays.
        group: place of the first record of the group. A duplicate is in that of `duplicate_of`.
        num_related: pairs of records that stay and share a group as their melodies are related.
        num_titled: further pairs, which share a group by title and a little of their melody.
    """

    duplicate_of: npt.NDArray[np.int64]
    reason: npt.NDArray[np.int8]
    similarity: npt.NDArray[np.float32]
    group: npt.NDArray[np.int64]
    num_related: int = 0
    num_titled: int = 0


def decide(signatures: Signatures, policy: DuplicatesConfig) -> Decision:
    """Decide which records stay, and which of these belong together.

    Cost for n records: sorting 8-byte columns, 84 n bytes, and what `near_pairs` and
    `melodic_pairs` say, one after the other; a step of Python for each pair that is the same.

    Args:
        signatures: of all records. With melodies, related tunes form groups even where
            `policy.melodic_similarity` is None.
        policy: what counts as the same.
    """
    num_records = len(signatures.exact)
    decision = Decision(
        duplicate_of=np.full(num_records, -1, np.int64),
        reason=np.zeros(num_records, np.int8),
        similarity=np.zeros(num_records, np.float32),
        group=np.arange(num_records),
    )
    held = np.zeros(num_records, np.int8) if signatures.held is None else signatures.held
    order = np.lexsort((~signatures.fullness, -held))
    best = np.arange(num_records)
    if policy.exact:
        best = _best_of_equals(signatures.exact, order)
    unique = best == np.arange(num_records)
    near, melodic = _pairs(signatures, policy, unique, order)
    rank = np.empty(num_records, np.int64)
    rank[order] = np.arange(num_records)
    versions = _in_order(_versions(melodic, signatures.melodies, policy), rank)
    _drop_later(decision, near, versions, rank)
    _drop_copies(decision, best, unique)
    stays = decision.duplicate_of < 0
    related = melodic.only(stays[melodic.earlier] & stays[melodic.later])
    titled = _titled(signatures, stays, related)
    _join(decision.group, joined([related, titled]))
    decision.group[~stays] = decision.group[decision.duplicate_of[~stays]]
    return replace(decision, num_related=len(related), num_titled=len(titled))


def _titled(signatures: Signatures, stays: npt.NDArray[np.bool_], related: Pairs) -> Pairs:
    """Return the pairs of one title that are not related by their melodies alone."""
    if signatures.melodies is None or signatures.titles is None:
        return joined([])
    pairs = titled_pairs(signatures.titles, signatures.melodies, stays, TITLED_SIMILARITY)
    known = np.isin(keys_of(pairs.earlier, pairs.later), keys_of(related.earlier, related.later))
    return pairs.only(~known)


def _best_of_equals(
    values: npt.NDArray[np.uint64], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the place of the best record with each one's value: [records]."""
    order = order[np.argsort(values[order], kind="stable")]
    borders = runs(values[order])
    best = np.empty(len(values), np.int64)
    best[order] = np.repeat(order[borders[:-1]], np.diff(borders))
    return best


def _pairs(
    signatures: Signatures,
    policy: DuplicatesConfig,
    unique: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int64],
) -> tuple[Pairs, Pairs]:
    """Return the pairs that are nearly the same, and those whose melodies are related."""
    near, melodic = joined([]), joined([])
    if signatures.texts is not None and policy.near_similarity is not None:
        near = near_pairs(signatures.texts, order[unique[order]], policy.near_similarity)
    if signatures.melodies is not None:
        limits = (policy.related_similarity, policy.melodic_similarity)
        more_than = min(limit for limit in limits if limit is not None)
        melodic = melodic_pairs(signatures.melodies, unique, more_than)
    return near, melodic


def _versions(melodic: Pairs, melodies: Melodies | None, policy: DuplicatesConfig) -> Pairs:
    """Return the pairs of which one is superfluous: similar enough, and the same words around."""
    if melodies is None or policy.melodic_similarity is None:
        return joined([])
    same = melodies.around[melodic.earlier] == melodies.around[melodic.later]
    return melodic.only(same & (melodic.similarity > policy.melodic_similarity))


def _in_order(pairs: Pairs, rank: npt.NDArray[np.int64]) -> Pairs:
    """Return pairs whose earlier record is the one with the smaller rank."""
    swapped = rank[pairs.earlier] > rank[pairs.later]
    earlier = np.where(swapped, pairs.later, pairs.earlier)
    return Pairs(earlier, np.where(swapped, pairs.earlier, pairs.later), pairs.similarity)


def _drop_later(
    decision: Decision, near: Pairs, melodic: Pairs, rank: npt.NDArray[np.int64]
) -> None:
    """Drop the later one of each pair whose earlier one stays, in the order of the later ones."""
    pairs = joined([near, melodic])
    reasons = np.repeat(np.array([NEAR, MELODIC], np.int8), [len(near), len(melodic)])
    order = np.lexsort((rank[pairs.earlier], reasons, rank[pairs.later]))
    dropped = bytearray(len(decision.group))
    decisive = []
    for start in range(0, len(order), _PAIRS_PER_BLOCK):
        block = order[start : start + _PAIRS_PER_BLOCK]
        earlier, later = pairs.earlier[block].tolist(), pairs.later[block].tolist()
        for number, (one, other) in enumerate(zip(earlier, later, strict=True), start):
            if not dropped[one] and not dropped[other]:
                dropped[other] = 1
                decisive.append(number)
    chosen = order[np.array(decisive, np.int64)]
    decision.duplicate_of[pairs.later[chosen]] = pairs.earlier[chosen]
    decision.reason[pairs.later[chosen]] = reasons[chosen]
    decision.similarity[pairs.later[chosen]] = pairs.similarity[chosen]


def _drop_copies(
    decision: Decision, best: npt.NDArray[np.int64], unique: npt.NDArray[np.bool_]
) -> None:
    """Drop what equals a better record, which itself may be a duplicate of one that stays."""
    originals = best[~unique]
    stead = decision.duplicate_of[originals]
    decision.duplicate_of[~unique] = np.where(stead < 0, originals, stead)
    decision.reason[~unique] = EXACT
    decision.similarity[~unique] = 1


def _join(group: npt.NDArray[np.int64], pairs: Pairs) -> None:
    """Give all records that pairs connect the first of them as their group.

    Every record takes the least group of its neighbours, and then that group's own, until nothing
    changes (connected components by label propagation with pointer jumping).
    """
    while True:
        one, other = group[pairs.earlier], group[pairs.later]
        if np.array_equal(one, other):
            return
        np.minimum.at(group, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(above := group[group], group):
            group[:] = above
