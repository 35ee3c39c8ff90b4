"""fp16's loss scale during a run: its value, and the steps that made no update because of it.

A gradient that does not fit into fp16 costs a step: no update is made and the scale is halved,
which is how the scale finds its place (mixed precision training, arXiv 1710.03740). A run whose
every step ends so learns nothing, and is stopped. Who moves the scale is torch's scaler, or
`zero.LossScale` under DeepSpeed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from musicllm.errors import StageError
from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def loss_scale(trainer: Trainer) -> float | None:
    """Return the factor in front of the loss, or None where the precision needs none.

    On a GPU this waits for the device, which torch's scaler does after every step anyway.
    """
    plugin = trainer.precision_plugin
    scaler = getattr(plugin, "scaler", None)
    if scaler is not None:
        return float(scaler.get_scale())
    scale = getattr(plugin, "loss_scale", None)
    return None if scale is None else float(scale.value)


class SkippedSteps(Observer):
    """Counts steps without an update; stops a run that makes no others."""

    def __init__(self, *, max_in_a_row: int) -> None:
        """Watch a run; more skipped steps than `max_in_a_row` without an update between stop it."""
        self._max_in_a_row = max_in_a_row
        self._scale: float | None = None
        self._in_a_row = 0
        self._since_last_line = 0

    def before_step(self, context: FitContext, finished: int) -> None:
        """Remember the scale of the first step, which a checkpoint may have restored."""
        if finished == context.module.start_step:
            self._scale = loss_scale(context.trainer)

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Count the step if the scale was halved.

        Raises:
            StageError: too many in a row.
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
        """Return the scale and the steps skipped since the last line; nothing without a scale."""
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
