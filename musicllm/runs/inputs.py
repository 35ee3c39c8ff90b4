"""Resolves `inputs.<role>=` and `runs=[...]`: an artifact, or a plain folder of another program.

A plain folder of transformers is a model, and a plain folder of PEFT an adapter whose base is that
of its `adapter_config.json`. For anything else the error describes it, with a command that helps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from musicllm import artifacts, contents, quoting
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, InputError
from musicllm.model import gguf_file
from musicllm.runs.locations import of_model
from musicllm.runs.names import FAILED
from musicllm.runs.stages import WRITING
from musicllm.schema import Config

MODEL, ADAPTER = "config.json", "adapter_config.json"
"""Files by which plain folders of transformers and PEFT are recognised."""

KINDS = {
    "corpus": ("corpus",),
    "adapter": ("adapter",),
    "model": ("model", "adapter"),
    "second_model": ("model", "adapter"),
    "teacher": ("model",),
    "teacher_logits": ("teacher_logits",),
    "generations": ("tunes",),
    "features": ("features",),
    "rendered": ("rendered",),
    "index": ("index",),
    "translations": ("records",),
    "synthesized": ("records",),
}
"""Role of an input -> allowed kinds of artifact; other roles allow any."""

WRITE_WITH = ("gguf", "export")
"""Further kinds of a model where texts are written: a GGUF file, or an export with one."""

WHOLE = ("train", "export")
"""Tasks whose `inputs.model` must be a model: an adapter has to be merged into its base first. For
the base of an adapter see `bases`."""


def find_input(key: str, name: str, config: Config) -> Artifact:
    """Return the artifact that a setting names.

    Args:
        key: of the setting, such as `inputs.corpus`.
        name: a recipe, for its latest complete run; a run folder; an artifact's folder; a plain
            folder of transformers or PEFT; or a GGUF file, or a folder that holds one.
        config: for the paths of runs and cache.

    Raises:
        ArtifactError: there is none; the text says what is there and which command helps.
    """
    runs = Path(config.paths.runs)
    pointer = runs / name / "latest"
    folder = runs / name / pointer.read_text().strip() if pointer.is_file() else Path(name)
    for candidate in (folder / "artifact", folder):
        if (candidate / artifacts.MANIFEST).is_file():
            return artifacts.read(candidate)
    folder = folder.expanduser()
    if (folder / ADAPTER).is_file():
        return _plain("adapter", folder, config, _base_in(folder))
    if (folder / MODEL).is_file():
        return _plain("model", folder, config, {})
    if folder.suffix == gguf_file.SUFFIX or any(folder.glob(f"*{gguf_file.SUFFIX}")):
        return _gguf(f"{key}={name}", folder, config)
    raise ArtifactError(f"{key}={name}: {_instead(name, folder, runs)}")


def refuse_other_kind(task: str, role: str, artifact: Artifact) -> None:
    """Refuse an input whose kind does not fit its role.

    Raises:
        ArtifactError: with the command that converts it, if there is one.
    """
    kinds = KINDS.get(role, (artifact.kind,))
    if role == "model" and task in WHOLE:
        kinds = ("model",)
    if role in ("model", "second_model") and task in WRITING:
        kinds = (*kinds, *WRITE_WITH)
    named = f"inputs.{role}={artifact.path}"
    merge = quoting.command("recipe=merge", quoting.argument("inputs.adapter", artifact.path))
    if kinds == ("model",) and artifact.kind == "adapter":
        raise ArtifactError(
            f"{named} is an adapter, and a whole model is needed here; merge it into its base "
            f"first: {merge} and then write inputs.{role}=<the folder of that run>"
        )
    if task == "report" and "recipe" not in artifact.provenance:
        raise ArtifactError(f"{named} is no run, and a report tells of runs; name one, or leave it")
    if artifact.kind in kinds:
        return
    needed = " or ".join(f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in kinds)
    if artifact.kind == "gguf":
        raise ArtifactError(
            f"{named} is a GGUF file, with which only {' and '.join(WRITING)} work; name the "
            f"folder of transformers that it was made of"
        )
    text = f"{named} is of kind {artifact.kind}, and {needed} is needed here"
    if artifact.kind == "checkpoint":
        text += "; run the command that wrote this checkpoint to its end, and name its run folder"
    elif role == "adapter" and artifact.kind == "model":
        use = quoting.typed("inputs.model", artifact.path)
        text += f"; it is whole, and there is nothing to merge: write {use} where it is used"
    raise ArtifactError(text)


def _plain(kind: str, folder: Path, config: Config, provenance: dict[str, Any]) -> Artifact:
    """Return a plain folder as an artifact, identified by its content."""
    content = contents.read(folder, Path(config.paths.cache), of_model)
    return Artifact(folder, kind, content.identity, files=content.digests, provenance=provenance)


def _gguf(named: str, path: Path, config: Config) -> Artifact:
    """Return a GGUF file as an artifact, identified by its content."""
    try:
        file = gguf_file.find(path)
        gguf_file.read(file)
    except InputError as error:
        raise ArtifactError(f"{named}: {error}") from None
    content = contents.read(file, Path(config.paths.cache))
    identity = artifacts.fingerprint(list(content.digests.values()))  # whatever its name
    return Artifact(file, "gguf", identity, files=content.digests, provenance={})


def _base_in(folder: Path) -> dict[str, Any]:
    """Return the provenance of a plain adapter: the base named in its settings.

    Raises:
        ArtifactError: its settings cannot be read.
    """
    try:
        settings = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
        location, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    except (OSError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{folder / ADAPTER} cannot be read: {error}") from None
    return {"config": {"model": {"location": location, "revision": revision}}}


def _instead(name: str, folder: Path, runs: Path) -> str:
    """Return what a name that names no artifact refers to, and what to do."""
    recipes = configuration.options("recipe")
    if name in recipes:
        return (
            f"this recipe has no finished run in {runs}; make it with: "
            f"{quoting.command(quoting.argument('recipe', name))}"
        )
    if (folder / "fingerprint").is_file():
        return f"{folder} is a run that has not finished{_stopped_by(folder)}"
    if folder.is_dir():
        return f"{folder} holds {_content(folder)}, and nothing that can be an input; {HOW_TO}"
    if folder.is_file():
        return f"{folder} is a file; {HOW_TO}"
    nearest = configuration.nearest(name, recipes)
    return f"neither a recipe with a finished run in {runs} nor a folder; {nearest or HOW_TO}"


HOW_TO = (
    "name a recipe, the folder of a finished run, or a plain folder of transformers or PEFT; "
    "texts, tunes and conversations become a corpus with data=... in a recipe that prepares"
)


def _stopped_by(folder: Path) -> str:
    """Return why a run has not finished, and what to do."""
    reason = ""
    if (folder / FAILED).is_file():
        lines = (folder / FAILED).read_text(encoding="utf-8").strip().splitlines()
        reason = f" (it stopped: {lines[0]})" if lines else ""
    return f"{reason}; start its command again, which continues where it stopped"


def _content(folder: Path) -> str:
    """Return the first names in a folder, for people."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
