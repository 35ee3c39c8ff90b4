"""Files and folders that settings name, and which of their files count as content.

A location is identified by its content, so that a copy elsewhere is the same input; a model or data
set of the hub by its name and revision; a model in a package by the package's version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from musicllm import contents, facts
from musicllm.contents import Contents
from musicllm.data.sources.readers import READERS
from musicllm.files.kinds import is_data
from musicllm.model.gguf_file import SUFFIX
from musicllm.schema import Config
from musicllm.serve.prompts import SUFFIXES
from musicllm.synthesis.kind import SYNTHESES

Key = tuple[str, ...]
"""The parts of a setting's name; a part may contain dots."""

PACKAGE = "package:"
MODEL_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".tiktoken", ".py")
MODEL_NAMES = ("merges.txt", "vocab.txt")
MODEL_FOLDERS = ("additional_chat_templates",)
"""The files that transformers reads in a model's folder; `manifest.json` is ours."""


def of_model(name: str) -> bool:
    """Return whether a file counts as content of a model's folder."""
    path = PurePosixPath(name)
    if len(path.parts) > 1 and path.parts[0] not in MODEL_FOLDERS:
        return False
    is_model = path.suffix in MODEL_SUFFIXES or path.name in MODEL_NAMES
    return is_model and name != "manifest.json"


def local_contents(config: Config, covers: Callable[[str], bool | None]) -> dict[Key, Contents]:
    """Return the contents of the local files and folders that settings name.

    Cost: see `contents.read`; weights are read once.

    Args:
        config: the configuration.
        covers: whether a setting, by its full name, is relevant.

    Raises:
        InputError: a file cannot be read.
    """
    cache = Path(config.paths.cache)
    return {
        key: contents.read(path, cache, counts)
        for key, location, counts in _places(config)
        if location is not None
        and covers(".".join(key))
        and (path := Path(location).expanduser()).exists()
    }


def with_contents(values: dict[str, Any], local: Mapping[Key, Contents]) -> dict[str, Any]:
    """Return the configuration with locations replaced by their contents.

    Args:
        values: the configuration as JSON; changed in place.
        local: see `local_contents`.
    """
    model = values["model"]
    if (model["location"] or "").startswith(PACKAGE):
        version = facts.version(model["location"].removeprefix(PACKAGE))
        if version is not None:  # otherwise the stage reports the missing package
            model["location"] += f"=={version}"
    for key, content in local.items():
        *groups, name = key
        place: Any = values
        for group in groups:
            place = place[group]
        place[int(name) if isinstance(place, list) else name] = {"contents": content.identity}
    return values


def _places(config: Config) -> Iterator[tuple[Key, str | None, Callable[[str], bool]]]:
    """Yield every setting that may name a location, its value, and which of its files count."""
    data = config.data
    for name, source in data.sources.items():
        reader = READERS[source.reader]
        packaged = str(reader.packaged) if reader.packaged else None
        place = packaged if source.location is None else source.location
        yield ("data", "sources", name, "location"), place, reader.counts
    phrasings = data.instructions.phrasings
    yield ("data", "instructions", "phrasings"), phrasings, lambda name: name.endswith(".toml")
    yield ("data", "translation", "table"), data.translation.table, lambda _name: True
    yield ("data", "new_tokens"), data.new_tokens, lambda _name: True
    yield ("model", "location"), config.model.location, _of_model_at(config.model.location)
    for name, benchmark in config.benchmark.items():
        yield ("benchmark", name, "location"), benchmark.location, is_data
    yield ("bench", "questions"), config.bench.questions, is_data
    for number, entry in enumerate(config.generation.prompts):
        if entry.endswith(SUFFIXES):
            yield ("generation", "prompts", str(number)), entry, lambda _name: True
    yield ("search", "file"), config.search.file, lambda _name: True
    synthesis = config.synthesis
    if synthesis.kind in SYNTHESES:  # `values` reports one that does not exist
        for name, file in SYNTHESES[synthesis.kind].files(synthesis).items():
            yield ("synthesis", name), str(file), lambda _name: True
    yield ("synthesis", "json_schema"), synthesis.json_schema, lambda _name: True
    for number, place in enumerate(config.extensions):
        yield ("extensions", str(number)), place, _is_top_module


def _of_model_at(location: str | None) -> Callable[[str], bool]:
    is_file = location is not None and location.endswith(SUFFIX)
    return (lambda _name: True) if is_file else of_model


def _is_top_module(name: str) -> bool:
    return name.endswith(".py") and "/" not in name
