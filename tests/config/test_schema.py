"""The schema says of every key what it means, and what null means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import musicllm
from musicllm.schema import Config
from musicllm.schema.keys import group, key, settings, walk


@group
class Example:
    share: float | None = key("share of rows", 0, 1, null="all")
    kinds: list[Literal["abc", "txt"]] = key("file types")
    stage: Literal[1, 2] | None = key("stage 1 or 2", null="none")
    steps: int = key("steps", 1, unit="rows")
    options: dict[str, Any] = key("anything")


def test_every_key_has_a_meaning_and_says_what_null_means() -> None:
    for name, setting in walk(Config):
        assert setting.key.meaning, name
        assert bool(setting.key.null) == setting.nullable, name
        if setting.key.low is not None and setting.key.high is not None:
            assert setting.key.low < setting.key.high, name


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("share", 1.5, "must be from 0 to 1"),
        ("share", float("nan"), "must be from 0 to 1"),
        ("share", 0.0, ""),
        ("kinds", "pdf", "must be one of abc, txt"),
        ("stage", 3, "must be one of 1, 2, null"),
        ("stage", 2, ""),
        ("steps", 0, "must be at least 1"),
        ("options", {"x": 1}, ""),
    ],
)
def test_a_value_is_one_of_the_choices_or_within_the_range(
    name: str, value: object, rule: str
) -> None:
    assert settings(Example)[name].breach(value) == rule


def test_the_comment_says_choices_and_unit_unless_the_meaning_does() -> None:
    comments = [setting.comment for setting in settings(Example).values()]
    assert comments == [
        "share of rows; null: all",
        "file types: abc, txt",
        "stage 1 or 2; null: none",
        "steps (rows)",
        "anything",
    ]


OTHER_NAMES = {
    "bench.json", "index.html", "index.npz", "model.embed_tokens.weight", "model.safetensors",
    "model.safetensors.index.json",
    "sweep.html.jinja", "watch.html.jinja", "task.description", "task.fields",
}  # fmt: skip
"""What looks like a key in the source and is none: files, tensors, and columns of rich."""

OPEN = ("inputs", "data.mix.weights", "data.mix.epochs", "data.mix.max_documents",
        "data.instructions.language_shares", "data.translation.shares", "data.system_prompts",
        "data.sources.<name>.where",
        "callbacks.extra", "launcher.options", "optimizer.options", "benchmark.<name>.options",
        "logger.<name>.options", "model.config", "inference.options")  # fmt: skip
"""Keys below which the user gives names."""


def names_of_keys(path: Path) -> Iterator[str]:
    """Yield what looks like a key in the strings of a module, docstrings apart; * is a value."""
    word = re.compile(rf"(?<![\w./*-])(?:{'|'.join(settings(Config))})(?:\.[\w*<>]+)+")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= set(map(id, node.values))
            parts = [part.value if isinstance(part, ast.Constant) else "*" for part in node.values]
            yield from word.findall("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from word.findall(node.value) if id(node) not in skipped else ()


def is_key(name: str) -> bool:
    """Whether a name is a key or a group; `*` stands for any part."""
    pattern = [re.compile(re.escape(part).replace(r"\*", ".*")) for part in name.split(".")]
    for full, _ in walk(Config):
        parts = full.split(".")
        pairs = list(zip(pattern, parts, strict=False))
        fits = all(part == "<name>" or wanted.fullmatch(part) for wanted, part in pairs)
        if fits and (len(pattern) <= len(parts) or full in OPEN):
            return True
    return False


def test_every_key_that_a_message_names_is_in_the_schema() -> None:
    names = {
        name: path
        for path in Path(musicllm.__file__).parent.rglob("*.py")
        for name in names_of_keys(path)
    }
    assert len(names) > 100
    wrong = {name: str(path) for name, path in names.items() if not is_key(name)}
    assert wrong.keys() == OTHER_NAMES, wrong


def test_settings_of_rooms_have_no_defaults() -> None:
    """The only home of a default is `conf/`."""
    root = Path(musicllm.__file__).parent
    files = [*root.rglob("settings.py"), *root.rglob("spec.py")]
    assert len(files) > 2
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for line in node.body if isinstance(node, ast.ClassDef) else []:
                is_question = isinstance(node, ast.ClassDef) and node.name == "Question"
                if isinstance(line, ast.AnnAssign) and not is_question:
                    assert line.value is None, f"{path}: {ast.unparse(line)}"


def test_a_wrong_key_would_be_noticed() -> None:
    assert is_key("training.max_steps")
    assert is_key("benchmark.mmlu.mode")
    assert is_key("logger.*.*")
    assert not is_key("training.max_step")
    assert not is_key("benchmark.mmlu.modes")
