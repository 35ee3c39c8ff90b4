"""The most likely next tokens of a teacher, stored beside the rows of a corpus.

For every supervised token of a row a record holds the k tokens that the teacher finds most likely
in its place, their log-probabilities at one temperature, and the log-probability of all the others
together. A training reads the records of a row with the row. Records lie in shards of whole rows,
each a memory-mapped array; an interrupted run continues behind the last complete shard. Every row
has a checksum, which is compared whenever the row is read. No model runs here.

Letters: R rows, S supervised tokens of a row, k top tokens, V vocabulary.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from musicllm import artifacts
from musicllm.artifacts import Artifact
from musicllm.data.atomic import replacing
from musicllm.data.rows import Row, RowStore, TopTokens
from musicllm.errors import ArtifactError

KIND = "teacher_logits"
"""Of the artifact."""

SPLIT = "train"
"""Whose rows have records: validation measures the loss of tokens, which needs no teacher."""

INDEX = "index.npz"
SHARD_BYTES = 1 << 26
"""Of a shard, unless one row is larger; an interruption loses at most one."""

SMALL_IDS = 1 << 16
"""Vocabularies of at most this size have ids of 2 bytes."""

Records = npt.NDArray[np.void]


def record_type(top_k: int, vocab_size: int) -> np.dtype[np.void]:
    """Return the layout of the record of a supervised token."""
    ids = "<u2" if vocab_size <= SMALL_IDS else "<i4"
    return np.dtype([("rest", "<f2"), ("values", "<f2", (top_k,)), ("ids", ids, (top_k,))])


def num_bytes(num_supervised: int, top_k: int, vocab_size: int) -> int:
    """Return the size of the records of so many supervised tokens; indexes add 8 bytes a row."""
    return num_supervised * record_type(top_k, vocab_size).itemsize


def rows_identity(corpus: Artifact) -> str:
    """Return what identifies the training rows of a corpus: their bytes."""
    shards = {name: digest for name, digest in corpus.files.items()
              if name.startswith(f"rows/{SPLIT}/") and name.endswith(".arrow")}  # fmt: skip
    return artifacts.fingerprint(shards)


class ShardWriter:
    """Writes shards into a folder; those of an earlier process that are whole stay.

    Several processes may write different shards at a time.

    Attributes:
        folder: of the shards.
        shards: rows of every shard, a function of the rows and of `top_k` alone.
    """

    def __init__(
        self, folder: Path, store: RowStore, *, top_k: int, vocab_size: int, identity: str
    ) -> None:
        """Look for shards that are there.

        Args:
            folder: created.
            store: the rows.
            top_k: k.
            vocab_size: V, more than k.
            identity: of all that decides the records; shards of another identity are replaced.
        """
        assert 1 <= top_k < vocab_size, f"{top_k} of {vocab_size} tokens leave no rest"
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._type = record_type(top_k, vocab_size)
        self._identity = identity
        self._num_supervised = store.num_supervised
        self.shards = _shards(store.num_supervised * self._type.itemsize)

    def missing(self) -> list[int]:
        """Return the numbers of shards that are still to be written; reads those that are there."""
        return [number for number in range(len(self.shards)) if not self._is_whole(number)]

    def _is_whole(self, number: int) -> bool:
        try:
            with np.load(_sidecar(self.folder, number)) as sidecar:
                identity, checksums = str(sidecar["identity"]), sidecar["checksums"]
            records = np.load(_shard(self.folder, number))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return False
        rows = self.shards[number]
        ends = np.cumsum(self._num_supervised[rows.start : rows.stop])
        if identity != self._identity or records.dtype != self._type or len(records) != ends[-1]:
            return False
        parts = np.split(records, ends[:-1])
        return bool(checksums.tolist() == [_checksum(part) for part in parts])

    def write(self, number: int, rows: Iterator[TopTokens]) -> None:
        """Write a shard.

        Args:
            number: of the shard.
            rows: what the teacher expects in each of its rows, in their order.
        """
        checksums, parts = [], []
        for index, top in zip(self.shards[number], rows, strict=True):
            expected = int(self._num_supervised[index])
            assert len(top) == expected, f"row {index}: {len(top)} records, {expected} tokens"
            part = np.empty(len(top), self._type)
            part["values"], part["ids"], part["rest"] = top.values, top.ids, top.rest
            parts.append(part)
            checksums.append(_checksum(part))
        with replacing(_shard(self.folder, number)) as path, path.open("wb") as file:
            np.save(file, np.concatenate(parts))
        with replacing(_sidecar(self.folder, number)) as path, path.open("wb") as file:
            np.savez(file, identity=self._identity, checksums=np.array(checksums, np.uint32))

    def finish(self, folder: Path) -> None:
        """Move all shards into another folder of the same disk, with their index."""
        folder.mkdir(parents=True, exist_ok=True)
        checksums = [np.zeros(0, np.uint32)]
        for number in range(len(self.shards)):
            with np.load(_sidecar(self.folder, number)) as sidecar:
                checksums.append(sidecar["checksums"])
            (folder / _shard(self.folder, number).name).hardlink_to(_shard(self.folder, number))
        firsts = np.array([rows.start for rows in self.shards], np.int64)
        np.savez(
            folder / INDEX,
            firsts=firsts,
            num_supervised=self._num_supervised,
            checksums=np.concatenate(checksums),
        )


class TeacherStore:
    """The records of a split, memory-mapped; it can be pickled, as `RowStore` can.

    Attributes:
        folder: the artifact's.
        facts: of the artifact: `top_k`, `vocab_size`, `temperature`, `rows`, `teacher`.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Open the records in the folder of an artifact; nothing but the index is read.

        Raises:
            ArtifactError: a file is missing, or has not the length that the index says.
        """
        self.folder, self.facts = folder, dict(facts)
        try:
            with np.load(folder / SPLIT / INDEX) as index:
                self._firsts = index["firsts"]
                self._num_supervised = index["num_supervised"]
                self._checksums = index["checksums"]
            self._shards = [
                np.load(_shard(folder / SPLIT, number), mmap_mode="r")
                for number in range(len(self._firsts))
            ]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ArtifactError(f"{folder} cannot be read: {error}; {AGAIN}") from None
        self._offsets = np.concatenate([[0], np.cumsum(self._num_supervised)])
        ends = [*self._firsts[1:], len(self._num_supervised)]
        lengths = [self._offsets[end] - self._offsets[first]
                   for first, end in zip(self._firsts, ends, strict=True)]  # fmt: skip
        if [len(shard) for shard in self._shards] != lengths:
            raise ArtifactError(f"{folder} has shards of other lengths than its index; {AGAIN}")

    def __reduce__(self) -> tuple[type[TeacherStore], tuple[Path, dict[str, Any]]]:
        """Pickle the folder, not the mapped files."""
        return TeacherStore, (self.folder, self.facts)

    def __len__(self) -> int:
        """Return R."""
        return len(self._num_supervised)

    def row(self, index: int) -> TopTokens:
        """Read the records of a row, 0 <= index < len(self).

        Raises:
            ArtifactError: its bytes are not those that were written.
        """
        assert 0 <= index < len(self), f"row {index} of {len(self)}"
        which = int(np.searchsorted(self._firsts, index, side="right")) - 1
        first = int(self._offsets[self._firsts[which]])
        begin, end = (int(self._offsets[place]) - first for place in (index, index + 1))
        records = np.array(self._shards[which][begin:end])
        if _checksum(records) != int(self._checksums[index]):
            file = _shard(self.folder / SPLIT, which)
            raise ArtifactError(f"{file} is damaged at row {index}; {AGAIN}")
        return TopTokens(records["values"], records["ids"].astype(np.int32), records["rest"])


class TaughtRows(RowStore):
    """Rows with what a teacher says of them.

    Attributes:
        records: of the same rows.
    """

    def __init__(self, folder: Path, records: TeacherStore) -> None:
        """Open the rows in a folder; see `RowStore`."""
        super().__init__(folder)
        assert len(records) == len(self), f"{len(records)} rows of records for {len(self)} rows"
        self.records = records

    def __reduce__(self) -> tuple[type[TaughtRows], tuple[Path, TeacherStore]]:  # type: ignore[override]
        """Pickle folders, not the mapped files."""
        return TaughtRows, (self.folder, self.records)

    def row(self, index: int) -> Row:
        """Read one row with its records; see `RowStore` and `TeacherStore`."""
        return replace(super().row(index), teacher=self.records.row(index))


AGAIN = "delete its folder and run its stage again"


def open_for(corpus: Artifact, logits: Artifact) -> TeacherStore:
    """Open the records that belong to the training rows of a corpus.

    Raises:
        ArtifactError: they were written for other rows, or a file is missing or has another length.
    """
    store = TeacherStore(logits.path, logits.facts)
    if logits.facts["rows"] != rows_identity(corpus):
        raise ArtifactError(
            f"inputs.teacher_logits={logits.path} were written for other rows than those of "
            f"inputs.corpus={corpus.path}; name the corpus that they were written for, or write "
            f"them for this one: recipe=distill/logits"
        )
    return store


def _shards(row_bytes: npt.NDArray[np.int64]) -> list[range]:
    """Cut rows into shards of at most `SHARD_BYTES`, or of one row."""
    shards, first, size = [], 0, 0
    for index, own in enumerate(row_bytes.tolist()):
        if index > first and size + own > SHARD_BYTES:
            shards.append(range(first, index))
            first, size = index, 0
        size += own
    return [*shards, range(first, len(row_bytes))] if len(row_bytes) else []


def _checksum(records: Records) -> int:
    return zlib.crc32(cast(bytes, np.ascontiguousarray(records).view(np.uint8)))


def _shard(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.npy"


def _sidecar(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.npz"
