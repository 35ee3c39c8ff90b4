"""Whether a training can be extended: its steps so far must be those of the longer run.

The rows of a step do not depend on the number of steps; its learning rate may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.train.plan import make_plan
from musicllm.train.schedule import Schedule

LENGTH = {"training.max_steps", "training.num_epochs"}
"""Settings that determine the length of a training."""


def why_not(
    old: Mapping[str, Any], new: Mapping[str, Any], corpus: Artifact | None, num_done: int
) -> str | None:
    """Return why a training cannot continue with another length, or None.

    Args:
        old: settings of the existing training, by full name.
        new: its new settings; only `LENGTH` differs.
        corpus: of both.
        num_done: steps of the newest checkpoint.
    """
    if by_speed := _by_speed(old) or _by_speed(new):
        return f"it cannot be made longer, since {by_speed} let its speed set its length"
    before, after = _schedule(old, corpus), _schedule(new, corpus)
    if after.num_steps < before.num_steps:
        return f"a run of {before.num_steps:,} steps cannot be made one of {after.num_steps:,}"
    if not num_done:
        return "it cannot be made longer, since none of its checkpoints is left"
    first = _first_difference(before, after, num_done)
    if first is None:
        return None
    text = (
        f"it cannot be made longer: with {after.num_steps:,} steps instead of "
        f"{before.num_steps:,}, schedule={before.name} would have had another learning rate from "
        f"step {first + 1:,} on, and {num_done:,} are done"
    )
    if before.name == "constant":
        return (
            f"{text}, since schedule.warmup_fraction={new['schedule.warmup_fraction']:g} warms "
            f"up for {after.warmup_steps:,} steps instead of {before.warmup_steps:,}"
        )
    return f"{text} (runs with schedule=constant and as much warm-up can be made longer)"


def _by_speed(settings: Mapping[str, Any]) -> str | None:
    """Return the setting that lets the speed set the length, or None."""
    if settings.get("training.max_hours") is not None:
        return "training.max_hours"
    choices = settings["training.max_steps"] is None and settings.get("training.step_choices")
    return "training.step_choices" if choices else None


def _schedule(settings: Mapping[str, Any], corpus: Artifact | None) -> Schedule:
    plan = make_plan(
        rows_per_step=settings["training.rows_per_step"],
        max_rows_per_device=settings["training.rows_per_step"],
        num_devices=1,
        max_length=1,
        num_rows=None if corpus is None else corpus.facts["splits"]["train"]["rows"],
        num_rows_estimated=False,
        num_epochs=settings["training.num_epochs"],
        max_steps=settings["training.max_steps"],
        warmup_fraction=settings["schedule.warmup_fraction"],
    )
    return Schedule(
        settings["schedule.name"],
        plan.num_steps,
        plan.warmup_steps,
        settings["schedule.min_lr_ratio"],
    )


def _first_difference(before: Schedule, after: Schedule, num_done: int) -> int | None:
    """Return the first finished step, counted from 0, whose learning rate differs, or None.

    After the warm-up two schedules of one kind differ from their second step on, if at all.
    """
    ends = (before.warmup_steps, after.warmup_steps)
    for step in sorted({0, *ends, *(end + 1 for end in ends), *(end - 1 for end in ends)}):
        if 0 <= step < num_done and before.lr_scale(step) != after.lr_scale(step):
            return step
    return None
