"""Plain text: a file is one document, a long one several; together they are the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import IO

from musicllm.files.kinds import KINDS, FileKind
from musicllm.files.misfit import Entry, not_utf8
from musicllm.files.pieces import Piece

TEXT_BYTES = 1 << 20
"""A longer file is cut at the next blank line, or at twice this."""


def _read(file: IO[bytes], _: Piece, __: Collection[str] | None) -> Iterator[Entry]:
    """Yield the documents; lines that end as on Windows end in a line feed alone."""
    lines: list[bytes] = []
    size, first = 0, 1
    for number, line in enumerate(file, start=1):
        if size > 2 * TEXT_BYTES or (size > TEXT_BYTES and not line.strip()):
            yield first, _document(lines, first)
            lines, size, first = [], 0, number
        lines.append(line)
        size += len(line)
    yield first, _document(lines, first)


def _document(lines: list[bytes], first: int) -> object:
    try:
        return {"text": b"".join(lines).decode().replace("\r\n", "\n")}
    except UnicodeDecodeError as error:
        return not_utf8(first + error.object.count(b"\n", 0, error.start), error)


KIND = KINDS.register(FileKind("txt", (".txt",), _read, record_format="text"))
