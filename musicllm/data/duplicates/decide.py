"""Selects the records to keep, from the features of all of them.

Records are processed in order, held-out ones first, then the fuller and cleaner ones, and each is
compared with those kept before it, so the best of several duplicates is kept. Tunes
that are merely related are all kept, in one group, so that no test tune is related to a tune
trained on; equal titles are evidence that tunes are related. Texts that are merely similar form no
group: requests with the same wording would connect a whole corpus.
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
"""Outcome of a record, as in "the record ..."; indexed by `Decision.reason`."""
STAYS, EXACT, NEAR, MELODIC = range(len(REASONS))

TITLED_SIMILARITY = 0.0
"""Tunes with equal titles and a melodic similarity above this share a group."""

_PAIRS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class Signatures:
    """The features of all records, in one order; see `signatures`.

    Attributes:
        exact: `exact_hash` of each record, [records].
        fullness: of each record, the higher the better, [records]; see `fullness`.
        texts: None without near deduplication.
        melodies: None without melodic deduplication and groups.
        titles: `title_hash` of each record, [records]; None without melodies.
        held_out: priority of the split that its source puts a record in, [records]; of copies in
            two splits the one with the higher value is kept, even if less full. None if no source
            does.
        clips: hash of the audio file of each record, 0 for none, [records]; records about one file
            form a group. None if no record has audio.
    """

    exact: npt.NDArray[np.uint64]
    fullness: npt.NDArray[np.uint64]
    texts: Texts | None = None
    melodies: Melodies | None = None
    titles: npt.NDArray[np.uint64] | None = None
    held_out: npt.NDArray[np.int8] | None = None
    clips: npt.NDArray[np.uint64] | None = None


@dataclass(frozen=True)
class Decision:
    """The outcome for each record; all arrays are [records].

    Attributes:
        duplicate_of: index of the record kept instead; -1 for a record that is kept.
        reason: index into `REASONS`.
        similarity: to `duplicate_of`; 0 for a record that is kept.
        group: index of the first record of the group. A duplicate is in that of `duplicate_of`.
        num_related: pairs of kept records that share a group because of their melodies.
        num_titled: further pairs, which share a group because of title and some of their melody.
    """

    duplicate_of: npt.NDArray[np.int64]
    reason: npt.NDArray[np.int8]
    similarity: npt.NDArray[np.float32]
    group: npt.NDArray[np.int64]
    num_related: int = 0
    num_titled: int = 0


def decide(signatures: Signatures, policy: DuplicatesConfig) -> Decision:
    """Decide which records to keep, and group related ones.

    Cost for n records: sorting 8-byte columns, 84 n bytes, and what `near_pairs` and
    `melodic_pairs` need, one after the other; a Python iteration per duplicate pair.

    Args:
        signatures: of all records. With melodies, related tunes form groups even if
            `policy.melodic_similarity` is None.
        policy: thresholds of similarity.
    """
    num_records = len(signatures.exact)
    decision = Decision(
        duplicate_of=np.full(num_records, -1, np.int64),
        reason=np.zeros(num_records, np.int8),
        similarity=np.zeros(num_records, np.float32),
        group=np.arange(num_records),
    )
    held_out = (
        np.zeros(num_records, np.int8) if signatures.held_out is None else signatures.held_out
    )
    order = np.lexsort((~signatures.fullness, -held_out))
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
    _join(decision.group, joined([related, titled, _of_one_clip(signatures.clips, stays)]))
    decision.group[~stays] = decision.group[decision.duplicate_of[~stays]]
    return replace(decision, num_related=len(related), num_titled=len(titled))


def _titled(signatures: Signatures, stays: npt.NDArray[np.bool_], related: Pairs) -> Pairs:
    """Return pairs with equal titles that are not related by their melodies alone."""
    if signatures.melodies is None or signatures.titles is None:
        return joined([])
    pairs = titled_pairs(signatures.titles, signatures.melodies, stays, TITLED_SIMILARITY)
    is_related = np.isin(
        keys_of(pairs.earlier, pairs.later), keys_of(related.earlier, related.later)
    )
    return pairs.only(~is_related)


def _of_one_clip(clips: npt.NDArray[np.uint64] | None, stays: npt.NDArray[np.bool_]) -> Pairs:
    """Return each record about an audio file with the next one about the same file."""
    if clips is None or not clips.any():
        return joined([])
    places = np.flatnonzero(stays & (clips != 0))
    places = places[np.argsort(clips[places], kind="stable")]
    same = clips[places[:-1]] == clips[places[1:]]
    earlier, later = places[:-1][same], places[1:][same]
    return Pairs(earlier, later, np.ones(len(earlier), np.float32))


def _best_of_equals(
    values: npt.NDArray[np.uint64], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return for each record the index of the best record with equal value: [records]."""
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
    """Return near duplicates, and pairs with related melodies."""
    near, melodic = joined([]), joined([])
    if signatures.texts is not None and policy.near_similarity is not None:
        near = near_pairs(signatures.texts, order[unique[order]], policy.near_similarity)
    if signatures.melodies is not None:
        limits = (policy.related_similarity, policy.melodic_similarity)
        more_than = min(limit for limit in limits if limit is not None)
        melodic = melodic_pairs(signatures.melodies, unique, more_than)
    return near, melodic


def _versions(melodic: Pairs, melodies: Melodies | None, policy: DuplicatesConfig) -> Pairs:
    """Return pairs of versions: similar melodies, and equal text around them."""
    if melodies is None or policy.melodic_similarity is None:
        return joined([])
    same = melodies.around[melodic.earlier] == melodies.around[melodic.later]
    return melodic.only(same & (melodic.similarity > policy.melodic_similarity))


def _in_order(pairs: Pairs, rank: npt.NDArray[np.int64]) -> Pairs:
    """Return pairs with the record of smaller rank first."""
    swapped = rank[pairs.earlier] > rank[pairs.later]
    earlier = np.where(swapped, pairs.later, pairs.earlier)
    return Pairs(earlier, np.where(swapped, pairs.earlier, pairs.later), pairs.similarity)


def _drop_later(
    decision: Decision, near: Pairs, melodic: Pairs, rank: npt.NDArray[np.int64]
) -> None:
    """Drop the later record of each pair whose earlier one is kept, in order of the later ones."""
    pairs = joined([near, melodic])
    reasons = np.repeat(np.array([NEAR, MELODIC], np.int8), [len(near), len(melodic)])
    order = np.lexsort((rank[pairs.earlier], reasons, rank[pairs.later]))
    dropped = bytearray(len(decision.group))
    decisive = []
    for start in range(0, len(order), _PAIRS_PER_BLOCK):
        block = order[start : start + _PAIRS_PER_BLOCK]
        earlier, later = pairs.earlier[block].tolist(), pairs.later[block].tolist()
        for number, (first, second) in enumerate(zip(earlier, later, strict=True), start):
            if not dropped[first] and not dropped[second]:
                dropped[second] = 1
                decisive.append(number)
    selected = order[np.array(decisive, np.int64)]
    decision.duplicate_of[pairs.later[selected]] = pairs.earlier[selected]
    decision.reason[pairs.later[selected]] = reasons[selected]
    decision.similarity[pairs.later[selected]] = pairs.similarity[selected]


def _drop_copies(
    decision: Decision, best: npt.NDArray[np.int64], unique: npt.NDArray[np.bool_]
) -> None:
    """Drop exact duplicates of better records, which may be duplicates of kept ones themselves."""
    originals = best[~unique]
    kept_instead = decision.duplicate_of[originals]
    decision.duplicate_of[~unique] = np.where(kept_instead < 0, originals, kept_instead)
    decision.reason[~unique] = EXACT
    decision.similarity[~unique] = 1


def _join(group: npt.NDArray[np.int64], pairs: Pairs) -> None:
    """Set the group of connected records to the first of them.

    Every record takes the smallest group of its neighbours, and then the group of that, until
    nothing changes (connected components by label propagation with pointer jumping).
    """
    while True:
        first, second = group[pairs.earlier], group[pairs.later]
        if np.array_equal(first, second):
            return
        np.minimum.at(group, np.maximum(first, second), np.minimum(first, second))
        while not np.array_equal(above := group[group], group):
            group[:] = above
