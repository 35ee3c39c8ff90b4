"""Benchmarks measured during training on the model as it is.

Which questions there are and how an answer is judged is not known here: functions from outside
measure. When they do is decided in `callbacks.evaluation`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from musicllm.model.adapters import causal_model
from musicllm.train.between_steps import undisturbed

Measure = Callable[[PreTrainedModel], Mapping[str, float | None]]
"""From a model in evaluation mode, with its adapter inside, to metrics; None is left out."""

PREFIX = "eval"
SECONDS = "perf/evaluation_s"


@dataclass(frozen=True)
class Evaluation:
    """What is measured during a run.

    Attributes:
        every_steps: optimizer steps between evaluations; one more before the first step, and one
            after the last.
        measures: by name of the benchmark; other ranks than 0 need none, as they only wait.
    """

    every_steps: int
    measures: Mapping[str, Measure]


def measured(model: nn.Module, measures: Mapping[str, Measure]) -> dict[str, float]:
    """Return the metrics of all benchmarks, by `eval/<benchmark>/<metric>`, and the seconds.

    Args:
        model: as it is trained; it is left as it was.
        measures: by name of the benchmark.
    """
    began = time.perf_counter()
    values: dict[str, float] = {}
    with undisturbed(model):
        for benchmark, measure in measures.items():
            metrics = measure(causal_model(model))
            values |= {
                f"{PREFIX}/{benchmark}/{name}": value
                for name, value in metrics.items()
                if value is not None
            }
    return values | {SECONDS: time.perf_counter() - began}
