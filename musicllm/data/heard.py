"""Rows whose documents have clips of audio: which clip each has, and its features.

The rows themselves are those of text. Beside them lie a table of the clips of a split
(`clips.jsonl`) and, for every document of every row, the number of its clip (`clips.npz`); a split
without audio has neither.

Letters: R rows, P documents in them, D documents of a row, C clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from musicllm.data.clips import Clip
from musicllm.data.features import FeatureStore
from musicllm.data.packing import RowPlan
from musicllm.data.rows import Row, RowAudio, RowStore
from musicllm.data.store import TokenStore
from musicllm.errors import ArtifactError

TABLE = "clips.jsonl"
INDEX = "clips.npz"
NAMES = (TABLE, INDEX)


def write_clips(
    folder: Path,
    plan: RowPlan,
    documents: npt.NDArray[np.int64],
    files: Sequence[Path],
    store: TokenStore,
) -> dict[str, Any]:
    """Write table and index of a split's clips; returns their number, or nothing without audio.

    Cost: reads a line for every document; memory is that of the table.

    Args:
        folder: to write into.
        plan: of the rows.
        documents: int64; which document of the store each document of the plan is.
        files: lists of the documents' clips, a file for every block of the store, in order; a block
            without audio has none.
        store: the documents.
    """
    if not any(file.exists() for file in files):
        return {}
    numbers: dict[bytes, int] = {}
    of_document: list[int] = []
    for file, size in zip(files, store.block_sizes, strict=True):
        lines = file.read_bytes().splitlines() if file.exists() else [b"null"] * size
        assert len(lines) == size, f"{file} has {len(lines)} lines for {size} documents"
        of_document += [
            -1 if line == b"null" else numbers.setdefault(line, len(numbers)) for line in lines
        ]
    assert not (plan.start > 0).any(), "a document with audio is in one row"
    clip = np.array(of_document, np.int32)[documents[plan.document]]
    (folder / TABLE).write_bytes(b"".join(line + b"\n" for line in numbers))
    np.savez(folder / INDEX, offsets=np.asarray(plan.offsets, np.int64), clip=clip)
    return {"clips": len(numbers)}


def read_clips(folder: Path) -> list[Clip]:
    """Return the clips of a split, in the order of their numbers; none for a split of text."""
    path = folder / TABLE
    if not path.exists():
        return []
    return [Clip.of_json(orjson.loads(line)) for line in path.read_bytes().splitlines()]


@dataclass(frozen=True)
class Places:
    """Where audio stands in a document with a clip.

    Attributes:
        first: of its places.
        number: of its places; 0 where audio needs none.
    """

    first: int
    number: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Places:
        """Return those of a corpus, by its facts; none for a corpus of text."""
        if "audio" not in facts:
            return cls(0, 0)
        return cls(facts["audio"]["first_place"], facts["audio"]["num_places"])


class HeardRows(RowStore):
    """Rows with the features of their documents' clips.

    Attributes:
        features: the store.
        places: of audio in the documents.
    """

    def __init__(self, folder: Path, features: FeatureStore, places: Places) -> None:
        """Open the rows in a folder; see `RowStore`.

        Raises:
            ArtifactError: the store lacks a clip.
        """
        super().__init__(folder)
        self.features, self.places = features, places
        self._keys = [clip.key for clip in read_clips(folder)]
        if lacking := features.lacking(self._keys):
            raise ArtifactError(
                f"{features.folder} lacks the features of {len(lacking):,} of {len(self._keys):,} "
                f"clips of {folder}"
            )
        if self._keys:
            with np.load(folder / INDEX) as index:
                self._offsets, self._clip = index["offsets"], index["clip"]

    def __reduce__(self) -> tuple[type[HeardRows], tuple[Path, FeatureStore, Places]]:  # type: ignore[override]
        """Pickle folders, not the mapped files."""
        return HeardRows, (self.folder, self.features, self.places)

    def row(self, index: int) -> Row:
        """Read one row with the features of its clips; see `RowStore`."""
        row = super().row(index)
        if not self._keys:  # a split of text in a corpus with audio
            silent = np.full(len(row.document_lengths), -1, np.int64)
            return replace(row, audio=RowAudio((), silent, self.places.first, self.places.number))
        clip = self._clip[self._offsets[index] : self._offsets[index + 1]]
        assert len(clip) == len(row.document_lengths), f"row {index}: {len(clip)} documents"
        used = np.unique(clip[clip >= 0])
        own = np.where(clip >= 0, np.searchsorted(used, clip), -1)
        return replace(
            row,
            audio=RowAudio(
                tuple(self.features.get(self._keys[number]) for number in used.tolist()),
                own.astype(np.int64),
                self.places.first,
                self.places.number,
            ),
        )
