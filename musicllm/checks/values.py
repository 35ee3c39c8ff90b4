"""The rule on single settings: each is one of its choices, or within its range (`schema`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from musicllm.config import nearest
from musicllm.errors import Problem
from musicllm.schema import Config
from musicllm.schema.keys import settings


def values(config: Config) -> Iterator[Problem]:
    """Yield settings that are none of their choices, and numbers outside their range."""
    yield from _group(config, "")


def _group(group: Any, prefix: str) -> Iterator[Problem]:
    cls: Any = type(group)
    for name, setting in settings(cls).items():
        value, key = getattr(group, name), f"{prefix}{name}"
        if setting.named:
            for own, part in value.items():
                yield from _group(part, f"{key}.{own}.")
        elif setting.group:
            yield from _group(value, f"{key}.")
        elif value is not None:
            for item in value if setting.is_list else [value]:
                if rule := setting.breach(item):
                    fix = nearest(str(item), map(str, setting.choices))
                    if variable := setting.key.env:
                        fix = f"{fix} {variable} sets it, too".lstrip()
                    yield Problem(key, item, rule, fix)
