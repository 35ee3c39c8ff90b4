"""What `python -m musicllm` alone says, and `--help` on a group or a key.

Alone: what it is, the recipes, the groups and their options. On a group: its options and its keys
with type, range, default and meaning, as the schema has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import musicllm
from musicllm import config, console
from musicllm.errors import ConfigError, Problem
from musicllm.music.grammar.static import NOTATIONS
from musicllm.schema import Config
from musicllm.schema.editor import json_schema
from musicllm.schema.keys import Setting, type_name, walk


def show(folders: Sequence[Path] = ()) -> None:
    """Print the guide; `folders` are the user's own, laid out as conf/."""
    console.heading(f"musicllm {musicllm.__version__}: train language models on music")
    console.say("python -m musicllm recipe=<name> [group=option ...] [group.key=value ...]\n")
    console.table("Recipes", ("recipe=", "what it does"), _recipes(folders))
    console.say()
    groups = [(name, ", ".join(config.options(name, folders))) for name in config.groups(folders)]
    console.table("Groups", ("group=", "options"), groups)
    console.say(
        "\nstage=plan         what a recipe would do: steps, sizes, parameters; loads nothing"
        "\n-m                 one run per value: -m recipe=quickstart/sft optimizer.lr=1e-3,2e-3"
        "\n--watch            recipe=report runs=[...] renews its page while the runs train"
        "\n--config-dir DIR   your own options and recipes (DIR/data/, DIR/recipe/, ...)"
        "\n--help GROUP       the keys of a group, such as --help training; also of one key"
        "\n--cfg job          the composed configuration        --schema   as JSON Schema"
        "        --version"
        "\n--grammar gbnf     what ABC is, for llama.cpp; also lark, for llguidance and vLLM"
        "\n\nBegin with: python -m musicllm recipe=quickstart"
    )


def explain(topic: str, folders: Sequence[Path] = ()) -> None:
    """Print the keys of a group, or one key: type, range, default and meaning.

    Args:
        topic: a group such as `training` or `data.music`, or a key such as `training.max_steps`.
        folders: the user's own, laid out as conf/.

    Raises:
        ConfigError: no group and no key has this name.
    """
    keys = dict(zip(config.keys(topic), (setting for _, setting in walk(Config)), strict=True))
    rows = {key: part for key, part in keys.items() if f"{key}.".startswith(f"{topic}.")}
    if not rows:
        groups = {key.rpartition(".")[0] for key in keys} - {""}
        fix = config.nearest(topic, [*config.groups(folders), *sorted(groups), *keys])
        raise ConfigError([Problem("--help", topic, "is neither a group nor a key", fix)])
    values, choices = config.defaults(folders)
    if topic in choices:
        console.say(f"options of {topic}: {', '.join(config.options(topic, folders))}")
        console.say(f"default: {choices[topic]}\n")
    table = [(key, *cells(row), _default(values, key), row.comment) for key, row in rows.items()]
    console.table("", ("key", "type", "values", "default", "meaning"), table)


def show_schema() -> None:
    """Print the JSON Schema of the configuration."""
    console.say(json.dumps(json_schema(), indent=2))


def show_grammar(name: str) -> None:
    """Print the static grammar of ABC in a notation.

    Raises:
        ConfigError: there is no such notation.
    """
    if name not in NOTATIONS:
        rule = f"is no notation of a grammar; there are {', '.join(NOTATIONS)}"
        raise ConfigError([Problem("--grammar", name or "???", rule, "write --grammar gbnf")])
    console.say(NOTATIONS[name]().rstrip("\n"))


def cells(setting: Setting) -> tuple[str, str]:
    """Return the type and the allowed values of a setting."""
    values = ", ".join(map(str, setting.choices)) or setting.limits
    return type_name(setting.type) + (" | null" if setting.nullable else ""), values


def _default(values: Any, key: str) -> str:
    """Return what a recipe starts from; empty for a key below a name that the user gives."""
    for name in key.split("."):
        if not isinstance(values, dict) or name not in values:
            return ""
        values = values[name]
    return as_yaml(values)


def as_yaml(value: object) -> str:
    """Return a value as YAML has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _recipes(folders: Sequence[Path]) -> list[tuple[str, str]]:
    rows = []
    for name in config.options("recipe", folders):
        path = next(
            base / "recipe" / f"{name}.yaml"
            for base in (*folders, config.root())
            if (base / "recipe" / f"{name}.yaml").is_file()
        )
        match = re.search(r"^description: *(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        rows.append((name, re.sub(r"\$\{[^}]*\}", "...", match[1]) if match else ""))
    return rows
