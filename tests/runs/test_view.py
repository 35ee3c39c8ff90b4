"""A stage reads what its declaration covers; anything else raises, in every process."""

from __future__ import annotations

import ast
import dataclasses
import pickle
from pathlib import Path

import pytest

from musicllm import config
from musicllm.command import Command
from musicllm.job import Job, public
from musicllm.runs.stages import FREE, STAGES
from musicllm.runs.view import UndeclaredSettingError, view_of, whole
from musicllm.schema import Config
from tests.test_architecture import FILES, imports, tree


def loaded(*words: str) -> Config:
    return config.load(words)[0]


def test_a_setting_that_is_not_declared_cannot_be_read() -> None:
    view = view_of(loaded("recipe=quickstart/report"))
    assert view.paths.runs == "runs"
    for read, key in (
        (lambda: view.seed, "seed"),
        (lambda: view.engine, "engine"),
        (lambda: view.hardware.precision, "hardware.precision"),
        (lambda: getattr(view, "benchmark", {}), "benchmark"),
        (lambda: dataclasses.asdict(view), "seed"),
        (lambda: dataclasses.replace(view, name="x"), "seed"),
        (lambda: pickle.loads(pickle.dumps(view)).hardware.memory_gb, "hardware.memory_gb"),
    ):
        with pytest.raises(UndeclaredSettingError) as caught:
            read()
        assert str(caught.value) == (
            f"the stage report reads {key}, of which STAGES in musicllm/runs/stages.py does not "
            "say whether it decides the result; add it there to its settings or, if it does not "
            "decide, to free"
        )


def test_what_is_declared_is_as_it_was() -> None:
    full = loaded("recipe=quickstart/sft")
    view = view_of(full)
    assert isinstance(view, Config)
    assert view.model is full.model
    assert vars(view.training) == vars(full.training)
    assert vars(view.hardware) == vars(full.hardware)
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.seed = 1  # type: ignore[misc]
    assert view_of(view) is view
    assert repr(view).startswith("Config({'task': 'train'")
    assert not hasattr(view, "no_setting")


def test_what_records_all_settings_sees_all() -> None:
    full = loaded("recipe=quickstart/report")
    job = Job(full, "quickstart/report", Path("runs"), "report", "0", command=Command((), ()))
    assert type(job.config) is not Config
    assert public(job.config) == dataclasses.asdict(full)
    assert whole(pickle.loads(pickle.dumps(job)).config) == full
    assert type(dataclasses.replace(job, kind="").config) is not Config


def test_a_plan_sees_all() -> None:
    full = loaded("recipe=quickstart/report", "stage=plan")
    assert view_of(full) is full


REGISTRIES = ("inference.engines",)
"""Packages whose kinds read settings of their own."""


def words_read(stage: str) -> set[str]:
    """Return the names of attributes and arguments in all modules that a stage can reach."""
    modules, waiting = set[str](), [f"stages.{stage}", "launch.runner"]
    while waiting:
        name = waiting.pop()
        modules.add(name)
        waiting.extend(imports(name) - modules)
        if name in REGISTRIES:  # its kinds are imported when they are needed
            waiting.extend({kind for kind in FILES if kind.startswith(f"{name}.")} - modules)
    nodes = [node for name in modules for node in ast.walk(tree(name))]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {str(node.arg) for node in nodes if isinstance(node, ast.keyword)}


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_declares_exists_and_is_read(name: str) -> None:
    stage, keys = STAGES[name], [key.replace(".<name>", "") for key in sorted(config.keys())]
    read = words_read(name)
    for declared in (*stage.settings, *stage.free, *FREE):
        covered = [key for key in keys if f"{key}.".startswith(f"{declared}.")]
        assert covered, f"{name} declares {declared}, which is no setting"
        unread = declared not in FREE and not {key.split(".")[-1] for key in covered} & read
        assert not unread, f"{name} declares {declared}, and never reads it"
