"""The learning rate schedule: a pure function of the optimizer step.

It has no state, so nothing has to be restored. Its factor multiplies the rates of `optimizers`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NAMES = ("cosine", "linear", "constant")


@dataclass(frozen=True)
class Schedule:
    """The schedule of a run.

    Attributes:
        name: of the decay: cosine, linear or constant.
        num_steps: optimizer steps of the run.
        warmup_steps: steps of linear warm-up from 0.
        min_lr_ratio: end of the decay, as a share of the peak.
    """

    name: str
    num_steps: int
    warmup_steps: int
    min_lr_ratio: float

    def __post_init__(self) -> None:
        """Assert what the checks guarantee."""
        assert self.name in NAMES, f"schedule {self.name!r} passed the checks"
        assert 0 <= self.warmup_steps <= self.num_steps, f"warm-up of {self.warmup_steps} steps"

    def lr_scale(self, step: int) -> float:
        """Return the factor of a step, counted from 0.

        Warm-up is `(step + 1) / (warmup_steps + 1)`, so no step has a rate of 0, and the peak is at
        the first step after the warm-up. The decay would reach `min_lr_ratio` at the step after the
        last.
        """
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.name == "constant":
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps))
        decay = 1 - progress if self.name == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return self.min_lr_ratio + (1 - self.min_lr_ratio) * decay
