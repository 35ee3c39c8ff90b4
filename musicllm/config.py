"""From the command line's words to a checked, read-only `Config`.

Finds `conf/`, lets Hydra compose it, and compares the result with `musicllm.schema`: every unknown
key, missing value and wrong type is reported at once, with the nearest name. Rules that span
several groups are in `musicllm.checks`. Imports Hydra and OmegaConf only when it composes.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from musicllm.errors import ConfigError, InputError, Problem
from musicllm.schema import Config

PACKAGE = Path(__file__).parent

BUILDING_BLOCKS = ("source", "preparation", "measurement")
"""Groups that stand in the options of `data` and `benchmark`, not in a command."""


def root() -> Path:
    """Return the folder `conf/`: inside the installed package, or beside it in a source tree."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def options(group: str, extra: Sequence[Path] = ()) -> list[str]:
    """Return the options of a group, nested ones with a slash, in `conf/` and the user's folders.

    Raises:
        InputError: one of the user's folders does not exist.
    """
    names: set[str] = set()
    for base in (root(), *extra):
        if not base.is_dir():
            raise InputError(f"--config-dir {base} is not a folder")
        folder = (base / group).resolve()
        files = folder.rglob("*.yaml")
        names.update(str(file.relative_to(folder).with_suffix("")) for file in files)
    return sorted(names)


def groups(extra: Sequence[Path] = ()) -> list[str]:
    """Return the names of the groups that a command chooses from.

    `recipe` is not among them, nor those from which the options of other groups are made.
    """
    folders = {path.name for base in (root(), *extra) for path in base.iterdir() if path.is_dir()}
    return sorted(folders - {"recipe", *BUILDING_BLOCKS})


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ` did you mean X?` for the most similar name, or an empty string."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else ""


def load(overrides: Sequence[str], extra: Sequence[Path] = ()) -> tuple[Config, str]:
    """Compose, check types and return the configuration and the recipe's name.

    Args:
        overrides: Hydra overrides such as `recipe=sft` and `optimizer.lr=1e-4`.
        extra: the user's folders, laid out as `conf/` (recipes in `recipe/`); first wins.

    Raises:
        ConfigError: something does not compose or does not fit the schema.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        values, recipe = _compose(overrides, extra)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([_explain(error, overrides, extra)]) from error
    return typed(values), recipe


OPEN = (
    "inputs.", "callbacks.extra.", "data.mix.weights.", "data.mix.epochs.",
    "data.mix.max_documents.", "launcher.options.",
)  # fmt: skip
"""Groups whose keys are the user's own; the schema checks their values."""


def opened(overrides: Iterable[str]) -> list[str]:
    """Return overrides that may add keys to the open groups, as `++` means to Hydra."""
    return [f"++{word}" if word.startswith(OPEN) else word for word in overrides]


def _compose(overrides: Sequence[str], extra: Sequence[Path]) -> tuple[dict[str, Any], str]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    paths = ",".join(f"file://{folder.resolve()}" for folder in extra)
    search = [f"hydra.searchpath=[{paths}]"] if extra else []
    with initialize_config_dir(str(root().resolve()), version_base="1.3"):
        composed = compose(
            "config", overrides=[*search, *opened(overrides)], return_hydra_config=True
        )
    OmegaConf.set_struct(composed, False)
    recipe: str = composed.pop("hydra").runtime.choices.recipe
    values: Any = OmegaConf.to_container(composed, resolve=True)
    return values, recipe


def _explain(error: Exception, overrides: Sequence[str], extra: Sequence[Path]) -> Problem:
    """Turn a message of Hydra's into a key, a value, a rule and a fix."""
    text = str(error)
    words = dict(word.lstrip("+~").split("=", 1) for word in overrides if "=" in word)
    if found := re.search(r"Could not find '([\w/]+?)/([^']+)'", text):
        group, option = found.groups()
        known = options(group, extra)
        rule = f"is not an option; there are {', '.join(known)}"
        return Problem(group, option, rule, nearest(option, known))
    if found := re.search(r"Could not override '([^']+)'", text):
        key = found[1]
        known = list(keys(Config))
        return Problem(key, words.get(key), "is not a setting", nearest(key, known))
    if found := re.search(r"Key '([^']+)' is not in struct", text):
        key = next((word for word in words if word.split(".")[-1] == found[1]), found[1])
        return Problem(key, words.get(key), "is not a setting", nearest(key, keys(Config)))
    return Problem("command", " ".join(overrides), " ".join(text.split()))


def keys(cls: type, prefix: str = "") -> Iterator[str]:
    """Yield the full name of every setting of a schema class."""
    for name, kind in _fields(cls).items():
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type), "fields hold classes, not instances"
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def typed(values: dict[str, Any]) -> Config:
    """Return a mapping of plain values as a `Config`.

    Raises:
        ConfigError: with every unknown key, missing value and wrong type.
    """
    problems: list[Problem] = []
    config = _dataclass(Config, values, "", problems)
    if problems:
        raise ConfigError(problems)
    assert isinstance(config, Config), "no problems means that it was built"
    return config


@cache
def _fields(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _dataclass(cls: type, values: object, key: str, problems: list[Problem]) -> object:
    """Build one dataclass of the schema; None after appending what is wrong."""
    if not isinstance(values, dict):
        problems.append(Problem(key, values, "must be a group of settings"))
        return None
    dot = f"{key}." if key else ""
    fields = _fields(cls)
    before = len(problems)
    for name in values.keys() - fields.keys():
        fix = nearest(str(name), fields)
        problems.append(Problem(f"{dot}{name}", values[name], "is not a setting", fix))
    built = {}
    for name, kind in fields.items():
        value = values.get(name, "???")
        if value == "???":
            fix = f"write {dot}{name}=..."
            problems.append(Problem(f"{dot}{name}", "???", "has no value", fix))
        else:
            built[name] = _value(kind, value, f"{dot}{name}", problems)
    return cls(**built) if len(problems) == before else None


def _value(kind: Any, value: Any, key: str, problems: list[Problem]) -> Any:
    """Return a value as the schema's type; append what is wrong."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        plain = next(part for part in arguments if part is not type(None))
        return None if value is None else _value(plain, value, key, problems)
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type), "the schema holds classes"
        return _dataclass(kind, value, key, problems)
    if origin is list and isinstance(value, list):
        part = arguments[0]
        return [_value(part, item, f"{key}[{i}]", problems) for i, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        part = arguments[1]
        return {name: _value(part, item, f"{key}.{name}", problems) for name, item in value.items()}
    return _plain(kind, value, key, problems)


def _plain(kind: Any, value: Any, key: str, problems: list[Problem]) -> Any:
    if kind is Any:
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        name = kind.__name__ if isinstance(kind, type) else str(kind)
        problems.append(Problem(key, value, f"must be {name}, not {type(value).__name__}"))
        return None
    return value
