"""Assembles the report page from the artifacts of a chain of runs.

Roles are free names: what an artifact contributes follows from its kind. Files are read; nothing
is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from musicllm.artifacts import Artifact
from musicllm.report import tables
from musicllm.report.corpora import corpus_table
from musicllm.report.figures import loss_curves
from musicllm.report.page import Curve, NextCommand, Report, Settings
from musicllm.report.runs import FinishedRun, read_json, read_run
from musicllm.report.scores import MAX_ANSWERS, beside, read_scores
from musicllm.report.summary import ReportInputs, sentence, tiles


def assemble(inputs: Mapping[str, Artifact], title: str, commands: Sequence[NextCommand]) -> Report:
    """Read the inputs and return the content of the page.

    Args:
        inputs: artifacts by role, in the order in which they were made.
        title: of the page.
        commands: suggestions for what to run next.

    Raises:
        ArtifactError: a file exists but cannot be read.
    """
    runs = [read_run(role, artifact) for role, artifact in inputs.items()]
    trained = [run for run in runs if run.artifact.provenance["config"]["task"] == "train"]
    corpora = [run for run in runs if run.artifact.kind == "corpus"]
    tunes = _of_kind(runs, "tunes")
    scores = beside([score for run in tunes for score in read_scores(run.artifact)])
    results = [
        read_json(run.artifact.path / "results.json") for run in _of_kind(runs, "evaluation")
    ]
    versions = sorted({f"musicllm {run.artifact.provenance['musicllm']}" for run in runs})
    content = ReportInputs(runs, corpora, trained, [result["models"] for result in results], scores)
    return Report(
        title=title,
        summary=sentence(content),
        tiles=tiles(content),
        scores=scores,
        scores_note=_scores_note(tunes),
        evaluation=[
            table
            for result in results
            for table in tables.evaluation_tables(result["models"], result.get("benchmarks", {}))
        ],
        curves=[_curve(run) for run in trained],
        plan=tables.plan_table(trained),
        corpora=[corpus_table(run.artifact.facts, run.recipe) for run in corpora],
        times=tables.time_table(runs) if runs else None,
        settings=[_settings(run) for run in runs],
        commands=commands,
        colophon=f"Made by {' and '.join(versions)}. " if versions else "",
    )


def _of_kind(runs: Sequence[FinishedRun], kind: str) -> list[FinishedRun]:
    return [run for run in runs if run.artifact.kind == kind]


def _scores_note(runs: Sequence[FinishedRun]) -> str:
    """Return how the tunes were selected, so that they are not taken for hand-picked ones."""
    notes = ["Nothing here was picked by hand: these are all the prompts, in order."]
    for run in runs:
        generation = run.artifact.provenance["config"]["generation"]
        count, measure = generation["num_candidates"], generation["select"]
        choice = f"the best of {count} answers by {measure}" if count > 1 else "the first answer"
        grammar = " with the grammar, which lets every bar fit" if generation["grammar"] else ""
        notes.append(f"Each tune of {run.recipe} is from {choice} of the model{grammar}.")
        num_prompts = run.artifact.facts["metrics"]["num_prompts"]
        if num_prompts > MAX_ANSWERS:
            notes.append(f"Of its {num_prompts:,} prompts the first {MAX_ANSWERS} are here.")
    return " ".join(notes)


def _curve(run: FinishedRun) -> Curve:
    train = run.metrics.curve("train/loss") if run.metrics else []
    validation = run.metrics.curve("val/loss") if run.metrics else []
    picture = Markup(loss_curves(train, validation, run.recipe)) if train or validation else None
    return Curve(run.recipe, picture, _caption(run, train, validation))


def _caption(
    run: FinishedRun, train: Sequence[tuple[int, float]], validation: Sequence[tuple[int, float]]
) -> str:
    sentences = [
        f"{name} loss {curve[-1][1]:.3f} at step {curve[-1][0]:,}"
        for name, curve in (("Training", train), ("validation", validation))
        if curve
    ]
    if run.metrics and run.metrics.num_unreadable:
        count = run.metrics.num_unreadable
        lines = "1 line" if count == 1 else f"{count} lines"
        sentences.append(f"{lines} of metrics.jsonl could not be read")
    return f"{'; '.join(sentences)}." if sentences else ""


def _settings(run: FinishedRun) -> Settings:
    provenance = run.artifact.provenance
    parts = [
        f"musicllm {provenance['musicllm']}",
        f"commit {provenance['commit']}" if provenance["commit"] else "installed as a package",
        f"Python {provenance['python']}",
        *(f"{name} {version}" for name, version in provenance["packages"].items()),
        f"fingerprint {run.artifact.fingerprint}",
    ]
    return Settings(f"{run.recipe} ({run.role})", run.config, ", ".join(parts))
