"""Where the questions of a benchmark lie, and their rows as they stand there.

Reads CSV (with a header or without), JSON, JSON lines and Parquet. A line end inside a CSV cell
becomes a line feed, as in OpenCompass. Knows nothing of what the rows mean; `questions` does.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from musicllm.errors import InputError
from musicllm.files.hub import fetch, folder_of, on_this_machine

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
SPLITS = ("dev", "val", "validation", "test")
"""Folders of MMLU's layout; where there is one of them, nothing else is read."""

_SPLIT = re.compile(r"(?:^|[_/.-])(train|dev|validation|val|test)(?=[_/.-]|$)")
_ABOUT_DATA = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json")
"""What libraries write beside questions."""

_HEADER = {"question", "stem", "input", "answer", "target"}
_LAST_CELL = re.compile(r"[A-Da-d0-3]")


@dataclass(frozen=True)
class FileRow:
    """One row of a file.

    Attributes:
        file: where it stands.
        place: file and line, or file and number of the row, for messages.
        number: of the row in its file, from 0.
        fields: by name; or a list when the file has no names.
    """

    file: Path
    place: str
    number: int
    fields: dict[str, Any] | list[str]


def locate(benchmark: str, location: str, folder: Path, revision: str | None = None) -> Path:
    """Return the file or folder of a benchmark, after downloading it if need be.

    Args:
        benchmark: its name, for messages.
        location: file, folder, or id of a data set of the hub.
        folder: where the hub's files lie or will lie; a folder that is there is taken as it is.
        revision: of the hub's data set; its files lie in a folder of their own beside `folder`.

    Raises:
        InputError: a revision of what is a path, or a data set without files of questions.
        NotAvailableError: it is neither here nor to be had; says which files to place where.
    """
    if here := on_this_machine(benchmark, location, revision):
        return here
    folder = folder_of(folder, revision)
    if not folder.exists():
        fix = (
            f"benchmark.{benchmark}.location={location} is no path on this machine either; place "
            f"its question files ({', '.join(SUFFIXES)}; in dev/ and test/, or named after their "
            f"split) in {folder}, or set benchmark.{benchmark}.location=<folder>"
        )
        fetch(location, revision, folder, _chosen, fix)
    return folder


def _chosen(names: Sequence[str]) -> list[str]:
    """Leave out training files, and single subjects where a folder holds them all, as in MMLU."""
    files = [name for name in names if _holds_questions(PurePosixPath(name))]
    return [name for name in files if name.startswith("all/")] or files


def _holds_questions(name: PurePath) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    about = name.name in _ABOUT_DATA
    return name.suffix in SUFFIXES and split_of(name) != "train" and not hidden and not about


def split_of(file: PurePath) -> str | None:
    """Return the split that a file's or its folder's name says, or None."""
    named = _SPLIT.findall(f"{file.parent.name}/{file.stem}")
    return {"val": "validation"}.get(named[-1], named[-1]) if named else None


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
        try:
            for number, (where, fields) in enumerate(_READERS[file.suffix](file)):
                yield FileRow(file, f"{file}{where}", number, fields)
        except (ValueError, OSError, csv.Error) as error:
            raise InputError(f"{file} cannot be read: {error}") from error


def _files(path: Path) -> list[Path]:
    if path.is_file() and path.suffix in SUFFIXES:
        return [path]
    roots = [path / split for split in SPLITS if (path / split).is_dir()] or [path]
    names = [
        file.relative_to(path).as_posix()
        for root in roots
        for file in root.rglob("*")
        if file.is_file()
    ]
    files = sorted(path / name for name in _chosen(names))
    if not files:
        raise InputError(f"{path} holds no questions; expected files {', '.join(SUFFIXES)}")
    return files


def _csv(file: Path) -> Iterator[tuple[str, Any]]:
    with file.open(encoding="utf-8-sig") as lines:  # line ends in cells become line feeds
        reader = csv.reader(lines, strict=True)
        names: list[str] | None = None
        for number, row in enumerate(reader):
            where = f":{reader.line_num}"
            if number == 0 and _is_header(row):
                names = [name.strip().lower() for name in row]
            elif row and names and len(row) != len(names):
                raise InputError(
                    f"{file}{where} has {len(row)} columns, but the header has {len(names)}: "
                    f"{', '.join(names)}"
                )
            elif row:
                yield where, dict(zip(names, row, strict=True)) if names else row


def _is_header(row: Sequence[str]) -> bool:
    """Tell a header from a question: it names columns, and does not end with an answer."""
    named = {cell.strip().lower() for cell in row} & _HEADER
    return bool(named) and not _LAST_CELL.fullmatch(row[-1].strip())


def _jsonl(file: Path) -> Iterator[tuple[str, Any]]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f":{number}", json.loads(line)


def _json(file: Path) -> Iterator[tuple[str, Any]]:
    rows = json.loads(file.read_text(encoding="utf-8-sig"))
    if not isinstance(rows, list):
        raise InputError(f"{file} is no list of questions but a {type(rows).__name__}")
    for number, row in enumerate(rows, 1):
        yield f", question {number}", row


def _parquet(file: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet as pq

    for number, row in enumerate(pq.read_table(file).to_pylist(), 1):
        yield f", row {number}", row


_READERS = {".csv": _csv, ".json": _json, ".jsonl": _jsonl, ".parquet": _parquet}
