"""Binds a configuration to its run folder and inputs, and computes the identity of its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.command import NO_WORDS, Command
from musicllm.contents import Contents
from musicllm.job import Job, public
from musicllm.runs import names
from musicllm.runs.inputs import find_input, refuse_other_kind
from musicllm.runs.locations import Key, local_contents, with_contents
from musicllm.runs.stages import STAGES, artifact_kind, is_deciding, is_interactive, makes_artifact
from musicllm.runs.watching import identities
from musicllm.schema import Config


def bind(config: Config, recipe: str, command: Command = NO_WORDS) -> Job:
    """Return the job of a configuration; for a plan or a pipeline without inputs and identity.

    Args:
        config: checked.
        recipe: its name.
        command: the command line.

    Raises:
        ArtifactError: an input is missing.
        ConfigError: `name` belongs to a run with other settings.
    """
    runs = Path(config.paths.runs)
    if not makes_artifact(config) and not is_interactive(config):
        return Job(config, recipe, runs / recipe, kind="", fingerprint="", command=command)
    inputs = {
        role: find_input(f"inputs.{role}", name, config) for role, name in config.inputs.items()
    }
    for role, artifact in inputs.items():
        refuse_other_kind(config.task, role, artifact)
    watches = STAGES[config.task].watches
    for number, name in enumerate([] if watches else config.runs, 1):
        inputs[f"run {number}"] = find_input("runs", name, config)
    watched = identities(config) if watches else []
    local = local_contents(config, partial(is_deciding, config))
    decides = {
        "task": config.task,
        "version": STAGES[config.task].version,
        "settings": deciding_settings(config, local),
        "inputs": {role: artifact.fingerprint for role, artifact in inputs.items()},
        **({"watched": watched} if watched else {}),
    }
    identity = artifacts.fingerprint(decides)
    folder = runs / recipe / (config.name or identity)
    corpus = inputs.get("corpus")
    earlier = names.claim(folder, identity, decides, name=config.name, corpus=corpus)
    return Job(
        config,
        recipe,
        folder,
        artifact_kind(config),
        identity,
        inputs,
        local,
        decides=decides,
        earlier=earlier,
        command=command,
    )


def deciding_settings(config: Config, local: Mapping[Key, Contents]) -> dict[str, Any]:
    """Return the settings that decide the result, by full name; places are what `local` holds."""
    values = leaves(with_contents(public(config), local))
    return {key: value for key, value in values if is_deciding(config, key)}


def is_up_to_date(job: Job) -> bool:
    """Return whether the result exists and the stage does not repeat."""
    return not STAGES[job.config.task].repeats and job.existing() is not None


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield full names and values of settings; an empty group is a value."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
