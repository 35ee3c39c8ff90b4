"""Facts about a run that are good to know and not worth a result: what cannot be told is None."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import musicllm

Fact = TypeVar("Fact")

ROOT = Path(__file__).parent.parent
"""Of the source tree, where this is not a wheel."""

GIT_TIMEOUT_S = 20.0

VERSIONED = (
    "torch", "transformers", "peft", "lightning", "deepspeed", "datasets", "tokenizers",
    "hydra-core", "omegaconf", "music21", "symusic", "verovio",
)  # fmt: skip
"""Packages whose versions are stored with every artifact."""


def or_none(fact: Callable[[], Fact]) -> Fact | None:
    """Return a fact, or None where asking for it fails in whatever way."""
    try:
        return fact()
    except Exception:  # noqa: BLE001 - a program, a file or a system call that is not there
        return None


def commit() -> str | None:
    """Return the commit of the source tree that runs, with `-dirty` when it was changed.

    None in a wheel, without git, and where git does not answer.
    """
    return or_none(_describe)


def _describe() -> str | None:
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    env = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, timeout=GIT_TIMEOUT_S
    )
    return done.stdout.strip() or None


def version(package: str) -> str | None:
    """Return the version of an installed package, None of one that is not there or says none."""
    return or_none(lambda: metadata.version(package))


def of_this_run() -> dict[str, Any]:
    """Return which code runs, on what, and by which command; takes a tenth of a second."""
    return {
        "musicllm": musicllm.__version__,
        "commit": commit(),
        "python": sys.version.split()[0],
        "packages": installed_versions(),
        "argv": sys.argv,
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what comes out."""
    versions = ((name, version(name)) for name in VERSIONED)
    return {name: value for name, value in versions if value is not None}
