"""Train: rows of a corpus go through a model, and what it learned becomes the artifact.

A full training makes a `model`, LoRA an `adapter`; either lies beside its tokenizer. The same
command continues an interrupted run from its newest checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from musicllm import artifacts, ranks
from musicllm.data.corpus import Corpus
from musicllm.errors import ArtifactError, ConfigError, Problem
from musicllm.job import Job, code_fingerprint, installed_versions, public
from musicllm.model import adapters, base, packaged
from musicllm.model.size import count
from musicllm.schema import Config
from musicllm.stages import watching
from musicllm.stages.models import remember_ends
from musicllm.stages.settings import adapter_spec, model_spec, training_plan
from musicllm.train import group, loggers, strategies
from musicllm.train.fit import TrainingRun
from musicllm.train.incidents import RollBack
from musicllm.train.optimizers import OptimizerSpec
from musicllm.train.plan import Plan
from musicllm.train.schedule import Schedule
from musicllm.train.settings import FitResult, FitSettings, Machine
from musicllm.train.strategies import StrategySpec
from musicllm.train.zero import ZeroSpec


def run(job: Job) -> list[tuple[str, object]]:
    """Train `inputs.model`, or the model of the configuration, on `inputs.corpus`.

    With several processes each runs this, and the first writes the artifact.
    """
    disable_progress_bar()
    group.start(job.config.hardware.accelerator)
    group.agree(_agreement(job))
    while True:
        try:
            rows = _train(job)
        except RollBack:  # with a new model and optimizer, from the last checkpoint
            continue
        group.stop()
        return rows


def _agreement(job: Job) -> dict[str, str]:
    """Return what must be the same in all processes, or they would train different things."""
    return {
        "the settings": artifacts.fingerprint(public(job.config)),
        "the inputs": job.fingerprint,
        "the code of musicllm": code_fingerprint(),
        "the installed packages": artifacts.fingerprint(installed_versions()),
    }


def _train(job: Job) -> list[tuple[str, object]]:
    config = job.config
    corpus = Corpus.open(job.input("corpus").path)
    machine = _machine(config)
    _refuse_longer_rows(corpus, config)
    model = _model(job, corpus, machine.precision)
    rows = corpus.rows("train")
    plan = training_plan(config, corpus.facts)
    size = count(model_spec(config), adapter_spec(config))
    parameters = {"trainable_parameters": size.num_trainable, "frozen_parameters": size.num_frozen}
    sizes = parameters | {"checkpoint_bytes": size.checkpoint_bytes}
    if ranks.is_main():
        artifacts.write_json(job.folder / "plan.json", dataclasses.asdict(plan) | sizes)
    settings = _settings(job, plan, corpus)
    training = TrainingRun(
        model=model,
        train_rows=rows,
        validation_rows=corpus.rows("validation"),
        plan=plan,
        settings=settings,
        machine=machine,
        folder=job.folder,
        identity=job.fingerprint,
        write_samples=watching.samples(config, corpus),
        callbacks=tuple(map(instantiate, config.callbacks.extra.values())),
    )
    try:
        result = training.fit()
        if ranks.is_main():
            with job.writing() as (folder, facts):
                _save(model, config, corpus, folder)
                facts.update(_facts(result, corpus))
            watching.log_artifact(job, settings)
        group.barrier()
    finally:
        loggers.close()
    return _summary(config, machine, result)


def _machine(config: Config) -> Machine:
    hardware, strategy = config.hardware, config.strategy
    zero = None
    if strategy.zero_stage is not None:
        zero = ZeroSpec(
            strategy.zero_stage, strategy.offload_optimizer, strategy.offload_parameters
        )
    return Machine(
        accelerator=hardware.accelerator,
        num_nodes=hardware.num_nodes,
        devices_per_node=hardware.devices_per_node,
        precision=strategies.precision(
            hardware.precision, hardware.accelerator, supports_bf16=hardware.supports_bf16
        ),
        strategy=StrategySpec(strategy.kind, zero),
        num_threads=hardware.num_threads,
        num_data_workers=hardware.num_data_workers,
    )


def _settings(job: Job, plan: Plan, corpus: Corpus) -> FitSettings:
    config = job.config
    training, callbacks = config.training, config.callbacks
    return FitSettings(
        seed=config.seed,
        optimizer=_optimizer(config),
        schedule=Schedule(
            name=config.schedule.name,
            num_steps=plan.num_steps,
            warmup_steps=plan.warmup_steps,
            min_lr_ratio=config.schedule.min_lr_ratio,
        ),
        gradient_clip=training.gradient_clip,
        log_every_steps=training.log_every_steps,
        validate_every_steps=training.validate_every_steps,
        num_validation_rows=training.num_validation_rows,
        checkpoint_every_steps=training.checkpoint_every_steps,
        keep_last_checkpoints=training.keep_last_checkpoints,
        keep_best_checkpoints=training.keep_best_checkpoints,
        progress_bar=callbacks.progress_bar,
        throughput=callbacks.throughput,
        flops_per_token=None,
        peak_flops_per_s=None,
        incidents=watching.incident_policy(config),
        max_skipped_steps=callbacks.max_skipped_steps,
        samples_every_steps=callbacks.samples_every_steps,
        source_names=tuple(corpus.facts["sources"]),
        loggers=watching.logger_specs(config),
        shown=watching.shown(job, corpus),
    )


def _optimizer(config: Config) -> OptimizerSpec:
    optimizer = config.optimizer
    return OptimizerSpec(
        name=optimizer.name,
        lr=optimizer.lr,
        betas=(optimizer.betas[0], optimizer.betas[1]),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
        fused=optimizer.fused,
        muon_lr=optimizer.muon_lr,
        muon_momentum=optimizer.muon_momentum,
    )


def _model(job: Job, corpus: Corpus, precision: str) -> nn.Module:
    """Return the model that is trained, its adapter attached."""
    config = job.config
    location = _location(job)
    model = _random(config, corpus) if location is None else _load(config, location, precision)
    if location is not None:
        _refuse_other_tokenizer(corpus, location, config.model.revision)
    if config.training.activation_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    adapted: nn.Module = adapters.attach(model, adapter_spec(config), seed=config.seed)
    return adapted


def _location(job: Job) -> str | None:
    """Return the folder or hub id of the weights to start from, or None for random ones."""
    if "model" in job.inputs:
        return str(job.input("model").path)
    location = job.config.model.location
    return None if location is None else packaged.find(location, Path(job.config.paths.cache))


def _random(config: Config, corpus: Corpus) -> PreTrainedModel:
    num_tokens = corpus.facts["vocab_size"]
    if num_tokens > config.model.vocab_size:
        rule = f"is less than the {num_tokens} tokens of the corpus {corpus.path}"
        raise ConfigError(
            [Problem("model.vocab_size", config.model.vocab_size, rule, f"write {num_tokens}")]
        )
    model = base.build(model_spec(config), seed=config.seed)
    base.adopt_special_tokens(model, base.load_tokenizer(corpus.tokenizer_path))
    return model


def _load(config: Config, location: str, precision: str) -> PreTrainedModel:
    """Load weights: trained ones in float32, frozen ones in their own type under autocast."""
    frozen = config.adapter.kind != "full" and precision != "32-true"
    model = base.load(
        location,
        dtype=config.model.dtype if frozen else "float32",
        revision=config.model.revision,
        trust_remote_code=config.model.trust_remote_code,
        quantization=config.adapter.quantization,
    )
    spec = dataclasses.replace(model_spec(config), location=location)
    base.check_architecture(spec, model.config)
    return model


def _refuse_other_tokenizer(corpus: Corpus, location: str, revision: str | None) -> None:
    ours = base.load_tokenizer(corpus.tokenizer_path)
    theirs = base.load_tokenizer(location, revision=revision)
    if _identity(ours) != _identity(theirs):
        raise ArtifactError(
            f"the corpus {corpus.path} was tokenized with {corpus.tokenizer_path} "
            f"({len(ours)} tokens), but the model {location} has another tokenizer "
            f"({len(theirs)} tokens); prepare the corpus again with the model's: "
            f"data.tokenizer=model, or data.tokenizer=inherit with the corpus that it was "
            f"trained on"
        )


def _refuse_longer_rows(corpus: Corpus, config: Config) -> None:
    length, most = corpus.facts["max_length"], config.model.max_position_embeddings
    if length > most:
        raise ArtifactError(
            f"the corpus {corpus.path} has rows of {length} tokens, but {config.model.name} has "
            f"{most} positions; prepare it again with data.max_length={most}"
        )


def _identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """Fingerprint what a tokenizer does to a text, without the state that calls leave in it."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    return artifacts.fingerprint(content | {"padding": None, "truncation": None})


def _save(model: Any, config: Config, corpus: Corpus, folder: Path) -> None:
    if config.adapter.kind == "full":
        model.to(getattr(torch, config.model.dtype)).save_pretrained(folder)
    else:
        adapters.save_adapter(model, folder)
    shutil.copytree(corpus.tokenizer_path, folder, dirs_exist_ok=True)
    if config.adapter.kind == "full":
        remember_ends(folder)


def _facts(result: FitResult, corpus: Corpus) -> dict[str, Any]:
    losses = {"train_loss": result.train_loss, "validation_loss": result.validation_loss}
    return {
        "tokenizer_fingerprint": corpus.facts["tokenizer_fingerprint"],
        "template_fingerprint": corpus.facts["template_fingerprint"],
        "num_steps": result.num_steps,
        "metrics": {name: value for name, value in losses.items() if value is not None},
    }


def _summary(config: Config, machine: Machine, result: FitResult) -> list[tuple[str, object]]:
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
