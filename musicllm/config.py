"""From the command line's words to a checked, read-only `Config`.

Finds `conf/`, lets Hydra compose it, and compares the result with `musicllm.schema`: every unknown
key, missing value and wrong type is reported at once, with the nearest name. Rules that span
several groups are in `musicllm.checks`. Imports Hydra and OmegaConf only when it composes.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from musicllm import quoting
from musicllm.errors import ConfigError, InputError, Problem
from musicllm.registry import load_extensions
from musicllm.schema import Config
from musicllm.schema.keys import settings, type_name, walk

PACKAGE = Path(__file__).parent

BUILDING_BLOCKS = ("source", "reading", "preparation", "measurement")
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
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"did you mean {matches[0]}?" if matches else ""


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
        problems = unreadable(overrides) or [_explain(error, overrides, extra)]
        raise ConfigError(problems) from error
    try:
        config = typed(values)
        load_extensions(config.extensions)
        return config, recipe
    except ConfigError as error:
        words = _values_by_key(overrides)
        raise ConfigError([_as_text(problem, words) for problem in error.problems]) from None


def defaults(extra: Sequence[Path] = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a recipe starts from: values, unresolved, and the option of every group."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(root().resolve()), version_base="1.3"):
        words = [*search_path(extra), "~recipe"]
        composed = compose("config", overrides=words, return_hydra_config=True)
    values: Any = OmegaConf.to_container(composed, resolve=False)
    return values, values.pop("hydra")["runtime"]["choices"]


OPEN = (
    "inputs.", "callbacks.extra.", "data.mix.weights.", "data.mix.epochs.",
    "data.mix.max_documents.", "data.instructions.language_shares.", "data.translation.shares.",
    "data.system_prompts.", "launcher.options.", "model.config.", "dashboard.sections.",
)  # fmt: skip
"""Groups whose keys are the user's own; the schema checks their values."""

OPEN_OF_SOURCES = re.compile(r"data\.sources\.\w+\.where\.")
"""Such groups of the sources of a corpus."""


def opened(overrides: Iterable[str]) -> list[str]:
    """Return overrides that may add keys to the open groups, as `++` means to Hydra."""
    return [
        f"++{word}" if word.startswith(OPEN) or OPEN_OF_SOURCES.match(word) else word
        for word in overrides
    ]


def search_path(folders: Sequence[Path]) -> list[str]:
    """Return the override that lets Hydra look into the user's folders; none without a folder."""
    if not folders:
        return []
    places = (quoting.literal(f"file://{folder.resolve()}") for folder in folders)
    return [f"hydra.searchpath=[{','.join(places)}]"]


def _compose(overrides: Sequence[str], extra: Sequence[Path]) -> tuple[dict[str, Any], str]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    words = [*search_path(extra), *opened(overrides)]
    with initialize_config_dir(str(root().resolve()), version_base="1.3"):
        composed = compose("config", overrides=words, return_hydra_config=True)
    OmegaConf.set_struct(composed, False)
    recipe: str = composed.pop("hydra").runtime.choices.recipe
    values: Any = OmegaConf.to_container(composed, resolve=True)
    return values, recipe


def unreadable(overrides: Iterable[str], *, in_sweep: bool = False) -> list[Problem]:
    """Return what is wrong with every word that Hydra's grammar does not read as one value.

    Args:
        overrides: words of a command.
        in_sweep: a word may stand for several values.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, problems = OverridesParser.create(), []
    for word in overrides:
        key, _, value = word.partition("=")
        try:
            if parser.parse_override(word).is_sweep_override() and not in_sweep:
                rule = "stands for several values, one for each run of a sweep"
                fix = f"add -m, or write it as a text: {quoting.typed(key, value)}"
                problems.append(Problem(key, value, rule, fix))
        except HydraException:
            problems.append(_misread(word))
    return problems


def _misread(word: str) -> Problem:
    """Return why Hydra's grammar does not read a word, and what to type instead."""
    key, equals, value = word.partition("=")
    if not equals:
        return Problem("command", word, "is not a setting", "write group=option or group.key=value")
    if not re.fullmatch(r"[~+]*[\w./@:-]+", key, re.ASCII):
        return Problem(key, value, "is not a setting: names have ASCII letters, digits and _ . /")
    if value[:1] in ("[", "{"):
        rule = (
            "is not a complete list or mapping: brackets and quotes come in pairs, and texts with "
            "letters outside ASCII or signs need quotes"
        )
        return Problem(key, value, rule, f"write it like {key}=\"['ü',b]\"")
    rule = (
        "cannot be read: letters outside ASCII and ( ) [ ] { } , = ' \" need quotes round "
        "the value, and quotes of the shell round those"
    )
    text = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    return Problem(key, value, rule, f"write {quoting.typed(key, text)}")


def _values_by_key(overrides: Iterable[str]) -> dict[str, str]:
    """Return the words of a command as keys and what was written as their values."""
    return dict(word.lstrip("+~").split("=", 1) for word in overrides if "=" in word)


def _as_text(problem: Problem, words: Mapping[str, str]) -> Problem:
    """Add what to type where a text was meant and Hydra read a number or a truth value."""
    text = words.get(problem.key)
    if text is None or not problem.rule.startswith("must be str"):
        return problem
    fix = f"write {quoting.typed(problem.key, text)}"
    return dataclasses.replace(problem, value=text, fix=fix)


def _explain(error: Exception, overrides: Sequence[str], extra: Sequence[Path]) -> Problem:
    """Turn a message of Hydra's into a key, a value, a rule and a fix."""
    text = str(error)
    words = _values_by_key(overrides)
    # the first for one option, the second for one in a list of them
    if match := re.search(r"Could not (?:find|load) '([\w/]+?)/([^']+)'", text):
        group, option = match.groups()
        names = options(group, extra)
        rule = f"is not an option; there are {', '.join(names)}"
        return Problem(group, option, rule, nearest(option, names))
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1]
        if key in BUILDING_BLOCKS:
            rule = "is no group to choose from: the options of data and benchmark name their own"
            return Problem(key, words.get(key), rule, "choose with data=... or benchmark=[...]")
        names = [*([] if "." in key else groups(extra)), *keys(key)]
        return Problem(key, words.get(key), "is not a setting", nearest(key, names))
    if match := re.search(r"Key '([^']+)' is not in struct", text):
        key = next((word for word in words if word.split(".")[-1] == match[1]), match[1])
        return Problem(key, words.get(key), "is not a setting", nearest(key, keys(key)))
    return Problem("command", " ".join(overrides), " ".join(text.split()))


def keys(like: str = "") -> list[str]:
    """Return the full name of every setting.

    Args:
        like: a key whose parts stand where the user gives names; else `<name>` does.
    """
    parts = like.split(".")
    return [
        ".".join(
            parts[i] if part == "<name>" and i < len(parts) else part
            for i, part in enumerate(key.split("."))
        )
        for key, _ in walk(Config)
    ]


def typed(values: dict[str, Any]) -> Config:
    """Return a mapping of plain values as a `Config`.

    Raises:
        ConfigError: with every unknown key, missing value and wrong type.
    """
    problems: list[Problem] = []
    config = _group(Config, values, "", problems)
    if problems:
        raise ConfigError(problems)
    assert isinstance(config, Config), "no problems means that it was built"
    return config


def _group(cls: type, values: object, key: str, problems: list[Problem]) -> object:
    """Build one group of the schema; None after appending what is wrong."""
    if not isinstance(values, dict):
        problems.append(Problem(key, values, "must be a group of settings"))
        return None
    dot = f"{key}." if key else ""
    fields = settings(cls)
    before = len(problems)
    for name in values.keys() - fields.keys():
        fix = nearest(str(name), fields)
        problems.append(Problem(f"{dot}{name}", values[name], "is not a setting", fix))
    built: dict[str, Any] = {}
    for name, setting in fields.items():
        value = values.get(name, "???")
        if value == "???":
            fix = f"write {dot}{name}=..."
            problems.append(Problem(f"{dot}{name}", "???", "has no value", fix))
        elif value is None and setting.nullable:
            built[name] = None
        elif setting.key.single and isinstance(value, str):
            built[name] = [value]
        else:
            built[name] = _value(setting.type, value, f"{dot}{name}", problems)
    return cls(**built) if len(problems) == before else None


def _value(kind: Any, value: Any, key: str, problems: list[Problem]) -> Any:
    """Return a value as the schema's type; append what is wrong."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type), "the schema holds classes"
        return _group(kind, value, key, problems)
    if origin is list and isinstance(value, list):
        part = arguments[0]
        return [_value(part, item, f"{key}[{i}]", problems) for i, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        part = arguments[1]
        return {name: _value(part, item, f"{key}.{name}", problems) for name, item in value.items()}
    if origin is typing.Literal:
        kind = type(arguments[0])
    if kind is float and type(value) is int:
        return float(value)
    if kind is not Any and type(value) is not kind:
        rule = f"must be {type_name(kind)}, not {type(value).__name__}"
        problems.append(Problem(key, value, rule))
        return None
    return value
