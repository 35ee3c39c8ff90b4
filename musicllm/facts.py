"""Facts about a run for provenance; a fact that cannot be determined is None, never an error."""

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
"""Root of the source tree, unless this is a wheel."""

GIT_TIMEOUT_S = 20.0

VERSIONED = (
    "torch", "transformers", "peft", "lightning", "deepspeed", "datasets", "tokenizers",
    "hydra-core", "omegaconf", "music21", "symusic", "verovio",
)  # fmt: skip
"""Packages whose versions are stored with every artifact."""


def or_none(fact: Callable[[], Fact]) -> Fact | None:
    """Return a fact, or None if determining it raises anything."""
    try:
        return fact()
    except Exception:  # noqa: BLE001 - a missing program, file or system call
        return None


def commit() -> str | None:
    """Return the commit of the running source tree, with `-dirty` if it has changes.

    None in a wheel, without git, and if git fails.
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
    """Return the version of a package; None if it is not installed or has none."""
    return or_none(lambda: metadata.version(package))


def of_this_run() -> dict[str, Any]:
    """Return versions, commit and command line of this run; takes about 0.1 s."""
    return {
        "musicllm": musicllm.__version__,
        "commit": commit(),
        "python": sys.version.split()[0],
        "packages": installed_versions(),
        "argv": sys.argv,
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that affect results."""
    versions = ((name, version(name)) for name in VERSIONED)
    return {name: value for name, value in versions if value is not None}
