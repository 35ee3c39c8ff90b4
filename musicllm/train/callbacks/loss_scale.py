"""The loss scale of fp16 during a run, and the steps that were skipped because of it.

If a gradient overflows in fp16, the update is skipped and the scale is halved, by which the scale
adapts (mixed precision training, arXiv 1710.03740). A run that skips every step learns nothing, and
is stopped. The scale is updated by torch's scaler, or with DeepSpeed by `zero.LossScale`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from musicllm.errors import StageError
from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def loss_scale(trainer: Trainer) -> float | None:
    """Return the loss scale, or None if the precision needs none.

    On a GPU this is a sync, which torch's scaler does after every step anyway.
    """
    plugin = trainer.precision_plugin
    scaler = getattr(plugin, "scaler", None)
    if scaler is not None:
        return float(scaler.get_scale())
    scale = getattr(plugin, "loss_scale", None)
    return None if scale is None else float(scale.value)


class SkippedSteps(Observer):
    """Counts skipped steps; stops a run that makes no updates."""

    def __init__(self, *, max_in_a_row: int) -> None:
        """Stop a run with more than `max_in_a_row` consecutive skipped steps."""
        self._max_in_a_row = max_in_a_row
        self._scale: float | None = None
        self._in_a_row = 0
        self._since_last_line = 0

    def before_step(self, context: FitContext, finished: int) -> None:
        """Store the scale of the first step, which may be that of a checkpoint."""
        if finished == context.module.start_step:
            self._scale = loss_scale(context.trainer)

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Count the step as skipped if the scale was halved.

        Raises:
            StageError: too many consecutive ones.
        """
        del is_last
        if self._scale is None:
            return
        before, self._scale = self._scale, loss_scale(context.trainer)
        assert self._scale is not None, "the loss scale went away during the run"
        if self._scale >= before:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._since_last_line += 1
        if self._in_a_row > self._max_in_a_row:
            raise StageError(
                f"the last {self._in_a_row} steps up to step {step} changed nothing: their "
                f"gradients do not fit into fp16, with a loss scale that has come down to "
                f"{self._scale:g}; use hardware.precision=bf16 where the device has it or fp32, "
                f"or a lower optimizer.lr and a longer warm-up; callbacks.max_skipped_steps="
                f"{self._max_in_a_row} is how many are allowed in a row"
            )

    def values(self) -> Mapping[str, float]:
        """Return the scale and the steps skipped since the last line; {} without a scale."""
        if self._scale is None:
            return {}
        skipped, self._since_last_line = self._since_last_line, 0
        return {"train/loss_scale": self._scale, "train/skipped_steps": float(skipped)}


class LossScaleKind(CallbackKind):
    """`callbacks.max_skipped_steps`."""

    name = "loss_scale"

    def build(self, context: FitContext, _options: Mapping[str, Any]) -> Observer:
        """See `CallbackKind`."""
        return SkippedSteps(max_in_a_row=context.settings.callbacks.max_skipped_steps)


LOSS_SCALE = CALLBACKS.register(LossScaleKind())
