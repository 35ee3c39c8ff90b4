"""What reading leaves of each part of a source: its records, and columns about them.

A folder holds the records in batches (`records.arrow`), a number per record for the decisions that
need to see all records at once (`columns.npz`), the signatures of duplicates (`minhash`,
`melody`), and what was left out (`drops.jsonl`). Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from musicllm.data.records import Record

RECORDS = "records.arrow"
COLUMNS = "columns.npz"
MINHASH = "minhash"
MELODY = "melody"
DROPS = "drops.jsonl"

SCHEMA = pa.schema({"id": pa.string(), "text": pa.large_string(), "rest": pa.large_string()})
"""`text` is null in conversations; `rest` is JSON of everything else, null without anything."""

DTYPES: dict[str, Any] = {
    "exact": np.uint64,
    "key": np.uint64,
    "source": np.int16,
    "kind": np.int8,
    "split": np.int8,
    "num_melodic": np.int32,
    "frame": np.uint64,
    "num_parts": np.int8,
    "around": np.uint64,
    "fullness": np.uint64,
    "title": np.uint64,
    "clip": np.uint64,
}
"""The columns: hash of the text, hash of the id, position in the part's sources, in `KINDS`, in
`SPLITS` (-1 where the source has none), how many values of `melody` belong to the record, and its
`duplicates.Outline`: frame, number of parts, what is around its tunes; how full and clean it is,
the hash of its one tune's title (0 for none or several), and that of the audio file that belongs to
it (0 for none)."""


class RecordWriter:
    """Writes records and their columns, batch by batch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns: dict[str, list[int]] = {name: [] for name in DTYPES}

    def __enter__(self) -> Self:
        """Open the files."""
        with ExitStack() as stack:
            sink = stack.enter_context(pa.OSFile(str(self._folder / RECORDS), "wb"))
            self._records = stack.enter_context(pa.ipc.new_file(sink, SCHEMA))
            self._minhash = stack.enter_context((self._folder / MINHASH).open("wb"))
            self._melody = stack.enter_context((self._folder / MELODY).open("wb"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files and write the columns."""
        self._stack.close()
        columns = {name: np.array(values, DTYPES[name]) for name, values in self._columns.items()}
        np.savez(self._folder / COLUMNS, allow_pickle=False, **columns)

    def write(
        self,
        records: Sequence[Record],
        columns: dict[str, Sequence[int]],
        minhash: npt.NDArray[np.uint32] | None,
        melody: npt.NDArray[np.uint64],
    ) -> None:
        """Append a batch; `columns` has a value for every record, under the names of `DTYPES`."""
        self._records.write_batch(_to_batch(records))
        for name, values in columns.items():
            self._columns[name].extend(values)
        if minhash is not None:
            minhash.tofile(self._minhash)
        melody.tofile(self._melody)


def _to_batch(records: Sequence[Record]) -> pa.RecordBatch:
    rests = [
        {key: value for key, value in record.items() if key not in ("id", "text", "source")}
        for record in records
    ]
    texts = [orjson.dumps(rest).decode() if rest else None for rest in rests]
    return pa.record_batch(
        [
            pa.array([record["id"] for record in records], pa.string()),
            pa.array([record.get("text") for record in records], pa.large_string()),
            pa.array(texts, pa.large_string()),
        ],
        schema=SCHEMA,
    )


def from_batch(batch: pa.RecordBatch, sources: Sequence[str]) -> list[Record]:
    """Return the records of a batch, whose sources are given."""
    records: list[Record] = []
    columns = [batch.column(name).to_pylist() for name in SCHEMA.names]
    for name, text, rest, source in zip(*columns, sources, strict=True):
        record: Record = {"id": name, "source": source}
        if text is not None:
            record["text"] = text
        records.append(record | orjson.loads(rest) if rest else record)
    return records


def load_column(folders: Sequence[Path], name: str) -> npt.NDArray[Any]:
    """Return one column over all parts."""
    pieces = []
    for folder in folders:
        with np.load(folder / COLUMNS) as columns:
            pieces.append(columns[name])
    return np.concatenate([np.zeros(0, DTYPES[name]), *pieces])


def load_ids(folder: Path) -> pa.ChunkedArray:
    """Return the ids of a part's records, and read nothing else of them."""
    options = pa.ipc.IpcReadOptions(included_fields=[SCHEMA.get_field_index("id")])
    with pa.OSFile(str(folder / RECORDS), "rb") as file:
        return pa.ipc.open_file(file, options=options).read_all().column("id")


def batches(folder: Path, first: int, stop: int) -> Iterator[pa.RecordBatch]:
    """Yield the batches `first` to `stop` of a part, one in memory at a time."""
    with pa.OSFile(str(folder / RECORDS), "rb") as file:
        reader = pa.ipc.open_file(file)
        for number in range(first, stop):
            yield reader.get_batch(number)
