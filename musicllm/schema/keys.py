"""What a key of the configuration is: a field of a group, with its meaning and limits.

A field is written `lr: float = key("peak learning rate", 1e-12, 10)`; it has no default. Checks of
values, the comments in `conf/`, `docs/SETTINGS.md`, `--help` and `--schema` are derived from it.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar, dataclass_transform

T = TypeVar("T")

NAME = "shown in plans and reports"
"""What every `name` of an option is that chooses nothing."""


@dataclass(frozen=True)
class KeyInfo:
    """Meaning and limits of a value.

    Attributes:
        meaning: what the value is, as the comment in YAML says it.
        low: smallest value; None sets no limit. Limits of a list are those of its items.
        high: largest value; None sets no limit.
        unit: of a number.
        null: what null means, of a key that may be null.
        kinds: `module:NAME` of the registry whose kinds are the choices.
        env: environment variable that sets the value, too.
        single: one text may stand for a list of it.
    """

    meaning: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    null: str = ""
    kinds: str = ""
    env: str = ""
    single: bool = False


def key(
    meaning: str,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    *,
    null: str = "",
    kinds: str = "",
    env: str = "",
    single: bool = False,
) -> Any:
    """Return a field of a group; see `KeyInfo`."""
    return field(metadata={"key": KeyInfo(meaning, low, high, unit, null, kinds, env, single)})


@dataclass_transform(frozen_default=True, field_specifiers=(key,))
def group(cls: type[T]) -> type[T]:
    """Make a class a group of settings: a frozen dataclass whose fields have no defaults."""
    return dataclass(frozen=True)(cls)


@dataclass(frozen=True)
class Setting:
    """A field of a schema class.

    Attributes:
        name: of the field.
        type: without `None` and without its `KeyInfo`.
        nullable: whether the value may be null.
        key: meaning and limits; empty for a group.
        group: schema class of the settings below it; None for a plain value.
        named: the group comes once for every name that the user gives, as `benchmark` does.
    """

    name: str
    type: Any
    nullable: bool
    key: KeyInfo
    group: Any
    named: bool

    @property
    def choices(self) -> tuple[str | int, ...]:
        """The values that are allowed; empty where no fixed set of values is."""
        if self.key.kinds:
            module, _, name = self.key.kinds.partition(":")
            return tuple(getattr(importlib.import_module(module), name))
        literal = typing.get_args(self.type)[0] if self.is_list else self.type
        return typing.get_args(literal) if typing.get_origin(literal) is Literal else ()

    @property
    def is_list(self) -> bool:
        """Whether the value is a list; choices and limits are those of its items."""
        return typing.get_origin(self.type) is list

    @property
    def limits(self) -> str:
        """The range in words, such as `from 0 to 1`; empty without limits."""
        low, high = (f"{end:g}" if isinstance(end, float) else str(end)
                     for end in (self.key.low, self.key.high))  # fmt: skip
        if self.key.low is None:
            return "" if self.key.high is None else f"at most {high}"
        return f"at least {low}" if self.key.high is None else f"from {low} to {high}"

    @property
    def comment(self) -> str:
        """The meaning with choices, unit and what null means, as the comment in YAML says it."""
        text = self.key.meaning
        choices = [] if self.key.kinds else list(map(str, self.choices))
        if any(not re.search(rf"\b{choice}\b", text) for choice in choices):
            text += f": {', '.join(choices)}"
        text += f" ({self.key.unit})" if self.key.unit else ""
        return f"{text}; null: {self.key.null}" if self.key.null else text

    def breach(self, value: Any) -> str:
        """Return the rule that a value of the right type breaks; empty when it breaks none."""
        if self.choices:
            words = [*map(str, self.choices), *(["null"] if self.nullable else [])]
            return "" if value in self.choices else f"must be one of {', '.join(words)}"
        low, high = self.key.low, self.key.high
        fits = (low is None or value >= low) and (high is None or value <= high)
        return "" if fits else f"must be {self.limits}"


def type_name(kind: Any) -> str:
    """Return a type of the schema in words, such as `list[str]`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return type(arguments[0]).__name__
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(type_name, arguments))}]"
    return str(kind.__name__)


@cache
def settings(cls: Any) -> dict[str, Setting]:
    """Return the fields of a schema class by name."""
    hints = typing.get_type_hints(cls)
    return {
        part.name: _setting(part.name, hints[part.name], part.metadata.get("key", KeyInfo()))
        for part in dataclasses.fields(cls)
    }


def _setting(name: str, hint: Any, meaning: KeyInfo) -> Setting:
    nullable = types.NoneType in typing.get_args(hint)
    if nullable:
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    named = typing.get_origin(hint) is dict and dataclasses.is_dataclass(typing.get_args(hint)[1])
    inner = typing.get_args(hint)[1] if named else hint
    return Setting(
        name, hint, nullable, meaning, inner if dataclasses.is_dataclass(inner) else None, named
    )


def walk(cls: Any, prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """Yield every setting that is no group with its full key; `<name>` stands for a user's name."""
    for name, setting in settings(cls).items():
        if setting.group is None:
            yield prefix + name, setting
        else:
            yield from walk(setting.group, f"{prefix}{name}.{'<name>.' if setting.named else ''}")
