"""Bench: ours and a baseline, side by side in one run; the figures go to bench.json."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from musicllm import artifacts, console, quoting
from musicllm.bench import baselines
from musicllm.bench.eval.task import EvalSettings
from musicllm.bench.generate.task import WritingSettings
from musicllm.bench.machine import describe_machine
from musicllm.bench.measuring import rows_of
from musicllm.bench.registry import BENCHES
from musicllm.bench.results import BenchResult, BenchSettings
from musicllm.bench.train.task import TrainingSettings
from musicllm.data.engines import make_engine
from musicllm.errors import ConfigError, Problem
from musicllm.job import Job
from musicllm.runs.settings import adapter_spec, machine_of, model_spec
from musicllm.schema import Config


def run(job: Job) -> list[tuple[str, object]]:
    """Measure what `bench.name` says, and write bench.json as the artifact and beside it.

    Raises:
        ConfigError: no such bench.
    """
    config, engine = job.config.bench, job.config.engine
    if config.name not in BENCHES:
        rule = f"is no bench; there are {', '.join(BENCHES)}"
        raise ConfigError([Problem("bench.name", config.name, rule)])
    kind = baselines.machine_kind(job.config.hardware.accelerator)
    machine = {"kind": kind, **describe_machine()}
    work = job.folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    settings = BenchSettings(
        config.num_rounds,
        config.num_documents,
        config.num_slow_documents,
        config.vocab_size,
        job.config.seed,
        partial(make_engine, engine.name, engine.num_workers, engine.address),
        work,
        model_spec(job.config),
        adapter_spec(job.config),
        job.config.merge.max_shard_gb,
        _training(job.config),
        _evaluation(job.config),
        _writing(job.config),
    )
    findings = BENCHES[config.name](settings)
    content = {
        "recipe": job.recipe,
        "fingerprint": job.fingerprint,
        **findings.as_json(),
        "machine": machine,
        "command": quoting.command(*sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    copy = job.folder / "bench.json"
    with job.writing() as (folder, facts):
        facts["metrics"] = dict(findings.ratios)
        artifacts.write_json(folder / "bench.json", content)
        artifacts.write_json(copy, content)
    shutil.rmtree(work)
    baseline = baselines.baseline_of(content)
    _show(findings, baseline or {})
    if baseline is None:
        console.note(
            f"there is no baseline of {job.recipe} with these settings on {kind}; to write one: "
            f"python -m musicllm.bench.baselines {quoting.in_shell(str(copy))}"
        )
    return [*_facts(findings.facts), ("figures", copy)]


def _training(config: Config) -> TrainingSettings | None:
    """Return how training is measured; None for benches that do not say how many steps."""
    bench, training = config.bench, config.training
    if bench.num_steps is None or bench.max_length is None:
        return None
    return TrainingSettings(
        machine=machine_of(config),
        optimizer=config.optimizer,
        attention=config.hardware.attention,
        num_steps=bench.num_steps,
        rows_per_step=training.rows_per_step,
        max_rows_per_device=config.hardware.max_rows_per_device,
        max_length=bench.max_length,
        gradient_clip=training.gradient_clip,
        fit=training,
        callbacks=config.callbacks,
        activation_checkpointing=training.activation_checkpointing,
        compile=training.compile,
    )


def _evaluation(config: Config) -> EvalSettings:
    """Return where questions and unpacked models lie, and where evaluation is measured."""
    questions, hardware = config.bench.questions, config.hardware
    return EvalSettings(
        questions=None if questions is None else Path(questions).expanduser(),
        cache=Path(config.paths.cache),
        device="cuda" if hardware.accelerator == "gpu" else "cpu",
        num_threads=hardware.num_threads,
    )


def _writing(config: Config) -> WritingSettings | None:
    """Return how writing is measured; None for benches that do not say how many tokens."""
    if config.bench.num_new_tokens is None:
        return None
    return WritingSettings(
        batch_size=config.hardware.max_rows_per_device,
        num_new_tokens=config.bench.num_new_tokens,
        device="cuda" if config.hardware.accelerator == "gpu" else "cpu",
        num_threads=config.hardware.num_threads,
    )


def _show(findings: BenchResult, baseline: Mapping[str, float]) -> None:
    """Print what was measured, and the key figures beside their goals and the baseline."""
    if findings.timings:
        columns = ("contestant", "rate (median)", "seconds (median)", "spread", "rounds")
        console.table("measured", columns, rows_of(findings.timings))
    rows = [
        (name, _figure(value), goal := findings.goals[name], _compared(baseline, name, value, goal))
        for name, value in findings.ratios.items()
    ]
    console.table("key figures", ("key in bench.json", "value", "goal", "baseline"), rows)


def _compared(baseline: Mapping[str, float], name: str, value: float, goal: str) -> str:
    """Return the baseline of a figure, with a mark where the figure is clearly worse."""
    if name not in baseline:
        return "-"
    loss = baselines.loss_against(baseline[name], value, goal)
    mark = f", {loss:.0%} worse" if loss > baselines.TOLERANCE else ""
    return f"{_figure(baseline[name])}{mark}"


def _figure(value: float) -> str:
    """Return a figure with two decimals, a small one with two digits."""
    return f"{value:,.2f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return facts as lines, those with parts as `name: part value, ...`."""
    lines: list[tuple[str, object]] = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{part} {number:,}" for part, number in value.items())
        else:
            text = f"{value:,}"
        lines.append((name.replace("_", " "), text))
    return lines
