"""Rules on a training run: batch, length, precision, strategy, adapter, model, optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.errors import Problem
from musicllm.schema import Config
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.plan import rows_per_device


def batch(config: Config) -> Iterator[Problem]:
    """Yield a global batch that the devices cannot share evenly."""
    if config.task != "train":
        return
    rows, hardware = config.training.rows_per_step, config.hardware
    devices = hardware.num_nodes * hardware.devices_per_node
    if rows >= 1 and rows_per_device(rows, devices, hardware.max_rows_per_device) is None:
        below, above = rows // devices * devices, -(-rows // devices) * devices
        fix = f"use {below} or {above}" if below else f"use {above}"
        rule = f"is not a multiple of {devices} devices ({hardware.name})"
        yield Problem("training.rows_per_step", rows, rule, fix)


def length(config: Config) -> Iterator[Problem]:
    """Yield a training run without an end."""
    training = config.training
    if config.task != "train":
        return
    limits = (
        training.num_epochs, training.max_steps, training.max_hours, *training.step_choices
    )  # fmt: skip
    if not any(limit is not None for limit in limits):
        rule = "leaves the run without an end, since training.num_epochs is null, too"
        yield Problem("training.max_steps", "null", rule, "set one of them")


def step_choices(config: Config) -> Iterator[Problem]:
    """Yield numbers of steps that are none, or that nothing can choose from."""
    training = config.training
    choices = training.step_choices
    if config.task != "train" or not choices:
        return
    if min(choices) < 1 or len(set(choices)) < len(choices):
        rule = "must be different numbers of steps, each at least 1"
        yield Problem("training.step_choices", choices, rule)
    if training.time_budget_min is None:
        rule = "is needed to choose one of training.step_choices"
        yield Problem("training.time_budget_min", "null", rule, "write how many minutes they take")


def hours(config: Config) -> Iterator[Problem]:
    """Yield hours beside choices, and hours whose number of steps no plan can estimate."""
    training, hardware = config.training, config.hardware
    if config.task != "train" or training.max_hours is None:
        return
    if training.step_choices and training.max_steps is None:
        rule = "and training.step_choices both let the speed set the length"
        fix = "write training.step_choices=[]"
        yield Problem("training.max_hours", training.max_hours, rule, fix)
    unknown = hardware.expected_mfu is None or (
        hardware.peak_tflops is None and hardware.accelerator == "gpu"
    )
    if unknown and training.num_epochs is None and training.max_steps is None:
        key = "peak_tflops" if hardware.peak_tflops is None else "expected_mfu"
        rule = "leaves the plan of training.max_hours without an estimate"
        fix = "set it, or training.num_epochs as a limit"
        yield Problem(f"hardware.{key}", "null", rule, fix)


def precision(config: Config) -> Iterator[Problem]:
    """Yield a precision that the hardware lacks."""
    hardware = config.hardware
    if hardware.precision == "bf16" and hardware.supports_bf16 is False:
        rule = f"is not there on {hardware.device}, which has no bfloat16"
        yield Problem("hardware.precision", "bf16", rule, "use fp16 or fp32")


def strategy(config: Config) -> Iterator[Problem]:
    """Yield a strategy that does not fit the devices or itself."""
    if config.task not in ("train", "teacher_logits", "evaluate"):
        return
    kind, hardware = config.strategy.kind, config.hardware
    devices = hardware.num_nodes * hardware.devices_per_node
    if kind == "single" and devices > 1:
        rule = f"uses one device, but {hardware.name} has {devices}"
        fix = "use ddp, zero1, zero2 or zero3" if config.task == "train" else "use ddp"
        yield Problem("strategy", config.strategy.name, rule, fix)
    if config.task != "train":
        return
    if (kind == "deepspeed") != (config.strategy.zero_stage is not None):
        rule = "goes with strategy.kind=deepspeed, and only with it"
        yield Problem("strategy.zero_stage", config.strategy.zero_stage, rule)
    if config.strategy.offload_optimizer and kind != "deepspeed":
        rule = "needs strategy.kind=deepspeed"
        yield Problem("strategy.offload_optimizer", "true", rule, "use zero2 or zero3_offload")
    if config.strategy.offload_parameters and config.strategy.zero_stage != 3:
        rule = "needs strategy.zero_stage=3"
        yield Problem("strategy.offload_parameters", "true", rule)


def zero3(config: Config) -> Iterator[Problem]:
    """Yield what needs weights that are not cut into pieces."""
    if config.task != "train" or config.strategy.zero_stage != 3:
        return
    if config.adapter.quantization is not None:
        rule = "keeps matrices in a form that ZeRO 3 cannot cut into pieces"
        yield Problem("adapter.quantization", config.adapter.quantization, rule, "use zero2")


def adapter(config: Config) -> Iterator[Problem]:
    """Yield an adapter that trains nothing, or would adapt random weights."""
    spec = config.adapter
    if config.task != "train":
        return
    if spec.kind == "none":
        yield Problem("adapter", spec.name, "trains nothing", "use lora_r64, dora_r64 or full")
    if spec.kind == "lora" and config.model.location is None and "model" not in config.inputs:
        rule = f"would adapt random weights: {config.model.name} has no location"
        yield Problem("adapter", spec.name, rule, "use adapter=full or set inputs.model")


def lora(config: Config) -> Iterator[Problem]:
    """Yield settings of LoRA that are missing or do not fit the model or the hardware."""
    spec = config.adapter
    if config.task != "train" or spec.kind != "lora":
        return
    for key in ("r", "alpha", "dropout", "scaling", "init"):
        if getattr(spec, key) is None and spec.targets:
            yield Problem(f"adapter.{key}", "null", "must be set when adapter.kind=lora")
    if not spec.targets and not spec.train_new_tokens:
        yield Problem("adapter.targets", "[]", "is empty", "use [attention, mlp]")
    if spec.init == "pissa" and spec.quantization:
        rule = "takes singular values out of the base, which a base in 4 bits does not allow"
        yield Problem("adapter.init", "pissa", rule, "use init=zero, or adapter=lora_r64")


def embeddings(config: Config) -> Iterator[Problem]:
    """Yield rows that would be added to no model, or not be trained."""
    spec = config.adapter
    if config.task != "train" or not config.training.resize_embeddings:
        return
    key = "training.resize_embeddings"
    if config.model.location is None and "model" not in config.inputs:
        rule = "has no effect on random weights, which get model.config.vocab_size rows"
        yield Problem(key, "true", rule, "leave it out")
    from musicllm.model.anatomy import ties  # heavy, and adding rows is rare
    from musicllm.model.architecture import config_of
    from musicllm.runs.settings import model_spec

    tied = ties(config_of(model_spec(config)))
    whole = (
        spec.train_embeddings or spec.train_output_head
        if tied
        else spec.train_embeddings and spec.train_output_head
    )
    if spec.kind == "lora" and not whole and not spec.train_new_tokens:
        rule = "adds rows that LoRA does not train, and that an adapter would not hold"
        fix = "write adapter.train_embeddings=true" + (
            "" if tied else " and adapter.train_output_head=true"
        )
        yield Problem(key, "true", rule, f"{fix}, or for new tokens adapter.train_new_tokens=true")


def new_tokens(config: Config) -> Iterator[Problem]:
    """Yield new rows that are to be trained alone, and matrices that are trained whole."""
    spec = config.adapter
    if config.task != "train" or not spec.train_new_tokens:
        return
    key = "adapter.train_new_tokens"
    if spec.kind != "lora":
        rule = f"trains no old row, and adapter.kind={spec.kind} is for all weights or none"
        yield Problem(key, "true", rule, "write false, or use adapter=lora_r64 or new_tokens")
        return
    for name in ("train_embeddings", "train_output_head"):
        if getattr(spec, name):
            rule = "trains the old rows, too, which adapter.train_new_tokens=true freezes"
            yield Problem(f"adapter.{name}", "true", rule, "write false")
    name = config.optimizer.name
    if not spec.targets and name in OPTIMIZERS and OPTIMIZERS[name].needs_whole_matrices:
        rule = "works on hidden matrices, and only rows of new tokens are trained"
        yield Problem("optimizer.name", name, rule, "use adamw")
    if config.strategy.zero_stage == 3:
        rule = "puts rows into a matrix that ZeRO 3 has cut into pieces"
        yield Problem(key, "true", rule, "use zero2")


def model(config: Config) -> Iterator[Problem]:
    """Yield numbers of heads that no transformer can have."""
    keys = config.model.decoder
    pairs = [("num_attention_heads", "num_key_value_heads")]
    if keys.get("head_dim") is None:
        pairs.append(("hidden_size", "num_attention_heads"))
    for key, divisor in pairs:
        number, parts = keys.get(key), keys.get(divisor)
        if not isinstance(number, int) or not isinstance(parts, int):
            continue  # the class has a default, or a number for every layer
        if parts < 1 or number % parts:
            rule = f"is not a multiple of model.config.{divisor}={parts}"
            yield Problem(f"model.config.{key}", number, rule)


def optimizer(config: Config) -> Iterator[Problem]:
    """Yield what the kind of optimizer says of its settings."""
    name = config.optimizer.name
    if name not in OPTIMIZERS:
        return  # a problem of `values`
    yield from OPTIMIZERS[name].problems(config.optimizer)
    ratio = config.optimizer.lora_plus_ratio
    if ratio is not None and config.task == "train" and config.adapter.kind != "lora":
        rule = f"has no effect on adapter.kind={config.adapter.kind}, which has no LoRA"
        yield Problem("optimizer.lora_plus_ratio", ratio, rule, "write null")
    whole = OPTIMIZERS[name].needs_whole_matrices
    if whole and config.task == "train" and config.strategy.kind == "deepspeed":
        rule = "needs whole matrices, which ZeRO cuts into pieces"
        yield Problem("optimizer.name", name, rule, "use adamw, or strategy=ddp")
