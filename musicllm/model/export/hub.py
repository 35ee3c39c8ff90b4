"""Uploads a folder to the Hugging Face hub; nothing leaves the machine but here.

The token is taken from the environment (`HF_TOKEN`) or from where `hf auth login` stored it, by
huggingface_hub itself, and is never read, shown or saved here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from musicllm import artifacts
from musicllm.errors import InputError, NotAvailableError

NOT_UPLOADED = (artifacts.MANIFEST,)
"""The manifest has paths, commands and settings of this machine; the card says what is public."""


class HubFile(NamedTuple):
    """A file of an upload.

    Attributes:
        name: in the repository.
        num_bytes: its size.
    """

    name: str
    num_bytes: int


def files_of(folder: Path) -> list[HubFile]:
    """Return every file that an upload of a folder has, in the order of their names."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = [HubFile(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]
    return [file for file in named if file.name not in NOT_UPLOADED]  # by the path: only at the top


def upload(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Upload a folder as one commit, and return its address.

    Files that the repository has already are replaced; others in it stay.

    Args:
        folder: of a model.
        repository: `owner/name`; created if it does not exist.
        private: whether a repository that is created is private.
        message: of the commit.

    Raises:
        InputError: the token may not write there.
        NotAvailableError: there is no token, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    if os.environ.get("HF_HUB_OFFLINE", "") not in {"", "0"}:
        raise NotAvailableError("HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it")
    api = HfApi()
    if get_token() is None:
        raise NotAvailableError(
            "an upload needs a token of the hub that may write: set HF_TOKEN, or run hf auth login"
        )
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            ignore_patterns=list(NOT_UPLOADED),
            commit_message=message,
        )
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in {401, 403}:
            raise InputError(
                f"the hub refuses to write to {repository} ({status}): the token must be allowed "
                f"to write there; see your settings on the hub"
            ) from error
        raise NotAvailableError(f"the upload to {repository} failed: {error}") from error
    except (OSError, httpx.HTTPError) as error:
        raise NotAvailableError(f"the upload to {repository} failed: {error}") from error
    return str(commit)
