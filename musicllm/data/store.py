"""The token store: encoded documents on disk, between the encoder and the row former.

A block is what one worker wrote: the tokens of its documents one after another, and an index. The
store is several blocks in order. It is read by plain reads at known places, not by mapping the
files, so that what is in memory is what is being gathered. Nothing here tokenises or plans rows.

Letters: n documents, P pieces of them, T tokens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from musicllm.data.atomic import replacing
from musicllm.data.documents import Documents
from musicllm.data.packing import RowPlan
from musicllm.data.rows import RowBatch
from musicllm.errors import ArtifactError

Ints = npt.NDArray[np.int64]

TOKENS_PER_BATCH = 1 << 20
"""Of rows that are gathered at a time; about 40 bytes of memory each."""

IDS, SUPERVISED, INDEX = "ids", "supervised", "npy"
"""Suffixes of a block's files: int32 a token, a byte a token, and what it knows of documents."""

COLUMNS = np.dtype(
    [
        ("length", np.int32),
        ("num_supervised", np.int32),
        ("source", np.int16),
        ("kind", np.int8),
    ]
)


class BlockWriter:
    """Writes a block from several batches of documents; its files get their names at the end.

    There is no file of supervised tokens when all but the first of every document are. The index
    is written last.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Begin a block in a folder that is there."""
        self._path = folder / name
        self._files = ExitStack()
        self._ids = self._open(IDS)
        self._supervised = self._open(SUPERVISED)
        self._indexes = [np.zeros(0, COLUMNS)]

    def _open(self, suffix: str) -> BinaryIO:
        path = self._files.enter_context(replacing(_file(self._path, suffix)))
        return self._files.enter_context(path.open("wb"))

    def add(
        self, documents: Documents, source: npt.NDArray[np.int16], kind: npt.NDArray[np.int8]
    ) -> None:
        """Append documents.

        Args:
            documents: n of them.
            source: int16 [n]; numbers of their sources.
            kind: int8 [n]; numbers of their kinds.
        """
        lengths = documents.lengths
        supervised = documents.supervised.copy()
        supervised[documents.offsets[:-1][lengths > 0]] = False
        index = np.empty(len(lengths), COLUMNS)
        index["length"] = lengths
        index["num_supervised"] = _sums(supervised, documents.offsets)
        index["source"] = source
        index["kind"] = kind
        documents.input_ids.astype("<i4", copy=False).tofile(self._ids)
        supervised.tofile(self._supervised)
        self._indexes.append(index)

    def close(self) -> None:
        """Finish the block."""
        self._files.close()
        index = np.concatenate(self._indexes)
        if _is_plain(index):
            _file(self._path, SUPERVISED).unlink()
        with replacing(_file(self._path, INDEX)) as path, path.open("wb") as file:
            np.save(file, index)


def write_block(
    folder: Path,
    name: str,
    documents: Documents,
    source: npt.NDArray[np.int16],
    kind: npt.NDArray[np.int8],
) -> None:
    """Write a block whose documents are all in memory; see `BlockWriter`."""
    block = BlockWriter(folder, name)
    block.add(documents, source, kind)
    block.close()


@dataclass(frozen=True)
class _Runs:
    """Stretches of the store that are read, each with one read, S of them.

    Attributes:
        begin: int64 [S]; their first tokens in the store.
        size: int64 [S]; tokens.
        place: int64 [P]; where every piece begins in what was read.
    """

    begin: Ints
    size: Ints
    place: Ints


class TokenStore:
    """Blocks one after another: 19 bytes a document in memory."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Open blocks; their indexes are read.

        Args:
            folder: where they are.
            names: of the blocks, in order; a name may hold folders.
        """
        self._paths = [folder / name for name in names]
        indexes = [np.load(_file(path, INDEX)) for path in self._paths]
        self._columns = np.concatenate([np.zeros(0, COLUMNS), *indexes])
        self._offsets = np.concatenate([[0], np.cumsum(self._columns["length"], dtype=np.int64)])
        self._is_plain = [_is_plain(index) for index in indexes]
        num_documents = np.cumsum([0, *map(len, indexes)])
        self._firsts = self._offsets[num_documents]

    @property
    def lengths(self) -> Ints:
        """Tokens of every document, int64 [n]."""
        return self._columns["length"].astype(np.int64)

    @property
    def num_supervised(self) -> Ints:
        """Supervised tokens of every document, int64 [n]."""
        return self._columns["num_supervised"].astype(np.int64)

    @property
    def source(self) -> npt.NDArray[np.int16]:
        """Number of the source of every document, int16 [n]."""
        return self._columns["source"].copy()

    @property
    def kind(self) -> npt.NDArray[np.int8]:
        """Number of the kind of every document, int8 [n]."""
        return self._columns["kind"].copy()

    def read(self, plan: RowPlan, drawn: Ints) -> Iterator[RowBatch]:
        """Gather the rows of a plan.

        Cost: linear in tokens, and one read of a file for every run of neighbouring pieces; memory
        is that of `TOKENS_PER_BATCH` tokens, or of one row if it is longer.

        Args:
            plan: the rows.
            drawn: int64; which document of the store each document of the plan is.

        Raises:
            ArtifactError: a block's files are shorter than its index says.
        """
        size = max(1, TOKENS_PER_BATCH // int(plan.num_tokens.max(initial=1)))
        for first in range(0, plan.num_rows, size):
            yield self._gather(plan.part(first, min(first + size, plan.num_rows)), drawn)

    def _gather(self, plan: RowPlan, drawn: Ints) -> RowBatch:
        document = drawn[plan.document]
        lengths = plan.stop - plan.start
        runs = self._runs(self._offsets[document] + plan.start, lengths)
        firsts = np.cumsum(lengths) - lengths
        order = np.arange(lengths.sum()) + np.repeat(runs.place - firsts, lengths)
        input_ids = self._read(runs, IDS, np.dtype("<i4"))[order]
        supervised = self._read(runs, SUPERVISED, np.dtype(np.bool_))[order]
        supervised[firsts] = False
        return RowBatch(
            input_ids.astype(np.int32, copy=False),
            supervised,
            lengths.astype(np.int32),
            self._columns["source"][document],
            plan.offsets,
        )

    def _runs(self, begin: Ints, length: Ints) -> _Runs:
        """Join pieces that are near each other: gaps no longer than the piece before are read."""
        order = np.argsort(begin, kind="stable")
        begin, length = begin[order], length[order]
        stop = np.maximum.accumulate(begin + length)
        block = np.searchsorted(self._firsts, begin, side="right")
        far = begin[1:] - stop[:-1] > length[:-1]
        heads = np.flatnonzero(np.append(True, far | (np.diff(block) > 0)))
        size = stop[np.append(heads[1:], len(stop)) - 1] - begin[heads]
        pieces = np.diff(np.append(heads, len(begin)))
        place = np.empty_like(begin)
        place[order] = begin - np.repeat(begin[heads] - (np.cumsum(size) - size), pieces)
        return _Runs(begin[heads], size, place)

    def _read(self, runs: _Runs, suffix: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return the values of runs, one after another; where a block has no file, they are 1."""
        values = np.ones(runs.size.sum(), dtype)
        block = np.searchsorted(self._firsts, runs.begin, side="right") - 1
        begin = (runs.begin - self._firsts[block]) * dtype.itemsize
        stop = np.cumsum(runs.size) * dtype.itemsize
        start = stop - runs.size * dtype.itemsize
        numbers, heads = np.unique(block, return_index=True)
        for number, head, tail in zip(numbers, heads, [*heads[1:], len(block)], strict=True):
            if suffix == IDS or not self._is_plain[number]:
                spans = (column[head:tail].tolist() for column in (begin, start, stop))
                _read_into(values, _file(self._paths[number], suffix), zip(*spans, strict=True))
        return values


def _read_into(values: npt.NDArray[Any], path: Path, spans: Iterable[tuple[int, int, int]]) -> None:
    """Read stretches of a file: where each begins in it, and from where to where in `values`."""
    view = values.data.cast("B")
    with path.open("rb", buffering=0) as file:
        for place, start, stop in spans:
            if os.preadv(file.fileno(), [view[start:stop]], place) != stop - start:
                raise ArtifactError(
                    f"{path} is shorter than its index says; delete {path.parent} and prepare again"
                )


def _file(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _is_plain(index: npt.NDArray[Any]) -> bool:
    """Whether all tokens but the first of every document are supervised."""
    return bool(np.array_equal(index["num_supervised"], np.maximum(index["length"] - 1, 0)))


def _sums(values: npt.NDArray[np.bool_], offsets: Ints) -> Ints:
    return np.diff(np.concatenate([[0], np.cumsum(values)])[offsets])
