"""An adapter and its base: found again wherever both lie, and never put on another one unasked."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts, config
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.job import Job
from musicllm.launch import runner
from musicllm.runs import bases
from musicllm.runs.models import place_of

COMMANDS = {
    "merge": "inputs.adapter",
    "generate": "inputs.model",
    "quickstart/evaluate": "inputs.model",
}
"""Recipes that read an adapter, and where they are told which."""

Made = dict[str, Path]


def write_model(folder: Path, weights: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
    return folder


def write_run(runs: Path, weights: bytes) -> Path:
    """Write a model as a run leaves it; one made again has the name of the first."""
    with artifacts.writing(runs / "pretrain" / "b" / "artifact", "model", "b", {}) as (new, _):
        write_model(new, weights)
    return runs / "pretrain" / "b"


def train(runs: Path, *words: str) -> Path:
    """Write an adapter that remembers its base as a training does; return its run folder."""
    with artifacts.writing(runs.parent / "corpus", "corpus", "c", {}):
        pass
    places = [f"paths.runs={runs}", f"paths.cache={runs.parent / 'cache'}"]
    corpus = f"inputs.corpus={runs.parent / 'corpus'}"
    job = runner.bind(*config.load(["recipe=sft", "name=a", *places, corpus, *words]))
    with job.writing() as (_, facts):
        facts["base"] = bases.memory_of(job)
    return job.folder


def job_of(root: Path, recipe: str, *words: str) -> Job:
    places = [f"paths.runs={root / 'runs'}", f"paths.cache={root / 'cache'}"]
    settings, name = config.load([f"recipe={recipe}", *places, *words])
    roles = {word.split("=")[0].removeprefix("inputs.") for word in words}
    inputs = {role: given for role, given in settings.inputs.items() if role in roles}
    return runner.bind(dataclasses.replace(settings, inputs=inputs), name)


def base_in(root: Path, recipe: str, adapter: Path, *words: str) -> Path:
    """Return where a command finds the base of an adapter."""
    job = job_of(root, recipe, f"{COMMANDS[recipe]}={adapter}", *words)
    if recipe == "merge":
        return Path(bases.base_of(job.input("adapter"), job).path)
    place = place_of(job)
    assert place.adapter == adapter / "artifact"
    return Path(place.path)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs, in which the commands are given."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


CASES = [
    pytest.param("run", "merge"),
    pytest.param("run", "generate"),
    pytest.param("run", "quickstart/evaluate"),
    pytest.param("folder", "merge"),
    pytest.param("folder", "generate", marks=pytest.mark.slow),
    pytest.param("folder", "quickstart/evaluate", marks=pytest.mark.slow),
]
"""Kinds of bases, and recipes that look for them."""

for_all = pytest.mark.parametrize(("made", "recipe"), CASES, indirect=["made"])


@pytest.fixture(params=["run", "folder"])
def made(request: pytest.FixtureRequest, root: Path) -> Made:
    """An adapter on a run of ours or on a plain folder, both named by relative paths."""
    if request.param == "run":
        base = write_run(Path("runs"), b"one")
        return {"base": base / "artifact", "adapter": train(Path("runs"), f"inputs.model={base}")}
    base = write_model(Path("runs") / "base", b"one")
    return {"base": base, "adapter": train(Path("runs"), f"model.location={base}")}


def remake(made: Made) -> None:
    """Make the base again, as another seed would."""
    if (made["base"] / artifacts.MANIFEST).exists():
        write_run(Path("runs"), b"two")
    else:
        write_model(made["base"], b"two")


@for_all
def test_the_base_is_found_from_elsewhere_and_after_everything_was_moved(
    recipe: str, made: Made, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert base_in(root, recipe, made["adapter"]).samefile(made["base"])
    monkeypatch.chdir(root.parent)
    assert base_in(root, recipe, root / made["adapter"]).samefile(root / made["base"])
    there = root.rename(root.parent / "there")
    assert base_in(there, recipe, there / made["adapter"]).samefile(there / made["base"])


@for_all
def test_a_base_that_was_made_again_is_refused(recipe: str, made: Made, root: Path) -> None:
    remake(made)
    with pytest.raises(ArtifactError) as caught:
        base_in(root, recipe, made["adapter"])
    said = str(caught.value)
    memory = artifacts.read(made["adapter"] / "artifact").facts["base"]
    assert f"the adapter {made['adapter']}/artifact was trained on the base {made['base']}" in said
    assert f"with the identity {memory['weights']}, but {root / made['base']} has " in said
    assert "it was made again or changed, say with another seed; train the adapter again" in said
    assert f"inputs.adapter={made['adapter']}/artifact inputs.model=<folder of the base>" in said


@for_all
def test_a_base_that_was_moved_alone_is_missed_and_can_be_named(
    recipe: str, made: Made, root: Path
) -> None:
    moved = shutil.copytree(made["base"], root / "moved")
    shutil.rmtree(made["base"])
    with pytest.raises(ArtifactError) as caught:
        base_in(root, recipe, made["adapter"])
    said = str(caught.value)
    assert f"the base of the adapter {made['adapter']}/artifact, {made['base']}, is neither" in said
    assert f"at {root / made['base']}" in said
    assert f"inputs.adapter={made['adapter']}/artifact inputs.model=<folder of the base>" in said
    assert named(root, recipe, made, moved).samefile(moved)


def named(root: Path, recipe: str, made: Made, base: Path, *words: str) -> Path:
    """Return the base of a command that names adapter and base."""
    both = [f"inputs.adapter={made['adapter']}", f"inputs.model={base}", *words]
    job = job_of(root, recipe, *both)
    if recipe == "merge":
        return Path(bases.base_of(job.input("adapter"), job).path)
    place = place_of(job)
    assert place.adapter == made["adapter"] / "artifact"
    return Path(place.path)


@for_all
def test_another_base_goes_under_an_adapter_only_with_a_word(
    recipe: str, made: Made, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_model(root / "other", b"two")
    with pytest.raises(
        ArtifactError,
        match=r"other has the weights \w{12}, but the adapter .* was trained on .* with the "
        r"weights \w{12}; name its own base, or write allow_other_base=true to put it on another",
    ):
        named(root, recipe, made, other)
    assert named(root, recipe, made, other, "allow_other_base=true") == other
    assert "allow_other_base=true puts it there" in capsys.readouterr().err
    free = ["inputs.adapter=" + str(made["adapter"]), f"inputs.model={other}"]
    jobs = [job_of(root, recipe, *free, *more) for more in ([], ["allow_other_base=true"])]
    assert jobs[0].fingerprint != jobs[1].fingerprint


def test_an_adapter_is_no_base(made: Made, root: Path) -> None:
    with pytest.raises(ArtifactError, match="is of kind adapter, and the base of the adapter"):
        named(root, "merge", made, made["adapter"])


Old = Callable[[dict[str, Any]], Artifact]


@pytest.fixture
def old(root: Path) -> Old:
    """An adapter that remembers its base as older versions did, from the folder `here`."""

    def write(provenance: dict[str, Any]) -> Artifact:
        folder = root / "runs" / "sft" / "a" / "artifact"
        with artifacts.writing(folder, "adapter", "a", provenance):
            pass
        return artifacts.read(folder)

    return write


def test_an_older_adapter_finds_its_base_from_elsewhere_and_compares_it(
    old: Old, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_run(Path("runs"), b"one") / "artifact"
    adapter = old({"inputs": {"model": {"path": str(base), "fingerprint": "b"}}}).path.parent
    monkeypatch.chdir(root.parent)
    assert base_in(root, "merge", adapter).samefile(root / base)
    manifest = root / base / artifacts.MANIFEST
    content = json.loads(manifest.read_text()) | {"fingerprint": "b2"}
    manifest.write_text(json.dumps(content))
    with pytest.raises(
        ArtifactError, match=r"with the identity b, but .* has b2: it was made again"
    ):
        base_in(root, "merge", adapter)


def test_an_older_adapter_on_a_plain_folder_or_the_hub(
    old: Old, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(root / "base", b"one")
    monkeypatch.chdir(root.parent)
    for location, expected in (("base", root / "base"), ("some/model", Path("some/model"))):
        model = {"location": location, "revision": None}
        adapter = old({"config": {"model": model}}).path.parent
        assert base_in(root, "merge", adapter) == expected


def test_a_base_of_the_hub_is_compared_where_it_is_in_the_cache(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = write_model(root / "snapshot", b"one")
    monkeypatch.setattr(bases, "cached_folder", lambda path, _: snapshot if "/" in path else None)
    adapter = train(root / "runs", "model.location=some/model")
    assert base_in(root, "merge", adapter) == Path("some/model")
    assert named(root, "merge", {"adapter": adapter}, snapshot) == snapshot
    write_model(snapshot, b"two")
    with pytest.raises(ArtifactError, match=r"base some/model with .*, but some/model has"):
        base_in(root, "merge", adapter)
    monkeypatch.setattr(bases, "cached_folder", lambda *_: None)
    assert base_in(root, "merge", adapter) == Path("some/model")
