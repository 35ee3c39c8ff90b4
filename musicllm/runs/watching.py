"""Resolves `runs=[...]` where trainings are watched: run folders with metrics, finished or not.

An item is a recipe, for the run of it that wrote metrics last; a run folder, or the folder of its
artifact; or the folder of a sweep, for all of its jobs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from musicllm import config as configuration
from musicllm import quoting
from musicllm.errors import ArtifactError, MusicLLMError
from musicllm.report.dashboard import watched
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.schema import Config
from musicllm.train import metrics

WAITING = "has no metrics yet"
"""State of a run that has not begun."""
SWEEP = "comparison.json"
"""File by which the folder of a sweep is recognised; it lists the jobs."""


def watched_runs(config: Config) -> list[WatchedRun]:
    """Return the runs of `runs`, each once, in the order of the command.

    Raises:
        ArtifactError: an item names no run with metrics, or a file of one cannot be read.
    """
    runs = Path(config.paths.runs)
    each: dict[Path, str] = {}
    for name in config.runs:
        for folder in _folders(name, runs):
            each.setdefault(folder.resolve(), name)
    labels = _labels(each, runs)
    try:
        return [watched.read(folder, label) for folder, label in zip(each, labels, strict=True)]
    except OSError as error:
        raise ArtifactError(f"{error.filename} cannot be read: {error.strerror}") from None


def runs_so_far(
    config: Config, before: Mapping[Path, WatchedRun] | None = None
) -> tuple[list[WatchedRun], dict[str, str]]:
    """Return the runs of `runs` that have metrics, and why others show none, by their names.

    Args:
        config: of the command.
        before: runs by folder as they were read last. One that cannot be read any more stays as it
            was, with the reason as its fault. None at the first look, which refuses names.

    Raises:
        ArtifactError: at the first look, an item cannot become a run: neither a recipe, nor a
            folder, nor the place of a run of a recipe.
    """
    runs = Path(config.paths.runs)
    folders: dict[Path, str] = {}
    waiting: dict[str, str] = {}
    for name in config.runs:
        try:
            for folder in _folders(name, runs):
                folders.setdefault(folder.resolve(), name)
        except (ArtifactError, OSError) as error:
            if isinstance(error, ArtifactError) and _may_begin(name, runs):
                waiting[_place(name, runs)] = WAITING
            elif before is not None or isinstance(error, OSError):
                waiting[_place(name, runs)] = f"cannot be read: {error}"
            else:
                raise
    found = []
    for folder, label in zip(folders, _labels(folders, runs), strict=True):
        try:
            found.append(watched.read(folder, label))
        except (MusicLLMError, OSError) as error:
            if before is not None and folder in before:
                fault = f"shown as it was before: {error}"
                found.append(dataclasses.replace(before[folder], label=label, fault=fault))
            else:
                waiting[label] = f"cannot be read: {error}" if _has_lines(folder) else WAITING
    return found, waiting


def _has_lines(folder: Path) -> bool:
    """Return whether the metrics of a run are more than an empty or incomplete line."""
    try:
        return b"\n" in (folder / metrics.NAME).read_bytes()
    except OSError:
        return True


def identities(config: Config) -> list[str]:
    """Return what identifies the runs of `runs`: fingerprints, and while it watches also names.

    Raises:
        ArtifactError: as `watched_runs`, or if `watch` is set `runs_so_far`.
    """
    if not config.watch:
        return [run.fingerprint for run in watched_runs(config)]
    runs, waiting = runs_so_far(config)
    return [*(run.fingerprint for run in runs), *waiting]


def _place(name: str, runs: Path) -> str:
    """Return a recipe, or a folder without the folder of all runs, or else its last two names."""
    if name in configuration.options("recipe"):
        return name
    folder = Path(name).expanduser().resolve()
    within = folder.is_relative_to(runs.resolve())
    return str(folder.relative_to(runs.resolve()) if within else Path(*folder.parts[-2:]))


def _may_begin(name: str, runs: Path) -> bool:
    """Return whether a training may still begin where a name points."""
    recipes = configuration.options("recipe")
    folder = Path(name).expanduser()
    if name in recipes or (folder.is_dir() and not (folder / SWEEP).is_file()):
        return True
    place = folder.resolve().parent
    return place.is_relative_to(runs.resolve()) and _recipe(place, runs.resolve()) in recipes


def _folders(name: str, runs: Path) -> Iterator[Path]:
    """Yield the run folders that an item of `runs` names."""
    of_recipe = sorted(
        (runs / name).glob(f"*/{metrics.NAME}"), key=lambda path: path.stat().st_mtime
    )
    if of_recipe:
        yield of_recipe[-1].parent
        return
    folder = Path(name).expanduser()
    if (folder / SWEEP).is_file():
        yield from _of_sweep(folder)
    elif (folder / metrics.NAME).is_file():
        yield folder
    elif (folder.parent / metrics.NAME).is_file() and folder.is_dir():
        yield folder.parent
    else:
        raise ArtifactError(f"runs={name}: {_instead(name, folder, runs)}")


def _of_sweep(folder: Path) -> Iterator[Path]:
    """Yield the run folders of the jobs of a sweep that logged metrics."""
    try:
        jobs = json.loads((folder / SWEEP).read_text(encoding="utf-8"))
        places = [Path(job["folder"]) for job in jobs if job["folder"] is not None]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{folder / SWEEP} cannot be read: {error!r}") from None
    logged = [place for place in places if (place / metrics.NAME).is_file()]
    if not logged:
        raise ArtifactError(
            f"runs={folder}: no job of this sweep has metrics; name one of trainings, or run "
            f"its command again"
        )
    yield from logged


def _instead(name: str, folder: Path, runs: Path) -> str:
    """Return what a name without metrics refers to, and what to do."""
    recipes = configuration.options("recipe")
    if name in recipes:
        command = quoting.command(quoting.argument("recipe", name))
        return (
            f"no run of this recipe in {runs} has metrics ({metrics.NAME}); start it: {command}, "
            f"or name the recipe of a training; {WAITS}"
        )
    if folder.exists():
        return (
            f"there is no {metrics.NAME} in it; name the folder of a training that has begun, or "
            f"of a sweep of trainings; {WAITS}"
        )
    nearest = configuration.nearest(name, recipes)
    return f"neither a recipe with a training in {runs} nor a folder; {nearest or HOW_TO}"


WAITS = "recipe=report with --watch waits for a run that has not begun"
HOW_TO = "name the recipe or the folder of a training, or the folder of a sweep of trainings"


def _labels(folders: Mapping[Path, str], runs: Path) -> list[str]:
    """Return a label of each run folder, the same before and after other runs begin.

    Args:
        folders: items of `runs` by the folders that they name.
        runs: folder of all runs.
    """
    labels = [
        name if folder.parent == (runs / name).resolve() else _place(str(folder), runs)
        for folder, name in folders.items()
    ]
    return [
        label if labels.count(label) == 1 else str(folder)
        for label, folder in zip(labels, folders, strict=True)
    ]


def _recipe(folder: Path, runs: Path) -> str:
    """Return the recipe whose runs a folder holds; of another `paths.runs` its last name."""
    return str(folder.relative_to(runs)) if folder.is_relative_to(runs) else folder.name
