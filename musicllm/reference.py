"""Writes what developers read about keys from the schema: comments in `conf/`, `docs/SETTINGS.md`.

`python -m musicllm.reference` after a change of the schema or of an option; a test compares. The
comment behind a key of an option is the schema's; a remark of the option's own stands above it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from musicllm import config, console
from musicllm.guide import as_yaml, cells
from musicllm.schema import BenchmarkConfig, Config, DataConfig, SourceConfig
from musicllm.schema.keys import Setting, settings

BLOCKS: dict[str, Any] = {
    "source": SourceConfig,
    "reading": SourceConfig,
    "preparation": DataConfig,
    "measurement": BenchmarkConfig,
}
"""Classes of the groups from which the options of other groups are made."""

BASES = {"data": "preparation", "data.sources": "reading", "benchmark": "measurement"}
"""Groups whose options start from one file, `default` of another group."""

HEAD = """# Settings

Every key of the configuration. A default stands here where it has one home; other values are in the
options of the group (`conf/<group>/`). `python -m musicllm --help <group>` prints the same with the
values of the option that a recipe starts from. This page is written by
`python -m musicllm.reference` from `musicllm/schema` and `conf/`.
"""


def files() -> Iterator[tuple[Path, Any]]:
    """Yield every YAML file of `conf/` with the schema class of its keys."""
    yield config.root() / "config.yaml", Config
    groups = {name: setting.group for name, setting in settings(Config).items() if setting.group}
    for name, cls in (groups | BLOCKS).items():
        for path in sorted((config.root() / name).glob("*.yaml")):
            yield path, cls


def commented(text: str, cls: Any) -> str:
    """Return the text of an option with the comment of the schema behind every key."""
    lines = text.split("\n")
    for setting, name, value in _leaves(yaml.compose(text), cls):
        number, column = value.end_mark.line, value.end_mark.column
        if isinstance(value, yaml.ScalarNode) and value.style in ("|", ">"):
            number = name.start_mark.line
            match = re.match(r"[^:]*: *[|>][-+]?", lines[number])
            assert match, "a block scalar has its sign behind the key"
            column = match.end()
        elif value.start_mark.line > name.start_mark.line:  # a list, one item a line
            number, column = name.end_mark.line, name.end_mark.column + 1
        lines[number] = f"{lines[number][:column].rstrip()} # {setting.comment}"
    return "\n".join(lines)


def _leaves(node: Any, cls: Any) -> Iterator[tuple[Setting, Any, Any]]:
    """Yield every key of the schema in a mapping, with the nodes of its name and value."""
    for name, value in node.value:
        setting = settings(cls).get(name.value)
        if setting is None or setting.named or name.value == "defaults":
            continue
        if setting.group is not None:
            yield from _leaves(value, setting.group)
        else:
            yield setting, name, value


def page() -> str:
    """Return docs/SETTINGS.md."""
    return "\n".join([HEAD, *_tables(Config, "", config.defaults()[0])]) + "\n"


def _tables(cls: Any, prefix: str, values: Any) -> Iterator[str]:
    """Yield a table for a group and for every group below it.

    Args:
        cls: of the schema.
        prefix: of the group's keys.
        values: defaults of the group.
    """
    yield f"\n## {f'`{prefix[:-1]}`' if prefix else 'Recipe'}\n\n{cls.__doc__}\n"
    yield "| key | type | values | default | meaning |\n| --- | --- | --- | --- | --- |"
    groups = []
    for name, part in settings(cls).items():
        if part.group is not None:
            groups.append((part, f"{prefix}{name}"))
            continue
        default = f"`{as_yaml(values[name])}`" if name in values else ""
        kind, allowed = cells(part)
        meaning = html.escape(part.comment, quote=False)
        row = (f"`{prefix}{name}`", kind.replace("|", "or"), allowed, default, meaning)
        yield f"| {' | '.join(row)} |"
    for part, key in groups:
        below = {} if part.named else values.get(part.name, {})
        if key in BASES:
            base = config.root() / BASES[key] / "default.yaml"
            below = yaml.safe_load(base.read_text(encoding="utf-8"))
        elif not prefix and len(config.options(key)) > 1:
            below = {}
        yield from _tables(part.group, f"{key}.{'<name>.' if part.named else ''}", below)


def main() -> None:
    """Write the comments and the page."""
    for path, cls in files():
        text = path.read_text(encoding="utf-8")
        path.write_text(commented(text, cls), encoding="utf-8")
    target = config.root().parent / "docs" / "SETTINGS.md"
    target.write_text(page(), encoding="utf-8")
    console.say(f"wrote the comments in {config.root()} and {target}")


if __name__ == "__main__":
    main()
