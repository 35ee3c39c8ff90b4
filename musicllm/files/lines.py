"""Reads what is written in lines: JSON Lines, CSV, plain text and tune books.

Every reader takes a stream of bytes and yields entries one at a time; the longest line, field or
document is all that is in memory. What cannot be read becomes a `Misfit` with its line.
"""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO, cast

import orjson

from musicllm.files.misfit import Entry, Misfit
from musicllm.files.pieces import PIECE_BYTES, Piece
from musicllm.music.abc.book import read_book
from musicllm.music.abc.limits import BOOK_LIMITS
from musicllm.music.abc.model import Rejection

TEXT_BYTES = 1 << 20
"""A text file is one document; a longer one is cut at the next blank line, or at twice this."""

MAX_FIELD_CHARS = 16 << 20
"""Of a CSV cell; a quote that is never closed must not swallow a whole file."""


def cut_lines(path: Path, piece: Piece) -> Iterator[Piece]:
    """Cut a plain file into stretches of whole lines, counting lines on the way.

    Cost: one read of the file, at the speed of the disk.
    """
    first = 1
    with path.open("rb") as file:
        start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
        file.seek(start)
        while block := file.read(PIECE_BYTES):
            block += file.readline()
            stop = start + len(block)
            yield Piece(piece.name, piece.kind, "", "", start, stop, first, len(block))
            first += block.count(b"\n")
            start = stop


def read_jsonl(file: IO[bytes], piece: Piece) -> Iterator[Entry]:
    """Yield the object of each line that is not blank, from `piece.first` on to `piece.stop`."""
    left = None if piece.stop is None else piece.stop - piece.start
    for number, line in enumerate(file, start=piece.first):
        if left is not None:
            if left <= 0:
                return
            left -= len(line)
        if line.isspace():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield number, _not_json(line, number, error)


def read_csv(file: IO[bytes], piece: Piece) -> Iterator[Entry]:
    """Yield the rows of CSV or TSV (RFC 4180, quoted line breaks) as objects.

    The first row names the fields. A row's number is that of its first line. Line ends inside a
    cell are the file's, as those between rows are, and become line feeds.
    """
    csv.field_size_limit(MAX_FIELD_CHARS)
    with io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline=None) as text:
        rows = csv.reader(text, delimiter="\t" if piece.kind == "tsv" else ",", strict=True)
        header: list[str] | None = None
        while True:
            number = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                place = f"lines {number} to {rows.line_num}"
                yield number, Misfit("is not valid CSV", f"{place}: {error}")
                continue
            if header is None:
                header = row
            elif row:
                yield number, _row(header, row)


def read_text(file: IO[bytes], _: Piece) -> Iterator[Entry]:
    """Yield a text file as one document, a long one as several; together they are the file.

    Lines that end as on Windows end in a line feed alone.
    """
    lines: list[bytes] = []
    size, first = 0, 1
    for number, line in enumerate(file, start=1):
        if size > 2 * TEXT_BYTES or (size > TEXT_BYTES and not line.strip()):
            yield first, _text(lines, first)
            lines, size, first = [], 0, number
        lines.append(line)
        size += len(line)
    yield first, _text(lines, first)


def read_abc(file: IO[bytes], piece: Piece) -> Iterator[Entry]:
    """Yield the tunes of a book by the line of their `X:`, and what cannot be one."""
    for tune in read_book(cast("Path", _Opened(file, piece.place)), BOOK_LIMITS):
        if isinstance(tune, Rejection):
            yield tune.line, Misfit("is not a tune", tune.reason)
        else:
            yield tune.line, {"abc": tune.text}


class _Opened:
    """Lets `read_book`, which opens a path, read a stream that is open already."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name

    def __str__(self) -> str:
        return self._name

    def open(self, encoding: str, newline: str | None) -> TextIO:
        return io.TextIOWrapper(self._file, encoding, newline=newline)


def _not_json(line: bytes, number: int, error: orjson.JSONDecodeError) -> Misfit:
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return _not_utf8(number, wrong)
    column = min(error.pos, len(line.rstrip())) + 1
    place = f"line {number}, column {column}"
    return Misfit("is not valid JSON", f"{place}: {error.msg.partition(': ')[0]}")


def _row(header: list[str], row: list[str]) -> object:
    if len(row) != len(header):
        return Misfit("has other fields", f"{len(row)} cells, expected {len(header)}")
    try:
        "".join(row).encode()
    except UnicodeEncodeError as error:
        byte = ord(error.object[error.start]) - 0xDC00
        return Misfit("is not UTF-8", f"byte 0x{byte:x} in its cells")
    return dict(zip(header, row, strict=True))


def _text(lines: list[bytes], first: int) -> object:
    try:
        return {"text": b"".join(lines).decode().replace("\r\n", "\n")}
    except UnicodeDecodeError as error:
        return _not_utf8(first + error.object.count(b"\n", 0, error.start), error)


def _not_utf8(line: int, error: UnicodeDecodeError) -> Misfit:
    column = error.start - error.object.rfind(b"\n", 0, error.start)
    return Misfit("is not UTF-8", f"line {line}, byte {column}: {error.reason}")
