"""Rules on trust: which classes a setting may name, and no secret in what is saved."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from musicllm.errors import Problem
from musicllm.job import public
from musicllm.schema import Config

TRUSTED_PREFIXES = ("lightning.pytorch.callbacks.", "musicllm.")
"""Classes that a `_target_` may name without the user's word."""

SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
SECRET_FORMS = re.compile(r"hf_[A-Za-z0-9]{20,}|(?:wandb_v\d_)?[0-9a-f]{40}|sk-[\w-]{20,}")


def targets(config: Config) -> Iterator[Problem]:
    """Yield a `_target_` outside the trusted packages."""
    trusted = (*TRUSTED_PREFIXES, *(f"{name}." for name in config.trusted_packages))
    for key, value in _leaves(config.callbacks.extra, "callbacks.extra"):
        if key.endswith("._target_") and not str(value).startswith(trusted):
            rule = f"is not under {', '.join(trusted)}"
            yield Problem(key, value, rule, "name its package in trusted_packages if you trust it")


def secrets(config: Config) -> Iterator[Problem]:
    """Yield values that look like a key; a configuration is saved and logged."""
    environment = {
        value for name, value in os.environ.items() if SECRET_NAMES.search(name) and len(value) > 7
    }
    for key, value in _leaves(public(config), ""):
        if not isinstance(value, str) or key.endswith("revision"):
            continue
        if value in environment or SECRET_FORMS.fullmatch(value):
            rule = "looks like a secret, and the configuration is saved with every run"
            yield Problem(key, "***", rule, "keep it in its environment variable")


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every plain value with its dotted key."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{key}[{index}]")
    else:
        yield key, value
