"""Evaluate: a model, and where it is given a baseline, answer every configured benchmark.

Documents come from `inputs.corpus`, prompts and reference answers from `inputs.instructions`. The
baseline only takes part in what is measured by likelihood: it need not know how to chat. Held-out
tunes, measured like the generated ones, are the role `reference`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from musicllm import console
from musicllm.errors import NotAvailableError
from musicllm.evals.partial import Partial
from musicllm.evals.report.tables import Cell, evaluation_tables, shown, words
from musicllm.evals.results import Metrics, Outcome, write_results, write_rows
from musicllm.job import Job
from musicllm.schema import BenchmarkConfig
from musicllm.stages.measures import MEASURES, Inputs, Subject, measure_reference

HEADLINES = {
    "perplexity": "bits_per_character",
    "compression": "ratio_xz",
    "theory": "accuracy",
    "generation": "bars_fitting",
}
"""Kind of benchmark -> the metric that sums it up."""

Outcomes = dict[tuple[str, str], Outcome]
"""What was found, by role and name of the benchmark."""


def run(job: Job) -> list[tuple[str, object]]:
    """Measure `inputs.model`, or the model of the configuration, and `inputs.baseline`."""
    benchmarks = job.config.benchmark
    _refuse_unavailable(benchmarks)
    partial = Partial(job.folder / "partial", job.fingerprint)
    inputs = Inputs(job)
    outcomes: Outcomes = {}
    for role in ["model", *(["baseline"] if "baseline" in job.inputs else [])]:
        subject = Subject(job, role, inputs, partial)
        for name, benchmark in benchmarks.items():
            if role == "model" or benchmark.kind != "generation":
                console.say(f"{name} of the {role}")
                outcomes[role, name] = _kept(partial, f"{role}-{name}", subject, benchmark)
    for name, benchmark in benchmarks.items():
        if benchmark.kind == "generation":
            outcomes["reference", name] = measure_reference(job, inputs, benchmark)
    models = _by_role(outcomes)
    headlines = _headlines(job, models)
    with job.writing() as (folder, facts):
        _write(folder, models, outcomes)
        facts["metrics"] = headlines
    partial.remove()
    _show(models)
    return [(words(name), shown(value)) for name, value in headlines.items()]


def _refuse_unavailable(benchmarks: dict[str, BenchmarkConfig]) -> None:
    for name, benchmark in benchmarks.items():
        if benchmark.kind not in MEASURES:
            raise NotAvailableError(
                f"benchmark {name} is of kind {benchmark.kind}, which comes with a later version "
                f"of musicllm; this version measures {', '.join(MEASURES)}"
            )


def _kept(partial: Partial, name: str, subject: Subject, benchmark: BenchmarkConfig) -> Outcome:
    measure = MEASURES[benchmark.kind]
    return Outcome(**partial.get(name, lambda: dataclasses.asdict(measure(subject, benchmark))))


def _by_role(outcomes: Outcomes) -> dict[str, dict[str, Metrics]]:
    models: dict[str, dict[str, Metrics]] = {}
    for (role, name), outcome in outcomes.items():
        models.setdefault(role, {})[name] = outcome.metrics
    return models


def _headlines(job: Job, models: dict[str, dict[str, Metrics]]) -> Metrics:
    """Return the one metric of each benchmark that sums it up, under `role benchmark metric`."""
    found: Metrics = {}
    for role, results in models.items():
        for name, metrics in results.items():
            metric = HEADLINES[job.config.benchmark[name].kind]
            found[f"{role} {name} {metric}"] = metrics[metric]
    return found


def _write(folder: Path, models: dict[str, dict[str, Metrics]], outcomes: Outcomes) -> None:
    predictions: list[dict[str, object]] = []
    generations: list[dict[str, object]] = []
    for (role, name), outcome in outcomes.items():
        origin: dict[str, object] = {"role": role, "benchmark": name}
        predictions += [origin | row for row in outcome.predictions]
        generations += [origin | row for row in outcome.generations]
    write_results(folder, models)
    write_rows(folder / "predictions.jsonl", predictions)
    write_rows(folder / "generations.jsonl", generations)


def _show(models: dict[str, dict[str, Metrics]]) -> None:
    for table in evaluation_tables(models):
        rows = [[row.head, *map(_cell, row.cells)] for row in table.rows]
        console.table(table.caption, table.columns, rows)


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({cell.interval})" if cell.interval else cell.text
