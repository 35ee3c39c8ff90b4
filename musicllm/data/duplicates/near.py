"""Records that are nearly the same: pairs of MinHash signatures that agree in enough columns.

The columns of a signature are those of the record's parts in turn, and every part has to agree;
records are compared within their frame alone (see `outline`).

Locality-sensitive hashing (Indyk and Motwani, 1998; in bands as in Leskovec, Rajaraman and
Ullman, Mining of Massive Datasets, 3.4): only records that agree in all columns of a band are
compared. The signatures stay in their file; a few bands at a time are in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates.pairs import Keys, Pairs, joined, keys_of, places_of, runs, stretches
from musicllm.data.duplicates.signatures import NUM_HASHES

FOUND = 0.999
"""Probability that a pair at the wanted similarity shares a band."""

COMPARED_PER_BAND = 8
"""A record is compared with so many others, the first, of those that share a band with it."""

_BANDS_PER_PASS = 4
_ROWS_PER_READ = 8_192
_PAIRS_PER_BLOCK = 16_384
_ROW_BYTES = 4 * NUM_HASHES
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Texts:
    """What all records show of their texts, in one order.

    Attributes:
        signatures: file of `signature_rows`, raw uint32 [records, NUM_HASHES].
        frames: `Outline.frame`, [records].
        num_parts: how many parts take turns in the columns, [records].
    """

    signatures: Path
    frames: npt.NDArray[np.uint64]
    num_parts: npt.NDArray[np.int8]


def near_pairs(texts: Texts, chosen: npt.NDArray[np.int64], at_least: float) -> Pairs:
    """Return the pairs of records whose frames are equal and whose signatures agree.

    Costs, for n records: reading the file once for every four bands, a sort of 8 n bytes for every
    band (25 bands at 0.8); memory 80 n bytes and 24 bytes for every pair that is compared.

    Args:
        texts: of all records.
        chosen: places of the records to compare, in the order they are taken in.
        at_least: share of equal columns, of each part, above 0.
    """
    num_columns = columns_per_band(at_least)
    bands = range(NUM_HASHES // num_columns)
    candidates = np.zeros(0, np.uint64)
    for first in range(0, len(bands), _BANDS_PER_PASS):
        some = bands[first : first + _BANDS_PER_PASS]
        hashed = _band_hashes(texts, some, num_columns)
        found = [candidates, *(_sharing(band[chosen], chosen) for band in hashed)]
        candidates = np.sort(np.concatenate(found))
        candidates = candidates[runs(candidates)[:-1]]
    return joined(list(_verified(texts, candidates, at_least)))


def columns_per_band(at_least: float) -> int:
    """Return the widest band with which a pair at the limit is found with probability `FOUND`."""
    return max(
        (
            num_columns
            for num_columns in range(1, NUM_HASHES + 1)
            if 1 - (1 - at_least**num_columns) ** (NUM_HASHES // num_columns) >= FOUND
        ),
        default=1,
    )


def _band_hashes(texts: Texts, bands: range, num_columns: int) -> npt.NDArray[np.uint64]:
    """Return one hash for each band and record, in which its frame is: [bands, records]."""
    num_records = len(texts.frames)
    hashes = np.tile(texts.frames, (len(bands), 1))
    with texts.signatures.open("rb") as file:
        for start in range(0, num_records, _ROWS_PER_READ):
            rows = np.frombuffer(file.read(_ROWS_PER_READ * _ROW_BYTES), np.uint32)
            columns = rows.reshape(-1, NUM_HASHES).T
            for target, band in zip(hashes, bands, strict=True):
                part = target[start : start + _ROWS_PER_READ]
                for column in columns[band * num_columns : (band + 1) * num_columns]:
                    part[:] = part * _FACTOR + column
    return hashes


def _sharing(hashes: npt.NDArray[np.uint64], chosen: npt.NDArray[np.int64]) -> Keys:
    """Pair each record with the first of those that have its hash."""
    order = np.argsort(hashes, kind="stable")
    borders = runs(hashes[order])
    sizes = np.diff(borders)
    repeated = sizes > 1
    run, later = stretches(borders[:-1][repeated], sizes[repeated])
    firsts = borders[:-1][repeated][run]
    which, earlier = stretches(firsts, np.minimum(later - firsts, COMPARED_PER_BAND))
    return keys_of(chosen[order[earlier]], chosen[order[later[which]]])


def _verified(texts: Texts, candidates: Keys, at_least: float) -> Iterator[Pairs]:
    """Yield the pairs that agree in enough columns, reading only their signatures."""
    with texts.signatures.open("rb") as file:
        for start in range(0, len(candidates), _PAIRS_PER_BLOCK):
            earlier, later = places_of(candidates[start : start + _PAIRS_PER_BLOCK])
            places, inverse = np.unique(np.stack((earlier, later)), return_inverse=True)
            rows = [os.pread(file.fileno(), _ROW_BYTES, place * _ROW_BYTES) for place in places]
            signatures = np.frombuffer(b"".join(rows), np.uint32).reshape(-1, NUM_HASHES)
            first, second = inverse.reshape(2, -1)
            equal = signatures[first] == signatures[second]
            similarity = _least_similar(equal, texts.num_parts[earlier])
            alike = texts.frames[earlier] == texts.frames[later]
            enough = alike & (similarity >= np.float32(at_least))
            yield Pairs(earlier, later, similarity).only(enough)


def _least_similar(
    equal: npt.NDArray[np.bool_], num_parts: npt.NDArray[np.int8]
) -> npt.NDArray[np.float32]:
    """Return the share of equal columns of the part that has the smallest: [pairs]."""
    least = np.ones(len(equal), np.float32)
    for number in np.unique(num_parts).tolist():
        some = num_parts == number
        for part in range(number):
            share = equal[some, part::number].mean(axis=1, dtype=np.float32)
            least[some] = np.minimum(least[some], share)
    return least
