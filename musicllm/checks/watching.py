"""Rules on what watches a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from musicllm.errors import Problem
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.schema import Config


def bad_losses(config: Config) -> Iterator[Problem]:
    """Yield a policy that the strategy cannot follow."""
    if config.callbacks.on_bad_loss != "skip":
        return
    if config.hardware.precision == "fp16":
        rule = "is not possible with hardware.precision=fp16: its loss scale decides on updates"
        yield Problem("callbacks.on_bad_loss", "skip", rule, "write roll_back or stop")
    if config.strategy.kind == "deepspeed":
        rule = f"is not possible with strategy={config.strategy.name}: DeepSpeed updates by itself"
        yield Problem("callbacks.on_bad_loss", "skip", rule, "write roll_back or stop")


def prompts(config: Config) -> Iterator[Problem]:
    """Yield prompts of which some would never be used."""
    given, count = len(config.callbacks.sample_prompts), config.callbacks.num_samples
    if given > count:
        rule = f"is less than the {given} callbacks.sample_prompts"
        yield Problem("callbacks.num_samples", count, rule, f"write {given}")


def wandb_modes(config: Config) -> Iterator[Problem]:
    """Yield a logger of wandb without a mode."""
    for name, logger in config.logger.items():
        if logger.kind == "wandb" and logger.mode is None:
            rule = "must be set when kind=wandb"
            yield Problem(f"logger.{name}.mode", "null", rule, "write auto")


def artifacts(config: Config) -> Iterator[Problem]:
    """Yield loggers that cannot take what was trained."""
    for name, logger in config.logger.items():
        if logger.log_artifact and logger.kind != "wandb":
            rule = f"has no effect: a logger of kind {logger.kind} takes no artifacts"
            yield Problem(f"logger.{name}.log_artifact", True, rule, "write false")


def evaluations(config: Config) -> Iterator[Problem]:
    """Yield benchmarks that a training cannot measure, and those that it would never measure."""
    every, benchmarks = config.callbacks.evaluate_every_steps, config.benchmark
    if config.task != "train":
        return
    if every is None and benchmarks:
        rule = f"never asks benchmark=[{','.join(benchmarks)}]"
        yield Problem("callbacks.evaluate_every_steps", "null", rule, "write 500, or benchmark=[]")
    if every is not None and not benchmarks:
        rule = f"names nothing that callbacks.evaluate_every_steps={every} could ask"
        yield Problem("benchmark", "[]", rule, "use benchmark=[theory], or write null")
    for name, spec in benchmarks.items():
        if kind := BENCHMARK_KINDS.get(spec.kind):
            yield from kind.problems_in_training(dataclasses.replace(spec, name=name))
