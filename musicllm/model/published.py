"""The config.json of a base model, from a folder or the hub: a few kB, and no weights.

Imports neither torch nor transformers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from musicllm import quoting
from musicllm.errors import InputError, NotAvailableError

CONFIG = "config.json"
WEIGHT_FILES = "config.json and model.safetensors (or its shards with their index)"


def read(location: str | Path, revision: str | None = None) -> dict[str, Any]:
    """Return the content of config.json.

    From the hub it is downloaded once, into the hub's own cache.

    Args:
        location: a folder, or a hub id.
        revision: of a hub repository.

    Raises:
        InputError: there is no such model, or the folder holds something else; the text says what.
        NotAvailableError: the hub cannot be reached, or does not give the model to this user.
    """
    refuse_other_folder(location)
    folder = Path(location)
    path = folder / CONFIG if folder.is_dir() else _from_hub(str(location), revision)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise InputError(f"{path} does not say model_type, so it is of no model of transformers")
    return content


def refuse_other_folder(location: str | Path) -> None:
    """Reject a folder without config.json, with what it holds instead.

    Hub ids look like relative paths, so only unambiguous paths are expected to exist.

    Raises:
        InputError: it is missing, an adapter, or a model in another format.
    """
    text, folder = str(location), Path(location)
    if not folder.is_dir():
        if isinstance(location, Path) or text.startswith(("/", ".", "~")):
            raise InputError(f"{location} is not a folder; place {WEIGHT_FILES} there")
        return
    if (folder / CONFIG).is_file():
        return
    if (folder / "adapter_config.json").is_file():
        merge = quoting.command("recipe=merge", quoting.argument("inputs.adapter", location))
        raise InputError(
            f"{location} is an adapter and no whole model; evaluate it or write with it by "
            f"{quoting.typed('inputs.model', location)}, or merge it into its base: {merge}"
        )
    gguf = sorted(file.name for file in folder.glob("*.gguf"))
    if gguf:
        raise InputError(
            f"{location} holds {gguf[0]}, a file of llama.cpp whose weights are rounded; training "
            f"needs the original: place {WEIGHT_FILES} in a folder"
        )
    if (folder / "params.json").is_file():
        raise InputError(
            f"{location} holds params.json, weights in the layout of their publisher and not of "
            f"transformers; place {WEIGHT_FILES} in a folder"
        )
    raise InputError(f"{location} cannot be read as a model; it needs {WEIGHT_FILES}")


def _from_hub(repository: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = repository if revision is None else f"{repository} at revision {revision}"
    try:
        return Path(hf_hub_download(repository, CONFIG, revision=revision))
    except HFValidationError:
        raise InputError(
            f"{repository} is neither a folder here nor a hub id like organisation/model"
        ) from None
    except GatedRepoError:
        raise NotAvailableError(
            f"{where} is only for users whom its owner admits: ask on its page on the hub, then "
            f"set HF_TOKEN to your token"
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"{repository} has no revision {revision}; see model.revision") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"there is no repository {where} on the hub, or it is private and HF_TOKEN does not "
            f"hold a token that may read it"
        ) from None
    except LocalEntryNotFoundError as error:
        raise offline(where) from error
    except EntryNotFoundError:
        raise InputError(
            f"{where} has no {CONFIG}, so it is not a model of transformers (GGUF and other "
            f"formats cannot be trained)"
        ) from None
    except OSError as error:
        raise offline(where) from error


def offline(where: str, files: str = WEIGHT_FILES) -> NotAvailableError:
    """Return the error for a model that is not here, where the hub cannot be reached."""
    return NotAvailableError(
        f"{where} is neither a folder here nor a repository that can be reached on the hub; "
        f"without a network place {files} in a folder and name that folder instead"
    )
