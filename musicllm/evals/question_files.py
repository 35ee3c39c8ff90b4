"""Where the questions of a benchmark lie, and their rows as they stand there.

Reads CSV (with a header or without), JSON, JSON lines and Parquet. Knows nothing of what the rows
mean; `questions.py` does.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.errors import InputError, NotAvailableError

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
SPLITS = ("dev", "test")


@dataclass(frozen=True)
class Row:
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


def locate(benchmark: str, location: str, folder: Path) -> Path:
    """Return the file or folder of a benchmark, after downloading it if need be.

    Args:
        benchmark: its name, for messages.
        location: file, folder, or id of a data set of the hub.
        folder: where the hub's files lie or will lie; a folder that is there is taken as it is.

    Raises:
        NotAvailableError: it is neither here nor to be had; says which files to place where.
    """
    here = Path(location).expanduser()
    if here.exists():
        return here
    if not folder.exists():
        _download(benchmark, location, folder)
    return folder


def _download(benchmark: str, hub_id: str, folder: Path) -> None:
    """Fetch into a neighbouring folder, so that `folder` is there only when all of it is."""
    import huggingface_hub as hub
    from huggingface_hub.utils import httpx

    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        info = hub.HfApi().dataset_info(hub_id, timeout=20)
        names = _chosen([file.rfilename for file in info.siblings or ()])
        hub.snapshot_download(
            hub_id, repo_type="dataset", local_dir=unfinished, allow_patterns=names
        )
        unfinished.rename(folder)
    except (OSError, ValueError, httpx.HTTPError) as error:
        cause = str(error).strip().partition("\n")[0] or type(error).__name__
        raise NotAvailableError(
            f"benchmark.{benchmark}.location={hub_id} is no path on this machine, and as a data "
            f"set of the hub it could not be downloaded: {cause}; place its question files "
            f"({', '.join(SUFFIXES)}; in dev/ and test/, or named after their split) in {folder}, "
            f"or set benchmark.{benchmark}.location=<folder>"
        ) from error


def _chosen(names: Sequence[str]) -> list[str]:
    """Leave out training files, and single subjects where a folder holds them all, as in MMLU."""
    files = [name for name in names if name.endswith(SUFFIXES) and "train" not in name]
    return [name for name in files if name.startswith("all/")] or files


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file or of all files of a folder, files in the order of their names.

    Where a folder has `dev` or `test` in it, only these are read.

    Raises:
        InputError: there is no file of questions, or one cannot be read.
    """
    roots = [path / split for split in SPLITS if (path / split).is_dir()] or [path]
    files = [file for root in roots for file in ([root] if root.is_file() else root.rglob("*"))]
    files = sorted(file for file in files if file.suffix in SUFFIXES)
    if not files:
        raise InputError(f"{path} holds no questions; expected files {', '.join(SUFFIXES)}")
    for file in files:
        try:
            for number, (where, fields) in enumerate(_READERS[file.suffix](file)):
                yield Row(file, f"{file}{where}", number, fields)
        except (ValueError, OSError, csv.Error) as error:
            raise InputError(f"{file} cannot be read: {error}") from error


def _csv(file: Path) -> Iterator[tuple[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines)
        names: list[str] | None = None
        for row in reader:
            if reader.line_num == 1 and "question" in row:
                names = row
            elif row:
                fields = dict(zip(names, row, strict=False)) if names else row
                yield f":{reader.line_num}", fields


def _jsonl(file: Path) -> Iterator[tuple[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f":{number}", json.loads(line)


def _json(file: Path) -> Iterator[tuple[str, Any]]:
    rows = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(rows, list):
        raise InputError(f"{file} is no list of questions but a {type(rows).__name__}")
    for number, row in enumerate(rows, 1):
        yield f", question {number}", row


def _parquet(file: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet as pq

    for number, row in enumerate(pq.read_table(file).to_pylist(), 1):
        yield f", row {number}", row


_READERS = {".csv": _csv, ".json": _json, ".jsonl": _jsonl, ".parquet": _parquet}
