"""The token store: encoded documents on disk, between the encoder and the row former.

The store is several blocks in order (see `blocks`). It is read by plain reads at known places, not
by mapping the files of tokens, so that what is in memory is what is being gathered. Nothing here
tokenises or plans rows.

Letters: n documents, P pieces of them, T tokens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musicllm.data.atomic import replacing
from musicllm.data.blocks import (
    COLUMNS,
    IDS,
    INDEX,
    SUPERVISED,
    BlockWriter,
    block_file,
    is_plain,
    write_block,
)
from musicllm.data.packing import RowPlan
from musicllm.data.rows import RowBatch
from musicllm.errors import ArtifactError

__all__ = ["BlockWriter", "TokenStore", "write_block"]

Ints = npt.NDArray[np.int64]

TOKENS_PER_BATCH = 1 << 20
"""Of rows that are gathered at a time; about 40 bytes of memory each."""

DOCUMENTS = np.dtype([("begin", np.int64), *COLUMNS.descr])
BLOCKS = np.dtype([("begin", np.int64), ("is_plain", np.bool_)])
"""`begin` is a place among all tokens of the store."""


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
    """Blocks one after another."""

    def __init__(self, folder: Path, names: Sequence[str], index: Path | None = None) -> None:
        """Open blocks.

        Args:
            folder: where they are.
            names: of the blocks, in order; a name may hold folders.
            index: a folder where the blocks' indexes are joined when the store is opened first.
                Later the joined one is mapped: opening costs nothing, and reading rows needs
                memory for their documents alone. None joins them in memory, 19 bytes a document.
        """
        self._paths = [folder / name for name in names]
        if index is None:
            self._documents, self._blocks = _join(self._paths)
        else:
            if not (index / "documents.npy").exists():
                _save(index, *_join(self._paths))
            self._documents = np.load(index / "documents.npy", mmap_mode="r")
            self._blocks = np.load(index / "blocks.npy")

    @property
    def lengths(self) -> Ints:
        """Tokens of every document, int64 [n]."""
        return self._column("length", np.int64)

    @property
    def num_supervised(self) -> Ints:
        """Supervised tokens of every document, int64 [n]."""
        return self._column("num_supervised", np.int64)

    @property
    def source(self) -> npt.NDArray[np.int16]:
        """Number of the source of every document, int16 [n]."""
        return self._column("source", np.int16)

    @property
    def kind(self) -> npt.NDArray[np.int8]:
        """Number of the kind of every document, int8 [n]."""
        return self._column("kind", np.int8)

    @property
    def block_sizes(self) -> list[int]:
        """Documents of every block, in order."""
        return [len(np.load(block_file(path, INDEX), mmap_mode="r")) for path in self._paths]

    def _column(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.array(self._documents[name], dtype)

    def read(self, plan: RowPlan, documents: Ints) -> Iterator[RowBatch]:
        """Gather the rows of a plan.

        Cost: linear in tokens, and one read of a file for every run of neighbouring pieces; memory
        is that of `TOKENS_PER_BATCH` tokens, or of one row if it is longer.

        Args:
            plan: the rows.
            documents: int64; which document of the store each document of the plan is.

        Raises:
            ArtifactError: a block's files are shorter than its index says.
        """
        size = max(1, TOKENS_PER_BATCH // int(plan.num_tokens.max(initial=1)))
        for first in range(0, plan.num_rows, size):
            yield self._gather(plan.part(first, min(first + size, plan.num_rows)), documents)

    def _gather(self, plan: RowPlan, documents: Ints) -> RowBatch:
        index = np.asarray(self._documents[documents[plan.document]])
        lengths = plan.stop - plan.start
        runs = self._runs(index["begin"] + plan.start, lengths)
        firsts = np.cumsum(lengths) - lengths
        order = np.arange(lengths.sum()) + np.repeat(runs.place - firsts, lengths)
        input_ids = self._read(runs, IDS, np.dtype("<i4"))[order]
        supervised = self._read(runs, SUPERVISED, np.dtype(np.bool_))[order]
        supervised[firsts] = False
        return RowBatch(
            input_ids.astype(np.int32, copy=False),
            supervised,
            lengths.astype(np.int32),
            index["source"],
            plan.offsets,
        )

    def _runs(self, begin: Ints, length: Ints) -> _Runs:
        """Join pieces that are near each other: gaps no longer than the piece before are read."""
        order = np.argsort(begin, kind="stable")
        begin, length = begin[order], length[order]
        stop = np.maximum.accumulate(begin + length)
        block = self._block_of(begin)
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
        block = self._block_of(runs.begin)
        begin = (runs.begin - self._blocks["begin"][block]) * dtype.itemsize
        stop = np.cumsum(runs.size) * dtype.itemsize
        start = stop - runs.size * dtype.itemsize
        numbers, heads = np.unique(block, return_index=True)
        for number, head, tail in zip(numbers, heads, [*heads[1:], len(block)], strict=True):
            if suffix == IDS or not self._blocks["is_plain"][number]:
                spans = (column[head:tail].tolist() for column in (begin, start, stop))
                _read_into(
                    values, block_file(self._paths[number], suffix), zip(*spans, strict=True)
                )
        return values

    def _block_of(self, begin: Ints) -> Ints:
        return np.searchsorted(self._blocks["begin"], begin, side="right") - 1


def _join(paths: Sequence[Path]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Join the indexes of blocks: a row for every document, and one for every block."""
    indexes = [np.load(block_file(path, INDEX)) for path in paths]
    columns = np.concatenate([np.zeros(0, COLUMNS), *indexes])
    documents = np.empty(len(columns), DOCUMENTS)
    for name in COLUMNS.names or ():
        documents[name] = columns[name]
    ends = np.cumsum(columns["length"], dtype=np.int64)
    documents["begin"] = ends - columns["length"]
    blocks = np.empty(len(indexes), BLOCKS)
    num_tokens = [index["length"].sum(dtype=np.int64) for index in indexes]
    blocks["begin"] = np.cumsum([0, *num_tokens])[:-1]
    blocks["is_plain"] = [is_plain(index) for index in indexes]
    return documents, blocks


def _save(folder: Path, documents: npt.NDArray[Any], blocks: npt.NDArray[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in (("blocks", blocks), ("documents", documents)):
        with replacing(folder / f"{name}.npy") as path, path.open("wb") as file:
            np.save(file, values)


def _read_into(values: npt.NDArray[Any], path: Path, spans: Iterable[tuple[int, int, int]]) -> None:
    """Read stretches of a file: where each begins in it, and from where to where in `values`."""
    view = values.data.cast("B")
    with path.open("rb", buffering=0) as file:
        for place, start, stop in spans:
            if os.preadv(file.fileno(), [view[start:stop]], place) != stop - start:
                raise ArtifactError(
                    f"{path} is shorter than its index says; delete {path.parent} and prepare again"
                )
