"""Jobs of these tests see their configuration through a view that raises for undeclared keys."""

from __future__ import annotations

import copy
import dataclasses
import sys
from typing import Any

import pytest

import musicllm
from musicllm.job import Job
from musicllm.runs.stages import is_deciding
from musicllm.schema import Config

HOUSE = musicllm.__path__[0]


def view_of(config: Config) -> Config:
    """Return a configuration of which only what its stage declares can be read by the house."""
    return _view(config, "", config)  # type: ignore[no-any-return]


def _view(value: Any, key: str, config: Config) -> Any:
    if isinstance(value, dict):
        return {name: _view(part, f"{key}.{name}", config) for name, part in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    names = {field.name for field in dataclasses.fields(value)}
    parts = {name: _view(getattr(value, name), f"{key}.{name}", config) for name in names}

    def refuse_undeclared(name: str) -> None:
        full = f"{key}.{name}".removeprefix(".")
        part = parts[name]
        grouped = dataclasses.is_dataclass(part) or (
            isinstance(part, dict) and any(map(dataclasses.is_dataclass, part.values()))
        )
        assert grouped or is_deciding(config, full) is not None, (
            f"the stage {config.task} reads {full}, of which musicllm/runs/stages.py does not "
            f"say whether it decides the result"
        )

    class View(type(value)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            if sys._getframe(1).f_code.co_filename.startswith(HOUSE):
                for read in names if name == "__dict__" else names & {name}:
                    refuse_undeclared(read)
            return object.__getattribute__(self, name)

        def __reduce__(self) -> tuple[Any, ...]:
            return copy.copy, (value,)

    View.__name__ = type(value).__name__
    view = object.__new__(View)
    for name, part in parts.items():
        object.__setattr__(view, name, part)
    return view


@pytest.fixture(autouse=True)
def _declared_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    init = Job.__init__

    def init_with_view(self: Job, config: Any, *rest: Any, **more: Any) -> None:
        init(self, view_of(config) if type(config) is Config else config, *rest, **more)

    monkeypatch.setattr(Job, "__init__", init_with_view)
