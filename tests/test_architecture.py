"""Imports run one way, files stay small, and no default hides in code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "musicllm"
FILES = sorted(ROOT.rglob("*.py"))
FLOORS = [
    {
        "artifacts",
        "console",
        "contents",
        "errors",
        "facts",
        "minimal",
        "quoting",
        "ranks",
        "runtime",
        "schema",
        "storage",
    },
    {"music", "config", "job", "command"},
    {"data", "model"},
    {"train", "evals", "serve"},
    {"bench"},
    {"launching", "stages", "checks", "runner", "guide"},
    {"cli", "sweep", "__main__"},
]


def floor(room: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if room in rooms)


def imports(path: Path) -> Iterator[str]:
    """Yield the names under musicllm that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (
                a.name.removeprefix("musicllm.") for a in node.names if "musicllm." in a.name
            )
        elif isinstance(node, ast.ImportFrom) and node.module == "musicllm":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("musicllm."):
            yield str(node.module).removeprefix("musicllm.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    room = parts[0]
    if room in ("__init__", "__main__"):
        return
    for name in imports(path):
        other = name.split(".")[0]
        if other in (room, "__version__"):
            continue
        assert floor(other) <= floor(room), f"{path}: {room} imports {name}"
        same_floor_rooms = {"data", "model"}
        assert {room, other} != same_floor_rooms, f"{path}: data and model never meet"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]
            assert lines <= 50, f"{path}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_and_has_no_utils(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} says nothing"
    assert path.stem != "utils"


def test_only_stages_see_the_configuration() -> None:
    rooms = [path for path in FILES if path.relative_to(ROOT).parts[0] in
             ("music", "data", "model", "train", "evals", "serve")]  # fmt: skip
    seen = [path for path in rooms if {"config", "schema", "job"} & set(imports(path))]
    assert seen == []


def test_no_default_hides_behind_a_lookup_in_the_configuration() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                name = owner.id if isinstance(owner, ast.Name) else ""
                assert not (node.func.attr == "get" and name in ("cfg", "config")), path
