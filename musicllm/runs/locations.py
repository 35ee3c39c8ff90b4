"""The files and folders of the user that a stage reads, and which files of a folder count.

What a setting names counts by what it holds, so that a copy elsewhere is the same input. A model or
data set of the hub counts by its name and revision, a model in a package by its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from musicllm import contents, facts
from musicllm.contents import Contents
from musicllm.data.sources.readers import READERS
from musicllm.files.kinds import is_data
from musicllm.schema import Config

Key = tuple[str, ...]
"""The parts of a setting's name; a part may hold dots."""

PACKAGE = "package:"
MODEL_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".tiktoken", ".py")
MODEL_NAMES = ("merges.txt", "vocab.txt")
MODEL_FOLDERS = ("additional_chat_templates",)
"""What transformers reads of a model's folder; `manifest.json` is ours and says when and how."""


def of_model(name: str) -> bool:
    """Tell whether a file belongs to what a model's folder holds."""
    path = PurePosixPath(name)
    if len(path.parts) > 1 and path.parts[0] not in MODEL_FOLDERS:
        return False
    known = path.suffix in MODEL_SUFFIXES or path.name in MODEL_NAMES
    return known and name != "manifest.json"


def local_contents(config: Config, wanted: Callable[[str], bool | None]) -> dict[Key, Contents]:
    """Return what lies at the places on this machine that settings name.

    Cost: see `contents.read`; weights are read whole once.

    Args:
        config: the configuration.
        wanted: tells of a setting by its full name whether it matters.

    Raises:
        InputError: something cannot be read.
    """
    cache = Path(config.paths.cache)
    return {
        key: contents.read(path, cache, counts)
        for key, location, counts in _places(config)
        if location is not None
        and wanted(".".join(key))
        and (path := Path(location).expanduser()).exists()
    }


def with_contents(values: dict[str, Any], local: Mapping[Key, Contents]) -> dict[str, Any]:
    """Return the configuration as it counts: places are replaced by what they hold.

    Args:
        values: the configuration as JSON; changed in place.
        local: see `local_contents`.
    """
    model = values["model"]
    if (model["location"] or "").startswith(PACKAGE):
        model["location"] += _version(model["location"].removeprefix(PACKAGE))
    for key, content in local.items():
        *groups, name = key
        place: Any = values
        for group in groups:
            place = place[group]
        place[int(name) if isinstance(place, list) else name] = {"contents": content.identity}
    return values


def _places(config: Config) -> Iterator[tuple[Key, str | None, Callable[[str], bool]]]:
    """Yield every setting that may name a place, its value, and which files count there."""
    data = config.data
    for name, source in data.sources.items():
        counts = READERS[source.reader].counts
        yield ("data", "sources", name, "location"), source.location, counts
    yield ("data", "instructions", "phrasings"), data.instructions.phrasings, _of_phrasings
    yield ("model", "location"), config.model.location, of_model
    for name, benchmark in config.benchmark.items():
        yield ("benchmark", name, "location"), benchmark.location, is_data
    yield ("bench", "questions"), config.bench.questions, is_data
    for number, place in enumerate(config.extensions):
        yield ("extensions", str(number)), place, _of_extensions


def _of_extensions(name: str) -> bool:
    return name.endswith(".py") and "/" not in name


def _of_phrasings(name: str) -> bool:
    return name.endswith(".toml")


def _version(package: str) -> str:
    """Return `==version` of an installed package; without it the stage says what is missing."""
    version = facts.version(package)
    return "" if version is None else f"=={version}"
