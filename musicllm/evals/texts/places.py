"""Where the files of general texts lie, and which of them belong to a split.

A file's split stands in its name or in that of a folder (`test-00000-of-00001.parquet`,
`validation/0.jsonl`). Files are chosen by their names; nothing is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from musicllm.errors import InputError
from musicllm.files.hub import fetch, folder_of, on_this_machine
from musicllm.files.suffixes import UNDERSTOOD, kind_of

_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}
_SPLIT = re.compile(rf"(?:^|[/_.-])({'|'.join(_SPLITS)})(?=[/_.\d-])")


def locate(
    benchmark: str, location: str, folder: Path, split: str | None, revision: str | None
) -> Path:
    """Return where the files are; each split of a data set is downloaded when it is asked for.

    Args:
        benchmark: its name, for messages.
        location: file, folder, or data set of the hub with a folder of it behind.
        folder: where the hub's files lie or will lie; `@<revision>` goes behind its name.
        split: None: all.
        revision: of the data set of the hub; None is the newest.

    Raises:
        InputError: the data set has no such split, or several folders of texts, or a revision is
            asked of what is a path.
        NotAvailableError: it is neither here nor to be had; says which files to place where.
    """
    if here := on_this_machine(benchmark, location, revision):
        return here
    folder = folder_of(folder, revision)
    if _holds(folder, split):
        return folder
    key = f"benchmark.{benchmark}.location"
    owner, _, rest = location.partition("/")
    name, _, inside = rest.partition("/")
    fix = (
        f"{key}={location} is no path on this machine either; place its files of texts "
        f"({UNDERSTOOD}) in {folder}, or set {key}=<file or folder>"
    )
    choose = partial(_of_hub, key, location, split, inside)
    fetch(f"{owner}/{name}" if name else owner, revision, folder / (split or "all"), choose, fix)
    return folder


def of_split(place: str, split: str | None, names: Sequence[str]) -> list[str]:
    """Pick the files of a split, or all that can be read when none is named after a split.

    Args:
        place: the setting and its value, for messages.
        split: None: all.
        names: of files.

    Raises:
        InputError: they are of other splits.
    """
    files = _readable(names)
    splits = {name: _split_of(name) for name in files}
    known = sorted({one for one in splits.values() if one})
    if split is None or not known:
        return files
    wanted = _SPLITS.get(split, split)
    if wanted not in known:
        raise InputError(
            f"{place} has no files of split={split}, but of {', '.join(known)}; set "
            f"{place.partition('.location')[0]}.split to one of these"
        )
    return [name for name in files if splits[name] == wanted]


def _holds(folder: Path, split: str | None) -> bool:
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    shown = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    splits = {_split_of(name) for name in _readable(path.as_posix() for path in shown)}
    return bool(splits if split is None else splits & {None, _SPLITS.get(split, split)})


def _of_hub(
    key: str, location: str, split: str | None, inside: str, names: Sequence[str]
) -> list[str]:
    """Pick the files of a data set's split, in one folder of it."""
    prefix = f"{inside}/" if inside else ""
    own = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    files = of_split(f"{key}={location}", split, own)
    if not files:
        raise InputError(
            f"{key}={location}: the data set has no file of texts there; read are {UNDERSTOOD}"
        )
    folders = sorted({name.partition("/")[0] for name in files if "/" in name})
    if len(folders) > 1:
        raise InputError(
            f"{key}={location}: the data set has several folders of texts ({', '.join(folders)}); "
            f"name one: {key}={location}/{folders[0]}"
        )
    return [prefix + name for name in files]


def _readable(names: Iterable[str]) -> list[str]:
    return [name for name in names if kind_of(name) is not None or name.lower().endswith(".zip")]


def _split_of(name: str) -> str | None:
    match = _SPLIT.search(name)
    return _SPLITS[match[1]] if match else None
