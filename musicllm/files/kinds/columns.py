"""Parquet and Arrow, which store columns apart and compress inside."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from musicllm.files import pieces
from musicllm.files.kinds import KINDS, FileKind
from musicllm.files.misfit import Entry
from musicllm.files.pieces import Piece

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 256
_BUFFER_BYTES = 1 << 20
_ARROW_MAGIC = b"ARROW1"


def _cut_row_groups(path: Path, piece: Piece) -> Iterator[Piece]:
    """Cut a Parquet file into runs of row groups, of about a piece's size where they are small."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    start, first, rows, size = 0, 1, 0, 0
    for number in range(metadata.num_row_groups):
        row_group = metadata.row_group(number)
        rows += row_group.num_rows
        size += row_group.total_byte_size
        if size >= pieces.PIECE_BYTES or number + 1 == metadata.num_row_groups:
            yield Piece(piece.name, piece.kind, "", "", start, number + 1, first, size)
            start, first, rows, size = number + 1, first + rows, 0, 0


def _read(file: IO[bytes], piece: Piece, fields: Collection[str] | None) -> Iterator[Entry]:
    if piece.member:
        file = io.BytesIO(file.read())  # it is read from its end, which a zip cannot do
    batches = (_parquet if piece.kind == "parquet" else _arrow)(file, piece, fields)
    number = piece.first
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            rows = batch.slice(start, _BATCH_ROWS).to_pylist()
            yield from enumerate(rows, start=number)
            number += len(rows)


def _parquet(
    file: IO[bytes], piece: Piece, fields: Collection[str] | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    names = _columns(table.schema_arrow.names, fields)
    stop = table.num_row_groups if piece.stop is None else piece.stop
    row_groups = list(range(piece.start, stop))
    yield from table.iter_batches(_BATCH_ROWS, row_groups, names, use_threads=False)


def _arrow(file: IO[bytes], _: Piece, fields: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Read an Arrow file in either of its forms; `datasets` writes the streaming one."""
    import pyarrow as pa

    is_stream = file.read(len(_ARROW_MAGIC)) != _ARROW_MAGIC
    file.seek(0)
    if is_stream:
        reader = pa.ipc.open_stream(file)
        batches: Iterator[pa.RecordBatch] = iter(reader)
    else:
        reader = pa.ipc.open_file(file)
        batches = map(reader.get_batch, range(reader.num_record_batches))
    names = _columns(reader.schema.names, fields)
    return (batch.select(names) for batch in batches)


def _columns(names: list[str], fields: Collection[str] | None) -> list[str]:
    """Return the columns to read: all where no field is among them, so that a misfit names them."""
    return [name for name in names if fields is not None and name in fields] or names


PARQUET = KINDS.register(
    FileKind("parquet", (".parquet",), _read, _cut_row_groups, is_compressible=False)
)
ARROW = KINDS.register(FileKind("arrow", (".arrow",), _read, is_compressible=False))
