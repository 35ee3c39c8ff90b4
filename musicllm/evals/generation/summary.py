"""Means with intervals of the measurements of tunes, over all and by family of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from musicllm.evals.copies import CopyIndex
from musicllm.evals.generation.distinctness import distinctness
from musicllm.evals.generation.motif_forms import RECOGNISABLE
from musicllm.evals.generation.rows import TuneRow, measure_tune
from musicllm.evals.requests import Request
from musicllm.evals.results import BenchmarkResult, Metrics, bootstrap, wilson, with_interval
from musicllm.music import abc

BY_FAMILY = (
    "parse_share", "bars_fitting", "key_fit", "metre_as_asked", "key_as_asked",
    "key_fit_as_asked", "rhythm_as_asked", "chords_as_asked", "chord_adherence", "chord_fit",
    "motif_as_asked", "motif_recognisable", "motif_times", "form_as_asked", "form_adherence",
    "first_bars_as_asked", "first_bars_kept", "phrase_repetition", "bars_per_tune",
    "near_copies", "melodic_copies", "num_tunes",
)  # fmt: skip
"""Metrics that are also given for each family, as `<family>/<metric>`, where they are defined."""

ALWAYS = (
    "parse_share", "bars_fitting", "bars_fitting_per_tune", "bars_fitting_strict", "key_fit",
    "metre_as_asked", "key_as_asked", "bars_per_tune",
)  # fmt: skip
"""Metrics that are there, as None, when nothing could be measured; the others are left out."""


def measure(
    requests: Sequence[Request | str],
    completions: Sequence[str],
    finished: Sequence[bool],
    index: CopyIndex,
    seed: int,
) -> BenchmarkResult:
    """Measure the answers to requests, at least one.

    Args:
        requests: messages alone belong to no family.
        completions: an answer to each.
        finished: whether the model ended each answer itself.
        index: of the training tunes.
        seed: of the resampling for the intervals.

    Returns:
        The metrics of `summarise`, and one row per tune.
    """
    rows = [
        measure_tune(request, completion, ended, index)
        for request, completion, ended in zip(requests, completions, finished, strict=True)
    ]
    metrics = summarise(rows, seed) | {"num_training_characters": index.num_characters}
    return BenchmarkResult(metrics, generations=[asdict(row) for row in rows])


def summarise(rows: Sequence[TuneRow], seed: int) -> Metrics:
    """Turn rows into metrics, at least one row.

    `bars_fitting` is over the bars of all tunes that parse, `bars_fitting_per_tune` the mean over
    these tunes, and `bars_fitting_strict` the mean over all tunes, where one that does not parse
    counts 0. Adherence to a condition is a mean over the requests that have it; a tune that does
    not parse meets none. What describes how tunes are built is a mean over those that parse, and
    copies are over all. docs/GENERATION_METRICS.md has every metric.

    Args:
        rows: of one model; where they are of several families, these are also measured apart.
        seed: of the resampling for the intervals.
    """
    metrics = _of_tunes(rows, seed)
    metrics |= distinctness([abc.parse(row.abc) for row in rows if row.parses])
    families = dict.fromkeys(row.family for row in rows if row.family)
    for family in families if len(families) > 1 else ():
        of_family = _of_tunes([row for row in rows if row.family == family], seed)
        for name in BY_FAMILY:
            bounds = (f"{name}{end}" for end in ("", "_low", "_high"))
            metrics |= {
                f"{family}/{key}": of_family[key]
                for key in bounds
                if of_family.get(key) is not None
            }
    return metrics


def _of_tunes(rows: Sequence[TuneRow], seed: int) -> Metrics:
    """Return the means of what is measured tune by tune."""
    valid = [row for row in rows if row.parses]
    bars, fitting = [row.num_bars for row in valid], [row.num_bars_fitting for row in valid]
    metrics = {
        **_share("parse_share", [row.parses for row in rows]),
        **_ratio("bars_fitting", fitting, bars, seed),
        **_mean("bars_fitting_per_tune", [row.share_fitting for row in valid], seed),
        **_mean("bars_fitting_strict", [row.share_fitting for row in rows], seed),
        **_mean("key_fit", [row.key_fit for row in valid], seed),
    }
    for name, values in {**_adherence_values(rows), **_built(valid), **_copied(rows)}.items():
        defined = [value for value in values if value is not None]
        is_share = all(isinstance(value, bool) for value in defined)
        metrics |= _share(name, [*map(bool, defined)]) if is_share else _mean(name, defined, seed)
    return {
        name: value for name, value in metrics.items() if value is not None or name in ALWAYS
    } | {
        "longest_copy": max(row.longest_copy for row in rows),
        "longest_copy_notes": max(row.heard.run_notes for row in rows),
        "num_tunes": len(rows),
        "num_bars": sum(bars),
    }


TuneValues = Mapping[str, Sequence[float | None]]
"""Per tune, by metric; truth values become shares, numbers means, and None is left out."""


def _adherence_values(rows: Sequence[TuneRow]) -> TuneValues:
    adherences = [row.adherence for row in rows]
    forms = [adherence.motif_form for adherence in adherences]
    return {
        "metre_as_asked": [adherence.metre_as_asked for adherence in adherences],
        "key_as_asked": [adherence.key_as_asked for adherence in adherences],
        "key_fit_as_asked": [adherence.key_fit_as_asked for adherence in adherences],
        "rhythm_as_asked": [adherence.rhythm_as_asked for adherence in adherences],
        "chords_as_asked": [adherence.chords_as_asked for adherence in adherences],
        "chord_adherence": [adherence.chord_adherence for adherence in adherences],
        "chord_fit": [row.chord_fit for row in rows],
        "motif_as_asked": [adherence.motif_as_asked for adherence in adherences],
        "motif_recognisable": [None if form is None else form in RECOGNISABLE for form in forms],
        "motif_times": [adherence.motif_times for adherence in adherences],
        "form_as_asked": [adherence.form_as_asked for adherence in adherences],
        "form_adherence": [adherence.form_adherence for adherence in adherences],
        "first_bars_as_asked": [adherence.first_bars_as_asked for adherence in adherences],
        "first_bars_kept": [adherence.first_bars_kept for adherence in adherences],
        "finished": [row.finished for row in rows],
    }


def _built(valid: Sequence[TuneRow]) -> TuneValues:
    shapes = [row.structure for row in valid if row.structure]
    return {
        "has_repeats": [shape.has_repeats for shape in shapes],
        "repeated_share": [shape.repeated_share for shape in shapes],
        "phrase_repetition": [shape.phrase_repetition for shape in shapes],
        "bar_repetition": [shape.bar_repetition for shape in shapes],
        "self_similarity": [shape.self_similarity for shape in shapes],
        "sections_per_tune": [shape.num_sections for shape in shapes],
        "bars_per_tune": [row.num_bars for row in valid],
        "notes_per_tune": [shape.num_notes for shape in shapes],
    }


def _copied(rows: Sequence[TuneRow]) -> TuneValues:
    return {
        "characters_per_tune": [row.num_characters for row in rows],
        "copy_share": [row.copy_share for row in rows],
        "near_copies": [row.is_near_copy for row in rows],
        "copy_share_notes": [row.heard.run_share for row in rows],
        "melodic_similarity": [row.heard.similarity for row in rows],
        "known_figures": [row.heard.known_figures for row in rows],
        "melodic_copies": [row.is_melodic_copy for row in rows],
    }


def _share(name: str, outcomes: Sequence[bool]) -> Metrics:
    """Return a share with its Wilson interval; None when there is nothing to count."""
    if not outcomes:
        return {name: None}
    right = sum(outcomes)
    return with_interval(name, right / len(outcomes), wilson(right, len(outcomes)))


def _mean(name: str, values: Sequence[float | None], seed: int) -> Metrics:
    defined = [float(value) for value in values if value is not None]
    return _ratio(name, defined, [1] * len(defined), seed)


def _ratio(name: str, values: Sequence[float], weights: Sequence[float], seed: int) -> Metrics:
    """Return a ratio of sums with its bootstrap interval; None when there is nothing to divide."""
    total = sum(weights)
    if not total:
        return {name: None}
    return with_interval(name, sum(values) / total, bootstrap(values, seed, weights))
