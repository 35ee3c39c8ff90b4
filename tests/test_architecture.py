"""Imports run one way and in no circles, files stay small, and no default hides in code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from musicllm.runs.stages import STAGES

ROOT = Path(__file__).parent.parent / "musicllm"
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py"
}
"""Every module of the package by its name under musicllm."""

FLOORS = (
    (
        "artifacts", "console", "contents", "errors", "facts", "launch.ranks", "minimal", "quoting",
        "registry", "runtime", "schema", "storage",
    ),
    ("music", "config", "command"),
    ("files",),
    ("data", "model"),
    ("inference", "theory"),
    ("train", "evals", "report", "retrieval", "serve", "synthesis"),
    ("bench",),
    ("job", "runs"),
    ("checks", "guide", "reference"),
    ("stages",),
    ("launch",),
    ("sweep",),
    ("cli",),
    ("__main__",),
)  # fmt: skip
"""Rooms and files, from the ground up; the longest name that begins a module's name counts."""

BLIND = (
    "music", "theory", "files", "data", "model", "inference", "train", "evals", "report",
    "retrieval", "serve", "synthesis",
)  # fmt: skip
"""Rooms that take plain values and groups of settings: they know neither `Config` nor a job."""


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> frozenset[str]:
    """Return the modules of musicllm that a module imports, also inside functions."""
    full: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            full.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            full.update(f"{node.module}.{alias.name}" for alias in node.names)
    own = (text.removeprefix("musicllm.") for text in full if text.startswith("musicllm."))
    modules = (text if text in FILES else text.rpartition(".")[0] for text in own)
    return frozenset(modules) - {"", name}


def floor(module: str) -> int:
    prefix = module
    while prefix:
        for level, names in enumerate(FLOORS):
            if prefix in names:
                return level
        prefix = prefix.rpartition(".")[0]
    raise LookupError(f"{module} has no floor")


def circles(graph: Mapping[str, frozenset[str]]) -> Iterator[frozenset[str]]:
    """Yield the sets of nodes that reach each other."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, waiting = set[str](), [start]
        while waiting:
            following = graph[waiting.pop()] - seen
            seen |= following
            waiting.extend(following)
        reached[start] = seen
    rings = {
        frozenset(other for other in seen if name in reached[other])
        for name, seen in reached.items()
        if name in seen
    }
    yield from sorted(rings, key=sorted)


def test_imports_run_one_way_and_in_no_circle() -> None:
    for name in FILES:
        for other in imports(name):
            assert floor(other) <= floor(name), f"{name} imports {other}"
            rooms = {name.split(".")[0], other.split(".")[0]}
            assert rooms != {"data", "model"}, f"{name} imports {other}: data and model never meet"
    assert not list(circles({name: imports(name) for name in FILES}))


def test_rooms_do_not_see_the_configuration() -> None:
    for name in FILES:
        if name.split(".")[0] in BLIND:
            assert not imports(name) & {"config", "job"}, name
            names = {node.id for node in ast.walk(tree(name)) if isinstance(node, ast.Name)}
            assert "Config" not in names, name


def test_stages_hold_verbs_only() -> None:
    files = {name.removeprefix("stages.") for name in FILES if name.startswith("stages.")}
    verbs = STAGES.keys() | {"plan"}
    assert files == verbs
    for verb in verbs:
        runs = [node for node in tree(f"stages.{verb}").body if isinstance(node, ast.FunctionDef)]
        (run,) = (node for node in runs if node.name == "run")
        assert [argument.arg for argument in run.args.args] == ["job"], verb


def test_a_circle_is_noticed() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}
    rings = circles({name: frozenset(others) for name, others in graph.items()})
    assert list(rings) == [{"b", "c"}, {"d"}]


def test_files_and_functions_stay_small() -> None:
    for name, path in FILES.items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, name
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert lines <= 50, f"{name}: {node.name} has {lines} lines"


def test_every_module_says_what_it_is_and_none_hides_a_default() -> None:
    for name, path in FILES.items():
        assert ast.get_docstring(tree(name)), f"{name} says nothing"
        assert path.stem != "utils"
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                called = owner.id if isinstance(owner, ast.Name) else ""
                hides = node.func.attr == "get" and called in ("cfg", "config")
                assert not hides, f"{name}: a default in a look-up of the configuration"
