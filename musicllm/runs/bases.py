"""The base of an adapter: its record in the adapter's manifest, its location and its identity.

An adapter fits only the weights that it was trained on, and PEFT's files do not distinguish them
from those of another training, with another seed say. So the manifest has the identity of the
base's weights (a hash of their bytes, if they are on this machine) and their location: the absolute
path, and the path relative to the adapter, which stays valid when all runs are moved together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from musicllm import artifacts, console, contents
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.job import Job
from musicllm.model import packaged
from musicllm.model.weights import cached_folder
from musicllm.quoting import argument, in_shell
from musicllm.runs.locations import of_model
from musicllm.schema import Config

NOWHERE = {"absolute": None, "relative": None}


class Place(NamedTuple):
    """The location of a model.

    Attributes:
        path: folder or hub id of the weights.
        revision: of a hub repository.
        adapter: folder of an adapter to load onto them, or None.
        ignored_tensors: regular expressions of stored tensors that are no part of the model.
    """

    path: str
    revision: str | None = None
    adapter: Path | None = None
    ignored_tensors: tuple[str, ...] = ()


def memory_of(job: Job) -> dict[str, Any]:
    """Return the record of the base on which a job trains an adapter.

    Its weights are those of the time when the job was bound.
    """
    model = job.config.model
    if "model" in job.inputs:
        base = job.input("model")
        place, weights = Place(str(base.path)), _weights(base.files)
    else:
        place = configured(model.location or "", model.revision, job.config)
        local = job.local.get(("model", "location"))
        weights = weights_at(place, job.config) if local is None else _weights(local.digests)
    folder = Path(place.path).absolute()
    is_package = "model" not in job.inputs and place.path != model.location
    is_local = folder.is_dir() and not is_package
    return {
        "location": place.path if is_local else model.location,
        "revision": place.revision,
        **(artifacts.places(folder, job.artifact_path) if is_local else NOWHERE),
        "weights": weights,
        "ignored_tensors": model.ignored_tensors,
    }


def base_of(adapter: Artifact, job: Job) -> Place:
    """Return the base of an adapter: `inputs.model`, or that of its record.

    Raises:
        ArtifactError: it was moved, it has other weights, or there is no record.
    """
    memory = _memory(adapter)
    ignored = tuple(memory.get("ignored_tensors", ()))
    if job.inputs.get("adapter") is adapter and "model" in job.inputs:
        return _input_base(adapter, job)._replace(ignored_tensors=ignored)
    return _recorded_base(adapter, memory, job)._replace(ignored_tensors=ignored)


def _recorded_base(adapter: Artifact, memory: Mapping[str, Any], job: Job) -> Place:
    """Return the base of an adapter's record, if it is still the same."""
    if memory.get("location") is None:
        raise ArtifactError(
            f"{adapter.path} does not say which base it was trained on; write {_way_out(adapter)}"
        )
    places = list(dict.fromkeys(_places(adapter, memory)))
    there = [place for place in places if place.is_dir()]
    if memory["absolute"] and not there:
        looked = " nor ".join(map(str, places[:2]))
        raise ArtifactError(
            f"the base of the adapter {adapter.path}, {memory['location']}, is neither at "
            f"{looked}; if it was moved, write {_way_out(adapter)}"
        )
    candidates = [Place(str(place)) for place in there] or [
        configured(memory["location"], memory["revision"], job.config)
    ]
    compared = [(place, *_compared(place, memory, job.config)) for place in candidates]
    same = [place for place, ours, theirs in compared if ours == theirs is not None]
    unknown = [place for place, ours, theirs in compared if None in (ours, theirs)]
    if same:
        return same[0]
    if unknown:
        _say_unknown(adapter, unknown[0].path)
        return unknown[0]
    place, ours, theirs = compared[0]
    raise ArtifactError(
        f"the adapter {adapter.path} was trained on the base {memory['location']} with the "
        f"identity {ours}, but {place.path} has {theirs}: it was made again or changed, say with "
        f"another seed; train the adapter again, or name where its own base lies: "
        f"{_way_out(adapter)}"
    )


def weights_at(place: Place, config: Config) -> str | None:
    """Return the identity of the weights at a place; None for a hub model that is not in the cache.

    Cost: none for an artifact, whose manifest has it; a plain folder is read once.
    """
    folder = cached_folder(place.path, place.revision)
    if folder is None:
        return None
    if (folder / artifacts.MANIFEST).is_file():
        return _weights(artifacts.read(folder).files)
    return _weights(contents.read(folder, Path(config.paths.cache), of_model).digests)


def configured(location: str, revision: str | None, config: Config) -> Place:
    """Return the place of a hub id, a folder or a package."""
    return Place(packaged.find(location, Path(config.paths.cache)), revision)


def _compared(
    place: Place, memory: Mapping[str, Any], config: Config
) -> tuple[str | None, str | None]:
    """Return the identity of the base in the record, and that of the model at a place."""
    folder = Path(place.path)
    if memory["weights"] is not None or not (folder / artifacts.MANIFEST).is_file():
        return memory["weights"], weights_at(place, config)
    return memory.get("fingerprint"), artifacts.read(folder).fingerprint


def _weights(digests: Mapping[str, str]) -> str | None:
    """Return the identity of weights by their files; None without any."""
    own = {name: sha for name, sha in digests.items() if name.endswith(".safetensors")}
    return artifacts.fingerprint(own) if own else None


def _input_base(adapter: Artifact, job: Job) -> Place:
    """Return `inputs.model`, if it is the adapter's base or may be another one."""
    base, memory = job.input("model"), _memory(adapter)
    ours, theirs = memory.get("weights"), _weights(base.files)
    if base.kind != "model":
        raise ArtifactError(
            f"inputs.model={base.path} is of kind {base.kind}, and the base of the adapter "
            f"{adapter.path} is needed here: a model"
        )
    if ours is None:
        _say_unknown(adapter, base.path)
    elif ours != theirs:
        text = (
            f"inputs.model={base.path} has the weights {theirs}, but the adapter {adapter.path} "
            f"was trained on {memory['location']} with the weights {ours}"
        )
        if not job.config.allow_other_base:
            raise ArtifactError(
                f"{text}; name its own base, or write allow_other_base=true to put it on another"
            )
        console.note(f"{text}; allow_other_base=true puts it there")
    return Place(str(base.path))


def _say_unknown(adapter: Artifact, base: object) -> None:
    console.note(
        f"the adapter {adapter.path} is put on {base}, and nothing tells whether that is its base: "
        f"the identity of one of them is not known"
    )


def _memory(adapter: Artifact) -> dict[str, Any]:
    """Return the record of an adapter's base; of older versions the configured path, if any."""
    if "base" in adapter.facts:
        return dict(adapter.facts["base"])
    model = adapter.provenance.get("config", {}).get("model", {})
    recorded = adapter.provenance.get("inputs", {}).get("model", {})
    location = recorded.get("path") or model.get("location")
    is_folder = bool(recorded) or (location is not None and any(_above(adapter, location)))
    return {
        "location": location,
        "revision": model.get("revision"),
        "absolute": location if is_folder else None,
        "relative": None,
        "weights": None,
        "fingerprint": recorded.get("fingerprint"),
    }


def _places(adapter: Artifact, memory: Mapping[str, Any]) -> Iterator[Path]:
    """Yield possible locations of a base: its absolute path, and its path from the adapter."""
    if memory["absolute"]:
        yield Path(memory["absolute"])
    if memory["relative"]:
        yield Path(os.path.normpath(adapter.path.absolute() / memory["relative"]))
    elif memory["absolute"]:
        yield from _above(adapter, memory["absolute"])


def _above(adapter: Artifact, location: str) -> Iterator[Path]:
    """Yield folders with this relative path in the folders above the adapter."""
    for parent in adapter.path.absolute().parents:
        if (parent / location).is_dir():
            yield parent / location


def _way_out(adapter: Artifact) -> str:
    return f"{in_shell(argument('inputs.adapter', adapter.path))} inputs.model=<folder of the base>"
