"""How many steps fit into hours: arithmetic on measured times. Imports no torch.

The time of a run is its start, its steps, what happens between them (validations, checkpoints,
samples, evaluations) and its end. `train.pilot` measures each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from musicllm.errors import StageError
from musicllm.train.plan import Length

RESERVE = 0.02
"""Share of the hours that is left free: devices become slower as they warm up."""


@dataclass(frozen=True)
class Pace:
    """Measured times of a run, in seconds.

    Attributes:
        step_s: of an optimizer step, without what happens between steps.
        start_s: from the start of the stage to the first step, and what the first steps take
            longer than the others, such as for compilation.
        end_s: the last save.
        pauses: what happens between steps, by its name: seconds of an occurrence.
        num_steps: steps that were measured.
    """

    step_s: float
    start_s: float
    end_s: float
    num_steps: int
    pauses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Hours:
    """The time of a run by its number of steps.

    Attributes:
        pace: as measured.
        every_steps: steps between two occurrences of each pause; each also occurs after the last
            step.
        budget_s: seconds of `training.max_hours`, from the start of the stage.
        used_s: seconds of it that have passed.
    """

    pace: Pace
    every_steps: Mapping[str, int]
    budget_s: float
    used_s: float

    def seconds(self, num_steps: int) -> float:
        """Return the time from now to the end of a run; the artifact takes as long as a save."""
        pace = self.pace
        between = sum(
            seconds * math.ceil(num_steps / self.every_steps[name])
            for name, seconds in pace.pauses.items()
        )
        return pace.start_s + num_steps * pace.step_s + between + 2 * pace.end_s

    def length(self, limit: int | None) -> Length:
        """Return the most steps that end in time.

        Args:
            limit: by the other settings of the length; None if they set none.

        Raises:
            StageError: not even one step does.
        """
        left_s = self.budget_s * (1 - RESERVE) - self.used_s
        if self.seconds(1) > left_s:
            needed = (self.used_s + self.seconds(1)) / (1 - RESERVE) / 3600
            raise StageError(
                f"training.max_hours={self.budget_s / 3600:g} is over before the first step: "
                f"start, measurement, one step and the end take {needed:.2g} h; write more"
            )
        fitting, too_many = 1, 2 + int(left_s / self.pace.step_s)
        while too_many - fitting > 1:  # the time grows with the number of steps
            middle = (fitting + too_many) // 2
            fitting, too_many = (
                (middle, too_many) if self.seconds(middle) <= left_s else (fitting, middle)
            )
        budget = f"within {duration_text(self.budget_s)}"
        rate = f"at {self.pace.step_s:.3g} s a step, measured over {self.pace.num_steps} steps"
        if limit is not None and limit <= fitting:
            total = duration_text(self.used_s + self.seconds(limit))
            why = f"all of training.num_epochs or max_steps, which end {budget}, after {total}"
            return Length((), self.budget_s, limit, f"{why} {rate}", self.pace.step_s)
        why = f"the most that end {budget} {rate}"
        return Length((), self.budget_s, fitting, why, self.pace.step_s)


def expected_length(budget_s: float, step_s: float | None, limit: int | None) -> Length:
    """Return the length before anything is measured, for the plan.

    Args:
        budget_s: seconds of `training.max_hours`.
        step_s: estimated seconds of a step; None if unknown.
        limit: by the other settings of the length; None if they set none.
    """
    later = "the run measures steps in its first minutes, and then fixes the number"
    within = f"within {duration_text(budget_s)}"
    if step_s is None:
        assert limit is not None, "checks refuse hours whose steps nothing limits or estimates"
        why = f"at most, by training.num_epochs or max_steps; fewer if they do not end {within}"
        return Length((), budget_s, limit, f"{why}; {later}")
    fitting = max(1, int(budget_s * (1 - RESERVE) / step_s))
    rate = f"at an expected {step_s:.3g} s a step"
    if limit is not None and limit <= fitting:
        why = f"all of training.num_epochs or max_steps, which end {within} {rate}"
        return Length((), budget_s, limit, f"{why}; {later}")
    return Length((), budget_s, fitting, f"about the most that end {within} {rate}; {later}")


def duration_text(seconds: float) -> str:
    """Return seconds, minutes or hours, for people."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
