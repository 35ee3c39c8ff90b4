"""Assembles a comparison of evaluations: page, figures, and the content of comparison.json.

All models are compared with the first. Nothing is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from musicllm.evals.choices import reliability
from musicllm.report import compare_figures, compare_tables
from musicllm.report.compare_figures import Picture, Point
from musicllm.report.compare_page import BenchmarkPart, ComparePage, PagePicture
from musicllm.report.compare_tables import benchmarks, headline, heads, p_words, parts, point
from musicllm.report.compared import ComparedModel
from musicllm.report.page import NextCommand, Tile
from musicllm.report.paired import PairedResult
from musicllm.report.tables import words

MAX_TILES = 4

SETTINGS = (
    "kind", "location", "revision", "split", "subjects", "levels", "num_fewshot", "prompt_format",
    "mode", "add_bos", "max_length", "long_prompts", "max_new_tokens",
)  # fmt: skip
"""Facts of a benchmark that describe how it was evaluated."""


def assemble_comparison(
    title: str,
    models: Sequence[ComparedModel],
    results: Sequence[PairedResult],
    pictures: Mapping[str, Sequence[Picture]],
    commands: Sequence[NextCommand],
) -> ComparePage:
    """Return the content of the page.

    Args:
        title: of the page.
        models: the first is the one that the others are compared with.
        results: of the other models against the first.
        pictures: figures by benchmark.
        commands: suggestions for what to run next.
    """
    versions = sorted({f"musicllm {model.artifact.provenance['musicllm']}" for model in models})
    return ComparePage(
        title=title,
        summary=f"{len(models)} models, in this order: "
        f"{', '.join(model.label for model in models)}.",
        tiles=_tiles(models, results),
        notes=notes(models, results),
        overview=compare_tables.overview(models),
        significance=compare_tables.significance(results, models[0].label),
        benchmarks=[_part(name, models, results, pictures[name]) for name in benchmarks(models)],
        compared=compare_tables.compared_table(models),
        commands=commands,
        colophon=f"Evaluated by {' and '.join(versions)}. ",
    )


def draw(models: Sequence[ComparedModel]) -> dict[str, list[Picture]]:
    """Return the figures of each benchmark: by model, by category, by subject, calibration.

    Figures without data are left out.
    """
    return {name: _pictures(name, models) for name in benchmarks(models)}


def notes(models: Sequence[ComparedModel], results: Sequence[PairedResult]) -> list[str]:
    """Return the warnings of the page: subsets, different settings, different prompts."""
    lines = [
        f"{words(name)} of {model.label} is not complete: a {model.subset(name)}."
        for name in benchmarks(models)
        for model in models
        if model.subset(name)
    ]
    for name in benchmarks(models):
        lines += _unequal_settings(name, models)
    for result in results:
        if result.accuracy is not None and result.accuracy.num_other_prompts:
            lines.append(
                f"{words(result.benchmark)}: {result.accuracy.num_other_prompts:,} of "
                f"{result.accuracy.num_questions:,} questions reached {result.label} with another "
                f"prompt than {models[0].label}."
            )
    return lines


def plain(models: Sequence[ComparedModel], results: Sequence[PairedResult]) -> dict[str, Any]:
    """Return the content of `comparison.json`."""
    names = benchmarks(models)
    return {
        "first": models[0].label,
        "models": [
            {
                "label": model.label,
                "role": model.role,
                "model": model.tested,
                "recipe": model.artifact.provenance["recipe"],
                "evaluation": str(model.artifact.path),
                "fingerprint": model.artifact.fingerprint,
            }
            for model in models
        ],
        "metrics": {
            name: {model.label: model.metrics[name] for model in models if name in model.metrics}
            for name in names
        },
        "benchmarks": {
            name: {model.label: model.facts[name] for model in models if name in model.facts}
            for name in names
        },
        "calibration": {
            name: {label: [asdict(b) for b in bins] for label, bins in _bins(name, models)}
            for name in names
        },
        "against_first": [asdict(result) for result in results],
        "notes": notes(models, results),
    }


def headlines(models: Sequence[ComparedModel]) -> dict[str, float | int | None]:
    """Return the headline metric of each benchmark and model."""
    return {
        f"{model.label} {name} {headline(model, name)}": metrics[headline(model, name)]
        for model in models
        for name, metrics in model.metrics.items()
    }


def _part(
    name: str,
    models: Sequence[ComparedModel],
    results: Sequence[PairedResult],
    pictures: Sequence[Picture],
) -> BenchmarkPart:
    tables = [
        compare_tables.part_table(models, name, "category", results),
        compare_tables.calibration_table(models, name),
    ]
    details = [
        compare_tables.part_table(models, name, "subject", results),
        compare_tables.metric_table(models, name),
    ]
    subsets = [f"{model.label}: {model.subset(name)}" for model in models if model.subset(name)]
    return BenchmarkPart(
        name=words(name),
        subset="; ".join(subsets),
        pictures=[PagePicture(picture.title, picture.svg()) for picture in pictures],
        tables=[table for table in tables if table],
        details=[table for table in details if table],
    )


def _pictures(name: str, models: Sequence[ComparedModel]) -> list[Picture]:
    evaluated = [model for model in models if name in model.metrics]
    metric, labels = headline(evaluated[0], name), heads(evaluated, name)
    chance = evaluated[0].metrics[name].get("chance_accuracy")
    points = [point(model, name, metric) for model in evaluated]
    metric_words = words(metric)
    pictures = [
        Picture(
            f"{name}_order", f"{metric_words.capitalize()} from model to model",
            partial(compare_figures.by_model, labels, metric_words, points, chance),
        )
    ]  # fmt: skip
    for key, plural in (("category", "categories"), ("subject", "subjects")):
        if by_part := _by_change(parts(evaluated, name, key)):
            title = f"Accuracy by {key}: {plural} with the largest gain first"
            make = partial(compare_figures.by_part, labels, "accuracy", by_part, chance)
            pictures.append(Picture(f"{name}_{key}", title, make))
    if bins := dict(_bins(name, evaluated)):
        labels_of = dict(zip((model.label for model in evaluated), labels, strict=True))
        make = partial(
            compare_figures.calibration,
            {labels_of[name]: bins_ for name, bins_ in bins.items()},
        )
        pictures.append(Picture(f"{name}_calibration", "Is it as sure as it is right?", make))
    return pictures


def _bins(name: str, models: Sequence[ComparedModel]) -> list[tuple[str, list[Any]]]:
    """Return label and confidence bins of the models that have them."""
    answered = [
        (model.label, [row for row in model.predictions.get(name, []) if row.get("logliks")])
        for model in models
    ]
    return [(label, reliability(rows)) for label, rows in answered if rows]


def _by_change(parts: Mapping[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    """Return parts sorted by the change from the first model to the last."""

    def change(item: tuple[str, Sequence[Point]]) -> float:
        first, last = item[1][0].value, item[1][-1].value
        return 0.0 if first is None or last is None else first - last

    return {words(name): points for name, points in sorted(parts.items(), key=change)}


def _tiles(models: Sequence[ComparedModel], results: Sequence[PairedResult]) -> list[Tile]:
    """Return the gains of the last model over the first."""
    first, last = models[0].label, models[-1].label
    tiles = []
    for result in results:
        if result.label == last and result.accuracy is not None:
            points = f"{100 * result.accuracy.difference:+.1f}"
            chance = f"p {p_words(result.accuracy.p_value)}"
            questions = f"{words(result.benchmark)} ({result.accuracy.num_questions:,} questions)"
            meaning = f"points of accuracy in {questions}, {last} over {first} ({chance})"
            tiles.append(Tile(points, meaning))
    return tiles[:MAX_TILES]


def _unequal_settings(name: str, models: Sequence[ComparedModel]) -> list[str]:
    """Return which settings of a benchmark differ between models."""
    facts_of = {model.label: model.facts[name] for model in models if name in model.facts}
    lines = []
    for key in SETTINGS:
        values = {label: str(facts.get(key)) for label, facts in facts_of.items()}
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{label}: {value}" for label, value in values.items())
            lines.append(f"{words(name)} was not asked in the same way: {key} differs ({listed}).")
    return lines
