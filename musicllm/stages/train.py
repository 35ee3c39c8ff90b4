"""Train: rows of a corpus go through a model, and what it learned becomes the artifact.

A full training makes a `model`, LoRA an `adapter`; either lies beside its tokenizer. The same
command continues an interrupted run from its newest checkpoint.
"""

from __future__ import annotations

import gc
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback
from torch import nn
from transformers.utils.logging import disable_progress_bar

from musicllm import artifacts, console
from musicllm.data.corpus import Corpus
from musicllm.evals.in_training import measures_in_training
from musicllm.evals.materials import Materials
from musicllm.evals.samples_in_training import sample_writer
from musicllm.job import Job, public
from musicllm.launch import ranks
from musicllm.model import adapters
from musicllm.model.audio import bundle
from musicllm.model.audio.bridge import detach
from musicllm.model.base import load_tokenizer
from musicllm.runs import decisions, hearing, hours
from musicllm.runs.bases import memory_of
from musicllm.runs.distilling import objective_of
from musicllm.runs.models import remember_ends
from musicllm.runs.planning import run_plan
from musicllm.runs.settings import compute_dtype, machine_of, model_spec, sampling_settings
from musicllm.runs.starting_model import starting_model
from musicllm.schema import Config
from musicllm.train import checkpoints, group, loggers
from musicllm.train.callbacks.incidents import RollBack
from musicllm.train.evaluation import Evaluation
from musicllm.train.fit import TrainingRun
from musicllm.train.hours import duration_text
from musicllm.train.loggers import LoggedRun
from musicllm.train.objectives import Objective
from musicllm.train.run_plan import RunPlan
from musicllm.train.schedule import Schedule
from musicllm.train.settings import FitResult, FitSettings, Machine
from musicllm.train.tunes import SampleWriter

HELD_OUT = "validation"


def run(job: Job) -> list[tuple[str, object]]:
    """Train `inputs.model`, or the model of the configuration, on `inputs.corpus`.

    With several processes each runs this, and the first writes the artifact.
    """
    disable_progress_bar()
    group.start(job.config.hardware.accelerator)
    if ranks.launched():
        group.agree(job.agreement())
    began = time.perf_counter()
    while (rows := _train_or_go_back(job, began)) is None:
        gc.collect()  # what was trained and Lightning hold each other; the next needs their memory
    group.stop()
    return rows


def _train_or_go_back(job: Job, began: float) -> list[tuple[str, object]] | None:
    """Return None to be called again, with a new model and optimizer from the last checkpoint."""
    try:
        return _train(job, began)
    except RollBack:
        return None


def _train(job: Job, began: float) -> list[tuple[str, object]] | None:
    config = job.config
    corpus = Corpus.open(job.input("corpus").path)
    hearing.refuse_misfits(job, corpus)
    expected = run_plan(config, corpus.facts)
    expected.refuse(reused=group.from_main(lambda: checkpoints.bytes_of(job.folder)))
    model = starting_model(job, corpus)
    objective = objective_of(job, corpus)
    on_base = job.kind == "adapter" and ranks.is_main()
    base_facts = {"base": memory_of(job)} if on_base else {}
    plan = _decided(job, corpus, model, objective, expected)
    chosen = {} if plan.length is None else {"num_steps": plan.length.num_steps}
    machine = machine_of(config)
    if plan.rehearsal is not None:
        machine = replace(machine, num_threads=plan.rehearsal.num_threads)
    settings = _settings(job, plan, corpus)
    training = TrainingRun(
        model=model,
        train_rows=hearing.rows_of(job, corpus, hearing.TRAIN),
        validation_rows=hearing.rows_of(job, corpus, HELD_OUT),
        plan=plan.steps,
        settings=settings,
        machine=machine,
        folder=job.folder,
        identity=job.identity(chosen),
        objective=objective,
        earlier=job.earlier,
        write_samples=_sampling(config, corpus),
        evaluation=_evaluation(config, corpus),
        callbacks=_own_callbacks(config),
    )
    if hours.is_open(job):
        hours.fix_length(job, corpus, training, began)
        return None  # the next has the model of before, and the number of steps
    try:
        result = training.fit()
        if ranks.is_main():
            with job.writing(chosen) as (folder, facts):
                _save(model, job, corpus, folder)
                facts.update(_facts(result, corpus, config), **base_facts)
            logged = LoggedRun(
                job.folder,
                settings.schedule.num_steps,
                job.identity(chosen),  # as `TrainingRun` names it
                settings.logged_settings,
            )
            loggers.log_artifact(settings.loggers, logged, job.artifact_path, job.kind)
        group.barrier()
    finally:
        loggers.close()
    return _summary(config, machine, result, time.perf_counter() - began)


def _decided(
    job: Job, corpus: Corpus, model: nn.Module, objective: Objective, expected: RunPlan
) -> RunPlan:
    """Return the plan with what this machine decides; it is shown and saved."""
    plan = decisions.decided(job, corpus, model, objective, expected)
    if ranks.is_main():
        console.table("", ("", ""), plan.short_rows())
        artifacts.write_json(job.folder / "plan.json", plan.as_dict())
    return plan


def _own_callbacks(config: Config) -> tuple[Callback, ...]:
    """Return the user's Lightning callbacks."""
    extra = config.callbacks.extra.values()
    return tuple(instantiate(entry) for entry in extra if "_target_" in entry)


def _sampling(config: Config, corpus: Corpus) -> SampleWriter | None:
    """Return what lets the model write tunes during training, or None when that is off."""
    if config.callbacks.samples_every_steps is None:
        return None
    return sample_writer(
        config.callbacks,
        sampling_settings(config),
        corpus,
        seed=config.seed,
        batch_size=config.hardware.max_rows_per_device,
    )


def _evaluation(config: Config, corpus: Corpus) -> Evaluation | None:
    """Return the benchmarks that are measured during training, or None when that is off.

    Only rank 0 reads what they need, since it alone measures.

    Raises:
        InputError: questions or texts cannot be read.
        NotAvailableError: they are not here and cannot be downloaded.
    """
    every = config.callbacks.evaluate_every_steps
    if every is None:
        return None
    if not ranks.is_main():
        return Evaluation(every, {})
    materials = Materials(
        inputs={"corpus": corpus.path},
        cache=Path(config.paths.cache),
        seed=config.seed,
        sampling=sampling_settings(config),
        max_items=config.callbacks.num_eval_questions,
    )
    tokenizer = load_tokenizer(corpus.tokenizer_path)
    return Evaluation(every, measures_in_training(config.benchmark, materials, tokenizer))


def _settings(job: Job, plan: RunPlan, corpus: Corpus) -> FitSettings:
    config = job.config
    logged_settings: dict[str, Any] = {}
    if ranks.is_main():
        plan_json = json.loads((job.folder / "plan.json").read_text(encoding="utf-8"))
        logged_settings = public(config) | {"plan": plan_json, "corpus": dict(corpus.facts)}
    return FitSettings(
        seed=config.seed,
        optimizer=config.optimizer,
        schedule=Schedule(
            name=config.schedule.name,
            num_steps=plan.steps.num_steps,
            warmup_steps=plan.steps.warmup_steps,
            min_lr_ratio=config.schedule.min_lr_ratio,
        ),
        training=config.training,
        callbacks=config.callbacks,
        loggers=tuple(config.logger.values()),
        flops_per_token=plan.duration.flops_per_token,
        peak_flops_per_s=plan.duration.peak_flops_per_s,
        source_names=tuple(corpus.facts["sources"]),
        logged_settings=logged_settings,
    )


def _save(model: Any, job: Job, corpus: Corpus, folder: Path) -> None:
    config = job.config
    bundle.save(model, folder)
    if config.adapter.kind == "full":
        detach(model)  # its weights have files of their own
        model.to(getattr(torch, model_spec(config).dtype)).save_pretrained(folder)
    else:
        adapters.save_adapter(model, folder, run=job.folder)
    shutil.copytree(corpus.tokenizer_path, folder, dirs_exist_ok=True)
    if config.adapter.kind == "full":
        remember_ends(folder)


def _facts(result: FitResult, corpus: Corpus, config: Config) -> dict[str, Any]:
    losses = {"train_loss": result.train_loss, "validation_loss": result.validation_loss}
    return {
        "tokenizer_fingerprint": corpus.facts["tokenizer_fingerprint"],
        "template_fingerprint": corpus.facts["template_fingerprint"],
        "compute_dtype": compute_dtype(config),
        "num_steps": result.num_steps,
        "metrics": {name: value for name, value in losses.items() if value is not None},
    }


def _summary(
    config: Config, machine: Machine, result: FitResult, seconds: float
) -> list[tuple[str, object]]:
    work, hardware = result.work, config.hardware
    steps = f"{result.num_steps:,}"
    if result.start_step:
        steps += f", of which {result.start_step:,} were done before"
    rows: list[tuple[str, object]] = [("steps", steps)]
    if work.num_steps:
        rows += [
            ("tokens", f"{work.num_tokens:,}, {work.num_supervised:,} of them supervised"),
            (
                "time in steps",
                f"{work.seconds:.1f} s, {work.seconds / work.num_steps:.3f} s a step",
            ),
            ("speed", f"{work.num_tokens / work.seconds:,.0f} tokens/s"),
        ]
    rows += [("training loss", _nats(result.train_loss))]
    rows += [("validation loss", _nats(result.validation_loss))]
    if hardware.price_per_hour is not None:
        devices = hardware.num_nodes * hardware.devices_per_node
        price = hardware.price_per_hour * devices * seconds / 3600
        rows.append(
            ("price", f"{price:,.2f} for {duration_text(seconds)} of {devices} x {hardware.device}")
        )
    return [
        *rows,
        (
            "where",
            f"{hardware.num_nodes} x {hardware.devices_per_node} {hardware.device}, "
            f"{machine.precision}, strategy {config.strategy.name}",
        ),
    ]


def _nats(loss: float | None) -> str:
    return "not measured" if loss is None else f"{loss:.4f} nats a token"
