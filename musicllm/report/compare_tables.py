"""A comparison as tables of texts: what was found, whether chance explains it, and on what.

Knows how metrics are named; does not know HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from musicllm.evals.choices import Comparison, Difference
from musicllm.evals.choices.accuracy import Tally, named, tallies
from musicllm.evals.results import wilson
from musicllm.report.compare_figures import Point
from musicllm.report.contestants import Contestant
from musicllm.report.paired import Against
from musicllm.report.tables import NOTHING, Cell, Row, Table, shown, words

MACRO = ("accuracy_macro_subject", "accuracy_macro_category")
CALIBRATION = (
    "expected_calibration_error", "brier_score", "mean_confidence", "chance_accuracy",
    "majority_accuracy",
)  # fmt: skip


def headline(one: Contestant, benchmark: str) -> str:
    """Return the metric that sums up a benchmark that a model was measured on.

    It is the one that the evaluation names, else accuracy, else the first with an interval.
    """
    metrics = one.metrics[benchmark]
    if named_one := one.facts.get(benchmark, {}).get("headline"):
        return str(named_one)
    if "accuracy" in metrics:
        return "accuracy"
    bounded = (name for name in metrics if f"{name}_low" in metrics)
    return next(bounded, next(iter(metrics)))


def benchmarks(contestants: Sequence[Contestant]) -> list[str]:
    """Return the names of all benchmarks, in order of appearance."""
    return list(dict.fromkeys(name for one in contestants for name in one.metrics))


def heads(contestants: Sequence[Contestant], benchmark: str) -> list[str]:
    """Return the labels of the models, with a mark where a benchmark was not asked completely."""
    return [
        f"{one.label} ({one.subset(benchmark)})" if one.subset(benchmark) else one.label
        for one in contestants
    ]


def point(one: Contestant, benchmark: str, metric: str) -> Point:
    """Return a metric and its interval; without value where it was not measured."""
    values = one.metrics.get(benchmark, {})
    return Point(*(values.get(name) for name in (metric, f"{metric}_low", f"{metric}_high")))


def parts(contestants: Sequence[Contestant], benchmark: str, key: str) -> dict[str, list[Point]]:
    """Return accuracy by subject or category: a point per model, with Wilson's interval."""
    found = [tallies(one.predictions.get(benchmark, []), key) for one in contestants]
    names = sorted({name for some in found for name in some})
    return {name: [_share(some.get(name)) for some in found] for name in names}


def overview(contestants: Sequence[Contestant]) -> Table:
    """Return the one table: a line per benchmark and summary, a column per model."""
    rows = []
    for benchmark in benchmarks(contestants):
        measured = {name for one in contestants for name in one.metrics.get(benchmark, {})}
        first = next(one for one in contestants if benchmark in one.metrics)
        for metric in (headline(first, benchmark), *(name for name in MACRO if name in measured)):
            cells = [
                _cell(point(one, benchmark, metric), one.subset(benchmark).rpartition(" ")[0])
                for one in contestants
            ]
            rows.append(Row(f"{words(benchmark)}: {words(metric)}", cells))
    note = "Small numbers below a value are its 95 % interval."
    return Table("", ["", *(one.label for one in contestants)], rows, note)


def significance(against: Sequence[Against], first: str) -> Table | None:
    """Return every model against the first one in every benchmark; None without pairs."""
    rows = []
    for one in against:
        name = f"{words(one.benchmark)}: {one.label}"
        if one.accuracy is not None:
            rows.append(Row(name, _compared(one.accuracy, one.p_holm["accuracy"])))
        for measure, item in one.items.items():
            head = f"{name}, {words(measure)}"
            rows.append(Row(head, _measured(item, one.p_holm[measure])))
    columns = ["", "in common", first, "model", "difference", "gained", "lost", "p", "p (Holm)"]
    note = (
        "On what both were asked alone. Gained are questions that only the model answers right, "
        "lost those that only the first does. p of accuracy is McNemar's exact test, of other "
        "measures the paired bootstrap's; Holm's correction is for the tests of a benchmark."
    )
    return Table("", columns, rows, note) if rows else None


def part_table(
    contestants: Sequence[Contestant], benchmark: str, key: str, against: Sequence[Against]
) -> Table | None:
    """Return accuracy by subject or category, with differences from the first model by subject.

    None where nothing has the field.
    """
    found = parts(contestants, benchmark, key)
    if not found:
        return None
    others = [one for one in against if one.benchmark == benchmark and one.subjects]
    others = others if key == "subject" else []
    columns = ["", *heads(contestants, benchmark), *(f"{one.label}: change" for one in others)]
    rows = [
        Row(words(name), [*map(_cell, points), *(_change(one, name) for one in others)])
        for name, points in found.items()
    ]
    note = (
        "Below a change: p of McNemar's exact test after Holm's correction for the number of "
        "subjects, on the questions that both were asked."
    )
    return Table(f"By {key}", columns, rows, note if others else "")


def calibration_table(contestants: Sequence[Contestant], benchmark: str) -> Table | None:
    """Return how far models know what they know; None without likelihoods."""
    some = [one for one in contestants if CALIBRATION[0] in one.metrics.get(benchmark, {})]
    if not some:
        return None
    rows = [
        Row(words(name), [_cell(point(one, benchmark, name)) for one in some])
        for name in CALIBRATION
    ]
    return Table("Calibration", ["", *heads(some, benchmark)], rows)


def metric_table(contestants: Sequence[Contestant], benchmark: str) -> Table:
    """Return all that was measured, but for what other tables show."""
    some = [one for one in contestants if benchmark in one.metrics]
    names = dict.fromkeys(name for one in some for name in one.metrics[benchmark])
    bounds = {f"{name}_{end}" for name in names for end in ("low", "high")}
    own = {f"accuracy_{part}" for part in _named_parts(some, benchmark)}
    rows = [
        Row(words(name), [_cell(point(one, benchmark, name)) for one in some])
        for name in names
        if name not in bounds | own | set(CALIBRATION)
    ]
    return Table("All numbers", ["", *heads(some, benchmark)], rows)


def compared_table(contestants: Sequence[Contestant]) -> Table:
    """Return which models are compared, and where their evaluations lie."""
    rows = [
        Row(
            one.label,
            [
                Cell(one.tested),
                Cell(", ".join(words(name) for name in one.metrics)),
                Cell(str(one.artifact.path.parent)),
                Cell(f"{one.artifact.provenance['musicllm']}, {one.artifact.fingerprint}"),
            ],
        )
        for one in contestants
    ]
    columns = ["", "model", "benchmarks", "evaluation", "musicllm, fingerprint"]
    return Table("", columns, rows, is_text=True)


def _named_parts(contestants: Sequence[Contestant], benchmark: str) -> set[str]:
    """Return subjects and categories as metrics name them."""
    rows = [row for one in contestants for row in one.predictions.get(benchmark, [])]
    subjects = {named(name) for name in tallies(rows, "subject")}
    return subjects | {f"category_{named(name)}" for name in tallies(rows, "category")}


def _share(tally: Tally | None) -> Point:
    if tally is None:
        return Point(None)
    right, num = tally
    return Point(right / num, *wilson(right, num))


def _cell(found: Point, mark: str = "") -> Cell:
    known = found.low is not None and found.high is not None
    interval = f"{shown(found.low)} to {shown(found.high)}" if known else ""
    return Cell(shown(found.value), "; ".join(text for text in (interval, mark) if text))


def _signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"


def _compared(one: Comparison, p_holm: float) -> list[Cell]:
    return [
        Cell(
            shown(one.num_questions), f"{one.num_unpaired:,} unpaired" if one.num_unpaired else ""
        ),
        Cell(shown(one.baseline)),
        Cell(shown(one.model)),
        Cell(f"{one.difference:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}"),
        Cell(shown(one.num_gained)),
        Cell(shown(one.num_lost)),
        Cell(p_words(one.p_value)),
        Cell(p_words(p_holm)),
    ]


def _measured(one: Difference, p_holm: float) -> list[Cell]:
    return [
        Cell(shown(one.num_items)),
        Cell(shown(one.baseline)),
        Cell(shown(one.model)),
        Cell(_signed(one.difference), f"{_signed(one.low)} to {_signed(one.high)}"),
        Cell(NOTHING),
        Cell(NOTHING),
        Cell(p_words(one.p_value)),
        Cell(p_words(p_holm)),
    ]


def p_words(p_value: float | None) -> str:
    """Return a p value as it is printed: 0.03, or < 0.0001."""
    if p_value is None:
        return NOTHING
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def _change(one: Against, subject: str) -> Cell:
    found: Mapping[str, Comparison] = one.subjects
    if subject not in found:
        return Cell(NOTHING)
    return Cell(f"{found[subject].difference:+.4f}", f"p {p_words(one.subjects_p_holm[subject])}")
