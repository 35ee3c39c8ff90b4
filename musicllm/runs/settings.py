"""Converts groups of the configuration into the settings of the rooms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from musicllm.errors import NotAvailableError
from musicllm.inference.requests import SamplingSettings
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.music.grammar import TuneRules
from musicllm.runs.vocabulary import rows_of_new_tokens
from musicllm.schema import Config
from musicllm.train import plan, strategies
from musicllm.train.plan import Plan, estimate_rows, make_plan, total
from musicllm.train.settings import Machine


def model_spec(config: Config) -> ModelSpec:
    """Return `config.model` as the model room takes it."""
    model = config.model
    assert model.dtype is not None, "composition fills it from config.json"
    return ModelSpec(
        name=model.name,
        location=model.location,
        revision=model.revision,
        config=model.config,
        dtype=model.dtype,
        trust_remote_code=model.trust_remote_code,
        ignored_tensors=tuple(model.ignored_tensors),
    )


def adapter_spec(config: Config, corpus: Mapping[str, Any] | None = None) -> AdapterSpec:
    """Return `config.adapter` as the model room takes it.

    Args:
        config: a checked configuration.
        corpus: facts of the prepared corpus, for its new tokens; None if there is none.
    """
    spec = config.adapter
    return AdapterSpec(
        kind=spec.kind,
        r=spec.r,
        alpha=spec.alpha,
        dropout=spec.dropout,
        targets=tuple(spec.targets),
        train_embeddings=spec.train_embeddings,
        train_output_head=spec.train_output_head,
        use_dora=spec.use_dora,
        quantization=spec.quantization,
        scaling=spec.scaling,
        init=spec.init,
        new_rows=rows_of_new_tokens(config, corpus),
    )


def sampling_settings(config: Config) -> SamplingSettings:
    """Return the sampling settings of `config.generation`."""
    names = [field.name for field in dataclasses.fields(SamplingSettings)]
    return SamplingSettings(**{name: getattr(config.generation, name) for name in names})


def tune_rules(config: Config) -> TuneRules | None:
    """Return the rules of the grammar that `config.generation` states; None without a grammar."""
    return None if config.generation.grammar is None else rules_of_tunes(config)


def rules_of_tunes(config: Config) -> TuneRules:
    """Return the rules of the grammar that `config.generation.tune` states, in use or not."""
    return TuneRules.of(vars(config.generation.tune))


def compute_dtype(config: Config) -> str:
    """Return the dtype of matrix products; for `auto` on a GPU that is not here, bfloat16."""
    hardware = config.hardware
    try:
        name = strategies.precision(
            hardware.precision, hardware.accelerator, supports_bf16=hardware.supports_bf16
        )
    except NotAvailableError:
        name = "bf16-mixed"
    return str(strategies.compute_dtype(name)).removeprefix("torch.")


def machine_of(config: Config) -> Machine:
    """Return `config.hardware` and `config.strategy`, with what the device determines."""
    hardware = config.hardware
    return Machine(
        accelerator=hardware.accelerator,
        num_nodes=hardware.num_nodes,
        devices_per_node=hardware.devices_per_node,
        precision=strategies.precision(
            hardware.precision, hardware.accelerator, supports_bf16=hardware.supports_bf16
        ),
        strategy=config.strategy,
        has_bf16=strategies.expects_bf16(hardware),
        num_threads=hardware.num_threads,
        num_data_workers=hardware.num_data_workers,
    )


def training_plan(
    config: Config, corpus: Mapping[str, Any] | None, *, num_steps: int | None = None
) -> Plan:
    """Return the plan of a training run.

    Args:
        config: a checked configuration.
        corpus: facts of the prepared corpus; None estimates its rows from the published sizes of
            the configured sources.
        num_steps: chosen by speed; None for the largest of `training.step_choices`.
    """
    training, hardware = config.training, config.hardware
    num_rows = estimated_rows(config) if corpus is None else corpus["splits"]["train"]["rows"]
    return make_plan(
        rows_per_step=training.rows_per_step,
        max_rows_per_device=hardware.max_rows_per_device,
        num_devices=hardware.num_nodes * hardware.devices_per_node,
        max_length=config.data.max_length if corpus is None else corpus["max_length"],
        num_rows=num_rows,
        num_rows_estimated=corpus is None and num_rows is not None,
        num_epochs=training.num_epochs,
        max_steps=num_steps or max(step_choices(config), default=training.max_steps),
        warmup_fraction=config.schedule.warmup_fraction,
    )


def limit_of_steps(config: Config, corpus: Mapping[str, Any] | None) -> int | None:
    """Return the optimizer steps that epochs and `max_steps` allow; None if they set no limit."""
    training = config.training
    num_rows = estimated_rows(config) if corpus is None else corpus["splits"]["train"]["rows"]
    per_epoch = None if num_rows is None else math.ceil(num_rows / training.rows_per_step)
    return plan.limit_of_steps(per_epoch, training.num_epochs, training.max_steps)


def step_choices(config: Config) -> list[int]:
    """Return the numbers of steps to choose from by speed; none if `max_steps` is set."""
    return [] if config.training.max_steps is not None else config.training.step_choices


def estimated_rows(config: Config) -> int | None:
    """Return the rows by the published sizes of the sources; None if one is unknown."""
    data = config.data
    return estimate_rows(
        row_former=data.row_former,
        num_documents=total(source.num_documents for source in data.sources.values()),
        num_tokens=total(source.num_tokens for source in data.sources.values()),
        max_length=data.max_length,
    )
