"""The command: `python -m musicllm recipe=<name> [group=option] [group.key=value]`.

Parses the words, composes, checks and dispatches. Nothing heavy is imported before a stage
starts, so help and mistakes answer in under a second; a test holds the list of imports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import musicllm
from musicllm import config as configuration
from musicllm import console
from musicllm.errors import ConfigError, InputError, MusicLLMError, Problem
from musicllm.schema import Config

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


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (a stage failed), 2 (the command is wrong)."""
    words = sys.argv[1:] if words is None else words
    try:
        return _main(words)
    except MusicLLMError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        console.err.print(str(error), style="red", markup=False)
        return 2 if isinstance(error, ConfigError | InputError) else 1
    except KeyboardInterrupt:
        console.note("interrupted; the same command continues where it stopped")
        return 130


def _main(words: Sequence[str]) -> int:
    from musicllm import guide

    if not words or set(words) & {"-h", "--help"}:
        guide.show(parse([word for word in words if word not in ("-h", "--help")]).folders)
        return 0
    if "--version" in words:
        console.say(f"musicllm {musicllm.__version__}")
        return 0
    command = parse(words)
    _check_recipe(command)
    if command.hydra:
        from musicllm import sweep

        return sweep.main(command)
    config, recipe = configuration.load(command.overrides, command.folders)
    return dispatch(config, recipe, command)


def dispatch(config: Config, recipe: str, command: Command) -> int:
    """Check a configuration and run what it asks for."""
    from musicllm.checks import check

    check(config)
    if config.stage == "plan":
        from musicllm.stages import plan

        plan.show(config, recipe, command)
    elif config.task == "pipeline":
        from musicllm.stages import pipeline

        pipeline.run(config, recipe, command)
    else:
        from musicllm import runner

        runner.run(config, recipe)
    return 0


def _check_recipe(command: Command) -> None:
    """Refuse a command without a known recipe, before anything is composed.

    Raises:
        ConfigError: with the nearest name.
    """
    known = configuration.options("recipe", command.folders)
    recipe = command.value("recipe")
    rule = f"is not a recipe; there are {', '.join(known)}"
    if recipe is None:
        rule = f"is missing; there are {', '.join(known)}"
        raise ConfigError([Problem("recipe", "???", rule, "begin with recipe=quickstart")])
    for name in recipe.split(",") if command.hydra else [recipe]:
        if name not in known:
            raise ConfigError([Problem("recipe", name, rule, configuration.nearest(name, known))])
