"""The command: `python -m musicllm recipe=<name> [group=option] [group.key=value]`.

Parses the words, composes, checks and dispatches. Nothing heavy is imported before a stage
starts, so help and mistakes answer in under a second; a test holds the list of imports.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import musicllm
from musicllm import config as configuration
from musicllm import console, storage
from musicllm.command import Command, parse
from musicllm.errors import ConfigError, InputError, MusicLLMError, Problem
from musicllm.launch import ranks
from musicllm.quoting import unquoted
from musicllm.schema import Config


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (a stage failed), 2 (the command is wrong)."""
    words = sys.argv[1:] if words is None else words
    console.replace_unencodable()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a log file shows a line when it is written
        sys.stdout.reconfigure(line_buffering=True)
    try:
        if ranks.launched() and not ranks.is_main():
            console.mute()
        return _main(words)
    except MusicLLMError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        console.err.print(str(error), style="red", markup=False)
        return 2 if isinstance(error, ConfigError | InputError) else 1
    except Exception as error:
        explanation = storage.explain(error)
        if explanation is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        console.err.print(explanation, style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.note("interrupted; the same command continues where it stopped")
        return 130


def _main(words: Sequence[str]) -> int:
    from musicllm import guide

    if not words or set(words) & {"-h", "--help"}:
        command = parse([word for word in words if word not in ("-h", "--help")])
        topics = [word for word in command.overrides if "=" not in word]
        for topic in topics:
            guide.explain(topic, command.folders)
        if not topics:
            guide.show(command.folders)
        return 0
    if _answers(words):
        return 0
    command = parse(words)
    _check_recipe(command)
    if command.hydra:
        return _show(command)
    if command.sweep:
        from musicllm.sweep import main as sweep

        return sweep.main(command)
    _refuse_lone_sweep(command)
    from musicllm.runs import composing

    config, recipe = composing.load(command.overrides, command.folders)
    return dispatch(config, recipe, command)


def _answers(words: Sequence[str]) -> bool:
    """Print what a flag asks for; False if there is no such flag."""
    from musicllm import guide

    flag, _, value = words[0].partition("=")
    if flag == "--grammar":
        guide.show_grammar(value or "".join(words[1:2]))
    elif "--schema" in words:
        guide.show_schema()
    elif "--version" in words:
        console.say(f"musicllm {musicllm.__version__}")
    else:
        return False
    return True


def _refuse_lone_sweep(command: Command) -> None:
    """Refuse settings of a sweep without `-m`.

    Raises:
        ConfigError: with every such word.
    """
    words = (word.partition("=") for word in command.overrides)
    problems = [(key, value) for key, _, value in words if key.split(".")[0] == "sweep"]
    if problems:
        rule = "has no effect on a single run"
        raise ConfigError([Problem(key, value, rule, "add -m") for key, value in problems])


def dispatch(config: Config, recipe: str, command: Command) -> int:
    """Check a configuration, and run or submit its stage."""
    from musicllm.checks import check

    check(config)
    if config.launcher.name == "slurm" and config.stage != "plan":
        from musicllm.launch import slurm

        slurm.submit(config, recipe, command)
    else:
        from musicllm.launch import runner

        runner.run(config, recipe, command)
    return 0


def _show(command: Command) -> int:
    """Let Hydra show what it composes (`--cfg`, `--info`)."""
    import hydra

    words = configuration.opened(command.overrides)
    sys.argv = [sys.argv[0], *configuration.search_path(command.folders), *words]
    folder = str(configuration.root().resolve())
    hydra.main(version_base="1.3", config_path=folder, config_name="config")(lambda _: None)()
    return 0


def _check_recipe(command: Command) -> None:
    """Refuse a command without a known recipe, before anything is composed.

    Raises:
        ConfigError: with the nearest name.
    """
    recipes = configuration.options("recipe", command.folders)
    recipe = command.value("recipe")
    rule = f"is not a recipe; there are {', '.join(recipes)}"
    if recipe is None:
        rule = f"is missing; there are {', '.join(recipes)}"
        raise ConfigError([Problem("recipe", "???", rule, "begin with recipe=quickstart")])
    for name in _swept(command) if command.sweep else (recipe,):
        if name not in recipes:
            raise ConfigError([Problem("recipe", name, rule, configuration.nearest(name, recipes))])


def _swept(command: Command) -> tuple[str, ...]:
    """Return the recipes of a sweep, in whatever way of Hydra's they are listed."""
    from musicllm.sweep import space

    choices = [word for word in command.overrides if word.startswith("recipe=")][-1:]
    axes = space.parse(choices).axes
    listed = axes[0].values if axes and isinstance(axes[0].values, tuple) else ()
    return tuple(map(unquoted, listed)) or (command.value("recipe") or "",)
