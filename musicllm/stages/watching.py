"""Turns `callbacks` and `logger` of the configuration into what a training run is watched by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from musicllm.data.corpus import Corpus
from musicllm.evals.in_training import measures_in_training
from musicllm.evals.materials import Materials
from musicllm.job import Job, public
from musicllm.launch import ranks
from musicllm.model.base import load_tokenizer
from musicllm.schema import Config
from musicllm.stages.samples import sample_writer
from musicllm.stages.settings import sampling_settings
from musicllm.train import loggers
from musicllm.train.evaluation import Evaluation
from musicllm.train.incidents import IncidentPolicy
from musicllm.train.loggers import LoggerSpec
from musicllm.train.samples import SampleWriter
from musicllm.train.settings import FitSettings


def incident_policy(config: Config) -> IncidentPolicy:
    """Return what is done about bad losses."""
    watching = config.callbacks
    return IncidentPolicy(
        on_bad_loss=watching.on_bad_loss,
        loss_spike_factor=watching.loss_spike_factor,
        loss_spike_window=watching.loss_spike_window,
        max_incidents=watching.max_incidents,
    )


def logger_specs(config: Config) -> tuple[LoggerSpec, ...]:
    """Return where metrics go beside metrics.jsonl."""
    return tuple(
        LoggerSpec(
            kind=one.kind,
            project=one.project,
            entity=one.entity,
            mode=one.mode,
            tags=tuple(one.tags),
            log_artifact=one.log_artifact,
        )
        for one in config.logger.values()
    )


def shown(job: Job, corpus: Corpus) -> dict[str, Any]:
    """Return what loggers show beside the metrics: settings, plan, and the corpus's facts.

    plan.json must be there.
    """
    plan = json.loads((job.folder / "plan.json").read_text(encoding="utf-8"))
    return public(job.config) | {"plan": plan, "corpus": dict(corpus.facts)}


def samples(config: Config, corpus: Corpus) -> SampleWriter | None:
    """Return what lets the model write during training, or None when that is off."""
    return None if config.callbacks.samples_every_steps is None else sample_writer(config, corpus)


def evaluation(config: Config, corpus: Corpus) -> Evaluation | None:
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


def log_artifact(job: Job, settings: FitSettings) -> None:
    """Give what was trained, which is complete, to the loggers that are to take it; rank 0 only."""
    loggers.log_artifact(
        settings.loggers,
        job.folder,
        num_steps=settings.schedule.num_steps,
        run_id=job.fingerprint,
        settings=settings.shown,
        artifact=job.artifact_path,
        kind=job.kind,
    )
