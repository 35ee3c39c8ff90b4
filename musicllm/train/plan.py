"""The training plan: accumulation, steps and warm-up, derived from settings and corpus.

Each is determined by one setting (`training.rows_per_step`, the length of the run,
`schedule.warmup_fraction`). Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Batches and steps of a training run.

    Attributes:
        rows_per_step: rows of one optimizer step over all devices.
        rows_per_device: rows of one micro-batch on one device.
        num_devices: devices over all nodes.
        accumulation: micro-batches per device and optimizer step.
        num_rows: rows of the training split; None when only `max_steps` is known.
        num_rows_estimated: `num_rows` comes from published sizes, not from a prepared corpus.
        steps_per_epoch: optimizer steps of one pass, the last of which may be smaller.
        num_steps: optimizer steps of the run.
        warmup_steps: steps of learning rate warm-up.
        tokens_per_step: at most, with full rows.
        num_tokens: at most, over the run.
    """

    rows_per_step: int
    rows_per_device: int
    num_devices: int
    accumulation: int
    num_rows: int | None
    num_rows_estimated: bool
    steps_per_epoch: int | None
    num_steps: int
    warmup_steps: int
    tokens_per_step: int
    num_tokens: int


def rows_per_device(rows_per_step: int, num_devices: int, most: int) -> int | None:
    """Return the largest micro-batch of at most `most` rows that divides the global batch.

    None when the global batch cannot be spread evenly over the devices.
    """
    if rows_per_step % num_devices:
        return None
    share = rows_per_step // num_devices
    return next(rows for rows in range(min(most, share), 0, -1) if share % rows == 0)


def total(sizes: Iterable[int | None]) -> int | None:
    """Return the sum, or None if a size is unknown."""
    terms = list(sizes)
    return None if None in terms else sum(term for term in terms if term is not None)


def estimate_rows(
    *, row_former: str, num_documents: int | None, num_tokens: int | None, max_length: int
) -> int | None:
    """Return the rows of a corpus that is not prepared yet, from its published size.

    With `single` a document is a row; otherwise rows are assumed to be full. None if the required
    size is not published.
    """
    if row_former == "single":
        return num_documents
    return None if num_tokens is None else math.ceil(num_tokens / max_length)


def limit_of_steps(
    steps_per_epoch: int | None, num_epochs: float | None, max_steps: int | None
) -> int | None:
    """Return the optimizer steps that the settings allow; None if they set no limit."""
    limits = [] if max_steps is None else [max_steps]
    if num_epochs is not None and steps_per_epoch is not None:
        limits.append(max(1, math.ceil(steps_per_epoch * num_epochs)))
    return min(limits, default=None)


def make_plan(
    *,
    rows_per_step: int,
    max_rows_per_device: int,
    num_devices: int,
    max_length: int,
    num_rows: int | None,
    num_rows_estimated: bool,
    num_epochs: float | None,
    max_steps: int | None,
    warmup_fraction: float,
) -> Plan:
    """Derive the plan.

    Args:
        rows_per_step: global batch, in rows.
        max_rows_per_device: limit of the micro-batch, in rows.
        num_devices: devices over all nodes.
        max_length: tokens in a row.
        num_rows: rows of the training split, or None if unknown.
        num_rows_estimated: `num_rows` comes from `estimate_rows`, not from a prepared corpus.
        num_epochs: passes over the corpus, or None.
        max_steps: limit of optimizer steps, or None; the smaller limit applies.
        warmup_fraction: share of the steps that are warm-up.

    Raises:
        AssertionError: the settings break a rule of `musicllm.checks`, which runs first.
    """
    micro_batch = rows_per_device(rows_per_step, num_devices, max_rows_per_device)
    assert micro_batch is not None, "checks refuse a batch that devices cannot share"
    steps_per_epoch = None if num_rows is None else math.ceil(num_rows / rows_per_step)
    num_steps = limit_of_steps(steps_per_epoch, num_epochs, max_steps)
    assert num_steps is not None, "checks refuse a run whose length is unknown"
    return Plan(
        rows_per_step=rows_per_step,
        rows_per_device=micro_batch,
        num_devices=num_devices,
        accumulation=rows_per_step // (num_devices * micro_batch),
        num_rows=num_rows,
        num_rows_estimated=num_rows_estimated,
        steps_per_epoch=steps_per_epoch,
        num_steps=num_steps,
        warmup_steps=math.ceil(num_steps * warmup_fraction),
        tokens_per_step=rows_per_step * max_length,
        num_tokens=num_steps * rows_per_step * max_length,
    )


@dataclass(frozen=True)
class Length:
    """The length of a run, chosen by the machine's speed.

    Attributes:
        choices: optimizer steps of `training.step_choices`, ascending; () with `max_hours`.
        budget_s: seconds that the steps should take at most.
        num_steps: the choice.
        why: the reason, for people.
        step_s: measured seconds of a step, which hold for the whole run; None if there are none.
    """

    choices: tuple[int, ...]
    budget_s: float
    num_steps: int
    why: str
    step_s: float | None = None

    def as_text(self) -> str:
        """Return the choice with its alternatives and its reason."""
        choices = f" of {', '.join(map(str, self.choices))}" if self.choices else ""
        return f"{self.num_steps:,}{choices}: {self.why}"


def choose_length(choices: Sequence[int], budget_s: float, step_s: float | None) -> Length:
    """Choose the most steps within the budget, or the fewest if none are.

    Args:
        choices: optimizer steps.
        budget_s: seconds that the steps should take at most.
        step_s: seconds of a step; None if unknown, which chooses the most steps.
    """
    ordered = tuple(sorted(choices))
    within = f"within {budget_s / 60:.3g} min"
    if step_s is None:
        return Length(ordered, budget_s, ordered[-1], "the most: the speed is not known")
    rate = f"at {step_s:.2f} s a step"
    fitting = [steps for steps in ordered if steps * step_s <= budget_s]
    if fitting:
        return Length(ordered, budget_s, fitting[-1], f"the most that end {within} {rate}")
    minutes = ordered[0] * step_s / 60
    why = f"the fewest, which take {minutes:.3g} min {rate}; none end {within}"
    return Length(ordered, budget_s, ordered[0], why)
