"""Data sets of the Hugging Face hub: files of one, downloaded once into a cache folder.

The folder is a function of what lies in it: `<cache>/datasets/<id>@<revision>/<selection>`, so that
uses of other files of a data set, or of another revision, do not share one.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from musicllm import console, contents
from musicllm.errors import InputError, NotAvailableError
from musicllm.files.opening import cause_of


@dataclass(frozen=True)
class Selection:
    """Which files of a data set are used.

    Attributes:
        name: of their folder, unlike that of any selection of other files.
        choose: picks among the names of the data set's files; may raise.
        expected: describes them, for messages.
    """

    name: str
    choose: Callable[[Sequence[str]], Sequence[str]]
    expected: str


def locate(
    key: str, location: str, revision: str | None, cache: Path, selection: Selection
) -> Path:
    """Return where the files of a data set lie, after downloading them where needed.

    A location that exists on this machine is taken as it is, and so is a cache folder that holds
    files, which the user may have placed there.

    Args:
        key: the source or benchmark, such as `benchmark.mmlu`, for messages.
        location: file, folder, or id of a data set (`owner/name`), with a folder of it behind where
            only its files are meant: `Salesforce/wikitext/wikitext-2-raw-v1`.
        revision: branch, tag or commit of the data set; None is its main branch.
        cache: folder for what can be made again.
        selection: of its files.

    Raises:
        InputError: a revision of what is a path, or nothing is selected.
        NotAvailableError: it cannot be downloaded; says which files to place where.
    """
    path = Path(location).expanduser()
    if path.exists():
        if revision is not None:
            raise InputError(
                f"{key}.revision={revision} is of a hub data set, but {key}.location={location} is "
                "a path; use null"
            )
        return path
    hub_id, inside = _parts(location)
    folder = cache_folder(cache, location, revision, selection.name)
    if not _holds_files(folder):
        fix = (
            f"{key}.location={location} is no path on this machine either; place its "
            f"{selection.expected} in {folder}, or set {key}.location=<file or folder>"
        )
        _download(hub_id, inside, revision, folder, selection, fix=fix)
    return folder


def cache_folder(cache: Path, location: str, revision: str | None, selection: str) -> Path:
    """Return the folder of a selection of files; its arguments are those of `locate`."""
    hub_id, inside = _parts(location)
    version = f"{hub_id}@{quote(revision or 'main', safe='')}"
    name = f"{selection}.{quote(inside, safe='')}" if inside else selection
    return cache.expanduser() / "datasets" / version / name


def _parts(location: str) -> tuple[str, str]:
    """Return the id of a data set, and the folder in it or an empty string."""
    owner, _, rest = location.partition("/")
    name, _, inside = rest.partition("/")
    return (f"{owner}/{name}" if name else owner), inside.strip("/")


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(True for _ in contents.visible(folder))


def _download(
    hub_id: str,
    inside: str,
    revision: str | None,
    folder: Path,
    selection: Selection,
    *,
    fix: str,
) -> None:
    """Download into a hidden neighbour, so that `folder` is there only when all of it is.

    An interrupted download is continued by the next one.
    """
    import huggingface_hub as hub
    from huggingface_hub.utils import httpx

    unfinished = folder.with_name(f".{folder.name}.unfinished")
    prefix = f"{inside}/" if inside else ""
    try:
        info = hub.HfApi().dataset_info(hub_id, revision=revision, timeout=20)
        files = [file.rfilename for file in info.siblings or ()]
        own = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
        names = [prefix + name for name in selection.choose(own)]
        if not names:
            raise InputError(f"the data set {hub_id} has no file of the kinds that are read; {fix}")
        console.say(f"downloading {len(names)} files of {hub_id} to {folder}")
        hub.snapshot_download(
            hub_id,
            repo_type="dataset",
            revision=revision,
            local_dir=unfinished,
            allow_patterns=[glob.escape(name) for name in names],
        )
        if not _holds_files(folder):  # another process may have been faster
            unfinished.rename(folder)
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise NotAvailableError(
            f"the data set {hub_id} could not be downloaded: {cause_of(error)}; {fix}"
        ) from error
