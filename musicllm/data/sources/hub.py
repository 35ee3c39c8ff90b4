"""Data sets of the Hugging Face hub as files in a folder, downloaded only when they are not there.

The files are read by `find.py` like any others; nothing here knows what is in them.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from musicllm import console
from musicllm.data.settings import SourceSpec
from musicllm.errors import InputError, NotAvailableError
from musicllm.files.opening import cause_of
from musicllm.files.splits import split_of_name
from musicllm.files.suffixes import UNDERSTOOD, kind_of

_MARKER = ".download"
"""File that says which revision lies in a folder, and whether all of it."""


def locate(spec: SourceSpec) -> Path:
    """Return where the files of a hub data set lie, after downloading them if need be.

    A location that exists on this machine is taken as it is. Next comes the local folder, which
    the user may have filled by hand. Only when it is empty is the network tried, or when what lies
    there is an earlier version's download of a benchmark's questions; an interrupted download is
    resumed.

    Raises:
        InputError: the folder holds another revision, or the data set has no readable file.
        NotAvailableError: it cannot be downloaded; says which files to place, and where.
    """
    assert spec.location, f"source {spec.name} lacks its hub id"
    assert spec.local_folder, f"source {spec.name} lacks its local folder"
    here = Path(spec.location).expanduser()
    if here.exists():
        return here
    folder = spec.local_folder.expanduser()
    identity = f"{spec.location}@{spec.revision or 'main'}"
    marker = folder / _MARKER
    state = marker.read_text(encoding="utf-8").split() if marker.is_file() else []
    if state and state[0] != identity:
        raise InputError(
            f"{folder} holds {state[0]}, but data.sources.{spec.name} asks for {identity}; "
            "empty the folder or choose another"
        )
    if state[1:] == ["complete"] or (not state and _holds_data(folder)):
        return folder  # downloaded, or placed by hand
    _download(spec, spec.location, folder, identity)
    return folder


def choose(names: Sequence[str]) -> Sequence[str]:
    """Pick the files of a data set that are its records.

    Where files are named after splits, as the hub wants it, those are the records, and others are
    something else: lists of ids, renderings, copies. Without training files among them the others
    are what there is to train on.
    """
    data = [name for name in names if _is_data(name)]
    splits = {name: split_of_name(name) for name in data}
    return [name for name in data if splits[name]] if "train" in splits.values() else data


def _is_data(name: str) -> bool:
    return kind_of(name) is not None or name.lower().endswith(".zip")


def is_of_source(folder: Path) -> bool:
    """Whether there is nothing in a folder, or what a source downloaded."""
    return not folder.is_dir() or (folder / _MARKER).is_file()


def _holds_data(folder: Path) -> bool:
    """Whether files lie in a folder, and not only those that a benchmark takes."""
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    data = [name for name in files if _is_data(name)]
    splits = {split_of_name(name) for name in data} - {None}
    is_downloaded = any(folder.rglob(".cache/huggingface"))
    return bool(data) and not (is_downloaded and splits and "train" not in splits)


def _download(spec: SourceSpec, hub_id: str, folder: Path, identity: str) -> None:
    import huggingface_hub as hub
    from huggingface_hub.utils import httpx

    marker = folder / _MARKER
    try:
        info = hub.HfApi().dataset_info(hub_id, revision=spec.revision, timeout=20)
        names = choose([file.rfilename for file in info.siblings or ()])
        if not names:
            raise InputError(
                f"the data set {identity} holds no file that is understood; "
                f"understood are {UNDERSTOOD}"
            )
        console.say(f"downloading {len(names)} files of {identity} to {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(f"{identity} incomplete\n", encoding="utf-8")
        hub.snapshot_download(
            hub_id,
            repo_type="dataset",
            revision=spec.revision,
            local_dir=folder,
            allow_patterns=[glob.escape(name) for name in names],
        )
        marker.write_text(f"{identity} complete\n", encoding="utf-8")
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise _not_available(spec, folder, error) from error


def _not_available(spec: SourceSpec, folder: Path, error: Exception) -> NotAvailableError:
    cause = cause_of(error)
    if (marker := folder / _MARKER).exists():
        cause += f" (an earlier download was interrupted; delete {marker} once all files are there)"
    return NotAvailableError(
        f"data.sources.{spec.name}.location={spec.location} is no path on this machine, and as a "
        f"data set of the hub it could not be downloaded: {cause}; place its files in {folder} "
        f"(understood are {UNDERSTOOD}), or set data.sources.{spec.name}.location=<folder> to "
        "where they are"
    )
