"""Paired tests of every model against the first, on the items of both evaluations.

Items are questions, documents or requests for tunes; benchmarks whose rows an evaluation did not
store are left out, since comparing two intervals is not a test. Nothing is read here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from musicllm.errors import InputError
from musicllm.evals.choices import (
    AccuracyComparison,
    Difference,
    compare,
    compare_by_subject,
    holm,
    paired_difference,
)
from musicllm.report.compared import ComparedModel, Rows

OF_TUNE = {
    "parse_share": "parses", "near_copies": "is_near_copy", "melodic_copies": "is_melodic_copy",
}  # fmt: skip
"""Metric of a set of tunes -> key in its rows, where it differs."""

ITEM_ID = "item_id"
"""Key in the rows of items of other kinds than questions, documents and tunes."""


@dataclass(frozen=True)
class PairedResult:
    """The test of a model against the first on one benchmark.

    Attributes:
        benchmark: name of the benchmark.
        label: of the model.
        accuracy: over all questions, or None if the benchmark has none.
        p_holm: p value by measure, `accuracy` or a name in `items`, corrected for the number of
            tests on this benchmark: measures times models compared with the first.
        subjects: accuracy by subject.
        subjects_p_holm: p value by subject, corrected for the number of subjects.
        items: other measures of documents or tunes, by name.
    """

    benchmark: str
    label: str
    accuracy: AccuracyComparison | None
    p_holm: Mapping[str, float] = field(default_factory=dict)
    subjects: Mapping[str, AccuracyComparison] = field(default_factory=dict)
    subjects_p_holm: Mapping[str, float] = field(default_factory=dict)
    items: Mapping[str, Difference] = field(default_factory=dict)


def against_first(models: Sequence[ComparedModel], seed: int) -> list[PairedResult]:
    """Test every model against the first, benchmark by benchmark.

    Args:
        models: the first is the baseline.
        seed: of the resampling.

    Raises:
        InputError: two evaluations have different questions under one name.
    """
    first, *others = models
    results = []
    for benchmark in first.metrics:
        tests = [_paired(first, other, benchmark, seed) for other in others]
        results += _corrected([test for test in tests if test.accuracy or test.items])
    return results


def _paired(first: ComparedModel, other: ComparedModel, benchmark: str, seed: int) -> PairedResult:
    before, after = (model.predictions.get(benchmark, []) for model in (first, other))
    if before and after and "question_id" in before[0] and "question_id" in after[0]:
        accuracy = compare(before, after, seed)
        subjects = compare_by_subject(before, after, seed)
        p_values = {subject: comparison.p_value for subject, comparison in subjects.items()}
        return PairedResult(benchmark, other.label, accuracy, {}, subjects, holm(p_values))
    if before and after and "document_id" in before[0] and "document_id" in after[0]:
        return PairedResult(benchmark, other.label, None, items=_documents(before, after, seed))
    own, theirs = (
        model.generations.get(benchmark) or [row for row in rows if ITEM_ID in row]
        for model, rows in ((first, before), (other, after))
    )
    measures = [
        name for name in first.metrics[benchmark] if name in other.metrics.get(benchmark, {})
    ]
    return PairedResult(benchmark, other.label, None, items=_items(own, theirs, measures, seed))


def _corrected(tests: Sequence[PairedResult]) -> list[PairedResult]:
    """Apply Holm's correction for the number of tests against the first model."""
    corrected = holm(
        {
            (test.label, measure): p_value
            for test in tests
            for measure, p_value in _p_values(test).items()
        }
    )
    return [
        replace(test, p_holm={name: corrected[test.label, name] for name in _p_values(test)})
        for test in tests
    ]


def _p_values(test: PairedResult) -> dict[str, float]:
    accuracy = {} if test.accuracy is None else {"accuracy": test.accuracy.p_value}
    return accuracy | {name: item.p_value for name, item in test.items.items()}


def _documents(before: Rows, after: Rows, seed: int) -> dict[str, Difference]:
    """Compare bits per character over the documents of both evaluations."""
    theirs = {row["document_id"]: row for row in after}
    pairs = [(row, theirs[row["document_id"]]) for row in before if row["document_id"] in theirs]
    if not pairs:
        return {}
    for row, other in pairs:
        if row["num_characters"] != other["num_characters"]:
            raise InputError(
                f"document {row['document_id']} has {row['num_characters']:,} characters in one "
                f"evaluation and {other['num_characters']:,} in the other: they read different "
                "documents under one name; evaluate both on the same ones"
            )
    bits = [[row["nll_nats"] / math.log(2) for row in pair] for pair in pairs]
    before_bits, after_bits = zip(*bits, strict=True)
    weights = [row["num_characters"] for row, _ in pairs]
    return {"bits_per_character": paired_difference(before_bits, after_bits, seed, weights)}


def _items(before: Rows, after: Rows, names: Sequence[str], seed: int) -> dict[str, Difference]:
    """Compare measures of tunes, or of other items, over the items of both evaluations.

    Pairs where one lacks the measure, for example because a tune does not parse, are left out.
    """
    theirs = dict(_by_item(after))
    pairs = [(row, theirs[item]) for item, row in _by_item(before) if item in theirs]
    differences = {}
    for name in names:
        values = [(_measure(own, name), _measure(other, name)) for own, other in pairs]
        complete = [
            pair for pair in values if all(isinstance(value, float | bool) for value in pair)
        ]
        if complete:
            own, other = zip(*complete, strict=True)
            differences[name] = paired_difference(own, other, seed)
    return differences


def _measure(row: Mapping[str, Any], name: str) -> Any:
    """Return the value of a metric from the row of a tune, or from a mapping inside the row."""
    if name == "bars_fitting_strict":
        return row["num_bars_fitting"] / row["num_bars"] if row["num_bars"] else 0.0
    key = OF_TUNE.get(name, name)
    parts = [row, *(part for part in row.values() if isinstance(part, Mapping))]
    return next((part[key] for part in parts if key in part), None)


def _by_item(rows: Rows) -> list[tuple[tuple[str, int], Mapping[str, object]]]:
    """Return rows with their id or prompt and its number of earlier occurrences."""
    counts: Counter[str] = Counter()
    result = []
    for row in rows:
        item = str(row[ITEM_ID] if ITEM_ID in row else row["prompt"])
        result.append(((item, counts[item]), row))
        counts[item] += 1
    return result
