"""How the learning rate moves: a pure function of the optimizer step.

It holds no state, so the rate of any step is known before the run and after a resume. Peaks are
the optimizer's business (`optimizers`); this is the factor in front of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NAMES = ("cosine", "linear", "constant")


@dataclass(frozen=True)
class Schedule:
    """A learning rate over a run.

    Attributes:
        name: cosine, linear or constant, after the warm-up.
        num_steps: optimizer steps of the run.
        warmup_steps: steps that rise linearly from 0.
        min_lr_ratio: where the decay ends, as a share of the peak.
    """

    name: str
    num_steps: int
    warmup_steps: int
    min_lr_ratio: float

    def __post_init__(self) -> None:
        """Refuse what the checks let through by mistake."""
        assert self.name in NAMES, f"schedule {self.name!r} passed the checks"
        assert 0 <= self.warmup_steps <= self.num_steps, f"warm-up of {self.warmup_steps} steps"

    def lr_scale(self, step: int) -> float:
        """Return the factor of a step, which is counted from 0.

        The rise is `(step + 1) / (warmup_steps + 1)`: 0 stands before the first step, so no step
        is spent at a rate of 0, and the peak is the first step after the warm-up. The decay would
        reach `min_lr_ratio` on the step after the last.
        """
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.name == "constant":
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps))
        left = 1 - progress if self.name == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return self.min_lr_ratio + (1 - self.min_lr_ratio) * left
