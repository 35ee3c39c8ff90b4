"""The words of the command line, sorted; what they mean is composed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musicllm.errors import InputError

HYDRA_FLAGS = ("-m", "--multirun", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion")
"""Words that hand the command over to Hydra's own main function."""


@dataclass(frozen=True)
class Command:
    """The words of the command line, sorted."""

    overrides: tuple[str, ...]
    folders: tuple[Path, ...]
    hydra: bool

    def value(self, key: str) -> str | None:
        """Return the last value given for a key, or None."""
        values = [word.split("=", 1)[1] for word in self.overrides if word.startswith(f"{key}=")]
        return values[-1] if values else None


def parse(words: Sequence[str]) -> Command:
    """Sort words into overrides, the user's folders and Hydra's flags.

    Raises:
        InputError: `--config-dir` without a folder.
    """
    overrides: list[str] = []
    folders: list[Path] = []
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            folder = value or next(rest, "")
            if not folder:
                raise InputError("--config-dir needs a folder laid out as conf/")
            folders.append(Path(folder))
        else:
            overrides.append(word)
    hydra = any(word.split("=")[0] in HYDRA_FLAGS for word in overrides)
    return Command(tuple(overrides), tuple(folders), hydra)
