"""Rows on disk: token documents packed into Arrow shards, and their memory-mapped reader.

A row is what one sequence position of a batch may hold: at most `max_length` tokens of one or
more documents, whose boundaries are kept so that attention and positions can respect them. This
module does not tokenise, and it does not decide in which order rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from musicllm.data.packing import FORMERS, Piece, Rows
from musicllm.errors import ArtifactError

INDEX = "index.npz"
ROWS_PER_SHARD = 1 << 16
ROWS_PER_ARROW_BATCH = 1 << 10
SCHEMA = pa.schema(
    {
        "input_ids": pa.list_(pa.int32()),
        "supervised": pa.list_(pa.bool_()),
        "document_lengths": pa.list_(pa.int32()),
        "source": pa.list_(pa.int16()),
    }
)


@dataclass(frozen=True)
class Row:
    """One row. N tokens, D documents.

    Attributes:
        input_ids: int32 [N].
        supervised: bool [N]; whether the token's own negative log-likelihood counts. The first
            token of a document never counts, since nothing of its document predicts it.
        document_lengths: int32 [D], adding up to N.
        source: int16 [D]; which source a document comes from.
    """

    input_ids: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.bool_]
    document_lengths: npt.NDArray[np.int32]
    source: npt.NDArray[np.int16]


@dataclass(frozen=True)
class Documents:
    """Tokenised documents, one after another: 5 bytes a token in memory.

    Attributes:
        input_ids: int32, all tokens.
        supervised: bool, all tokens.
        offsets: int64 [documents + 1]; document i is `offsets[i]` to `offsets[i + 1]`.
        source: int16 [documents].
    """

    input_ids: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]
    source: npt.NDArray[np.int16]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of every document, int64 [documents]."""
        return np.diff(self.offsets)

    def row(self, pieces: Sequence[Piece]) -> Row:
        """Join pieces of documents into a row."""
        starts = [int(self.offsets[piece.document]) for piece in pieces]
        spans = [
            slice(start + piece.start, start + piece.stop)
            for start, piece in zip(starts, pieces, strict=True)
        ]
        lengths = np.array([piece.stop - piece.start for piece in pieces], np.int32)
        supervised = np.concatenate([self.supervised[span] for span in spans])
        supervised[np.cumsum(lengths) - lengths] = False
        return Row(
            np.concatenate([self.input_ids[span] for span in spans]),
            supervised,
            lengths,
            self.source[[piece.document for piece in pieces]],
        )


def write(folder: Path, documents: Documents, row_former: str, max_length: int) -> None:
    """Form rows and write them as Arrow IPC shards and an index.

    Cost: linear in tokens; one Arrow batch of rows is held beside the documents.

    Args:
        folder: made here.
        documents: what the rows are made of.
        row_former: `pack`, `chunk` or `single`.
        max_length: tokens in a row.
    """
    folder.mkdir(parents=True)
    formed = FORMERS[row_former](documents.lengths.tolist(), max_length)
    num_tokens: list[int] = []
    num_supervised: list[int] = []
    for number, shard in enumerate(_slices(formed, ROWS_PER_SHARD)):
        path = folder / f"shard-{number:05d}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
            for some in _slices(shard, ROWS_PER_ARROW_BATCH):
                rows = [documents.row(pieces) for pieces in some]
                writer.write_batch(_arrow_batch(rows))
                num_tokens += [len(row.input_ids) for row in rows]
                num_supervised += [int(row.supervised.sum()) for row in rows]
    np.savez(
        folder / INDEX,
        num_tokens=np.array(num_tokens, np.int64),
        num_supervised=np.array(num_supervised, np.int64),
    )


def _slices(rows: Rows, size: int) -> Iterator[Rows]:
    return (rows[first : first + size] for first in range(0, len(rows), size))


def _arrow_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    columns = []
    for name in SCHEMA.names:
        values = [getattr(row, name) for row in rows]
        offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
        columns.append(pa.ListArray.from_arrays(pa.array(offsets), np.concatenate(values)))
    return pa.record_batch(columns, schema=SCHEMA)


class RowStore:
    """The rows of one split, memory-mapped: opening reads only the index.

    It can be pickled, so that the workers of a data loader open the files themselves.

    Attributes:
        folder: what `write` filled.
        num_tokens: int64 [rows].
        num_supervised: int64 [rows].
    """

    def __init__(self, folder: Path) -> None:
        """Open the rows in a folder.

        Raises:
            ArtifactError: files are missing, or hold another number of rows than the index.
        """
        self.folder = folder
        try:
            with np.load(folder / INDEX) as index:
                self.num_tokens: npt.NDArray[np.int64] = index["num_tokens"]
                self.num_supervised: npt.NDArray[np.int64] = index["num_supervised"]
        except FileNotFoundError:
            raise ArtifactError(f"{folder} holds no rows: it has no {INDEX}") from None
        self._batches = [batch for path in sorted(folder.glob("*.arrow")) for batch in _map(path)]
        self._firsts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        if self._firsts[-1] != len(self.num_tokens):
            raise ArtifactError(
                f"{folder} holds {self._firsts[-1]} rows, but its {INDEX} lists "
                f"{len(self.num_tokens)}; prepare the corpus again"
            )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.num_tokens)

    def __reduce__(self) -> tuple[type[RowStore], tuple[Path]]:
        """Pickle the folder, not the mapped files."""
        return RowStore, (self.folder,)

    def row(self, index: int) -> Row:
        """Read one row, 0 <= index < len(self)."""
        assert 0 <= index < len(self), f"row {index} of {len(self)}"
        which = int(np.searchsorted(self._firsts, index, side="right")) - 1
        batch, inside = self._batches[which], index - int(self._firsts[which])
        return Row(*(_values(batch.column(name), inside) for name in SCHEMA.names))


def _map(path: Path) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return (reader.get_batch(number) for number in range(reader.num_record_batches))


def _values(column: pa.ListArray, index: int) -> npt.NDArray[Any]:
    start, stop = column.offsets[index].as_py(), column.offsets[index + 1].as_py()
    values: npt.NDArray[Any] = column.values[start:stop].to_numpy(zero_copy_only=False)
    return values
