"""From the artifacts of a chain of runs to everything that the page shows.

Roles are free names: what an artifact contributes follows from its kind. Reads files; measures
nothing that a stage has not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from musicllm.artifacts import Artifact
from musicllm.report import tables
from musicllm.report.corpora import corpus_table
from musicllm.report.figures import loss_curves
from musicllm.report.page import Command, Curve, Report, Settings
from musicllm.report.runs import Run, read_json, read_run
from musicllm.report.scores import ScoreCard, read_scores
from musicllm.report.summary import Known, sentence, tiles


def assemble(inputs: Mapping[str, Artifact], title: str, commands: Sequence[Command]) -> Report:
    """Read all that the inputs have to show.

    Args:
        inputs: artifacts by role, in the order in which they were made.
        title: of the page.
        commands: what can be run from here.

    Raises:
        ArtifactError: a file that is there cannot be read.
    """
    runs = [read_run(role, artifact) for role, artifact in inputs.items()]
    trained = [run for run in runs if run.artifact.provenance["config"]["task"] == "train"]
    corpora = [run for run in runs if run.artifact.kind == "corpus"]
    scores = [score for run in _of_kind(runs, "tunes") for score in read_scores(run.artifact.path)]
    results = [_results(run) for run in _of_kind(runs, "evaluation")]
    known = Known(runs, corpora, trained, [found["models"] for found in results], scores)
    return Report(
        title=title,
        summary=sentence(known),
        tiles=tiles(known),
        scores=scores,
        scores_note=_scores_note(scores),
        evaluation=[
            table
            for found in results
            for table in tables.evaluation_tables(found["models"], found.get("benchmarks", {}))
        ],
        curves=[_curve(run) for run in trained],
        plan=tables.plan_table(trained),
        corpora=[corpus_table(run.artifact.facts, run.recipe) for run in corpora],
        times=tables.time_table(runs) if runs else None,
        settings=[_settings(run) for run in runs],
        commands=commands,
        colophon=_colophon(runs),
    )


def _of_kind(runs: Sequence[Run], kind: str) -> list[Run]:
    return [run for run in runs if run.artifact.kind == kind]


def _results(run: Run) -> Mapping[str, Any]:
    return read_json(run.artifact.path / "results.json")


def _scores_note(scores: Sequence[ScoreCard]) -> str:
    """Say how the tunes shown were come by, so that nobody takes them for a hand-picked best."""
    again = sum(score.tries > 1 for score in scores)
    retried = (
        "Each is the model's first answer."
        if again == 0
        else f"{again} of them took more than one try, since an answer that is no tune is sampled "
        "again; each says how many."
    )
    return (
        "Nothing here was picked by hand: these are all the tunes that were asked for, in order. "
        f"{retried}"
    )


def _curve(run: Run) -> Curve:
    train = run.metrics.curve("train/loss") if run.metrics else []
    validation = run.metrics.curve("val/loss") if run.metrics else []
    drawn = Markup(loss_curves(train, validation, run.recipe)) if train or validation else None
    return Curve(run.recipe, drawn, _caption(run, train, validation))


def _caption(
    run: Run, train: Sequence[tuple[int, float]], validation: Sequence[tuple[int, float]]
) -> str:
    said = [
        f"{name} loss {curve[-1][1]:.3f} at step {curve[-1][0]:,}"
        for name, curve in (("Training", train), ("validation", validation))
        if curve
    ]
    if run.metrics and run.metrics.num_unreadable:
        count = run.metrics.num_unreadable
        lines = "1 line" if count == 1 else f"{count} lines"
        said.append(f"{lines} of metrics.jsonl could not be read")
    return f"{'; '.join(said)}." if said else ""


def _settings(run: Run) -> Settings:
    made = run.artifact.provenance
    parts = [
        f"musicllm {made['musicllm']}",
        f"commit {made['commit']}" if made["commit"] else "installed as a package",
        f"Python {made['python']}",
        *(f"{name} {version}" for name, version in made["packages"].items()),
        f"fingerprint {run.artifact.fingerprint}",
    ]
    return Settings(f"{run.recipe} ({run.role})", run.config, ", ".join(parts))


def _colophon(runs: Sequence[Run]) -> str:
    made = sorted({f"musicllm {run.artifact.provenance['musicllm']}" for run in runs})
    return f"Made by {' and '.join(made)}. " if made else ""
