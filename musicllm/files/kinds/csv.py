"""CSV and TSV (RFC 4180, with quoted line breaks).

Line ends inside a cell are the file's, as those between rows are, and become line feeds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from typing import IO

from musicllm.files.kinds import KINDS, FileKind
from musicllm.files.misfit import Entry, Misfit
from musicllm.files.pieces import Piece

MAX_FIELD_CHARS = 16 << 20
"""Of a cell; a quote that is never closed must not swallow a whole file."""


def read_cells(file: IO[bytes], piece: Piece) -> Iterator[Entry]:
    """Yield the rows as lists of cells, by the number of their first line.

    Bytes that are not UTF-8 are surrogates (see `not_utf8`).
    """
    csv.field_size_limit(MAX_FIELD_CHARS)
    with io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline=None) as text:
        rows = csv.reader(text, delimiter="\t" if piece.kind == "tsv" else ",", strict=True)
        while True:
            number = rows.line_num + 1
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                place = f"lines {number} to {rows.line_num}"
                yield number, Misfit("is not valid CSV", f"{place}: {error}")
                continue
            yield number, cells


def not_utf8(cells: list[str]) -> Misfit | None:
    """Return what is wrong with cells that hold bytes which are not UTF-8; None for others."""
    try:
        "".join(cells).encode()
    except UnicodeEncodeError as error:
        byte = ord(error.object[error.start]) - 0xDC00
        return Misfit("is not UTF-8", f"byte 0x{byte:x} in its cells")
    return None


def _read(file: IO[bytes], piece: Piece, _: Collection[str] | None) -> Iterator[Entry]:
    """Yield the rows as objects; the first row names the fields."""
    header: list[str] | None = None
    for number, cells in read_cells(file, piece):
        if isinstance(cells, Misfit):
            yield number, cells
        elif header is None:
            header = cells
        elif cells and len(cells) != len(header):
            detail = f"{len(cells)} cells, expected {len(header)}"
            yield number, Misfit("has other fields", detail)
        elif cells:
            yield number, not_utf8(cells) or dict(zip(header, cells, strict=True))


CSV = KINDS.register(FileKind("csv", (".csv",), _read))
TSV = KINDS.register(FileKind("tsv", (".tsv",), _read))
