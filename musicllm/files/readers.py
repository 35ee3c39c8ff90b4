"""Reads JSON documents, Parquet and Arrow, and knows which reader takes which kind of file."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

import ijson
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from ijson.common import ObjectBuilder

from musicllm.files.lines import read_abc, read_csv, read_jsonl, read_text
from musicllm.files.misfit import Entry
from musicllm.files.pieces import PIECE_BYTES, Piece
from musicllm.files.suffixes import COLUMNAR

_BATCH_ROWS = 256
_BUFFER_BYTES = 1 << 20
_HEAD_BYTES = 1 << 20
_ARROW_MAGIC = b"ARROW1"
_STARTS = ("start_map", "start_array")
_ENDS = ("end_map", "end_array")


def entries(
    file: IO[bytes], piece: Piece, fields: Collection[str] | None = None
) -> Iterator[Entry]:
    """Yield what stands in a piece, in order.

    Args:
        file: the piece's stream, see `opening.Opener`.
        piece: says what kind of file it is, and which stretch of it.
        fields: columns to read where columns are stored apart; None reads all.
    """
    if piece.kind in COLUMNAR:
        yield from _read_columns(file, piece, fields)
    else:
        yield from _READERS[piece.kind](file, piece)


def is_json_lines(file: IO[bytes]) -> bool:
    """Whether a file called `.json` holds one object a line, as many do."""
    line = file.readline(_HEAD_BYTES)
    try:
        return isinstance(orjson.loads(line), dict) and bool(file.readline(_HEAD_BYTES).strip())
    except orjson.JSONDecodeError:
        return False


def list_names(file: io.BufferedReader) -> list[str]:
    """Return the names of the lists in a JSON object, in order; of other JSON, none.

    Cost: one read of the whole object.
    """
    if not file.peek(_HEAD_BYTES).lstrip().startswith(b"{"):
        return []
    names: dict[str, None] = {}
    depth, key = 0, ""
    for event, value in ijson.basic_parse(file, use_float=True):
        if depth == 1 and event == "map_key":
            key = value
        elif depth == 1 and event == "start_array":
            names[key] = None
        depth += (event in _STARTS) - (event in _ENDS)
    return list(names)


def cut_row_groups(path: Path, piece: Piece) -> Iterator[Piece]:
    """Cut a Parquet file into runs of row groups, of about a part's size where they are small."""
    metadata = pq.read_metadata(path)
    start, first, rows, size = 0, 1, 0, 0
    for number in range(metadata.num_row_groups):
        row_group = metadata.row_group(number)
        rows += row_group.num_rows
        size += row_group.total_byte_size
        if size >= PIECE_BYTES or number + 1 == metadata.num_row_groups:
            yield Piece(piece.name, piece.kind, "", "", start, number + 1, first, size)
            start, first, rows, size = number + 1, first + rows, 0, 0


def _read_json(file: IO[bytes], piece: Piece) -> Iterator[Entry]:
    """Yield the items of a list, or of every list in an object, such as `data` or `train`.

    Items are numbered through all lists, also where `piece.list_name` chooses one of them.
    """
    number = depth = item_depth = 0
    name = ""
    builder: ObjectBuilder | None = None
    for event, value in ijson.basic_parse(file, use_float=True):
        depth -= event in _ENDS
        if builder is None and depth == item_depth > 0 and event not in _ENDS:
            builder = ObjectBuilder()
        if builder is not None:
            builder.event(event, value)
            if depth == item_depth and event not in _STARTS:
                number += 1
                if piece.list_name in ("", name):
                    yield number, builder.value
                builder = None
        elif event == "map_key" and depth == 1:
            name = value
        elif event == "start_array" and depth <= 1:
            item_depth = depth + 1
        elif event == "end_array" and depth == item_depth - 1:
            item_depth = 0
        depth += event in _STARTS


def _read_columns(file: IO[bytes], piece: Piece, fields: Collection[str] | None) -> Iterator[Entry]:
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
    table = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    names = _wanted(table.schema_arrow.names, fields)
    stop = table.num_row_groups if piece.stop is None else piece.stop
    row_groups = list(range(piece.start, stop))
    yield from table.iter_batches(_BATCH_ROWS, row_groups, names, use_threads=False)


def _arrow(file: IO[bytes], _: Piece, fields: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    """Read an Arrow file in either of its forms; `datasets` writes the streaming one."""
    is_stream = file.read(len(_ARROW_MAGIC)) != _ARROW_MAGIC
    file.seek(0)
    if is_stream:
        reader = pa.ipc.open_stream(file)
        batches: Iterator[pa.RecordBatch] = iter(reader)
    else:
        reader = pa.ipc.open_file(file)
        batches = map(reader.get_batch, range(reader.num_record_batches))
    names = _wanted(reader.schema.names, fields)
    return (batch.select(names) for batch in batches)


def _wanted(names: list[str], fields: Collection[str] | None) -> list[str]:
    """Return the columns to read: all when none is wanted, so that a misfit can name them."""
    return [name for name in names if fields is not None and name in fields] or names


_READERS: dict[str, Callable[[IO[bytes], Piece], Iterator[Entry]]] = {
    "jsonl": read_jsonl,
    "json": _read_json,
    "csv": read_csv,
    "tsv": read_csv,
    "txt": read_text,
    "abc": read_abc,
}
