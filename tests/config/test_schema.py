"""The schema says of every key what it means, and what null means."""

from __future__ import annotations

from typing import Any, Literal

import pytest

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
