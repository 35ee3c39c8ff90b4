"""A view of the configuration, restricted to the settings that a stage declares.

What cannot be read cannot be missing in the identity of a result. Declared values are plain
attributes of the view, so that reading them has no overhead.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from musicllm.runs.stages import is_deciding
from musicllm.schema import Config

T = TypeVar("T")


class UndeclaredSettingError(AssertionError):
    """A stage reads a setting that its declaration does not cover: a bug of musicllm's own."""


def view_of(config: Config) -> Config:
    """Return a configuration from which the configured stage can read what it declares.

    Groups that are covered whole are those of the configuration itself. A view can be pickled; to
    read another setting raises `UndeclaredSettingError`. A plan, which makes nothing, reads all.
    """
    if config.stage == "plan" or isinstance(config, _Group):
        return config
    view: Config = _view(config, "", config)
    return view


def whole(value: T) -> T:
    """Return the complete configuration or group of a view, for records."""
    complete: T = value.complete if isinstance(value, _Group) else value
    return complete


class _Group:
    """Base class of all views; each has its own class, derived from this and its group's."""

    complete: Any
    _hidden: frozenset[str]
    _key: str
    _config: Config

    def __getattr__(self, name: str) -> Any:
        if name not in self._hidden:
            raise AttributeError(name)
        key = f"{self._key}.{name}".removeprefix(".")
        raise UndeclaredSettingError(
            f"the stage {self._config.task} reads {key}, of which STAGES in "
            f"musicllm/runs/stages.py does not say whether it decides the result; add it there to "
            f"its settings or, if it does not decide, to free"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _view, (self.complete, self._key, self._config)


def _view(group: Any, key: str, config: Config) -> Any:
    """Return a view of a group, or the group itself if it is declared whole."""
    readable = {}
    for field in dataclasses.fields(group):
        name, value = f"{key}.{field.name}".removeprefix("."), getattr(group, field.name)
        if dataclasses.is_dataclass(value):
            view = _view(value, name, config)
            if view is value or vars(view):
                readable[field.name] = view
        elif is_deciding(config, name) is not None:
            readable[field.name] = value
    hidden = vars(group).keys() - readable.keys()
    if not hidden and all(value is getattr(group, name) for name, value in readable.items()):
        return group
    own = {"complete": group, "_hidden": frozenset(hidden), "_key": key, "_config": config}
    partial: Any = object.__new__(type(type(group).__name__, (_Group, type(group)), own))
    vars(partial).update(readable)
    return partial
