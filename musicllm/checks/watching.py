"""Rules on what watches a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from musicllm.errors import Problem
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.schema import Config
from musicllm.train.callbacks import CALLBACKS, EXTRA, ORDER, problems_of_extra
from musicllm.train.loggers import LOGGERS


def callbacks(config: Config) -> Iterator[Problem]:
    """Yield what the kinds of callback say of their settings."""
    for name in ORDER:
        if name != EXTRA:
            kind = CALLBACKS[name]
            yield from kind.problems(config.callbacks, config.hardware, config.strategy)
    yield from problems_of_extra(config.callbacks)


def loggers(config: Config) -> Iterator[Problem]:
    """Yield what the kinds of logger say of their settings."""
    for name, settings in config.logger.items():
        if settings.kind in LOGGERS:  # `values` refuses others
            yield from LOGGERS[settings.kind].problems(f"logger.{name}", settings)


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
