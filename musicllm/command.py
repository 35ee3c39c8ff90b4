"""Parses the command line into overrides, folders and flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musicllm.errors import InputError
from musicllm.quoting import unquoted

SWEEP_FLAGS = ("-m", "--multirun")
"""Flags for a sweep, with one job per combination of values."""

WATCH_FLAG = "--watch"
"""Flag of recipe=report: the page is renewed while the runs train."""

HYDRA_FLAGS = ("-c", "--cfg", "-i", "--info", "-sc", "--shell-completion")
"""Flags that Hydra's main function handles."""


@dataclass(frozen=True)
class Command:
    """The parsed command line.

    Attributes:
        overrides: `group=option`, `group.key=value` and Hydra's flags.
        folders: configuration folders of the user, laid out like conf/.
        hydra: whether the overrides contain one of `HYDRA_FLAGS`.
        sweep: whether to run a sweep.
    """

    overrides: tuple[str, ...]
    folders: tuple[Path, ...]
    hydra: bool = False
    sweep: bool = False

    def value(self, key: str) -> str | None:
        """Return the last value of a key, without quotes, or None."""
        values = [word.split("=", 1)[1] for word in self.overrides if word.startswith(f"{key}=")]
        return unquoted(values[-1]) if values else None


NO_WORDS = Command((), ())


def parse(words: Sequence[str]) -> Command:
    """Parse the arguments of the command.

    Raises:
        InputError: `--config-dir` without a folder.
    """
    overrides: list[str] = []
    folders: list[Path] = []
    sweep = False
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            folder = value or next(rest, "")
            if not folder:
                raise InputError("--config-dir needs a folder laid out as conf/")
            folders.append(Path(folder))
        elif word in SWEEP_FLAGS:
            sweep = True
        elif word == WATCH_FLAG:
            overrides.append("watch=true")
        else:
            overrides.append(word)
    hydra = any(word.split("=")[0] in HYDRA_FLAGS for word in overrides)
    return Command(tuple(overrides), tuple(folders), hydra, sweep)
