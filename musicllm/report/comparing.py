"""From evaluations to a comparison: its page, its pictures, and the same as plain numbers.

The first model is the one that all others are compared with. Reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from musicllm.evals.choices import reliability
from musicllm.report import compare_figures, compare_tables
from musicllm.report.compare_figures import Picture, Point
from musicllm.report.compare_page import BenchmarkPart, ComparePage, Drawn
from musicllm.report.compare_tables import benchmarks, headline, heads, p_words, parts, point
from musicllm.report.contestants import Contestant
from musicllm.report.page import Command, Tile
from musicllm.report.paired import Against
from musicllm.report.tables import words

MAX_TILES = 4

SETTINGS = (
    "kind", "location", "revision", "split", "subjects", "levels", "num_fewshot", "prompt_format",
    "mode", "add_bos", "max_length", "long_prompts", "max_new_tokens",
)  # fmt: skip
"""Facts of a benchmark that say how it was asked."""


def assemble_comparison(
    title: str,
    contestants: Sequence[Contestant],
    against: Sequence[Against],
    pictures: Mapping[str, Sequence[Picture]],
    commands: Sequence[Command],
) -> ComparePage:
    """Put together all that the page shows.

    Args:
        title: of the page.
        contestants: the models, the first one first.
        against: the others against it.
        pictures: by benchmark.
        commands: what can be run from here.
    """
    made = sorted({f"musicllm {one.artifact.provenance['musicllm']}" for one in contestants})
    return ComparePage(
        title=title,
        summary=f"{len(contestants)} models, in this order: "
        f"{', '.join(one.label for one in contestants)}.",
        tiles=_tiles(contestants, against),
        notes=notes(contestants, against),
        overview=compare_tables.overview(contestants),
        significance=compare_tables.significance(against, contestants[0].label),
        benchmarks=[
            _part(name, contestants, against, pictures[name]) for name in benchmarks(contestants)
        ],
        compared=compare_tables.compared_table(contestants),
        commands=commands,
        colophon=f"Evaluated by {' and '.join(made)}. ",
    )


def draw(contestants: Sequence[Contestant]) -> dict[str, list[Picture]]:
    """Return the pictures of every benchmark: along the order, by category, by subject, sureness.

    What a benchmark does not have makes no picture.
    """
    return {name: _pictures(name, contestants) for name in benchmarks(contestants)}


def notes(contestants: Sequence[Contestant], against: Sequence[Against]) -> list[str]:
    """Return what a reader must know before the numbers: subsets, unequal settings, lost pairs."""
    found = [
        f"{words(name)} of {one.label} is not complete: a {one.subset(name)}."
        for name in benchmarks(contestants)
        for one in contestants
        if one.subset(name)
    ]
    for name in benchmarks(contestants):
        found += _unequal_settings(name, contestants)
    for one in against:
        if one.accuracy is not None and one.accuracy.num_other_prompts:
            found.append(
                f"{words(one.benchmark)}: {one.accuracy.num_other_prompts:,} of "
                f"{one.accuracy.num_questions:,} questions reached {one.label} with another prompt "
                f"than {contestants[0].label}."
            )
    return found


def plain(contestants: Sequence[Contestant], against: Sequence[Against]) -> dict[str, Any]:
    """Return the comparison as JSON has it; what `comparison.json` holds."""
    names = benchmarks(contestants)
    return {
        "first": contestants[0].label,
        "models": [
            {
                "label": one.label,
                "role": one.role,
                "model": one.tested,
                "recipe": one.artifact.provenance["recipe"],
                "evaluation": str(one.artifact.path),
                "fingerprint": one.artifact.fingerprint,
            }
            for one in contestants
        ],
        "metrics": {
            name: {one.label: one.metrics[name] for one in contestants if name in one.metrics}
            for name in names
        },
        "benchmarks": {
            name: {one.label: one.facts[name] for one in contestants if name in one.facts}
            for name in names
        },
        "calibration": {
            name: {label: [asdict(one) for one in bins] for label, bins in _bins(name, contestants)}
            for name in names
        },
        "against_first": [asdict(one) for one in against],
        "notes": notes(contestants, against),
    }


def headlines(contestants: Sequence[Contestant]) -> dict[str, float | int | None]:
    """Return the one metric of each benchmark and model that sums it up."""
    return {
        f"{one.label} {name} {headline(one, name)}": metrics[headline(one, name)]
        for one in contestants
        for name, metrics in one.metrics.items()
    }


def _part(
    name: str,
    contestants: Sequence[Contestant],
    against: Sequence[Against],
    pictures: Sequence[Picture],
) -> BenchmarkPart:
    tables = [
        compare_tables.part_table(contestants, name, "category", against),
        compare_tables.calibration_table(contestants, name),
    ]
    details = [
        compare_tables.part_table(contestants, name, "subject", against),
        compare_tables.metric_table(contestants, name),
    ]
    subsets = [f"{one.label}: {one.subset(name)}" for one in contestants if one.subset(name)]
    return BenchmarkPart(
        name=words(name),
        subset="; ".join(subsets),
        pictures=[Drawn(one.title, one.svg()) for one in pictures],
        tables=[table for table in tables if table],
        details=[table for table in details if table],
    )


def _pictures(name: str, contestants: Sequence[Contestant]) -> list[Picture]:
    some = [one for one in contestants if name in one.metrics]
    metric, labels = headline(some[0], name), heads(some, name)
    chance = some[0].metrics[name].get("chance_accuracy")
    points = [point(one, name, metric) for one in some]
    said = words(metric)
    found = [
        Picture(
            f"{name}_order", f"{said.capitalize()} from model to model",
            partial(compare_figures.along, labels, said, points, chance),
        )
    ]  # fmt: skip
    for key, plural in (("category", "categories"), ("subject", "subjects")):
        if drawn := _by_change(parts(some, name, key)):
            title = f"Accuracy by {key}: {plural} with the largest gain first"
            make = partial(compare_figures.by_part, labels, "accuracy", drawn, chance)
            found.append(Picture(f"{name}_{key}", title, make))
    if bins := dict(_bins(name, some)):
        of_all = dict(zip((one.label for one in some), labels, strict=True))
        make = partial(
            compare_figures.calibration, {of_all[label]: one for label, one in bins.items()}
        )
        found.append(Picture(f"{name}_calibration", "Is it as sure as it is right?", make))
    return found


def _bins(name: str, contestants: Sequence[Contestant]) -> list[tuple[str, list[Any]]]:
    """Return the bins of confidence by label, of models that have them."""
    asked = [
        (one.label, [row for row in one.predictions.get(name, []) if row.get("logliks")])
        for one in contestants
    ]
    return [(label, reliability(rows)) for label, rows in asked if rows]


def _by_change(found: Mapping[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    """Return parts in the order of what changed from the first model to the last."""

    def change(item: tuple[str, Sequence[Point]]) -> float:
        first, last = item[1][0].value, item[1][-1].value
        return 0.0 if first is None or last is None else first - last

    return {words(name): points for name, points in sorted(found.items(), key=change)}


def _tiles(contestants: Sequence[Contestant], against: Sequence[Against]) -> list[Tile]:
    """Return what the last model gained over the first one."""
    first, last = contestants[0].label, contestants[-1].label
    tiles = []
    for one in against:
        if one.label == last and one.accuracy is not None:
            points = f"{100 * one.accuracy.difference:+.1f}"
            chance = f"p {p_words(one.accuracy.p_value)}"
            asked = f"{words(one.benchmark)} ({one.accuracy.num_questions:,} questions)"
            meaning = f"points of accuracy in {asked}, {last} over {first} ({chance})"
            tiles.append(Tile(points, meaning))
    return tiles[:MAX_TILES]


def _unequal_settings(name: str, contestants: Sequence[Contestant]) -> list[str]:
    """Say where a benchmark was not asked in the same way."""
    asked = {one.label: one.facts[name] for one in contestants if name in one.facts}
    found = []
    for key in SETTINGS:
        values = {label: str(facts.get(key)) for label, facts in asked.items()}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{label}: {value}" for label, value in values.items())
            found.append(f"{words(name)} was not asked in the same way: {key} differs ({said}).")
    return found
