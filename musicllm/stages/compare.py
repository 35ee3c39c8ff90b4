"""Compare: evaluations side by side, in one table, with tests question by question and pictures.

The evaluations stand in the order in which their models were made; the first is what all others
are compared with. Nothing is measured again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from musicllm import artifacts, console, quoting
from musicllm.job import Job, public
from musicllm.report.compare_page import ComparePage, render_comparison
from musicllm.report.compared import ComparedModel, read_models
from musicllm.report.comparing import assemble_comparison, draw, headlines, plain
from musicllm.report.page import NextCommand
from musicllm.report.paired import against_first
from musicllm.report.result_logging import log_results
from musicllm.report.tables import words
from musicllm.train.loggers import LoggedRun

PICTURES = "pictures"
"""Folder of the pictures as PNG."""


def run(job: Job) -> list[tuple[str, object]]:
    """Write page, pictures and `comparison.json` of all inputs; show them in wandb if it is on.

    Raises:
        ArtifactError: an input is no evaluation, or a file of it is damaged.
        InputError: fewer than two models, or one benchmark's name for different questions.
    """
    models = read_models(list(job.inputs.values()))
    against = against_first(models, job.config.seed)
    pictures = draw(models)
    title = ", ".join(model.label for model in models)
    page = assemble_comparison(title, models, against, pictures, _commands(models))
    html = render_comparison(page)
    with job.writing() as (folder, facts):
        artifacts.write_json(folder / "comparison.json", plain(models, against))
        artifacts.write_text(folder / "report.html", html)
        artifacts.write_text(job.folder / "report.html", html)
        (folder / PICTURES).mkdir()
        for picture in chain.from_iterable(pictures.values()):
            picture.write_png(folder / PICTURES / f"{picture.name}.png")
        facts["metrics"] = headlines(models)
    if job.config.logger:
        _log(job, models, page)
    _show(page)
    return [
        ("page", job.folder / "report.html"),
        ("the same as numbers", job.artifact_path / "comparison.json"),
        ("pictures", job.artifact_path / PICTURES),
    ]


def _log(job: Job, models: Sequence[ComparedModel], page: ComparePage) -> None:
    tables = {"overview": page.overview, "significance": page.significance}
    log_results(
        list(job.config.logger.values()),
        LoggedRun(job.folder, 0, job.fingerprint, public(job.config)),
        job.artifact_path,
        job.kind,
        steps=[model.metrics for model in models],
        tables={name: table for name, table in tables.items() if table},
        pictures=sorted((job.artifact_path / PICTURES).iterdir()),
        page=job.folder / "report.html",
    )


def _show(page: ComparePage) -> None:
    for note in page.notes:
        console.note(note)
    for table in (page.overview, page.significance):
        if table is not None:
            console.say()
            console.table(table.caption, table.columns, table.texts())


def _commands(models: Sequence[ComparedModel]) -> list[NextCommand]:
    """Return the commands that measure benchmarks completely of which a part was measured."""
    commands = []
    for model in models:
        provenance = model.artifact.provenance
        parts = [name for name in model.metrics if model.subset(name)]
        settings = provenance["config"]["benchmark"]
        missing = [word for name in parts for word in _all_of(name, settings)]
        if missing:
            recipe = quoting.argument("recipe", provenance["recipe"])
            inputs = [
                quoting.argument(f"inputs.{role}", artifacts.locate_input(model.artifact, place))
                for role, place in provenance["inputs"].items()
            ]
            purpose = f"Ask all questions of {', '.join(map(words, parts))} for {model.label}"
            commands.append(NextCommand(purpose, quoting.command(recipe, *missing, *inputs)))
    return commands


def _all_of(name: str, benchmarks: Mapping[str, Any]) -> list[str]:
    """Return the settings that make a benchmark complete."""
    settings = benchmarks[name]
    lists = [key for key in ("subjects", "levels") if settings[key]]
    number = [] if settings["num_questions"] is None else [f"benchmark.{name}.num_questions=null"]
    return [*number, *(f"benchmark.{name}.{key}=[]" for key in lists)]
