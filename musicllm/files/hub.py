"""Where files of a data set of the hub lie, and fetching chosen ones of them, all or nothing."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from musicllm import console
from musicllm.errors import InputError, NotAvailableError
from musicllm.files.opening import cause_of


def on_this_machine(benchmark: str, location: str, revision: str | None) -> Path | None:
    """Return a location that is a path here; None for a data set of the hub.

    Args:
        benchmark: its name, for messages.
        location: file, folder or hub id.
        revision: of a hub data set.

    Raises:
        InputError: a revision of what is a path.
    """
    here = Path(location).expanduser()
    if not here.exists():
        return None
    if revision is not None:
        raise InputError(
            f"benchmark.{benchmark}.revision={revision} is of a hub data set, but "
            f"benchmark.{benchmark}.location={location} is a path; use null"
        )
    return here


def folder_of(folder: Path, revision: str | None) -> Path:
    """Return where the files of a revision lie: in a folder of their own beside the newest."""
    if revision is None:
        return folder
    return folder.with_name(f"{folder.name}@{revision.replace('/', '-')}")


def fetch(
    hub_id: str,
    revision: str | None,
    folder: Path,
    choose: Callable[[Sequence[str]], Sequence[str]],
    fix: str,
) -> None:
    """Download into a hidden neighbour, so that `folder` is there only when all of it is.

    An interrupted download is continued by the next one.

    Args:
        hub_id: of the data set.
        revision: branch, tag or commit; None is the newest.
        folder: is not there yet.
        choose: picks among the names of the data set's files; may raise.
        fix: what the user can do without the hub, for the message.

    Raises:
        InputError: nothing was picked.
        NotAvailableError: it cannot be downloaded.
    """
    import huggingface_hub as hub
    from huggingface_hub.utils import httpx

    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        info = hub.HfApi().dataset_info(hub_id, revision=revision, timeout=20)
        names = choose([file.rfilename for file in info.siblings or ()])
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
        unfinished.rename(folder)
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise NotAvailableError(
            f"the data set {hub_id} could not be downloaded: {cause_of(error)}; {fix}"
        ) from error
