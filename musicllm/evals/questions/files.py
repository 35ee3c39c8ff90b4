"""The rows of a benchmark's question files, as they stand there.

Reads CSV (with a header or without), JSON, JSON lines and Parquet. Knows nothing of what the rows
mean; `rows` does.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any

from musicllm.errors import InputError
from musicllm.files import hub, selections
from musicllm.files.kinds import KINDS
from musicllm.files.kinds.csv import not_utf8, read_cells
from musicllm.files.misfit import Entry, Misfit
from musicllm.files.opening import Opener, naming_damage
from musicllm.files.pieces import Piece

SPLITS = ("dev", "val", "validation", "test")
"""Folders of MMLU's layout; where there is one of them, nothing else is read."""

_SPLIT = re.compile(rf"(?:^|[_/.-])(train|{'|'.join(SPLITS)})(?=[_/.-]|$)")
_HEADER = {"question", "stem", "input", "answer", "target"}
_LAST_CELL = re.compile(r"[A-Da-d0-3]")


@dataclass(frozen=True)
class FileRow:
    """One row of a file.

    Attributes:
        file: where it stands.
        place: file and line, or file and number of the row, for messages.
        fields: by name; or a list when the file has no names.
    """

    file: Path
    place: str
    fields: dict[str, Any] | list[str]


def locate(benchmark: str, location: str, cache: Path, revision: str | None = None) -> Path:
    """Return the file or folder of a benchmark; see `files.hub.locate`."""
    return hub.locate(f"benchmark.{benchmark}", location, revision, cache, selections.questions())


def subject_of(file: PurePath) -> str:
    """Return a file's name without its split, which is the subject in MMLU's layout."""
    return _SPLIT.sub("", file.stem)


def read_rows(path: Path) -> Iterator[FileRow]:
    """Yield the rows of a file or of all files of a folder, files in the order of their names.

    Where a folder has folders named after splits, or `all`, in it, only these are read; training
    files and hidden ones never are.

    Raises:
        InputError: there is no file of questions, or one cannot be read.
    """
    for file in _files(path):
        with naming_damage(file), Opener(file.parent) as opener:
            piece = opener.with_actual_kind(Piece(file.name, file.suffix.removeprefix(".")))
            separator = ":" if piece.kind in ("csv", "jsonl") else ", row "
            with opener.open(piece) as stream:
                for number, fields in _read(stream, piece, file):
                    place = f"{file}{separator}{number}"
                    if isinstance(fields, Misfit):
                        raise InputError(f"{place} {fields.reason} ({fields.detail})")
                    yield FileRow(file, place, fields)


def _files(path: Path) -> list[Path]:
    if path.is_file() and path.suffix in selections.QUESTION_SUFFIXES:
        return [path]
    roots = [path / split for split in SPLITS if (path / split).is_dir()] or [path]
    files = [file for root in roots for file in root.rglob("*") if file.is_file()]
    names = selections.choose_questions([file.relative_to(path).as_posix() for file in files])
    if not names:
        suffixes = ", ".join(selections.QUESTION_SUFFIXES)
        raise InputError(f"{path} holds no questions; expected files {suffixes}")
    return sorted(path / name for name in names)


def _read(stream: io.BufferedReader, piece: Piece, file: Path) -> Iterator[Entry]:
    if piece.kind == "csv":
        return _read_csv(stream, piece)
    if piece.kind == "json" and not stream.peek(1).lstrip().startswith(b"["):
        raise InputError(f"{file} is no list of questions")
    return KINDS[piece.kind].read(stream, piece, None)


def _read_csv(stream: IO[bytes], piece: Piece) -> Iterator[Entry]:
    """Yield rows by name behind a header, and as lists of cells in a file without one."""
    names: list[str] | None = None
    for index, (number, cells) in enumerate(read_cells(stream, piece)):
        if isinstance(cells, Misfit):
            yield number, cells
        elif index == 0 and _is_header(cells):
            names = [name.strip().lower() for name in cells]
        elif cells and names and len(cells) != len(names):
            reason = f"has {len(cells)} columns, but the header has {len(names)}"
            yield number, Misfit(reason, ", ".join(names))
        elif cells:
            fields = dict(zip(names, cells, strict=True)) if names else cells
            yield number, not_utf8(cells) or fields


def _is_header(row: Sequence[str]) -> bool:
    """Tell a header from a question: it names columns, and does not end with an answer."""
    columns = {cell.strip().lower() for cell in row} & _HEADER
    return bool(columns) and not _LAST_CELL.fullmatch(row[-1].strip())
