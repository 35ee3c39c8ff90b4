"""JSON Lines."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from musicllm.files import pieces
from musicllm.files.kinds import KINDS, FileKind
from musicllm.files.misfit import Entry, Misfit, not_utf8
from musicllm.files.pieces import Piece

if TYPE_CHECKING:
    import orjson


def cut_lines(path: Path, piece: Piece) -> Iterator[Piece]:
    """Cut a plain file into pieces of whole lines, counting lines on the way.

    Cost: one read of the file, at the speed of the disk.
    """
    first = 1
    with path.open("rb") as file:
        start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
        file.seek(start)
        while block := file.read(pieces.PIECE_BYTES):
            block += file.readline()
            stop = start + len(block)
            yield Piece(piece.name, piece.kind, "", "", start, stop, first, len(block))
            first += block.count(b"\n")
            start = stop


def _read(file: IO[bytes], piece: Piece, _: Collection[str] | None) -> Iterator[Entry]:
    """Yield the object of each line that is not blank, from `piece.first` on to `piece.stop`."""
    import orjson

    bytes_left = None if piece.stop is None else piece.stop - piece.start
    for number, line in enumerate(file, start=piece.first):
        if bytes_left is not None:
            if bytes_left <= 0:
                return
            bytes_left -= len(line)
        if line.isspace():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield number, _not_json(line, number, error)


def _not_json(line: bytes, number: int, error: orjson.JSONDecodeError) -> Misfit:
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return not_utf8(number, wrong)
    column = min(error.pos, len(line.rstrip())) + 1
    place = f"line {number}, column {column}"
    return Misfit("is not valid JSON", f"{place}: {error.msg.partition(': ')[0]}")


KIND = KINDS.register(FileKind("jsonl", (".jsonl", ".ndjson"), _read, cut_lines))
