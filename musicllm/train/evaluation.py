"""Benchmarks measured during training.

The measures are functions from outside; for when they are called see `callbacks.evaluation`.
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
"""Model in evaluation mode, including its adapter -> metrics; None values are not logged."""

PREFIX = "eval"
SECONDS = "perf/evaluation_s"


@dataclass(frozen=True)
class Evaluation:
    """The benchmarks of a run.

    Attributes:
        every_steps: steps between evaluations; also before the first and after the last step.
        measures: by name of the benchmark; empty on ranks other than 0.
    """

    every_steps: int
    measures: Mapping[str, Measure]


def measured(model: nn.Module, measures: Mapping[str, Measure]) -> dict[str, float]:
    """Return the metrics of all benchmarks, by `eval/<benchmark>/<metric>`, and the seconds.

    Args:
        model: as it is trained; restored afterwards.
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
