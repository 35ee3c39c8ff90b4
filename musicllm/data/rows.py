"""Rows on disk: token documents packed into Arrow shards, and their memory-mapped reader.

A row is what one sequence position of a batch may hold: at most `max_length` tokens of one or
more documents, whose boundaries are kept so that attention and positions can respect them. This
module does not tokenise, it does not decide which documents share a row (`packing`) or where their
tokens come from (`store`), and it does not decide in which order rows are read.

Letters: R rows, P documents or pieces of documents in them, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from musicllm import artifacts
from musicllm.data.atomic import replacing
from musicllm.errors import ArtifactError

INDEX = "index.npz"
MOST_SOURCES = 1 << 15
"""int16 counts no further."""
SCHEMA = pa.schema(
    {
        "input_ids": pa.list_(pa.int32()),
        "supervised": pa.list_(pa.bool_()),
        "document_lengths": pa.list_(pa.int32()),
        "source": pa.list_(pa.int16()),
    }
)


@dataclass(frozen=True)
class TopTokens:
    """What a teacher says of S supervised tokens: its k most likely ones; see `teacher_logits`.

    Attributes:
        values: float16 [S, k]; logarithms of the largest probabilities, descending.
        ids: int32 [S, k]; their tokens.
        rest: float16 [S]; logarithm of the probability of all other tokens together.
    """

    values: npt.NDArray[np.float16]
    ids: npt.NDArray[np.int32]
    rest: npt.NDArray[np.float16]

    def __len__(self) -> int:
        """Return S."""
        return len(self.rest)

    def __getitem__(self, part: slice) -> TopTokens:
        """Return some of them."""
        return TopTokens(self.values[part], self.ids[part], self.rest[part])


@dataclass(frozen=True)
class RowAudio:
    """The audio of a row's D documents: features of C clips.

    Attributes:
        features: float32 arrays of one shape, C of them.
        clip_of_document: int64 [D], index into `features`, -1 for a document without audio.
        first_place: where places for audio begin in a document with a clip.
        num_places: how many there are; 0 where audio needs none.
    """

    features: tuple[npt.NDArray[np.float32], ...]
    clip_of_document: npt.NDArray[np.int64]
    first_place: int
    num_places: int


@dataclass(frozen=True)
class Row:
    """One row. N tokens, D documents.

    Attributes:
        input_ids: int32 [N].
        supervised: bool [N]; whether the token's own negative log-likelihood counts. The first
            token of a document never counts, since nothing of its document predicts it.
        document_lengths: int32 [D], adding up to N.
        source: int16 [D]; which source a document comes from.
        teacher: what a teacher says of its supervised tokens; None where nothing is stored.
        audio: of its documents; None in a corpus without audio.
    """

    input_ids: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.bool_]
    document_lengths: npt.NDArray[np.int32]
    source: npt.NDArray[np.int16]
    teacher: TopTokens | None = None
    audio: RowAudio | None = None


@dataclass(frozen=True)
class RowBatch:
    """Some rows, one after another; at least one, and none of them empty.

    Attributes:
        input_ids: int32 [T].
        supervised: bool [T].
        document_lengths: int32 [P].
        source: int16 [P].
        offsets: int64 [R + 1]; row r holds the documents `offsets[r]` to `offsets[r + 1]`.
    """

    input_ids: npt.NDArray[np.int32]
    supervised: npt.NDArray[np.bool_]
    document_lengths: npt.NDArray[np.int32]
    source: npt.NDArray[np.int16]
    offsets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShardFacts:
    """What a shard holds.

    Attributes:
        name: of its file.
        sha256: of the file's bytes.
        num_rows: rows.
        num_tokens: tokens.
        num_supervised: supervised tokens.
        tokens_by_source: tokens of source 0, 1, ... up to the last one that the shard holds.
        supervised_by_source: supervised tokens likewise.
    """

    name: str
    sha256: str
    num_rows: int
    num_tokens: int
    num_supervised: int
    tokens_by_source: list[int]
    supervised_by_source: list[int]


def write_shard(folder: Path, number: int, batches: Iterable[RowBatch]) -> ShardFacts:
    """Write rows as `shard-<number>.arrow`, and their sizes beside it for `finish`.

    The same batches always give the same bytes. Cost: linear in tokens; one batch is in memory.

    Args:
        folder: made when it is not there.
        number: of the shard, from 0.
        batches: each becomes one Arrow batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"shard-{number:05d}.arrow"
    rows = [np.zeros((0, 2), np.int64)]
    by_source = np.zeros((MOST_SOURCES, 2), np.int64)
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(_arrow_batch(batch))
                sizes = _sizes(batch)
                rows.append(np.add.reduceat(sizes, batch.offsets[:-1]))
                np.add.at(by_source, batch.source, sizes)
        sha256 = artifacts.checksum(temporary)
    num_tokens, num_supervised = np.concatenate(rows).T
    _write_index(path.with_suffix(".npz"), num_tokens, num_supervised)
    num_sources = int(np.flatnonzero(by_source[:, 0]).max(initial=-1)) + 1
    return ShardFacts(
        path.name,
        sha256,
        len(num_tokens),
        int(num_tokens.sum()),
        int(num_supervised.sum()),
        *by_source[:num_sources].T.tolist(),
    )


def finish(folder: Path) -> None:
    """Join the sizes of the rows of all shards in a folder, which may be none, into its index."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [path.with_suffix(".npz") for path in sorted(folder.glob("shard-*.arrow"))]
    num_tokens, num_supervised = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for path in paths:
        with np.load(path) as sizes:
            num_tokens.append(sizes["num_tokens"])
            num_supervised.append(sizes["num_supervised"])
    _write_index(folder / INDEX, np.concatenate(num_tokens), np.concatenate(num_supervised))
    for path in paths:
        path.unlink()


def _write_index(
    path: Path, num_tokens: npt.NDArray[np.int64], num_supervised: npt.NDArray[np.int64]
) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, num_tokens=num_tokens, num_supervised=num_supervised)


def _sizes(batch: RowBatch) -> npt.NDArray[np.int64]:
    """Return tokens and supervised tokens of every document, int64 [P, 2]."""
    lengths = batch.document_lengths.astype(np.int64)
    firsts = np.cumsum(lengths) - lengths
    return np.stack([lengths, np.add.reduceat(batch.supervised, firsts, dtype=np.int64)], axis=1)


def _arrow_batch(batch: RowBatch) -> pa.RecordBatch:
    tokens = np.concatenate([[0], np.cumsum(batch.document_lengths)])[batch.offsets]
    offsets = {"input_ids": tokens, "supervised": tokens}
    columns = [
        pa.ListArray.from_arrays(
            pa.array(offsets.get(name, batch.offsets).astype(np.int32)),
            pa.array(getattr(batch, name)),
        )
        for name in SCHEMA.names
    ]
    return pa.record_batch(columns, schema=SCHEMA)


class RowStore:
    """The rows of one split, memory-mapped: opening reads only the index.

    It can be pickled, so that the workers of a data loader open the files themselves.

    Attributes:
        folder: what `write_shard` and `finish` filled.
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
        files = [pa.memory_map(str(path)) for path in sorted(folder.glob("*.arrow"))]
        readers = [pa.ipc.open_file(file) for file in files]
        self._batches = [
            reader.get_batch(number)
            for reader in readers
            for number in range(reader.num_record_batches)
        ]
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
        ids, supervised, lengths, source = (
            _values(batch.column(name), inside) for name in SCHEMA.names
        )
        return Row(ids, supervised, lengths, source)


def _values(column: pa.ListArray, index: int) -> npt.NDArray[Any]:
    start, stop = column.offsets[index].as_py(), column.offsets[index + 1].as_py()
    values: npt.NDArray[Any] = column.values[start:stop].to_numpy(zero_copy_only=False)
    return values
