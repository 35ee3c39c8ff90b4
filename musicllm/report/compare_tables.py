"""Tables of a comparison: metrics, significance tests, and what was compared.

Knows how metrics are named; does not know HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from musicllm.evals.choices import AccuracyComparison, Difference
from musicllm.evals.choices.accuracy import Tally, named, tallies
from musicllm.evals.results import wilson
from musicllm.report.compare_figures import Point
from musicllm.report.compared import ComparedModel
from musicllm.report.paired import PairedResult
from musicllm.report.tables import NOTHING, Cell, Table, TableRow, as_text, words

MACRO = ("accuracy_macro_subject", "accuracy_macro_category")
CALIBRATION = (
    "expected_calibration_error", "brier_score", "mean_confidence", "chance_accuracy",
    "majority_accuracy",
)  # fmt: skip


def headline(model: ComparedModel, benchmark: str) -> str:
    """Return the headline metric of a benchmark.

    This is the one that the evaluation names, else accuracy, else the first with an interval.
    """
    metrics = model.metrics[benchmark]
    if name := model.facts.get(benchmark, {}).get("headline"):
        return str(name)
    if "accuracy" in metrics:
        return "accuracy"
    bounded = (name for name in metrics if f"{name}_low" in metrics)
    return next(bounded, next(iter(metrics)))


def benchmarks(models: Sequence[ComparedModel]) -> list[str]:
    """Return the names of all benchmarks, in order of appearance."""
    return list(dict.fromkeys(name for model in models for name in model.metrics))


def heads(models: Sequence[ComparedModel], benchmark: str) -> list[str]:
    """Return the labels of the models, marked if the benchmark was not evaluated completely."""
    return [
        f"{model.label} ({model.subset(benchmark)})" if model.subset(benchmark) else model.label
        for model in models
    ]


def point(model: ComparedModel, benchmark: str, metric: str) -> Point:
    """Return a metric and its interval; the value is None if it was not measured."""
    values = model.metrics.get(benchmark, {})
    return Point(*(values.get(name) for name in (metric, f"{metric}_low", f"{metric}_high")))


def parts(models: Sequence[ComparedModel], benchmark: str, key: str) -> dict[str, list[Point]]:
    """Return accuracy by subject or category: a point per model, with the Wilson interval."""
    counts = [tallies(model.predictions.get(benchmark, []), key) for model in models]
    names = sorted({name for model_counts in counts for name in model_counts})
    return {name: [_share(model_counts.get(name)) for model_counts in counts] for name in names}


def overview(models: Sequence[ComparedModel]) -> Table:
    """Return the main table: a row per benchmark and headline metric, a column per model."""
    rows = []
    for benchmark in benchmarks(models):
        measured = {name for model in models for name in model.metrics.get(benchmark, {})}
        first = next(model for model in models if benchmark in model.metrics)
        for metric in (headline(first, benchmark), *(name for name in MACRO if name in measured)):
            cells = [
                _cell(point(model, benchmark, metric), model.subset(benchmark).rpartition(" ")[0])
                for model in models
            ]
            rows.append(TableRow(f"{words(benchmark)}: {words(metric)}", cells))
    note = "Small numbers below a value are its 95 % interval."
    return Table("", ["", *(model.label for model in models)], rows, note)


def significance(results: Sequence[PairedResult], first: str) -> Table | None:
    """Return the tests of every model against the first, by benchmark; None if there are none."""
    rows = []
    for result in results:
        name = f"{words(result.benchmark)}: {result.label}"
        if result.accuracy is not None:
            rows.append(TableRow(name, _compared(result.accuracy, result.p_holm["accuracy"])))
        for measure, item in result.items.items():
            head = f"{name}, {words(measure)}"
            rows.append(TableRow(head, _measured(item, result.p_holm[measure])))
    columns = ["", "in common", first, "model", "difference", "gained", "lost", "p", "p (Holm)"]
    note = (
        "On what both were asked alone. Gained are questions that only the model answers right, "
        "lost those that only the first does. p of accuracy is McNemar's exact test, of other "
        "measures the paired bootstrap's; Holm's correction is for the tests of a benchmark."
    )
    return Table("", columns, rows, note) if rows else None


def part_table(
    models: Sequence[ComparedModel], benchmark: str, key: str, results: Sequence[PairedResult]
) -> Table | None:
    """Return accuracy by subject or category, with differences from the first model by subject.

    None if no question has the field.
    """
    by_part = parts(models, benchmark, key)
    if not by_part:
        return None
    others = [result for result in results if result.benchmark == benchmark and result.subjects]
    others = others if key == "subject" else []
    columns = ["", *heads(models, benchmark), *(f"{result.label}: change" for result in others)]
    rows = [
        TableRow(words(name), [*map(_cell, points), *(_change(result, name) for result in others)])
        for name, points in by_part.items()
    ]
    note = (
        "Below a change: p of McNemar's exact test after Holm's correction for the number of "
        "subjects, on the questions that both were asked."
    )
    return Table(f"By {key}", columns, rows, note if others else "")


def calibration_table(models: Sequence[ComparedModel], benchmark: str) -> Table | None:
    """Return calibration metrics; None without likelihoods."""
    evaluated = [model for model in models if CALIBRATION[0] in model.metrics.get(benchmark, {})]
    if not evaluated:
        return None
    rows = [
        TableRow(words(name), [_cell(point(model, benchmark, name)) for model in evaluated])
        for name in CALIBRATION
    ]
    return Table("Calibration", ["", *heads(evaluated, benchmark)], rows)


def metric_table(models: Sequence[ComparedModel], benchmark: str) -> Table:
    """Return all metrics except those in other tables."""
    evaluated = [model for model in models if benchmark in model.metrics]
    names = dict.fromkeys(name for model in evaluated for name in model.metrics[benchmark])
    bounds = {f"{name}_{end}" for name in names for end in ("low", "high")}
    own = {f"accuracy_{part}" for part in _named_parts(evaluated, benchmark)}
    rows = [
        TableRow(words(name), [_cell(point(model, benchmark, name)) for model in evaluated])
        for name in names
        if name not in bounds | own | set(CALIBRATION)
    ]
    return Table("All numbers", ["", *heads(evaluated, benchmark)], rows)


def compared_table(models: Sequence[ComparedModel]) -> Table:
    """Return the models that are compared, and the paths of their evaluations."""
    rows = [
        TableRow(
            model.label,
            [
                Cell(model.tested),
                Cell(", ".join(words(name) for name in model.metrics)),
                Cell(str(model.artifact.path.parent)),
                Cell(f"{model.artifact.provenance['musicllm']}, {model.artifact.fingerprint}"),
            ],
        )
        for model in models
    ]
    columns = ["", "model", "benchmarks", "evaluation", "musicllm, fingerprint"]
    return Table("", columns, rows, is_text=True)


def _named_parts(models: Sequence[ComparedModel], benchmark: str) -> set[str]:
    """Return subjects and categories as they appear in names of metrics."""
    rows = [row for model in models for row in model.predictions.get(benchmark, [])]
    subjects = {named(name) for name in tallies(rows, "subject")}
    return subjects | {f"category_{named(name)}" for name in tallies(rows, "category")}


def _share(tally: Tally | None) -> Point:
    if tally is None:
        return Point(None)
    right, num = tally
    return Point(right / num, *wilson(right, num))


def _cell(point: Point, mark: str = "") -> Cell:
    has_interval = point.low is not None and point.high is not None
    interval = f"{as_text(point.low)} to {as_text(point.high)}" if has_interval else ""
    return Cell(as_text(point.value), "; ".join(text for text in (interval, mark) if text))


def _signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"


def _compared(comparison: AccuracyComparison, p_holm: float) -> list[Cell]:
    num_unpaired = comparison.num_unpaired
    return [
        Cell(
            as_text(comparison.num_questions),
            f"{num_unpaired:,} unpaired" if num_unpaired else "",
        ),
        Cell(as_text(comparison.baseline)),
        Cell(as_text(comparison.model)),
        Cell(f"{comparison.difference:+.4f}", f"{comparison.low:+.4f} to {comparison.high:+.4f}"),
        Cell(as_text(comparison.num_gained)),
        Cell(as_text(comparison.num_lost)),
        Cell(p_words(comparison.p_value)),
        Cell(p_words(p_holm)),
    ]


def _measured(diff: Difference, p_holm: float) -> list[Cell]:
    return [
        Cell(as_text(diff.num_items)),
        Cell(as_text(diff.baseline)),
        Cell(as_text(diff.model)),
        Cell(
            _signed(diff.difference),
            f"{_signed(diff.low)} to {_signed(diff.high)}",
        ),
        Cell(NOTHING),
        Cell(NOTHING),
        Cell(p_words(diff.p_value)),
        Cell(p_words(p_holm)),
    ]


def p_words(p_value: float | None) -> str:
    """Format a p value: 0.03, or < 0.0001."""
    if p_value is None:
        return NOTHING
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def _change(test: PairedResult, name: str) -> Cell:
    subjects: Mapping[str, AccuracyComparison] = test.subjects
    if name not in subjects:
        return Cell(NOTHING)
    return Cell(f"{subjects[name].difference:+.4f}", f"p {p_words(test.subjects_p_holm[name])}")
