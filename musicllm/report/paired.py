"""Every model against the first one, on the items that both were measured on.

Items are questions, documents or requests for tunes; a benchmark whose rows an evaluation did not
keep is left out, since two intervals side by side are no test. Reads nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from musicllm.errors import InputError
from musicllm.evals.choices import (
    Comparison,
    Difference,
    compare,
    compare_by_subject,
    holm,
    paired_difference,
)
from musicllm.report.contestants import Contestant, Rows

OF_TUNE = {
    "parse_share": "parses", "near_copies": "is_near_copy", "melodic_copies": "is_melodic_copy",
}  # fmt: skip
"""Metric of a set of tunes -> what its rows call it, where that is another name."""


@dataclass(frozen=True)
class Against:
    """A model against the first one in one benchmark.

    Attributes:
        benchmark: its name.
        label: of the model.
        accuracy: over all questions, or None when the benchmark asks none.
        p_holm: p value by measure, `accuracy` or a name in `items`, corrected for the number of
            tests in this benchmark: measures times models that are compared with the first one.
        subjects: accuracy by subject.
        subjects_p_holm: p value by subject, corrected for the number of subjects.
        items: other measures of documents or tunes, by name.
    """

    benchmark: str
    label: str
    accuracy: Comparison | None
    p_holm: Mapping[str, float] = field(default_factory=dict)
    subjects: Mapping[str, Comparison] = field(default_factory=dict)
    subjects_p_holm: Mapping[str, float] = field(default_factory=dict)
    items: Mapping[str, Difference] = field(default_factory=dict)


def against_first(contestants: Sequence[Contestant], seed: int) -> list[Against]:
    """Compare every model with the first one, benchmark by benchmark.

    Args:
        contestants: the first is the baseline.
        seed: of the resampling.

    Raises:
        InputError: two evaluations asked different questions under one name.
    """
    first, *others = contestants
    found = []
    for benchmark in first.metrics:
        some = [_against(first, other, benchmark, seed) for other in others]
        found += _corrected([one for one in some if one.accuracy or one.items])
    return found


def _against(first: Contestant, other: Contestant, benchmark: str, seed: int) -> Against:
    before, after = (one.predictions.get(benchmark, []) for one in (first, other))
    if before and after and "question_id" in before[0] and "question_id" in after[0]:
        accuracy = compare(before, after, seed)
        subjects = compare_by_subject(before, after, seed)
        p_values = {subject: one.p_value for subject, one in subjects.items()}
        return Against(benchmark, other.label, accuracy, {}, subjects, holm(p_values))
    if before and after and "document_id" in before[0] and "document_id" in after[0]:
        return Against(benchmark, other.label, None, items=_documents(before, after, seed))
    tunes = [one.generations.get(benchmark, []) for one in (first, other)]
    measures = [
        name for name in first.metrics[benchmark] if name in other.metrics.get(benchmark, {})
    ]
    return Against(benchmark, other.label, None, items=_tunes(tunes[0], tunes[1], measures, seed))


def _corrected(some: Sequence[Against]) -> list[Against]:
    """Correct for the number of tests against the first model."""
    corrected = holm(
        {
            (one.label, measure): p_value
            for one in some
            for measure, p_value in _p_values(one).items()
        }
    )
    return [
        replace(one, p_holm={name: corrected[one.label, name] for name in _p_values(one)})
        for one in some
    ]


def _p_values(one: Against) -> dict[str, float]:
    found = {} if one.accuracy is None else {"accuracy": one.accuracy.p_value}
    return found | {name: item.p_value for name, item in one.items.items()}


def _documents(before: Rows, after: Rows, seed: int) -> dict[str, Difference]:
    """Compare bits per character over the documents that both read."""
    theirs = {row["document_id"]: row for row in after}
    pairs = [(row, theirs[row["document_id"]]) for row in before if row["document_id"] in theirs]
    if not pairs:
        return {}
    for one, other in pairs:
        if one["num_characters"] != other["num_characters"]:
            raise InputError(
                f"document {one['document_id']} has {one['num_characters']:,} characters in one "
                f"evaluation and {other['num_characters']:,} in the other: they read different "
                "documents under one name; evaluate both on the same ones"
            )
    bits = [[row["nll_nats"] / math.log(2) for row in pair] for pair in pairs]
    before_bits, after_bits = zip(*bits, strict=True)
    weights = [row["num_characters"] for row, _ in pairs]
    return {"bits_per_character": paired_difference(before_bits, after_bits, seed, weights)}


def _tunes(before: Rows, after: Rows, names: Sequence[str], seed: int) -> dict[str, Difference]:
    """Compare what was measured of each tune over the requests that both answered.

    A measure that one of the two tunes lacks, say since it does not parse, makes no pair.
    """
    theirs = dict(_by_request(after))
    pairs = [(row, theirs[request]) for request, row in _by_request(before) if request in theirs]
    found = {}
    for name in names:
        values = [(_measure(one, name), _measure(other, name)) for one, other in pairs]
        known = [pair for pair in values if all(isinstance(value, float | bool) for value in pair)]
        if known:
            one, other = zip(*known, strict=True)
            found[name] = paired_difference(one, other, seed)
    return found


def _measure(row: Mapping[str, Any], name: str) -> Any:
    """Return what a metric is the mean of; it stands in the row of a tune or in a part of it."""
    if name == "bars_fitting_strict":
        return row["num_bars_fitting"] / row["num_bars"] if row["num_bars"] else 0.0
    key = OF_TUNE.get(name, name)
    parts = [row, *(part for part in row.values() if isinstance(part, Mapping))]
    return next((part[key] for part in parts if key in part), None)


def _by_request(rows: Rows) -> list[tuple[tuple[str, int], Mapping[str, object]]]:
    """Return rows under their prompt and how often it came before."""
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        prompt = str(row["prompt"])
        found.append(((prompt, seen[prompt]), row))
        seen[prompt] += 1
    return found
