"""What `python -m musicllm` alone says: what it is, the recipes, the groups and their options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import musicllm
from musicllm import config, console


def show(folders: Sequence[Path] = ()) -> None:
    """Print the guide; `folders` are the user's own, laid out as conf/."""
    console.heading(f"musicllm {musicllm.__version__}: train language models on music")
    console.say("python -m musicllm recipe=<name> [group=option ...] [group.key=value ...]\n")
    console.table("Recipes", ("recipe=", "what it does"), _recipes(folders))
    console.say()
    groups = [(name, ", ".join(config.options(name, folders))) for name in config.groups(folders)]
    console.table("Groups", ("group=", "options"), groups)
    console.say(
        "\nstage=plan         what a recipe would do: steps, sizes, parameters; loads nothing"
        "\n-m                 one run per value: -m recipe=quickstart/sft optimizer.lr=1e-3,2e-3"
        "\n--config-dir DIR   your own options and recipes (DIR/data/, DIR/recipe/, ...)"
        "\n--cfg job          the composed configuration        --version"
        "\n\nBegin with: python -m musicllm recipe=quickstart"
    )


def _recipes(folders: Sequence[Path]) -> list[tuple[str, str]]:
    rows = []
    for name in config.options("recipe", folders):
        path = next(
            base / "recipe" / f"{name}.yaml"
            for base in (*folders, config.root())
            if (base / "recipe" / f"{name}.yaml").is_file()
        )
        found = re.search(r"^description: *(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        rows.append((name, re.sub(r"\$\{[^}]*\}", "...", found[1]) if found else ""))
    return rows
