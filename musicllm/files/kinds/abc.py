"""Books of tunes in ABC notation."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, TextIO, cast

from musicllm.files.kinds import KINDS, FileKind
from musicllm.files.misfit import Entry, Misfit
from musicllm.files.pieces import Piece
from musicllm.music.abc.book import read_book
from musicllm.music.abc.limits import BOOK_LIMITS
from musicllm.music.abc.model import Rejection


def _read(file: IO[bytes], piece: Piece, _: Collection[str] | None) -> Iterator[Entry]:
    """Yield the tunes of a book by the line of their `X:`, and what cannot be one."""
    for tune in read_book(cast("Path", _OpenFile(file, piece.place)), BOOK_LIMITS):
        if isinstance(tune, Rejection):
            yield tune.line, Misfit("is not a tune", tune.reason)
        else:
            yield tune.line, {"abc": tune.text}


class _OpenFile:
    """Lets `read_book`, which opens a path, read a stream that is open already."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name

    def __str__(self) -> str:
        return self._name

    def open(self, encoding: str, newline: str | None) -> TextIO:
        return io.TextIOWrapper(self._file, encoding, newline=newline)


KIND = KINDS.register(FileKind("abc", (".abc",), _read, record_format="abc"))
