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
        "launch.ranks",
        "minimal",
        "quoting",
        "registry",
        "runtime",
        "schema",
        "storage",
    },
    {"music", "config", "job", "command"},
    {"data", "model"},
    {"inference", "theory"},
    {"train", "evals", "report", "serve"},
    {"bench"},
    {"launch", "stages", "checks", "guide"},
    {"cli", "sweep", "__main__"},
]
"""Rooms and files, from the ground up; the longest name that begins a module's name counts."""


def floor(module: str) -> int:
    while module:
        for level, names in enumerate(FLOORS):
            if module in names:
                return level
        module = module.rpartition(".")[0]
    raise LookupError(module)


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
            module = str(node.module).removeprefix("musicllm.")
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    room = parts[0]
    if room in ("__init__", "__main__"):
        return
    own = floor(".".join(parts))
    for name in imports(path):
        other = name.split(".")[0]
        if other in (room, "__version__"):
            continue
        assert floor(name) <= own, f"{path} imports {name}"
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


BLIND = ("music", "theory", "data", "model", "inference", "train", "evals", "report", "serve")
"""Rooms that take plain values: they know no configuration."""


def test_only_stages_see_the_configuration() -> None:
    for path in FILES:
        if path.relative_to(ROOT).parts[0] in BLIND:
            rooms = {name.split(".")[0] for name in imports(path)}
            assert not {"config", "schema", "job"} & rooms, path


def test_no_default_hides_behind_a_lookup_in_the_configuration() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                name = owner.id if isinstance(owner, ast.Name) else ""
                assert not (node.func.attr == "get" and name in ("cfg", "config")), path
