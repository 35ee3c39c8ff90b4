"""Evaluate: a model, and where it is given a baseline, answer every configured benchmark.

Documents come from `inputs.corpus`, requests from `inputs.instructions` or held-out tunes,
questions from their files. The baseline only takes part in what is measured by likelihood: it need
not know how to chat. Held-out tunes, measured like the generated ones, are the role `reference`.
Several processes share the work; the first writes.
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch

from musicllm import artifacts, console
from musicllm.evals import choices, perplexity
from musicllm.evals.partial import Partial
from musicllm.evals.results import Metrics, Outcome, subset_words, write_results, write_rows
from musicllm.facts import installed_versions
from musicllm.job import Job, code_fingerprint
from musicllm.launch import ranks
from musicllm.report.tables import as_text, evaluation_tables, words
from musicllm.schema import BenchmarkConfig
from musicllm.stages.materials import Materials
from musicllm.stages.measures import MEASURES, Examinee, measure_reference
from musicllm.stages.models import place_of
from musicllm.train import group

HEADLINES = {
    "multiple_choice": "accuracy",
    "theory": "accuracy",
    "perplexity": "bits_per_character",
    "compression": "ratio_xz",
    "generation": "bars_fitting",
}
"""Kind of benchmark -> the metric that sums it up."""

ASKED = ("multiple_choice", "theory")

MOST_ROWS = 30
"""Of a table in the terminal; what is left out stands in results.json."""

MOST_APART = timedelta(days=7)
"""How long a process waits for another that has more left to measure, say after an interruption;
of one that died, the launcher ends the others."""

Outcomes = dict[tuple[str, str], Outcome]
"""What was found, by role and name of the benchmark."""

Facts = dict[str, dict[str, Any]]
"""What a reader must know of each benchmark, by name."""


def run(job: Job) -> list[tuple[str, object]]:
    """Measure `inputs.model`, or the model of the configuration, and `inputs.baseline`."""
    group.start(job.config.hardware.accelerator, MOST_APART)
    if ranks.launched():
        group.agree(job.agreement())
    materials = Materials(job)
    _check_in_turn(job, materials)
    partial = Partial(job.folder / "partial", _fingerprint(job))
    outcomes = _outcomes(job, materials, partial)
    models = _by_role(outcomes)
    headlines = _headlines(job, models)
    facts = _facts(job, materials, models)
    if ranks.is_main():
        _write(job, models, outcomes, facts, headlines)
        partial.remove()
        _log(job, models, facts)
    group.barrier()
    group.stop()
    _show(models, facts)
    return [
        *((words(name), as_text(value)) for name, value in headlines.items()),
        *((words(name), said) for name, fact in facts.items() if (said := subset_words(fact))),
        ("every answer", job.artifact_path / "predictions.jsonl"),
        ("results", job.artifact_path / "results.json"),
    ]


def _check_in_turn(job: Job, materials: Materials) -> None:
    """Let one process download or unpack what is read before the others, of other machines first.

    Several at once would take each other's unfinished files away.
    """
    turn = 0 if ranks.is_main() else 1 if ranks.local_rank() == 0 else 2
    for each in range(3):
        if each == turn:
            for role in _roles(job):
                place_of(job, role)
            for benchmark in job.config.benchmark.values():
                materials.check(benchmark)
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


def _roles(job: Job) -> list[str]:
    return ["model", *(["baseline"] if "baseline" in job.inputs else [])]


def _outcomes(job: Job, materials: Materials, partial: Partial) -> Outcomes:
    outcomes: Outcomes = {}
    benchmarks = job.config.benchmark
    for role in _roles(job):
        gc.collect()  # tasks of the harness hold each other and the model before
        torch.cuda.empty_cache()  # nothing where there is no GPU
        examinee = Examinee(job, role, materials, partial)
        for name, benchmark in benchmarks.items():
            if role == "model" or benchmark.kind != "generation":
                console.say(f"{name} of the {role}")
                earlier, shared = partial.num_earlier, partial.num_shared
                outcomes[role, name] = MEASURES[benchmark.kind](examinee, benchmark)
                if count := partial.num_earlier - earlier:
                    console.note(f"{count:,} of its parts were kept from the interrupted run")
                if count := partial.num_shared - shared:
                    console.note(f"{count:,} of its parts were scored for another benchmark")
        del examinee
    for name, benchmark in benchmarks.items():
        if benchmark.kind == "generation":
            reference = measure_reference(materials, benchmark, job.config.seed)
            outcomes["reference", name] = reference
    return outcomes


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


def _facts(job: Job, materials: Materials, models: dict[str, dict[str, Metrics]]) -> Facts:
    """Return settings, source and completeness of every benchmark."""
    facts: Facts = {}
    for name, benchmark in job.config.benchmark.items():
        settings = dataclasses.asdict(benchmark)
        if not benchmark.options:
            del settings["options"]
        facts[name] = settings | {
            "headline": HEADLINES[benchmark.kind],
            **_completeness(benchmark, materials, models["model"][name]),
        }
    return facts


def _completeness(
    benchmark: BenchmarkConfig, materials: Materials, metrics: Metrics
) -> dict[str, Any]:
    """Return how much of a benchmark was asked."""
    if benchmark.kind not in ASKED:
        counted = {"generation": "num_tunes"}.get(benchmark.kind, "num_documents")
        found, wanted = metrics[counted], benchmark.num_questions
        whole = wanted is None or (found is not None and found < wanted)
        return {"complete": whole, "num_questions": found, "num_available": None}
    asked, _ = materials.questions(benchmark)
    num_skipped = int(metrics.get("num_skipped") or 0)
    num_asked, available = len(asked.questions) - num_skipped, asked.num_published
    part = benchmark.num_questions is not None or benchmark.subjects or benchmark.levels
    whole = num_asked == available if available else not (part or num_skipped)
    flags = [flag for each in asked.questions for flag in asked.flags.get(each.question.id, ())]
    return {
        "complete": whole,
        "num_questions": num_asked,
        "num_available": available,
        "num_skipped": num_skipped,
        "notes": list(asked.notes),
        "flags": {flag: flags.count(flag) for flag in dict.fromkeys(flags)},
    }


def _write(
    job: Job,
    models: dict[str, dict[str, Metrics]],
    outcomes: Outcomes,
    facts: Facts,
    headlines: Metrics,
) -> None:
    predictions: list[dict[str, object]] = []
    generations: list[dict[str, object]] = []
    harness: dict[str, dict[str, Mapping[str, Any]]] = {}
    for (role, name), outcome in outcomes.items():
        origin: dict[str, object] = {"role": role, "benchmark": name}
        predictions += [origin | row for row in outcome.predictions]
        generations += [origin | row for row in outcome.generations]
        if outcome.harness:
            harness.setdefault(role, {})[name] = outcome.harness
    with job.writing() as (folder, made):
        write_results(
            folder, models, benchmarks=facts, comparisons=_comparisons(job, outcomes),
            harness=harness,
        )  # fmt: skip
        write_rows(folder / "predictions.jsonl", predictions)
        write_rows(folder / "generations.jsonl", generations)
        made["metrics"] = headlines


def _comparisons(job: Job, outcomes: Outcomes) -> dict[str, dict[str, Any]]:
    """Return the model against the baseline, question by question and text by text."""
    found: dict[str, dict[str, Any]] = {}
    for name, benchmark in job.config.benchmark.items():
        if ("baseline", name) not in outcomes:
            continue
        before, after = (outcomes[role, name].predictions for role in ("baseline", "model"))
        if benchmark.kind in ASKED:
            compared = choices.compare(before, after, job.config.seed)
            found[name] = dataclasses.asdict(compared) if compared else {}
        elif benchmark.kind == "perplexity":
            found[name] = dict(perplexity.forgetting(before, after, job.config.seed))
    return found


def _log(job: Job, models: dict[str, dict[str, Metrics]], facts: Facts) -> None:
    if job.config.logger:  # training's loggers are slow to import
        from musicllm.stages import result_log

        named = {
            name if role == "model" else f"{role}/{name}": metrics
            for role, found in models.items()
            for name, metrics in found.items()
        }
        tables = zip(facts, evaluation_tables(models, facts), strict=True)
        result_log.log(job, [named], dict(tables))


def _show(models: dict[str, dict[str, Metrics]], facts: Facts) -> None:
    for table in evaluation_tables(models, facts, most_rows=MOST_ROWS):
        rows = [[row.head, *map(str, row.cells)] for row in table.rows]
        console.table(table.caption, table.columns, rows)
        if table.note:
            console.note(table.note)
