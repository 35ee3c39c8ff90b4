"""Markdown: tables, code and text that cannot break out of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
"""A repository of the hub; relative paths of two parts look the same."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; its first column is left-aligned, the others right-aligned."""
    bars = ["---", *(["---:"] * (len(columns) - 1))]
    lines = [columns, bars, *(list(map(cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def cell(value: object) -> str:
    """Return a value as the content of a cell or a line."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    return re.sub(r"([|\\<>])", r"\\\1", text)


def code(text: str, language: str = "") -> str:
    """Return a block of code, fenced by more backticks than it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def public_place(location: str) -> str:
    """Return a hub id as it is, and of a path its last part: where it lay is nobody's business."""
    return location if HUB_ID.fullmatch(location) else PurePath(location).name


def quoted(text: str) -> str:
    """Return a text of one line as a scalar of YAML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{re.sub(chr(10), " ", escaped)}"'
