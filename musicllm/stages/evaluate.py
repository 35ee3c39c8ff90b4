"""Evaluate: a model, and where it is given a baseline, are measured by every configured benchmark.

What a kind of benchmark reads and measures is in `musicllm.evals.kinds`. Several processes share
the work; the first writes. People's tunes, measured like generated ones, are `reference`.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from musicllm import artifacts, console
from musicllm.evals.examinee import Examinee
from musicllm.evals.kind import BENCHMARK_KINDS, subset_words
from musicllm.evals.materials import Materials
from musicllm.evals.partial import Partial
from musicllm.evals.results import BenchmarkResult, Metrics, write_results, write_rows
from musicllm.facts import installed_versions
from musicllm.job import Job, code_fingerprint, public
from musicllm.launch import ranks
from musicllm.report.result_logging import log_results
from musicllm.report.tables import Table, as_text, evaluation_tables, words
from musicllm.runs.models import load_model, place_of
from musicllm.runs.settings import sampling_settings
from musicllm.schema import BenchmarkConfig
from musicllm.train import group
from musicllm.train.loggers import LoggedRun

MOST_ROWS = 30
"""Of a table in the terminal; what is left out stands in results.json."""

LONGEST_WAIT = timedelta(days=7)
"""How long a process waits for another that has more left to measure, say after an interruption;
of one that died, the launcher ends the others."""

Results = dict[tuple[str, str], BenchmarkResult]
"""What was measured, by role and name of the benchmark."""


class Processes:
    """All processes of this run, each with a copy of the model."""

    rank = property(lambda _: ranks.rank())
    size = property(lambda _: ranks.world_size())
    gather = staticmethod(group.gather)


def run(job: Job) -> list[tuple[str, object]]:
    """Measure `inputs.model`, or the model of the configuration, and `inputs.baseline`."""
    group.start(job.config.hardware.accelerator, LONGEST_WAIT)
    if ranks.launched():
        group.agree(job.agreement())
    materials = Materials(
        inputs={role: artifact.path for role, artifact in job.inputs.items()},
        cache=Path(job.config.paths.cache),
        seed=job.config.seed,
        sampling=sampling_settings(job.config),
    )
    roles = ["model", *(["baseline"] if "baseline" in job.inputs else [])]
    _read_in_turn(job, roles, materials)
    partial = Partial(job.folder / "partial", _fingerprint(job))
    results = _measure(job, roles, materials, partial)
    models: dict[str, dict[str, Metrics]] = {}
    for (role, name), result in results.items():
        models.setdefault(role, {})[name] = result.metrics
    facts = {
        name: _facts(spec, materials, models["model"][name])
        for name, spec in job.config.benchmark.items()
    }
    headlines = {
        f"{role} {name} {(metric := facts[name]['headline'])}": metrics[metric]
        for role, by_benchmark in models.items()
        for name, metrics in by_benchmark.items()
    }
    if ranks.is_main():
        _write(job, results, models, facts, headlines)
        partial.remove()
        if job.config.logger:
            _log(job, models, dict(zip(facts, evaluation_tables(models, facts), strict=True)))
    group.barrier()
    group.stop()
    for table in evaluation_tables(models, facts, most_rows=MOST_ROWS):
        console.table(table.caption, table.columns, table.texts())
        if table.note:
            console.note(table.note)
    return [
        *((words(name), as_text(value)) for name, value in headlines.items()),
        *((words(name), subset) for name, fact in facts.items() if (subset := subset_words(fact))),
        ("every answer", job.artifact_path / "predictions.jsonl"),
        ("results", job.artifact_path / "results.json"),
    ]


def _read_in_turn(job: Job, roles: list[str], materials: Materials) -> None:
    """Let one process download or unpack what is read before the others, of other machines first.

    Several at once would take each other's unfinished files away.
    """
    own_turn = 0 if ranks.is_main() else 1 if ranks.local_rank() == 0 else 2
    for turn in range(3):
        if turn == own_turn:
            for role in roles:
                place_of(job, role)
            for spec in job.config.benchmark.values():
                kind = BENCHMARK_KINDS[spec.kind]
                for note in kind.notes(kind.material(materials, spec)):
                    console.note(f"{spec.name}: {note}")
        group.barrier()


def _fingerprint(job: Job) -> str:
    """Return what kept measurements depend on: also what may have changed since they were made."""
    return artifacts.fingerprint(
        [
            job.fingerprint,
            job.config.hardware.accelerator,  # precision=auto follows it
            code_fingerprint(),
            installed_versions(),
        ]
    )


def _measure(job: Job, roles: list[str], materials: Materials, partial: Partial) -> Results:
    """Measure one model after the other, and what people wrote; say what was measured before."""
    results: Results = {}
    for role in roles:
        gc.collect()  # tasks of the harness hold each other and the model before
        torch.cuda.empty_cache()  # nothing where there is no GPU
        load = functools.partial(load_model, job, role)
        examinee = Examinee(load, materials, role=role, team=Processes(), partial=partial)
        for name, spec in job.config.benchmark.items():
            kind = BENCHMARK_KINDS[spec.kind]
            if role == "baseline" and not kind.measures_baseline:
                continue
            console.say(f"{name} of the {role}")
            num_earlier, num_shared = partial.num_earlier, partial.num_shared
            results[role, name] = kind.measure(examinee, spec)
            if count := partial.num_earlier - num_earlier:
                console.note(f"{count:,} of its parts were kept from the interrupted run")
            if count := partial.num_shared - num_shared:
                console.note(f"{count:,} of its parts were scored for another benchmark")
        del examinee
    for name, spec in job.config.benchmark.items():
        if reference := BENCHMARK_KINDS[spec.kind].measure_reference(materials, spec):
            results["reference", name] = reference
    return results


def _facts(spec: BenchmarkConfig, materials: Materials, metrics: Metrics) -> dict[str, Any]:
    """Return what a reader must know of a benchmark: settings, headline and completeness."""
    kind = BENCHMARK_KINDS[spec.kind]
    settings = dataclasses.asdict(spec)
    if not spec.options:
        del settings["options"]
    completeness = kind.completeness(materials, spec, metrics)
    return settings | {"headline": kind.headline} | completeness


def _write(
    job: Job,
    results: Results,
    models: Mapping[str, Mapping[str, Metrics]],
    facts: Mapping[str, Mapping[str, Any]],
    headlines: Metrics,
) -> None:
    predictions: list[dict[str, object]] = []
    generations: list[dict[str, object]] = []
    harness: dict[str, dict[str, Mapping[str, Any]]] = {}
    for (role, name), result in results.items():
        origin: dict[str, object] = {"role": role, "benchmark": name}
        predictions += [origin | row for row in result.predictions]
        generations += [origin | row for row in result.generations]
        if result.harness:
            harness.setdefault(role, {})[name] = result.harness
    comparisons = {}
    for name, spec in job.config.benchmark.items():
        if ("baseline", name) in results:
            before, after = (results[role, name].predictions for role in ("baseline", "model"))
            compared = BENCHMARK_KINDS[spec.kind].compare(before, after, job.config.seed)
            if compared is not None:
                comparisons[name] = compared
    with job.writing() as (folder, artifact_facts):
        write_results(folder, models, benchmarks=facts, comparisons=comparisons, harness=harness)
        write_rows(folder / "predictions.jsonl", predictions)
        write_rows(folder / "generations.jsonl", generations)
        artifact_facts["metrics"] = headlines


def _log(
    job: Job, models: Mapping[str, Mapping[str, Metrics]], tables: Mapping[str, Table]
) -> None:
    metrics = {
        name if role == "model" else f"{role}/{name}": values
        for role, by_benchmark in models.items()
        for name, values in by_benchmark.items()
    }
    log_results(
        list(job.config.logger.values()),
        LoggedRun(job.folder, 0, job.fingerprint, public(job.config)),
        job.artifact_path,
        job.kind,
        steps=[metrics],
        tables=tables,
    )
