"""The plan of a training run from its configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from musicllm.errors import ArtifactError, NotAvailableError
from musicllm.model import attention, base, size
from musicllm.model.architecture import refuse_quantized, skeleton
from musicllm.model.flops import train_flops_per_token
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.weights import cached_folder
from musicllm.runs import teacher_plan
from musicllm.runs.inputs import find_input
from musicllm.runs.settings import (
    adapter_spec,
    compute_dtype,
    limit_of_steps,
    model_spec,
    step_choices,
    training_plan,
)
from musicllm.runs.teacher_plan import TeacherPlan
from musicllm.runs.vocabulary import refuse_lacking_rows, with_rows
from musicllm.schema import Config
from musicllm.train.capabilities import probe
from musicllm.train.disk import Disk, disk
from musicllm.train.duration import Duration, Text, measured_cpu_flops_per_s, text_of
from musicllm.train.hours import expected_length
from musicllm.train.memory import Memory, Spread, Workload, estimate, trace_of
from musicllm.train.memory.advice import Choice, nearest, overrides
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.plan import Length, Plan, choose_length
from musicllm.train.rehearsal import Rehearsal
from musicllm.train.run_plan import Advice, RunPlan, fits


def run_plan(
    config: Config,
    corpus: Mapping[str, Any] | None,
    *,
    rehearsal: Rehearsal | None = None,
    length: Length | None = None,
) -> RunPlan:
    """Return the plan of a training run; its `refuse()` raises if it does not fit.

    Args:
        config: a checked configuration of a training.
        corpus: facts of the prepared corpus; None estimates from published sizes.
        rehearsal: of the run's steps, for its time; None estimates it from FLOPs.
        length: as chosen before; None chooses it if the speed decides it.

    Raises:
        ConfigError: the model has no rows for some tokens of the corpus, or config.json beside its
            weights differs from `model.config`.
    """
    refuse_quantized(config.model.location, config.model.config)
    _refuse_other_architecture(config)
    if corpus is not None:
        refuse_lacking_rows(config, corpus["vocab_size"], "the corpus")
        config = with_rows(config, corpus["vocab_size"])
    adapter, hardware = adapter_spec(config, corpus), config.hardware
    counted = size.count(model_spec(config), adapter)
    step_s = None if rehearsal is None else rehearsal.fastest_step_s
    if length is not None and length.step_s is not None:
        step_s = length.step_s
    if length is None:
        length = _length(config, counted, corpus, step_s)
    steps = training_plan(config, corpus, num_steps=None if length is None else length.num_steps)
    choice = _choice(config, steps)
    host_bytes = _host_bytes(config)
    device_bytes = _device_bytes(config)
    teacher = _teacher(config, corpus, choice)
    needs = partial(_memory, config, corpus, counted, teacher)

    def find_advice() -> Advice | None:
        devices = hardware.devices_per_node
        share = steps.rows_per_step // steps.num_devices
        other = nearest(
            choice,
            lambda candidate: fits(needs(candidate), device_bytes, host_bytes, devices),
            micro_batches=[n for n in range(steps.rows_per_device, 0, -1) if share % n == 0],
            on_gpu=hardware.accelerator == "gpu",
            can_quantize=adapter.kind == "lora",
        )
        return None if other is None else Advice(overrides(choice, other), needs(other).total)

    return RunPlan(
        steps=steps,
        size=counted,
        memory=needs(choice),
        device_bytes=device_bytes,
        host_bytes=host_bytes,
        devices_per_node=hardware.devices_per_node,
        duration=_duration(config, counted, steps, corpus, step_s, teacher=teacher),
        teacher=None if teacher is None else (teacher.name, teacher.size.num_parameters),
        length=length,
        rehearsal=rehearsal,
        price_per_hour=hardware.price_per_hour,
        disk=_disk(config, counted, adapter, steps.num_steps),
        runs=Path(config.paths.runs),
        find_advice=find_advice,
    )


def _disk(config: Config, counted: size.Size, adapter: AdapterSpec, num_steps: int) -> Disk:
    training = config.training
    return disk(
        counted,
        adapter,
        dtype=model_spec(config).dtype,
        optimizer=config.optimizer.name,
        num_kept=training.keep_last_checkpoints + training.keep_best_checkpoints,
        num_steps=num_steps,
        runs=Path(config.paths.runs),
    )


def _refuse_other_architecture(config: Config) -> None:
    """Compare `model.config` with config.json of the base, if that is on this machine."""
    location: str | Path | None = config.model.location
    if "model" in config.inputs:
        try:
            location = find_input("inputs.model", config.inputs["model"], config).path
        except ArtifactError:  # an earlier step of a pipeline will make it
            return
    folder = None if location is None else cached_folder(location, config.model.revision)
    if folder is not None:
        base.check_architecture(dataclasses.replace(model_spec(config), location=str(folder)))


def _length(
    config: Config,
    counted: size.Size,
    corpus: Mapping[str, Any] | None,
    step_s: float | None,
) -> Length | None:
    """Choose the number of steps if the speed decides it."""
    choices, hours = step_choices(config), config.training.max_hours
    if not choices and hours is None:
        return None
    steps = training_plan(config, corpus, num_steps=1)  # the time of a step depends on no other
    teacher = _teacher(config, corpus, _choice(config, steps))
    expected = _duration(config, counted, steps, corpus, step_s, teacher=teacher).step_s
    if hours is not None:
        return expected_length(3600 * hours, expected, limit_of_steps(config, corpus))
    budget = config.training.time_budget_min
    assert budget is not None, "choices without a budget passed the checks"
    return choose_length(choices, 60 * budget, expected)


def _teacher(
    config: Config, corpus: Mapping[str, Any] | None, choice: Choice
) -> TeacherPlan | None:
    """Return the plan of the teacher, if there is one and its architecture can be told."""
    teacher = teacher_plan.architecture(config)
    if teacher is None:
        return None
    text, work = _text(config, corpus), _workload(config, corpus, choice)
    return teacher_plan.plan(teacher, work, text.documents, text.supervised_share)


def _memory(
    config: Config,
    corpus: Mapping[str, Any] | None,
    counted: size.Size,
    teacher: TeacherPlan | None,
    choice: Choice,
) -> Memory:
    adapter = dataclasses.replace(adapter_spec(config, corpus), quantization=choice.quantization)
    own = estimate(_loaded(config), adapter, counted, _workload(config, corpus, choice))
    if teacher is None:
        return own
    return (_teacher(config, corpus, choice) or teacher).beside(own)  # of this micro-batch


def _loaded(config: Config) -> ModelSpec:
    """Return the model with the dtype in which it is loaded."""
    return dataclasses.replace(model_spec(config), dtype=compute_dtype(config))


def _workload(config: Config, corpus: Mapping[str, Any] | None, choice: Choice) -> Workload:
    text, row_length = _text(config, corpus), _row_length(config, corpus)
    return Workload(
        num_tokens=choice.rows_per_device * row_length,
        document_length=min(row_length, round(text.documents.typical_length)),
        checkpointing=choice.checkpointing,
        compute_dtype=compute_dtype(config),
        on_gpu=config.hardware.accelerator == "gpu",
        attention=_attention(config),
        optimizer=config.optimizer.name,
        spread=choice.spread,
    )


def _attention(config: Config) -> str:
    """Return the attention, as far as memory depends on it.

    Raises:
        ConfigError: the configured one lacks what the model needs.
    """
    hardware = config.hardware
    lacking = {}
    if hardware.attention == "auto":  # the package is optional, and saves no more than `varlen`
        lacking["flash_attention_2"] = "it may not be installed"
        if hardware.supports_flash_attention_2 is False:
            lacking |= dict.fromkeys(("varlen", "flex"), "the GPU may be too old")
    return attention.choose(
        hardware.attention,
        hardware.accelerator,
        attention.needs_of(skeleton(model_spec(config))),
        dtype=compute_dtype(config),
        lacking=lacking,
    )


def _choice(config: Config, steps: Plan) -> Choice:
    strategy = config.strategy
    return Choice(
        rows_per_device=steps.rows_per_device,
        checkpointing=config.training.activation_checkpointing,
        spread=Spread(
            kind=strategy.kind,
            stage=strategy.zero_stage or 0,
            offload_optimizer=strategy.offload_optimizer,
            offload_parameters=strategy.offload_parameters,
            num_devices=steps.num_devices,
        ),
        quantization=config.adapter.quantization,
    )


def _row_length(config: Config, corpus: Mapping[str, Any] | None) -> int:
    length: int = config.data.max_length if corpus is None else corpus["max_length"]
    return length


def _text(config: Config, corpus: Mapping[str, Any] | None) -> Text:
    return text_of(
        None if corpus is None else corpus["splits"]["train"], _row_length(config, corpus)
    )


def _device_bytes(config: Config) -> float | None:
    """Return the memory of the hardware profile, or that of this machine's device."""
    hardware = config.hardware
    if hardware.memory_gb is not None:
        return 1e9 * hardware.memory_gb
    try:
        return 1e9 * probe(hardware.accelerator).memory_gb
    except NotAvailableError:
        return None


def _host_bytes(config: Config) -> float | None:
    """Return the memory of the hardware profile, or that of this machine if it has the devices."""
    hardware = config.hardware
    if hardware.host_memory_gb is not None:
        return 1e9 * hardware.host_memory_gb
    try:
        probe(hardware.accelerator)
    except NotAvailableError:
        return None
    return float(psutil.virtual_memory().total)


def _duration(
    config: Config,
    counted: size.Size,
    steps: Plan,
    corpus: Mapping[str, Any] | None,
    step_s: float | None,
    *,
    teacher: TeacherPlan | None,
) -> Duration:
    hardware, text, adapter = config.hardware, _text(config, corpus), adapter_spec(config, corpus)
    work = _workload(config, corpus, _choice(config, steps))
    peak, dtype = None, compute_dtype(config)
    mfu = hardware.expected_mfu
    if dtype == "float32" and hardware.expected_mfu_fp32 is not None:
        mfu = hardware.expected_mfu_fp32
    if hardware.peak_tflops is not None:
        peak = 1e12 * hardware.peak_tflops * steps.num_devices
    elif hardware.accelerator == "cpu":
        peak = measured_cpu_flops_per_s(dtype, hardware.num_threads)
    flops = train_flops_per_token(
        trace_of(_loaded(config), adapter, work),
        text.documents,
        supervised_share=text.supervised_share,
    )
    return Duration(
        num_steps=steps.num_steps,
        num_tokens=round(steps.num_tokens * text.fill),
        supervised_share=text.supervised_share,
        mean_context=text.documents.mean_context(),
        flops_per_token=flops + (0 if teacher is None else teacher.flops_per_token),
        flops_per_update=OPTIMIZERS[config.optimizer.name].update_flops(counted.hidden_shapes),
        peak_flops_per_s=peak,
        expected_mfu=mfu,
        num_devices=steps.num_devices,
        rehearsed_step_s=step_s,
    )
