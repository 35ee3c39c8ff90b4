"""Finds near duplicates: pairs of MinHash signatures that agree in enough columns.

The columns of a signature belong to the parts of the record in turn, and every part must agree;
only records with equal frames are compared (see `outline`).

Locality-sensitive hashing (Indyk and Motwani, 1998; in bands as in Leskovec, Rajaraman and
Ullman, Mining of Massive Datasets, 3.4): only records that agree in all columns of a band are
compared. Signatures stay in their file; a few bands at a time are in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates.pairs import (
    Keys,
    Pairs,
    expand_ranges,
    joined,
    keys_of,
    places_of,
    runs,
)
from musicllm.data.duplicates.signatures import NUM_HASHES

DETECTION_PROBABILITY = 0.999
"""Probability that a pair at the similarity threshold shares a band."""

COMPARED_PER_BAND = 8
"""A record is compared with at most this many records per band, the first ones."""

_BANDS_PER_PASS = 4
_ROWS_PER_READ = 8_192
_PAIRS_PER_BLOCK = 16_384
_ROW_BYTES = 4 * NUM_HASHES
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Texts:
    """Features of the texts of all records, in one order.

    Attributes:
        signatures: file of `signature_rows`, raw uint32 [records, NUM_HASHES].
        frames: `Outline.frame`, [records].
        num_parts: number of parts that share the columns, [records].
    """

    signatures: Path
    frames: npt.NDArray[np.uint64]
    num_parts: npt.NDArray[np.int8]


def near_pairs(texts: Texts, records: npt.NDArray[np.int64], at_least: float) -> Pairs:
    """Return pairs of records with equal frames and similar signatures.

    Cost for n records: reading the file once per four bands, a sort of 8 n bytes per
    band (25 bands at 0.8); memory 80 n bytes and 24 bytes per compared pair.

    Args:
        texts: of all records.
        records: indices of the records to compare, in order.
        at_least: minimum share of equal columns of each part, above 0.
    """
    num_columns = columns_per_band(at_least)
    bands = range(NUM_HASHES // num_columns)
    candidates = np.zeros(0, np.uint64)
    for first in range(0, len(bands), _BANDS_PER_PASS):
        pass_bands = bands[first : first + _BANDS_PER_PASS]
        hashed = _band_hashes(texts, pass_bands, num_columns)
        batches = [candidates, *(_sharing(band[records], records) for band in hashed)]
        candidates = np.sort(np.concatenate(batches))
        candidates = candidates[runs(candidates)[:-1]]
    return joined(list(_verified(texts, candidates, at_least)))


def columns_per_band(at_least: float) -> int:
    """Return the widest band with which a pair at the limit is found at `DETECTION_PROBABILITY`."""
    return max(
        (
            num_columns
            for num_columns in range(1, NUM_HASHES + 1)
            if 1 - (1 - at_least**num_columns) ** (NUM_HASHES // num_columns)
            >= DETECTION_PROBABILITY
        ),
        default=1,
    )


def _band_hashes(texts: Texts, bands: range, num_columns: int) -> npt.NDArray[np.uint64]:
    """Return a hash per band and record, which includes its frame: [bands, records]."""
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


def _sharing(hashes: npt.NDArray[np.uint64], records: npt.NDArray[np.int64]) -> Keys:
    """Pair each record with the first records of equal hash."""
    order = np.argsort(hashes, kind="stable")
    borders = runs(hashes[order])
    sizes = np.diff(borders)
    repeated = sizes > 1
    run, later = expand_ranges(borders[:-1][repeated], sizes[repeated])
    firsts = borders[:-1][repeated][run]
    which, earlier = expand_ranges(firsts, np.minimum(later - firsts, COMPARED_PER_BAND))
    return keys_of(records[order[earlier]], records[order[later[which]]])


def _verified(texts: Texts, candidates: Keys, at_least: float) -> Iterator[Pairs]:
    """Yield pairs that agree in enough columns, reading only their signatures."""
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
    """Return the minimum over parts of the share of equal columns: [pairs]."""
    minimum = np.ones(len(equal), np.float32)
    for number in np.unique(num_parts).tolist():
        mask = num_parts == number
        for part in range(number):
            share = equal[mask, part::number].mean(axis=1, dtype=np.float32)
            minimum[mask] = np.minimum(minimum[mask], share)
    return minimum
